"""One rule asked about one machine. For tests of rules."""

from __future__ import annotations

from attn_doctor.failure_modes import find
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.model.trials import Trials


def found(slug: str, facts: Facts, goal: Goal = Goal.FLASH_ATTN, trials: Trials | None = None) -> Finding | None:
    diagnosis = diagnose(facts, goal, modules=[find(slug)], trials=trials)
    assert not [u for u in diagnosis.undetermined if "please report" in u.why], diagnosis.undetermined
    return diagnosis.findings[0] if diagnosis.findings else None
