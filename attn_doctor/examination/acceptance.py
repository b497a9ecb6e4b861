"""Apply the exceptions of a configuration, and the expected number of GPUs, to an examination. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from attn_doctor import failure_modes
from attn_doctor.failure_modes.mode import Module
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.reader import Log
from attn_doctor.model.acceptance import Acceptance, Configured, Exempt, FailOn
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.trials import Trials


def judged(left_out: Iterable[str], exceptions: Iterable[Exempt]) -> tuple[Module, ...]:
    """Return the failure modes that count: all but those that --ignore or an exception names.

    An exception whose last day has passed names none.
    """
    names = {*left_out, *(exempt.code for exempt in exceptions if not exempt.ran_out)}
    return tuple(m for m in failure_modes.ALL if not {m.MODE.code, m.MODE.slug} & names)


def acceptance(
    fail_on: Severity | None,
    configured: Configured | None,
    exceptions: Sequence[Exempt],
    *,
    facts: Facts,
    goal: Goal,
    logs: Iterable[Log] = (),
    trials: Trials | None = None,
) -> Acceptance:
    """Return the part of the report that says how a CI decides: `fail_on`, the configuration file, and the exceptions.

    Each exception is stored with the finding that it hides, so the report shows it. The failure modes of exceptions are judged
    separately: a consequence of one of them counts as a finding of its own.
    """
    least: FailOn = "never" if fail_on is None else "error" if fail_on is Severity.ERROR else "warning"
    codes = {exempt.code for exempt in exceptions}
    found = (
        diagnose(facts, goal, logs=logs, trials=trials, modules=[m for m in failure_modes.ALL if m.MODE.code in codes])
        if codes
        else None
    )
    told = {finding.code: finding for finding in found.findings} if found else {}
    return Acceptance(
        fail_on=least,
        configuration=configured,
        exceptions=tuple(
            msgspec.structs.replace(exempt, severity=told[exempt.code].severity, message=told[exempt.code].message)
            if exempt.code in told
            else exempt
            for exempt in exceptions
        ),
    )


def with_expectation(facts: Facts, expected: int | None) -> Facts:
    """Return the facts with the number of GPUs that --expect-gpus gives."""
    if expected is None:
        return facts
    return msgspec.structs.replace(facts, graphics=msgspec.structs.replace(facts.graphics, expected_gpus=expected))
