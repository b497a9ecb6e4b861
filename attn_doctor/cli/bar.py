"""Show the progress of a trial on a terminal with rich's own progress bar: the present step, the next one, and about how long it takes."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from attn_doctor.system.printable import printable
from attn_doctor.trials.stages import Doing

_ENOUGH = 0.1  # the share of a trial that must be over before the rest is estimated by it


class _Left(ProgressColumn):
    """Show about how much time is left. It counts down between two steps."""

    def render(self, task: Task) -> Text:
        end = task.fields.get("end")
        if end is None:
            return Text("")
        left = end - time.monotonic()
        return Text(f"about {left:.0f} s left" if left >= 1 else "nearly done", style="dim")


class Bar:
    """Show the bar while a trial runs."""

    def __init__(self, console: Console) -> None:
        utf = "utf" in console.encoding.lower()
        self._began = time.monotonic()
        self._done = 0.0
        self._end: float | None = None  # when the trial will be over, by the clock of `_began`
        self._progress = Progress(
            SpinnerColumn("dots" if utf else "line"),
            TextColumn(
                "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            BarColumn(bar_width=10),
            _Left(),
            console=console,
            transient=True,
            expand=True,
        )
        self._task = self._progress.add_task("starting", total=1.0, end=None)
        self._progress.start()

    def step(self, doing: Doing) -> None:
        """Show a step of the trial, the step after it, and about how long the trial still takes."""
        if doing.done >= _ENOUGH and doing.done > self._done:  # a round more than planned does not change the estimate
            spent = time.monotonic() - self._began
            self._end = time.monotonic() + spent * (1 - doing.done) / doing.done
        self._done = doing.done
        then = f", then {doing.then}" if doing.then else ""
        self._progress.update(self._task, description=printable(doing.text + then), completed=doing.done, end=self._end)

    def note(self, text: str) -> None:
        """Print a note for the user above the bar."""
        self._progress.console.print(Text(f"attn-doctor: {printable(text)}"))

    def stop(self) -> None:
        """Remove the bar from the screen."""
        self._progress.stop()
