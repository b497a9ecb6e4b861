"""Examine an environment after the steps of a plan were run in it, and judge whether the plan worked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attn_doctor.errors import AttnDoctorError, NoAnswer, Refused
from attn_doctor.examination import Options
from attn_doctor.examination import examine as examine_target
from attn_doctor.examination.inputs import read_logs
from attn_doctor.fixes.plan import WITHOUT, Way
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.model.machine import failed_flash_attn, flash_attn
from attn_doctor.model.report import Report
from attn_doctor.model.trials import TrialOptions
from attn_doctor.probes.ask import QUIET

Say = Callable[[str], None]
_MOST_WORDS = 200  # an installer's message is cut to this many characters: pip prints whole addresses in it

# Enough to see which kernel serves every attention call; too few rounds to measure times.
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
    """Examine the environment of a Python after a plan was carried out there. With `backends`, also run a short trial of them.

    `timeout`: seconds for one import or one trial. `gpu`: the GPU to judge for, if the user named one. Raises NoAnswer if the Python
    does not answer.
    """
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
    """Return the root causes in a report that are warnings or errors."""
    return tuple(f for f in report.findings if f.root_cause)


def verdict(way: Way, before: Sequence[Finding], report: Report) -> str | None:
    """Return the reason why the way did not work; None if it worked.

    A way worked if all of its causes are gone and no new error appeared. An older error that the way does not treat,
    for example of a driver, does not count. Two more conditions: a flash-attn from an unsigned wheel can be imported;
    after a way "do without flash-attn", no broken flash-attn is left. `before`: the findings before the steps.
    `report`: the examination after them.
    """
    failed = failed_flash_attn(report.facts) if way.unsigned is not None else None
    if failed is not None:
        said = f"{failed.fault.type}: {failed.fault.message}" if failed.fault else "it gave no reason"
        return f"{failed.module} does not import ({said})"
    left = remaining(report)
    still = [f for f in left if f.code in way.cures]
    if still:
        return f"{still[0].slug} is still there: {still[0].message}"
    known = {f.code for f in before if f.root_cause and f.severity.rank == 2}
    new = [f for f in left if f.severity.rank == 2 and f.code not in known]
    if new:
        return f"{new[0].slug} appears: {new[0].message}"
    if way.intent == WITHOUT and flash_attn(report.facts) == "fails":
        return "flash-attn is still installed, and importing it fails"
    return None


def tried(python: str, way: Way, environ: Mapping[str, str], timeout: float, root: str) -> Report | None:
    """Return the report of a short trial of sdpa-flash, and of flash-attn-2 if the way is for that goal; None if no trial could be run."""
    wanted = ("sdpa-flash", "flash-attn-2") if way.goal is Goal.FLASH_ATTN else ("sdpa-flash",)
    try:
        return examine(python, way.goal, environ, timeout, wanted, root=root)
    except (NoAnswer, Refused):
        return None


def ran(report: Report | None) -> tuple[str, ...]:
    """Return the backends that served every attention call of a trial, forward and backward, with right numbers."""
    return tuple(dict.fromkeys(row.backend for row in report.trials if row.status == "ok")) if report else ()


def unchecked(report: Report | None, *, elsewhere: bool) -> tuple[str | None, str | None]:
    """Return (reason, remark): why flash-attn was not seen to compute right numbers. With a reason, this way of the plan has failed.

    It is only a remark if there is no GPU here that could show it. Both are None if the numbers were seen to be right.
    `elsewhere`: the GPU is in another machine.
    """
    rows = [row for row in report.trials if row.backend == "flash-attn-2"] if report else []
    wrong = next((row for row in rows if row.status == "wrong"), None)
    if wrong is not None:
        return f"flash-attn computes wrong numbers: {wrong.reason}", None
    if any(row.status == "ok" for row in rows):
        return None, None
    if elsewhere or (report is not None and report.facts.torch.available is False):
        return None, "its numbers are not checked: no GPU here can run it"
    why = next((row.reason for row in rows if row.reason), None) or (report.trials_skipped if report else None)
    return f"its numbers could not be checked against float64: {why or 'the trial gave no answer'}", None


def explain(log: Path, goal: Goal) -> str:
    """Return in words why a step failed. `log`: the file with its output.

    The words name the failure mode that the output shows, and quote the last error line of the installer.
    """
    try:
        logs = read_logs([str(log)])
    except AttnDoctorError:
        logs = ()
    found = [f for f in diagnose(Facts(), goal, logs=logs).findings if any(e.kind == "log" for e in f.evidence)]
    words = _own_words(log)
    if found and found[0].confidence.rank > 0:
        return f"{found[0].slug}: {found[0].message}" + (f" ({words})" if words else "")
    return words or "it printed nothing"


def _own_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    said = [line for line in lines if line.lower().startswith(("error:", "× ", "fatal:"))]
    words = (said or lines or [""])[-1]
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}…"
