"""Compares the statements of a log with the facts of this machine: the log may come from another one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts import as_facts, stated_facts
from attn_doctor.model.facts import Facts


def disagreements(facts: Facts, logs: Iterable[Log]) -> tuple[str, ...]:
    """Return one sentence for each thing that a log and the facts say differently."""
    return tuple(
        f"{found.place.file}:{found.place.line} speaks of {found.name} {found.stated}, here it is {found.here}: the log is of "
        "another machine or time"
        for log in logs
        for found in as_facts(stated_facts([log]), facts).contradictions
    )
