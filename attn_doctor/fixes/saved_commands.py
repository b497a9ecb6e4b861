"""Find the commands in a saved report that attn-doctor's own rules would not print. Anybody can write into a report. Pure.

The facts of the report, and the log lines that it quotes, are judged again. A command is trusted if this judgement has it too. An
installation is also trusted if a plan may contain it (`fixes.step_safety`) and its command is the usual one for its requirements.
Every other command gets a reason.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import msgspec

from attn_doctor import commands
from attn_doctor.examination.inputs import as_log
from attn_doctor.fixes import step_safety
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.findings import Finding
from attn_doctor.model.report import Report
from attn_doctor.model.steps import AddPip, Install, Remove, RunByHand, Step, Uninstall
from attn_doctor.model.trials import Trials

Doubt = Callable[[Step], str]
_UNKNOWN = "none of attn-doctor's rules gives this command for the facts in this report"


def doubts(report: Report) -> Doubt:
    """Return a function from a step of this report to the reason against its command; an empty text if there is none."""
    ours = functools.cache(
        lambda: frozenset(map(_command, _own_steps(report)))
    )  # asked for only where there is a command

    def doubt(step: Step) -> str:
        if commands.shown(step) is None or _command(step) in ours():
            return ""
        why = step_safety.fault(step, report.facts)
        if why is not None:
            return f"attn-doctor would not print this: {why}"
        if isinstance(step, Install | Uninstall | AddPip | Remove) and _is_rendered_so(step, report):
            return ""
        return f"attn-doctor would not print this: {_UNKNOWN}"

    return doubt


def _own_steps(report: Report) -> Iterator[Step]:
    trials = Trials(rows=report.trials, attempted=bool(report.trials))
    findings = [*report.findings, *report.project]
    quoted = tuple(as_log(text, name) for name, text in _quoted(findings).items())
    for logs in ((), quoted):
        made = diagnose(report.facts, report.goal, logs=logs, trials=trials if report.trials else None)
        yield from (step for finding in made.findings for fix in finding.fixes for step in fix.steps)


def _quoted(findings: list[Finding]) -> dict[str, str]:
    """Return the quoted part of each log that findings quote, by the name of the log."""
    lines: dict[str, dict[int, str]] = {}
    for finding in findings:
        for one in finding.evidence:
            if one.kind == "log" and one.file is not None:
                lines.setdefault(one.file, {})[one.line or 0] = one.text
    return {file: "".join(f"{found[number]}\n" for number in sorted(found)) for file, found in lines.items()}


def _command(step: Step) -> tuple[object, ...]:
    """Return the part of a step that the reader would carry out: its command, or its variable."""
    return (type(step).__name__, commands.shown(step))


def _is_rendered_so(step: Step, report: Report) -> bool:
    bare = msgspec.structs.replace(step, argv=())
    again = commands.rendered(report.facts, bare)
    return again.argv == step.argv and not isinstance(again, RunByHand)
