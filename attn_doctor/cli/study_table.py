"""Make the live table of a study, so that it is whole on a terminal of 80 columns, and what trains now is never below the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from attn_doctor.model.study import Cell, Study
from attn_doctor.study.training import Alive

_GAP = 2  # between two columns
_BESIDE = 7  # lines of the screen beside the rows: the heading, the explanation, the rest, the prompt
_FAILURES = 2  # whose reason is shown
_STYLES = {"done": "green", "failed": "bold red", "running": "bold", "waiting": "dim"}
Signs = Mapping[tuple[str, int], Alive]


class _Column(NamedTuple):
    title: str
    texts: Sequence[str]  # one for each row
    spare: int = 0  # if there is no room, the column with the highest number is left out first; 0: it is never left out
    left: bool = False  # the texts begin at the left

    @property
    def width(self) -> int:
        return max(len(self.title), *map(len, self.texts))


class StudyTable:
    """Draw a study as it is now.

    `signs`: the last sign of life of each running training, by (attention, seed). `left`: about how many seconds the
    rest takes; None: not known yet. `all_rows`: show all trainings; else those for which the screen has room.
    """

    def __init__(self, study: Study, signs: Signs, left: float | None, *, all_rows: bool = False) -> None:
        self._study, self._signs, self._left, self._all_rows = study, signs, left, all_rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = self._study.cells if self._all_rows else chosen(self._study.cells, console.height - _BESIDE)
        columns = list(_columns(rows, self._study, self._signs))
        while sum(c.width + _GAP for c in columns) - _GAP > options.max_width and any(c.spare for c in columns):
            columns.remove(max(columns, key=lambda column: column.spare))
        made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for column in columns:
            made.add_column(column.title, justify="left" if column.left else "right", no_wrap=True)
        for place, cell in enumerate(rows):
            style = "yellow" if cell.proven is False else _STYLES.get(cell.state, "")
            made.add_row(*(Text(column.texts[place], style=style) for column in columns))
        yield Group(made, *(Text(line, style=style) for line, style in self._below(rows, columns)))

    def _below(self, rows: Sequence[Cell], columns: Sequence[_Column]) -> list[tuple[str, str]]:
        cells, lines = self._study.cells, []
        hidden = [cell.state for cell in cells if cell not in rows]
        if hidden:
            counted = ", ".join(f"{hidden.count(state)} {state}" for state in dict.fromkeys(hidden))
            lines.append((f"not shown: {counted}", "dim"))
        failed = [cell for cell in cells if cell.state == "failed" and cell.said]
        lines += [(f"{cell.arm}, seed {cell.seed}, failed: {cell.said}", "red") for cell in failed[-_FAILURES:]]
        titles = {column.title for column in columns}
        losses = [name for name in _losses_of(rows, self._signs) if name in titles]
        about = [f"{', '.join(losses)}: training loss"] if losses else []
        about += ["mAP: of the validation after the last epoch"]
        lines.append(("; ".join(about), "dim"))
        ended = sum(cell.state in ("done", "failed") for cell in cells)
        rest = "" if self._left is None else f", about {_time(self._left)} left"
        lines.append((f"{ended} of {len(cells)} trainings have ended{rest}", ""))
        return lines


def chosen(cells: Sequence[Cell], room: int) -> Sequence[Cell]:
    """Return the trainings for which there is room, in their order.

    What runs is chosen first, then the next training, those that failed, those that ended well, and at last
    those that wait.
    """
    if len(cells) <= room:
        return cells
    running = [cell for cell in cells if cell.state == "running"]
    failed = [cell for cell in cells if cell.state == "failed"]
    done = [cell for cell in cells if cell.state not in ("running", "failed", "waiting")]
    waiting = [cell for cell in cells if cell.state == "waiting"]
    kept = [*running, *waiting[:1], *failed[::-1], *done[::-1], *waiting[1:]][: max(room, 1)]
    return [cell for cell in cells if cell in kept]


def _columns(rows: Sequence[Cell], study: Study, signs: Signs) -> list[_Column]:
    now = [signs.get((cell.arm, cell.seed)) if cell.state == "running" else None for cell in rows]
    pairs = list(zip(rows, now, strict=True))
    last = [cell.epochs[-1] if cell.epochs else None for cell in rows]
    names = _losses_of(rows, signs)
    memory = [sign.memory if sign and sign.memory else epoch.peak_memory if epoch else None
              for sign, epoch in zip(now, last, strict=True)]  # fmt: skip
    return [
        _Column("attention", [cell.arm for cell in rows], left=True),
        _Column("seed", [str(cell.seed) for cell in rows]),
        _Column("state", [_state(cell, sign) for cell, sign in pairs], left=True),
        _Column("epoch", [f"{sign.epoch if sign else len(c.epochs)}/{study.design.epochs}" for c, sign in pairs]),
        *(_Column(name, [_loss(cell, sign, name) for cell, sign in pairs], spare=1 + at) for at, name in enumerate(names)),
        _Column("mAP50", [_number(epoch.map50 if epoch else None) for epoch in last], spare=20),
        _Column("mAP50-95", [_number(epoch.map50_95 if epoch else None) for epoch in last]),
        _Column("memory", [_bytes(one) for one in memory], spare=21),
        _Column("busy", [_busy(sign, study.design.device) for sign in now], spare=22),
    ]  # fmt: skip


def _state(cell: Cell, sign: Alive | None) -> str:
    if sign:
        return f"{sign.doing} {100 * sign.done // max(sign.of, 1)} %"
    return f"{cell.state}, not proven" if cell.proven is False else cell.state


def training_losses(losses: Mapping[str, float]) -> dict[str, float]:
    """Return the losses of training by their short names: "box" for "train/box_loss"."""
    return {
        key.removeprefix("train/").removesuffix("_loss"): value
        for key, value in losses.items()
        if key.startswith("train/")
    }


def _losses_now(cell: Cell, sign: Alive | None) -> dict[str, float]:
    told = training_losses(sign.losses) if sign else {}
    return told or (training_losses(cell.epochs[-1].losses) if cell.epochs else {})


def _losses_of(rows: Sequence[Cell], signs: Signs) -> list[str]:
    return list(dict.fromkeys(name for cell in rows for name in _losses_now(cell, signs.get((cell.arm, cell.seed)))))


def _loss(cell: Cell, sign: Alive | None, name: str) -> str:
    value = _losses_now(cell, sign).get(name)
    return "" if value is None else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _busy(sign: Alive | None, device: str) -> str:
    """Return how busy the processor or the GPU is: "1.7 cores", "96 %"."""
    if sign is None or sign.busy is None:
        return ""
    return f"{100 * sign.busy:.0f} %" if device.startswith("cuda") else f"{sign.busy:.1f} cores"


def _bytes(value: int | None) -> str:
    return "" if value is None else f"{value / 2**30:.2f} GiB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
