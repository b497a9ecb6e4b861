"""Build the reply to a person who posted a log. Pure.

It has the cause, the lines that show it, and the command; everything else is folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attn_doctor.logs.prefixes import without_prefix
from attn_doctor.logs.reader import Log
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Diagnosis, Finding, Severity
from attn_doctor.model.project_file import ProjectFile
from attn_doctor.report.blocks import Block, Command, Cure, Details, Fields, Listing, Notes, Paragraph, Problem, Verdict
from attn_doctor.report.issue_outline import apart
from attn_doctor.report.log_outline import of_diagnosis

_MOST_LINES = 8  # that show a cause
_LONGEST = 300  # characters of a line


def reply(
    diagnosis: Diagnosis, facts: Facts, logs: Sequence[Log], files: Sequence[ProjectFile] = (), *, version: str
) -> list[Block]:
    """Return the blocks of a reply. The first cause is open; further causes, other ways and notes are folded.

    `version`: of attn-doctor, for the last line.
    """
    blocks = of_diagnosis(diagnosis, facts, logs, files)
    roots = {f.code: f for f in diagnosis.findings if f.root_cause and f.severity is not Severity.INFO}
    made: list[Block] = []
    folded: list[Block] = []
    for block in blocks:
        if isinstance(block, Problem) and block.code in roots:
            first, more = apart(block)
            parts = [*_cause(first, roots[block.code], logs), *more]
            if made:
                folded.append(Details(f"Another cause: {block.slug}", tuple(parts)))
            else:
                made += parts
        elif isinstance(block, Verdict | Fields):
            made.append(block)
        elif isinstance(block, Notes) and block.title == "Not recognised":
            made += _not_recognised(block)
        elif isinstance(block, Notes):
            folded.append(Details(f"{block.title} ({len(block.items)})", (Notes("", block.items),)))
        else:
            folded.append(block)
    return [*made, *folded, _signature(roots.values(), version)]


def _cause(problem: Problem, finding: Finding, logs: Sequence[Log]) -> list[Block]:
    """Return a cause as a person would write it: the sentence, the lines, the command."""
    blocks: list[Block] = [Verdict(f"The cause: {problem.message}", problem.tone)]
    proof = _proof(finding, logs)
    if proof:
        blocks += [Paragraph("The lines that show it:"), Listing(tuple(proof))]
    elif problem.evidence:
        blocks += [Paragraph("What shows it:"), Listing(problem.evidence)]
    return [*blocks, *problem.cures]


def _proof(finding: Finding, logs: Sequence[Log]) -> list[str]:
    """Return the log lines that show a finding, unchanged, each with its number."""
    whole = {(log.file, number): line for log in logs for number, line in log.end}
    lines = []
    for item in [e for e in finding.evidence if e.kind == "log" and e.line is not None][:_MOST_LINES]:
        text = without_prefix(whole.get((item.file or "", item.line or 0), "")).rstrip() or item.text
        lines.append(f"{item.line:>5}  {text if len(text) <= _LONGEST else item.text}")
    several = len({e.file for e in finding.evidence if e.file}) > 1
    return (
        lines
        if not several
        else [f"{e.file}:{e.line}: {e.text}" for e in finding.evidence if e.kind == "log"][:_MOST_LINES]
    )


def _not_recognised(block: Notes) -> list[Block]:
    """Return the log's errors that no failure mode explains, and the text to send."""
    *lines, send = block.items
    return [Paragraph("Errors that attn-doctor does not know:"), Listing(tuple(lines)), Paragraph(send)]


def _signature(roots: Iterable[Finding], version: str) -> Block:
    """Return the last line: the author (attn-doctor), the certainty, and the command that examines the whole machine."""
    first = next(iter(roots), None)
    sure = f"; {first.code} {first.slug}, {first.certainty.value}, {first.confidence.value} confidence" if first else ""
    more = f"`attn-doctor explain {first.code}` says more about it; " if first else ""
    return Cure(
        f"Read from the log by attn-doctor {version}{sure}. To see whether anything else is wrong on that machine",
        (Command("attn-doctor check --markdown report.md", f"{more}then post report.md here"),),
    )
