"""Compare the facts that a log states with the facts of this machine, because the log may come from another machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts import as_facts, stated_facts
from attn_doctor.model.facts import Facts


def disagreements(facts: Facts, logs: Iterable[Log]) -> tuple[str, ...]:
    """Return one sentence for each fact that has one value in a log and another on this machine."""
    return tuple(
        f"{found.place.file}:{found.place.line} shows {found.name} {found.stated}, this machine has {found.here}: the log is from "
        "another machine, or from an earlier time"
        for log in logs
        for found in as_facts(stated_facts([log]), facts).contradictions
    )
