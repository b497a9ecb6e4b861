"""Compare every backend of a trial with eager, in the rounds in which both were measured. Pure.

No other module compares the backends of a trial with eager. A cell is one backend in one dtype (and at one shape): "sdpa-flash float16".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from attn_doctor.model.trials import Gain, Trial
from attn_doctor.trials.paired_rounds import LEVEL
from attn_doctor.trials.statistics import compare, decide, settled_by


class Measured(NamedTuple):
    """Hold how the measuring of a cell ended: the level of the last test, and the faster cell that ended it early, if there is one."""

    level: float = LEVEL  # the level of the test at the last look
    lost_to: str | None = None  # the cell that was faster in every round, if this cell was dropped for that


def name_of_row(row: Trial) -> str:
    """Return the name of a row's cell: "sdpa-flash float16", with a shape "sdpa-flash float16 1x8x4096x64"."""
    return f"{row.backend} {row.dtype}" + (f" {row.shape}" if row.shape else "")


def with_gains(rows: Sequence[Trial], measured: Mapping[tuple[str, str], Measured] | None = None) -> tuple[Trial, ...]:
    """Return the rows, each with its gain over eager in the same dtype and shape.

    The gains of one dtype and shape are decided together, forward passes and steps apart: Holm's correction depends on how many are
    compared. Rows without an eager row of their dtype and shape get no gain. `measured`: how the measuring of each cell
    ended, by (name, "forward" | "step").
    """
    gains: dict[int, dict[str, Gain]] = {}
    for group in dict.fromkeys((row.dtype, row.shape) for row in rows):
        base = next((row for row in rows if row.backend == "eager" and (row.dtype, row.shape) == group), None)
        if base is None:
            continue
        others = [(i, row) for i, row in enumerate(rows) if (row.dtype, row.shape) == group and row is not base]
        for what in ("forward", "step"):
            level = (measured or {}).get((name_of_row(base), what), Measured()).level
            times = {index: getattr(row, f"{what}_samples") for index, row in others}
            for index, gain in _decided(getattr(base, f"{what}_samples"), times, level).items():
                gains.setdefault(index, {})[f"{what}_gain"] = gain
    return tuple(msgspec.structs.replace(row, **gains.get(index, {})) for index, row in enumerate(rows))


def dropped(
    samples: Mapping[tuple[str, str], Sequence[float]], measured: Mapping[tuple[str, str], Measured]
) -> list[str]:
    """Return one sentence for each cell that was dropped early, and so has fewer rounds than the others.

    `samples`: (name of a cell, "forward" | "step") -> milliseconds, round by round. `measured`: as for `with_gains`.
    """
    named = {"forward": "inference", "step": "training steps"}
    said = []
    for (cell, what), found in measured.items():
        number = len(samples.get((cell, what), ()))
        if found.lost_to and number == 1:
            said.append(
                f"{cell}: only 1 round of {named[what]} was measured, because {found.lost_to} was faster in it,"
                " and in every round of inference; the other backends got the time"
            )
        elif found.lost_to:
            said.append(
                f"{cell}: only {number} rounds of {named[what]} were measured, because {found.lost_to} was faster in"
                " each; the other backends got the time"
            )
    return said


def _decided(base: tuple[float, ...], others: Mapping[int, tuple[float, ...]], level: float) -> dict[int, Gain]:
    """Return the gain of each backend that was measured in the same rounds as `base`.

    A backend that was dropped early has fewer rounds.
    """
    whole = {index: times for index, times in others.items() if base and len(times) == len(base)}
    dropped = {index: times for index, times in others.items() if 0 < len(times) < len(base)}
    # Backends that were measured together are one comparison, not two.
    distinct = list(dict.fromkeys(whole.values()))
    lost = len(set(dropped.values()))
    decided = decide([compare(base, times) for times in distinct], level, lost)
    found = {}
    for index, times in whole.items():
        gain = decided[distinct.index(times)]
        if gain.verdict == "undecided":
            gain = msgspec.structs.replace(gain, more_rounds=settled_by(base, times, len(distinct) + lost))
        found[index] = gain
    for index, times in dropped.items():
        found[index] = msgspec.structs.replace(compare(base[: len(times)], times), verdict="dropped")
    return found
