"""Find the errors of logs that no finding explains. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from attn_doctor.failure_modes import consequences
from attn_doctor.failure_modes.mode import FailureMode, Hit, Module
from attn_doctor.logs.errors import LogError, log_end
from attn_doctor.logs.reader import Log
from attn_doctor.model.findings import Severity, Unrecognised


class Met(Protocol):
    """Describe a failure mode that was found, with the fields that this module reads."""

    @property
    def module(self) -> Module: ...
    @property
    def hit(self) -> Hit: ...
    @property
    def severity(self) -> Severity: ...


def unrecognised(logs: Iterable[Log], met: Mapping[str, Met]) -> tuple[Unrecognised, ...]:
    """Return the errors of each log that no finding explains. `met`: the failure modes that were found, by slug.

    After an explained error that can end a program, the next errors of the log count as its consequences, until a line
    shows a success. An error within four lines of the evidence of a warning or an error belongs to it. An error that
    reports a failure without its cause is left out if the log has such evidence at all.
    """
    named = {slug: m for slug, m in met.items() if not (m.module.MODE.catch_all and m.severity is Severity.INFO)}
    known = {*named, *(slug for m in met.values() for slug in consequences(m.module.MODE))}
    found = []
    for log in logs:
        said = [
            (m, e.line) for m in named.values() for e in m.hit.evidence if e.file == log.file and e.line is not None
        ]
        lines = {m.line for m in log.matches if m.slug in known and m.strength != "context"}
        lines |= {line for _, line in said}
        grave = [line for m, line in said if _grave(m.module.MODE, m.hit) and not m.module.MODE.catch_all]
        others = [line for m, line in said if m.severity is not Severity.INFO]
        found += [
            Unrecognised(file=log.file, line=error.line, text=error.text)
            for error in log_end(log).errors
            if not _accounted(error, lines)
            and not (grave and error.good <= max(grave))
            and not (error.vague and others)
            and not any(abs(error.line - line) <= _NEAR for line in others)
        ]
    return tuple(found)


_NEAR = 4  # lines: an error this near to a warning belongs to the warning


def _accounted(error: LogError, lines: set[int]) -> bool:
    return any(error.first <= line <= error.last for line in lines)


def _grave(mode: FailureMode, hit: Hit) -> bool:
    """Return whether a finding can end a program or a build, under any goal."""
    return Severity.ERROR in (mode.train, mode.flash_attn) and hit.severity is not Severity.INFO
