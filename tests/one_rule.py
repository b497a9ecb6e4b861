"""One rule asked about one machine, or about the text of one log. For tests of rules."""

from __future__ import annotations

import functools
import io

from attn_doctor.failure_modes import find, patterns
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.reader import Reader
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.model.trials import Trials


def found(slug: str, facts: Facts, goal: Goal = Goal.FLASH_ATTN, trials: Trials | None = None) -> Finding | None:
    diagnosis = diagnose(facts, goal, modules=[find(slug)], trials=trials)
    assert not [u for u in diagnosis.undetermined if "please report" in u.why], diagnosis.undetermined
    return diagnosis.findings[0] if diagnosis.findings else None


@functools.cache
def _reader() -> Reader:
    return Reader(patterns())


def told(slug: str, text: str, facts: Facts | None = None) -> Finding | None:
    """Return what one rule finds in a log, of a machine of which nothing is known unless it is given."""
    log = _reader().read(io.BytesIO(text.encode()), "log")
    diagnosis = diagnose(facts or Facts(), Goal.FLASH_ATTN, logs=[log], modules=[find(slug)])
    assert not [u for u in diagnosis.undetermined if "please report" in u.why], diagnosis.undetermined
    return diagnosis.findings[0] if diagnosis.findings else None


def check_lines(slug: str, text: str, confidence: str | None, says: str) -> None:
    """Assert that a rule finds this in a log, as surely, in these words; nothing where `confidence` is None."""
    finding = told(slug, text)
    if confidence is None:
        assert finding is None, finding
        return
    assert finding is not None
    assert finding.confidence.value == confidence, finding.message
    assert says in finding.message
    assert finding.evidence
