"""Find which finding caused which by the chains of exceptions in logs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from attn_doctor.failure_modes.mode import Hit
from attn_doctor.logs.chains import links
from attn_doctor.logs.reader import Log


class Met(Protocol):
    """Describe a failure mode that was met, as `diagnose` stores it."""

    @property
    def hit(self) -> Hit: ...
    @property
    def explains(self) -> tuple[str, ...]: ...


def chained(logs: Sequence[Log], met: Mapping[str, Met]) -> Iterator[tuple[str, str]]:
    """Yield (slug of the cause, slug of its effect): the cause was raised first, and the effect while it was handled.

    Where the failure mode of the later exception is known to cause the first one, the order in the log says nothing.
    """
    for log in logs:
        lines = {
            slug: [e.line for e in one.hit.evidence if e.file == log.file and e.line is not None]
            for slug, one in met.items()
        }
        for first, joint, last in links(log):
            causes = [slug for slug, at in lines.items() if any(first <= line < joint for line in at)]
            effects = [slug for slug, at in lines.items() if at and all(joint < line <= last for line in at)]
            yield from ((c, e) for c in causes for e in effects if c not in met[e].explains)
