"""Build the screen of `check`, in the order in which results become known: the findings, the trial, the verdict, the next step.

Pure. A file has the verdict first (`outline`). On a screen the reader waits: the findings come before the trial, which takes most
of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attn_doctor import commands
from attn_doctor.model.findings import Finding, Severity
from attn_doctor.model.report import STOPPED, Report
from attn_doctor.report.acceptance_outline import acceptance, marked
from attn_doctor.report.blocks import Block, Command, Cure, Notes, Paragraph, Problem, Tone
from attn_doctor.report.folded_facts import folded
from attn_doctor.report.outline import (
    at_the_top,
    not_recognised,
    not_working_here,
    problems,
    recommended,
    tried,
    unsettled,
)
from attn_doctor.report.verdict import verdict

_WRITES = ("--json", "report.json")  # the file that the issue form of attn-doctor asks for

_WITHOUT_TRIAL = ("--no-trial", "--static")
_ELSEWHERE = ("--facts", "--gpu")  # the machine is not this one: nothing can be run on it from here


def opening(report: Report) -> tuple[Block, ...]:
    """Return the blocks that are known before the trial: the machine, and every finding with its cure."""
    return (*at_the_top(report), _found(report), *_findings(report))


def closing(
    report: Report, opened: Report | None, files: Sequence[str] = (), *, folded_too: bool = False
) -> tuple[Block, ...]:
    """Return the blocks after the opening: new and changed findings, the results of the trial, the verdict, and the next step.

    `opened`: the report whose opening was shown; None if none was shown: then everything is returned. `files`: the outputs that
    were written. `folded_too`: also return the folded facts, which a terminal leaves out. One line of the opening is repeated at
    the end: the command of the first fix.
    """
    blocks: list[Block] = list(_since(report, opened)) if opened else list(opening(report))
    blocks += tried(report)
    following = _next(report)
    if report.trials_skipped != STOPPED:
        blocks += _without(recommended(report), following.title)
    blocks += unsettled(report)
    blocks += folded(report) if folded_too else ()
    blocks.append(verdict(report))
    blocks.append(following)
    blocks.append(_to_attach(report, files))
    return tuple(blocks)


def _findings(report: Report) -> list[Block]:
    return [
        *not_recognised(report.unrecognised),
        *marked(problems(report.findings, report.facts), report),
        *not_working_here(report),
        *acceptance(report),
    ]


def _found(report: Report) -> Paragraph:
    """Return a sentence with the number of findings, and whether the trial follows.

    It does not say "healthy", because the trial may still find something.
    """
    roots = [f for f in report.findings if f.root_cause]
    counts = [(sum(f.severity is severity for f in roots), severity.value) for severity in Severity]
    said = " and ".join(f"{n} {name}{'s' * (n > 1)}" for n, name in counts if n)
    worst: Tone = "bad" if any(f.severity is Severity.ERROR for f in roots) else "warn" if roots else ""
    if report.trials_skipped is None:
        return Paragraph(
            f"{said} found so far; now the model." if said else "Nothing found so far; now the model.", worst
        )
    return Paragraph(f"{said} found." if said else "Nothing found.", worst)


def _since(report: Report, opened: Report) -> Iterator[Block]:
    """Yield the findings that were not shown, or that have changed. A cure that stayed the same is not repeated."""
    before = _findings(opened)
    cures = {block.code: block.cures for block in before if isinstance(block, Problem)}
    for block in _findings(report):
        if block in before:
            continue
        if isinstance(block, Problem) and cures.get(block.code) == block.cures:
            yield block._replace(cures=(Cure("as shown above", ()),)) if block.cures else block
        elif isinstance(block, Notes):
            told = {item for old in before if isinstance(old, Notes) for item in old.items}
            new = tuple(item for item in block.items if item not in told)
            if new:
                yield block._replace(items=new)
        else:
            yield block
    now = {finding.code for finding in report.findings}
    gone = tuple(f"{f.code} {f.slug}" for f in opened.findings if f.root_cause and f.code not in now)
    if gone:
        yield Notes("Found above, and not confirmed by the trial", gone)


def _without(blocks: Sequence[Block], item: str) -> Iterator[Block]:
    """Yield the blocks without a note that the last lines of the screen repeat."""
    for block in blocks:
        if isinstance(block, Notes) and item in block.items:
            left = tuple(other for other in block.items if other != item)
            if left:
                yield block._replace(items=left)
        else:
            yield block


def _next(report: Report) -> Cure:
    """Return the command to run next: that of the first cure, else the one that tries the model, else the one for the recommended backend."""
    shell = commands.shell_of(report.facts)
    roots = [f for f in report.findings if f.root_cause]
    for finding in roots:
        found = _first_cure(finding, shell)
        if found is not None:
            return found
    if roots and roots[0].severity is Severity.ERROR:
        explain = commands.quoted(("attn-doctor", "explain", roots[0].code), shell)
        return Cure(f"read about {roots[0].slug}", (Command(explain, ""),))
    if report.acceptance and (ignored := report.acceptance.ignored_errors):
        explain = commands.quoted(("attn-doctor", "explain", ignored[0].code), shell)
        return Cure(f"read about {ignored[0].slug}, which the configuration ignores", (Command(explain, ""),))
    left_out = [word for word in report.command if word in _WITHOUT_TRIAL]
    elsewhere = any(word.partition("=")[0] in _ELSEWHERE for word in report.command)
    if (left_out and not elsewhere) or report.trials_skipped == STOPPED:
        again = tuple(word for word in report.command if word not in left_out)
        return Cure("try the model", (Command(commands.quoted(again, shell), ""),))
    backend = report.recommendation.backend
    if backend not in (None, "eager") and isinstance(report.facts.yolo.kind, str):
        model = next((row.model for row in report.trials if row.model), None) or "yolo12n.yaml"
        size = next((row.imgsz for row in report.trials if row.imgsz), None) or 640
        line = commands.quoted(commands.training(report.facts, str(backend), model, size), shell)
        return Cure(f"train with {backend}; put the name of your data in the place of coco8.yaml", (Command(line, ""),))
    return Cure("train and predict with what is here", ())


def _first_cure(finding: Finding, shell: str) -> Cure | None:
    """Return the first cure of a finding that has a command, without its words."""
    for fix in finding.fixes:
        lines = [line for step in fix.steps if (line := commands.shown(step, shell)) is not None]
        if lines:
            return Cure(fix.title, tuple(Command(line, "") for line in lines))
    return None


def _to_attach(report: Report, files: Sequence[str]) -> Cure:
    """Return the file to attach to an issue, or the command that writes it."""
    if files:
        many = "one of these files" if len(files) > 1 else "this file"
        return Cure(f"if you ask for help, attach {many}", tuple(Command(name, "") for name in files))
    shell = commands.shell_of(report.facts)
    line = commands.quoted((*report.command, *_WRITES), shell)
    return Cure("if you ask for help, write the file to attach", (Command(line, ""),))
