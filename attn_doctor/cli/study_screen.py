"""Show a study while it runs. On a terminal: a table of all trainings. Elsewhere: a line for each epoch on standard error."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.live import Live

from attn_doctor.cli.study_table import StudyTable, training_losses
from attn_doctor.model.study import Event, Study
from attn_doctor.study.training import Alive
from attn_doctor.system.streams import tell

if TYPE_CHECKING:
    from rich.console import Console

_PERIOD = 1.0  # seconds between two pictures of the table


class Screen:
    """Receive the events of a study, from any thread, and show them. `watch`: show the table even without a terminal."""

    def __init__(self, *, watch: bool = False) -> None:
        from attn_doctor.cli.output import console_for

        self._console: Console = console_for(sys.stderr)
        self._moves = self._console.is_terminal and not self._console.is_dumb_terminal
        self._watch = watch and not self._moves
        self._lock = threading.Lock()
        self._signs: dict[tuple[str, int], Alive] = {}
        self._study: Study | None = None
        self._began = time.monotonic()
        self._before = 0.0  # epochs that earlier calls trained
        self._drawn = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self._study is not None:
            self.say("the same command goes on after the last epoch that ended")

    def say(self, text: str) -> None:
        tell(f"attn-doctor: {text}")

    def happened(self, event: Event, study: Study) -> None:
        with self._lock:
            if self._study is None:
                self._began = time.monotonic()
                self._before = _epochs(study) - (1.0 if event.at == "epoch" else 0.0)
            elif event.at == "begin":
                # What an earlier process had done is no work of this call.
                self._before += max(0.0, _epochs(study) - _epochs(self._study))
            self._study = study
            if event.at == "end":
                self._signs.pop((event.arm, event.seed), None)
            line = line_of(event, study)
            if line and not self._moves:
                tell(f"attn-doctor: {line}")
            self._draw(now=event.at != "proof")

    def alive(self, sign: Alive) -> None:
        with self._lock:
            self._signs[sign.arm, sign.seed] = sign
            self._draw()

    def _draw(self, *, now: bool = False) -> None:
        if self._study is None or not (self._moves or self._watch):
            return
        if not now and time.monotonic() - self._drawn < _PERIOD:
            return
        self._drawn = time.monotonic()
        left = seconds_left(self._study, self._before, time.monotonic() - self._began)
        shown = StudyTable(self._study, self._signs, left, all_rows=self._watch)
        if self._watch:
            if now:
                self._console.print(shown)
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(shown, refresh=True)


def _epochs(study: Study) -> float:
    return float(sum(len(cell.epochs) for cell in study.cells))


def seconds_left(study: Study, before: float, spent: float) -> float | None:
    """Return about how many seconds the study still takes, by the epochs of this call; None before the first epoch.

    `before`: the number of epochs of earlier calls. `spent`: seconds of this call.
    """
    done = _epochs(study) - before
    if done < 1:
        return None
    waiting = sum(
        study.design.epochs - len(cell.epochs) for cell in study.cells if cell.state in ("waiting", "running")
    )
    return spent / done * waiting


def line_of(event: Event, study: Study) -> str | None:
    """Return the line for one event; None for an event without a line."""
    name = f"{event.arm}, seed {event.seed}"
    if event.at == "begin":
        return f"{name}: goes on after epoch {event.kept}" if event.kept else f"{name}: begins"
    if event.at == "proof":
        ran = ", ".join(event.kernels[:2])
        return f"{name}: proven, {ran}" if event.proven else f"{name}: NOT PROVEN, {event.said}"
    if event.at == "epoch" and event.epoch:
        epoch = event.epoch
        losses = " ".join(f"{name} {value:.3f}" for name, value in training_losses(epoch.losses).items())
        return (
            f"{name}: epoch {epoch.number} of {study.design.epochs}, {losses}, mAP50 {_number(epoch.map50)}, "
            f"mAP50-95 {_number(epoch.map50_95)}, {epoch.seconds:.1f} s"
        )
    if event.at == "end":
        return f"{name}: {event.state}{f' ({event.said})' if event.said else ''}"
    return None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
