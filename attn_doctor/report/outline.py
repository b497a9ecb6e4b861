"""Build the outline of a report: wording and order, the same for every format. Pure; renderers decide nothing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence

from attn_doctor import commands
from attn_doctor.failure_modes.areas import BUILD, area_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Finding, Fix, Severity, Undetermined, Unrecognised
from attn_doctor.model.machine import implied_goal
from attn_doctor.model.report import Report
from attn_doctor.model.steps import RunByHand, Step
from attn_doctor.model.trials import Interval, Status, Trial
from attn_doctor.report.acceptance_outline import acceptance, marked
from attn_doctor.report.blocks import (
    Block,
    Cell,
    Command,
    Cure,
    Field,
    Fields,
    Heading,
    Notes,
    Problem,
    Table,
    Tone,
    Verdict,
)
from attn_doctor.report.kernel_notes import by_reason, kernels, ranges, repeats, wrong_reference
from attn_doctor.report.machine_summary import at_a_glance, size, watched
from attn_doctor.report.unread import unread
from attn_doctor.report.verdict import verdict

MARKS: dict[Severity, tuple[str, Tone]] = {
    Severity.ERROR: ("×", "bad"),
    Severity.WARNING: ("!", "warn"),
    Severity.INFO: ("i", "dim"),
}
_MOST_ERRORS = 3  # unknown errors shown; the JSON has all
Doubt = Callable[[Step], str]
STATUS_TONE: dict[Status, Tone] = {"ok": "good", "wrong": "bad", "ruled-out": "dim", "other-kernel": "warn"}


def outline(report: Report, saved: str | None = None) -> tuple[Block, ...]:
    """Return all blocks of a report, in the order in which a reader sees them.

    `saved`: the name of the file from which the report was read. Its commands are then shown as a part of that file, not as
    advice.
    """
    doubt = saved_doubt(report) if saved is not None else None
    blocks: list[Block] = [*at_the_top(report, saved), verdict(report)]
    blocks += not_recognised(report.unrecognised)
    blocks += marked(problems(report.findings, report.facts, doubt), report)
    blocks += not_working_here(report, saved=saved is not None)
    blocks += acceptance(report)
    blocks += tried(report)
    blocks += recommended(report, saved=saved is not None)
    blocks += unsettled(report)
    return tuple(blocks)


def at_the_top(report: Report, saved: str | None = None) -> tuple[Block, ...]:
    """Return the head: the target and its machine. `saved`: as for `outline`."""
    said = [Field("saved report", f"{saved}; all that follows is what this file says")] if saved is not None else []
    return (
        Heading(f"attn-doctor {report.tool.version}"),
        Fields((*said, *_target(report), *at_a_glance(report.facts))),
    )


def unsettled(report: Report) -> list[Block]:
    """Return the blocks about failure modes that could not be judged, and about sources that were not read."""
    return [*undetermined(report.undetermined), *unread(report.facts)]


def _target(report: Report) -> tuple[Field, ...]:
    version = f"Python {report.target.version}, " if report.target.version else ""
    implied, why = implied_goal(report.facts)
    return (
        Field("target", f"{report.target.python} ({version}{report.target.why})"),
        Field("goal", f"{report.goal.value} ({why})" if implied is report.goal else report.goal.value),
    )


def not_recognised(errors: Sequence[Unrecognised]) -> list[Block]:
    """Return a block with the last errors in logs that no failure mode explains, and a sentence that says what to send to us; else no block."""
    if not errors:
        return []
    shown = tuple(f"{e.file}:{e.line}: {e.text}" for e in errors[-_MOST_ERRORS:])
    left = len(errors) - len(shown)
    more = (f"the JSON has {left} more",) if left else ()
    file = shlex.quote(errors[-1].file) if errors[-1].file != "standard input" else "FILE"
    send = (
        "To have it recognised: send the whole log with the lines above the error, or the file that this command writes: "
        f"attn-doctor check --log {file} --json report.json"
    )
    return [Notes("Not recognised", (*shown, *more, send))]


def saved_doubt(report: Report) -> Doubt:
    """Return a function: for a step of a saved report it returns the reason why its command is not trusted, or an empty text."""
    from attn_doctor.fixes.saved_commands import doubts  # imported here: it judges, which other outlines do not need

    return doubts(report)


def problems(findings: Iterable[Finding], facts: Facts, doubt: Doubt | None = None) -> list[Block]:
    """Return a block for each root cause, with its consequences inside, and one list with the findings of severity info.

    `facts`: decide the shell in which commands are written. `doubt`: see `saved_doubt`; None: the report was not read from a file.
    """
    shell = commands.shell_of(facts)
    findings = tuple(findings)
    by_root: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.explained_by:
            by_root.setdefault(finding.explained_by, []).append(finding)
    blocks: list[Block] = [problem(f, by_root.get(f.code, []), shell, doubt) for f in findings if f.root_cause]
    notes = [f for f in findings if f.severity is Severity.INFO and not f.explained_by and _concerns(f, facts)]
    if notes:
        blocks.append(Notes("Good to know", tuple(f"{f.code} {f.slug}: {f.message}" for f in notes)))
    return blocks


def not_working_here(report: Report, *, saved: bool = False) -> list[Block]:
    """Return a block with the requirements in the project's files that would not work here; no block if there are none.

    The files are those of the current folder. Each requirement has the line to write instead, if one is known.
    """
    lines = []
    for finding in report.project:
        places = " and ".join(f"{e.file}:{e.line} ({e.text})" for e in finding.evidence if e.kind == "log")
        first = next((step for fix in finding.fixes for step in fix.steps), None)
        cure = ": ".join(filter(None, (" ".join(first.argv), first.why))) if first else ""
        lines.append(
            f"{places}: {finding.message}" + (f" {'The report says' if saved else 'Cure'}: {cure}." if cure else "")
        )
    return [Notes("Requirements of this project that would not work here", tuple(lines))] if lines else []


def _concerns(note: Finding, facts: Facts) -> bool:
    """Return whether a note matters on this machine.

    A note on the build of flash-attn does not matter without a GPU; a note on a variable that the user has set always matters.
    """
    if facts.graphics.gpus != () or area_of(note.code) is not BUILD or any(e.kind != "fact" for e in note.evidence):
        return True
    names = {v.name for v in facts.environment} if isinstance(facts.environment, tuple) else set()
    return note.slug.startswith("cuda-home") and bool(names & {"CUDA_HOME", "CUDA_PATH"})


def problem(finding: Finding, consequences: list[Finding], shell: str, doubt: Doubt | None = None) -> Problem:
    """Return the block of one finding. `consequences`: the findings that it explains. `shell`: "bash" or "powershell", for its commands."""
    mark, tone = MARKS[finding.severity]
    sure = "" if finding.confidence.value == "high" else f", {finding.confidence.value} confidence"
    return Problem(
        mark=mark,
        tone=tone,
        code=finding.code,
        slug=finding.slug,
        qualifiers=f"{finding.severity.value}, {finding.certainty.value}{sure}",
        message=finding.message,
        evidence=tuple(evidence(e) for e in finding.evidence if not _is_in_message(e.text, finding.message)),
        consequences=tuple(text for f in consequences if (text := _goes_with(f, finding))),
        cures=tuple(cure(fix, shell, doubt) for fix in finding.fixes),
        docs=finding.docs,
    )


def _goes_with(effect: Finding, cause: Finding) -> str | None:
    """Return the words of a consequence below its cause; None if its log lines are quoted for the cause already.

    A consequence from a log is shown by its log line, because its message would name a second cause.
    """
    if any(e.kind != "log" for e in effect.evidence):
        return f"{effect.code} {effect.slug}: {effect.message}"
    quoted = {(e.file, e.line) for e in cause.evidence}
    own = next((e for e in effect.evidence if (e.file, e.line) not in quoted), None)
    return f"{effect.code} {effect.slug}: {evidence(own)}" if own else None


def _is_in_message(text: str, message: str) -> bool:
    """Return whether the message already contains this text.

    Example: "import torch: killed by SIGSEGV" in "... is killed by SIGSEGV".
    """
    return text.partition(": ")[2].rstrip(".") in message if ": " in text else False


def evidence(item: Evidence) -> str:
    """Return a piece of evidence as text. A line of a log has its place in front: "build.log:17: error: ..."."""
    if item.kind == "log":
        return f"{item.file}:{item.line}: {item.text}"
    return item.text


def cure(fix: Fix, shell: str, doubt: Doubt | None = None) -> Cure:
    """Return the block of a fix, with a command or a note for each step. The arguments are those of `problem`."""
    lines = [
        Command(
            commands.shown(step, shell), _why(step, shell), isinstance(step, RunByHand), doubt(step) if doubt else ""
        )
        for step in fix.steps
    ]
    return Cure(fix.title, tuple(lines), said=doubt is not None)


def _why(step: Step, shell: str) -> str:
    """Return the reason of a step. If PowerShell needs another command, the reason says so."""
    other = commands.in_powershell(step, shell)
    return f"{step.why}; {other}" if other else step.why


def tried(report: Report) -> list[Block]:
    """Return the blocks with the results of the trial, or with the reason why it was skipped.

    No block if there is neither.
    """
    if report.trials_skipped:
        return [Notes("Attention backends: not tried", (report.trials_skipped,))]
    if not report.trials:
        return []
    ran = [t for t in report.trials if t.status != "ruled-out"]
    ruled_out = [t for t in report.trials if t.status == "ruled-out"]
    first = (ran or list(report.trials))[0]
    where = first.model or "YOLO12's attention alone"
    caption = f"Attention backends: {where}, image size {first.imgsz}, batch {first.batch}, {first.device}"
    if first.threads and first.device == "cpu":
        caption += f", {first.threads} thread{'s' if first.threads > 1 else ''}"
    columns = (
        "backend",
        "dtype",
        "forward",
        "training step",
        "n",
        "step vs eager",
        "attention calls",
        "memory",
        "result",
    )
    notes = (*by_reason(ran), *repeats(ran), *ranges(ran), *by_reason(ruled_out))
    if report.trial_run:
        check, told = report.trial_run.reference, {e.text for f in report.findings for e in f.evidence}
        if check and check.note not in told:  # leave the note out if a failure mode has already reported it
            notes += tuple(f"wrong gradients: {text}" for text in wrong_reference([check]))
        notes += (watched(report.trial_run.gpu),) if report.trial_run.gpu else ()
        notes += report.trial_run.notes
    return [Table(caption, columns, tuple(_row(t) for t in ran), notes), *kernels(ran)]


def _row(trial: Trial) -> tuple[Cell, ...]:
    calls = trial.attention_calls
    counted = (
        ", ".join(f"{n} {k}" for k, n in (("fused", calls.fused), ("math", calls.math), ("eager", calls.eager)) if n)
        if calls
        else ""
    )
    return (
        Cell(trial.backend, "strong"),
        Cell(trial.dtype),
        Cell(_milliseconds(trial.forward_ms)),
        Cell(_milliseconds(trial.step_ms)),
        Cell(str(trial.step_ms.n) if trial.step_ms else ""),
        Cell(_against_eager(trial)),
        Cell(counted),
        Cell(size(trial.peak_bytes) if trial.peak_bytes is not None else ""),
        Cell(trial.status, STATUS_TONE.get(trial.status, "bad")),
    )


def _against_eager(trial: Trial) -> str:
    """Return the gain over eager in words, from paired rounds. Without a significant difference there is no ratio."""
    gain = trial.step_gain
    if gain is None:
        return ""
    ratio = f"{gain.ratio:.2f}× as fast"
    if gain.verdict == "no difference":
        return gain.verdict
    return f"{ratio}, {gain.verdict}" if gain.verdict in ("undecided", "dropped") else ratio


def _milliseconds(interval: Interval | None) -> str:
    if interval is None:
        return ""
    digits = 1 if interval.median < 1000 else 0
    return f"{interval.median:.{digits}f} ms ({interval.low:.{digits}f}–{interval.high:.{digits}f})"


def recommended(report: Report, *, saved: bool = False) -> list[Block]:
    """Return the blocks about the recommended backend: the sentence, its reasons, and what to do."""
    advice = report.recommendation
    failed = any(f.severity is Severity.ERROR for f in report.findings)
    tone: Tone = "good" if advice.measured and advice.backend else "warn" if advice.backend is None else ""
    tone = "warn" if failed and tone == "good" else tone  # no tick below an error
    blocks: list[Block] = [Heading("Recommendation"), Verdict(advice.summary, tone)]
    items = tuple(f"{reason.text}  [{reason.refers_to}]" for reason in advice.because)
    if items:
        blocks.append(Notes("Because", items))
    if advice.do:
        blocks.append(Notes("The report says to do" if saved else "To do", advice.do))
    return blocks


def undetermined(undetermined: Sequence[Undetermined]) -> list[Block]:
    """Return a block with the failure modes that could not be judged, each with the reason; no block if there are none."""
    if not undetermined:
        return []
    items = tuple(f"{u.code} {u.slug}: {u.why}" for u in undetermined)
    return [Notes("Could not be judged", items)]
