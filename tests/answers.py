"""What attn-doctor answers to each recorded log and machine, as text: fixtures/answers has the text that was read last.

The expectations of a log (fixtures/logs/*/expect.toml) are written by hand and say what is right. These texts say more: each sentence,
severity and command, also of a log on a machine that it does not come from. Nobody wrote them: `scripts/refresh_answers.py` did. They
show in a review which answers a change of the code has moved.
"""

from __future__ import annotations

import functools
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from recorded_logs import CASES, Case, reader
from recorded_machines import MACHINES, read

from attn_doctor.fixes.plan_builder import make
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Finding, Fix, Goal
from attn_doctor.model.steps import SetVariable, Step

FOLDER = Path(__file__).parents[1] / "fixtures" / "answers"


def of_log(case: Case) -> str:
    diagnosis = diagnose(Facts(), Goal.FLASH_ATTN, logs=[_read(case)])
    return "\n".join(
        [_findings(diagnosis.findings), *(f"unrecognised: line {one.line}" for one in diagnosis.unrecognised)]
    )


def beside(case: Case) -> Path:
    """Return the machine on which a log is judged a second time.

    A new log moves no other log to another machine, and a new machine only a few (rendezvous hashing).
    """
    return max(MACHINES, key=lambda folder: zlib.crc32(f"{case.folder}/{case.name} {folder.name}".encode()))


def of_log_on_machine(case: Case) -> str:
    """Return what the log adds to the findings of the machine."""
    facts, _, _ = read(beside(case))
    findings = diagnose(facts, Goal.TRAIN, logs=[_read(case)]).findings
    return _findings([one for one in findings if any(evidence.kind == "log" for evidence in one.evidence)])


def of_machine(folder: Path, goal: Goal) -> str:
    facts, trials, logs = read(folder)
    diagnosis = diagnose(facts, goal, logs=logs, trials=trials if trials.rows else None)
    advice = recommend(facts, diagnosis, trials)
    lines = [_findings(diagnosis.findings)]
    lines += [f"unknown: {one.slug}: {one.why} ({', '.join(one.needs)})" for one in diagnosis.undetermined if one.needs]
    lines.append(f"advice: {advice.backend}, flash-attn {advice.install_flash_attn}: {advice.summary}")
    lines += [f"  because {reason.refers_to}: {reason.text}" for reason in advice.because]
    lines += [f"  do: {one}" for one in advice.do]
    for way in make(facts, diagnosis.findings, goal).ways:
        lines.append(f"way to {way.intent}: {way.title}")
        for step in way.steps:
            lines.append(f"  {step.words}")
            lines += [f"    {shell}> {line}" for shell, line in step.shown.items()]
    return "\n".join(lines)


def _read(case: Case):
    return reader().read(io.BytesIO(case.data), f"{case.name}.log")


def _findings(findings: Sequence[Finding]) -> str:
    return "\n".join(line for finding in findings for line in _finding(finding)) or "nothing"


def _finding(finding: Finding) -> Iterator[str]:
    root = "root" if finding.root_cause else f"because of {finding.explained_by}" if finding.explained_by else "note"
    yield f"{finding.slug}: {finding.severity.value}, {finding.certainty.value}, {finding.confidence.value}, {root}"
    yield f"  {finding.message}"
    yield "  by " + "; ".join(map(_evidence, finding.evidence))
    if finding.blocks:
        yield f"  blocks {' '.join(finding.blocks)}"
    for fix in finding.fixes:
        yield from _fix(fix)


def _evidence(evidence: Evidence) -> str:
    return f"{evidence.file} line {evidence.line}" if evidence.line is not None else f"{evidence.path} {evidence.text}"


def _fix(fix: Fix) -> Iterator[str]:
    yield f"  fix: {fix.title}"
    for step in fix.steps:
        yield f"    $ {_command(step)}" if _command(step) else f"    # {step.why}"
        yield f"      {step.risk}: {step.changes}" + (f" ({step.risk_text})" if step.risk_text else "")


def _command(step: Step) -> str:
    if isinstance(step, SetVariable):
        return f"{step.name}={step.value}" if step.value is not None else f"unset {step.name}"
    return " ".join((*step.argv, *((">", step.into) if step.into else ())))


# -- the files


def made() -> Iterator[tuple[str, str, str]]:
    """Yield (name of the file, heading, answer) of all."""
    for case in CASES:
        yield f"{case.folder}.txt", case.name, of_log(case)
        yield f"{case.folder}.txt", on_machine(case), of_log_on_machine(case)
    for folder in MACHINES:
        for goal in Goal:
            yield MACHINE_FILE, in_words(folder, goal), of_machine(folder, goal)


MACHINE_FILE = "machines.txt"


def on_machine(case: Case) -> str:
    return f"{case.name} on {beside(case).name}"


def in_words(folder: Path, goal: Goal) -> str:
    return f"{folder.name} to {goal.value}"


def as_file(answers: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"== {heading}\n{answer}\n" for heading, answer in answers)


@functools.cache
def kept(file: str) -> dict[str, str]:
    """Return the answers in a file, by their headings."""
    parts = re.split(r"^== (.*)\n", (FOLDER / file).read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip("\n") for part in parts[2::2]), strict=True))
