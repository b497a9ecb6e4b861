"""Recognise that lines were taken out of the output of a build: pip says how many lines follow, and fewer do. Pure."""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Seen

SIGNS = (
    Sign(
        pattern=r"\[(?P<promised>\d+) lines of output\]",
        literal=" lines of output]",
        sample="  ╰─> [95 lines of output]",
        strength="context",
    ),
    Sign(
        pattern=r"^\[(?P<end>end) of output\]",
        literal="[end of output]",
        sample="[end of output]",
        strength="context",
    ),
)


class Output(NamedTuple):
    """Hold the lines between which pip's output of a build stands, and the number of lines that pip promised."""

    promised: int
    first: int
    last: int

    @property
    def present(self) -> int:
        """Return the number of its lines that are in the log."""
        return self.last - self.first - 1


def of(seen: Seen) -> Output | None:
    """Return the output of a build from which lines were taken away; None if all lines are there, or if pip names no number."""
    for start in seen.matches:
        if "promised" not in start.groups:
            continue
        end = next(
            (m for m in seen.matches if "end" in m.groups and m.file == start.file and m.line > start.line), None
        )
        promised = int(start.groups["promised"])
        if end is not None and end.line - start.line - 1 < promised - 1:
            return Output(promised, start.line, end.line)
    return None
