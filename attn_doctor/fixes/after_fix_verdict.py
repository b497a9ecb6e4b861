"""The doctor's own examination of an environment that a plan was carried out in, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attn_doctor.errors import NoAnswer
from attn_doctor.examination import Options, read_logs
from attn_doctor.examination import examine as examine_target
from attn_doctor.fixes.plan import WITHOUT, Way
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.not_a_log import NoLog
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.model.machine import flash_attn
from attn_doctor.model.report import Report
from attn_doctor.probes.ask import QUIET
from attn_doctor.trials.plan import BadRequest, TrialOptions

Say = Callable[[str], None]
_MOST_WORDS = 200  # letters of an installer's own message: pip puts whole addresses into it

# Enough to see which kernel serves every attention call; too little to measure anything.
_SHORT = TrialOptions(imgsz=64, rounds=1, seconds=1.0, reference=False)


def examine(
    python: str,
    goal: Goal,
    environ: Mapping[str, str],
    timeout: float,
    backends: Sequence[str] = (),
    *,
    gpu: str | None = None,
    root: str = "/",
) -> Report:
    """Raises NoAnswer. With backends, a short trial of them too; with a GPU that is elsewhere, judged for that one."""
    trial = bool(backends)
    options = Options(
        target=python,
        goal=goal,
        gpu=gpu,
        trial=trial,
        trials=_with(backends) if trial else TrialOptions(),
        timeout=timeout,
        environ={**environ, **QUIET},
        root=root,
    )
    return examine_target(options)


def _with(backends: Sequence[str]) -> TrialOptions:
    import msgspec

    return msgspec.structs.replace(_SHORT, backends=tuple(backends))


def remaining(report: Report) -> tuple[Finding, ...]:
    """Root causes of warning and above."""
    return tuple(f for f in report.findings if f.root_cause)


def verdict(way: Way, before: Sequence[Finding], report: Report) -> str | None:
    """Why the way did not do it; None where it did.

    It did where none of its causes is left, and no error stands that was not there before. What was there before and is not
    this way's business (a driver, say) does not count against it.
    """
    left = remaining(report)
    still = [f for f in left if f.code in way.cures]
    if still:
        return f"{still[0].slug} is still there: {still[0].message}"
    known = {f.code for f in before if f.root_cause and f.severity.rank == 2}
    new = [f for f in left if f.severity.rank == 2 and f.code not in known]
    if new:
        return f"{new[0].slug} comes up: {new[0].message}"
    if way.intent == WITHOUT and flash_attn(report.facts) == "fails":
        return "flash-attn is still there, and does not import"
    return None


def ran(python: str, way: Way, environ: Mapping[str, str], timeout: float, root: str) -> tuple[str, ...]:
    """The backends of a short trial that served every attention call, forward and backward."""
    wanted = ("sdpa-flash", "flash-attn-2") if way.goal is Goal.FLASH_ATTN else ("sdpa-flash",)
    try:
        report = examine(python, way.goal, environ, timeout, wanted, root=root)
    except (NoAnswer, BadRequest):
        return ()
    return tuple(dict.fromkeys(row.backend for row in report.trials if row.status == "ok"))


def explain(log: Path, goal: Goal) -> str:
    """What the output of a step that failed means: the failure mode that its log shows, else the installer's own words."""
    try:
        logs = read_logs([str(log)])
    except (ValueError, NoLog):
        logs = ()
    found = [f for f in diagnose(Facts(), goal, logs=logs).findings if any(e.kind == "log" for e in f.evidence)]
    words = _own_words(log)
    if found and found[0].confidence.rank > 0:
        return f"{found[0].slug}: {found[0].message}" + (f" ({words})" if words else "")
    return words or "it said nothing"


def _own_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    said = [line for line in lines if line.lower().startswith(("error:", "× ", "fatal:"))]
    words = (said or lines or [""])[-1]
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}…"
