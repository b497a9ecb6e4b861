"""Find which finding caused which other finding, from the chains of exceptions in logs. Pure.

Example of a chain: "During handling of the above exception, another exception occurred".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from attn_doctor.failure_modes.mode import Hit
from attn_doctor.logs.chains import links
from attn_doctor.logs.reader import Log


class Met(Protocol):
    """Describe a failure mode that was found, with the fields that this module reads."""

    @property
    def hit(self) -> Hit: ...
    @property
    def explains(self) -> tuple[str, ...]: ...


def chained(logs: Sequence[Log], met: Mapping[str, Met]) -> Iterator[tuple[str, str]]:
    """Yield pairs of slugs, (cause, effect): the exception of the cause was raised first, the other one while it was handled.

    A pair is left out if the later failure mode is known to cause the earlier one. `met`: the failure modes that were
    found, by slug.
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
