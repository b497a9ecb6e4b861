"""Build the outline of `attn-doctor compare`: wording and order, the same for every format. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from attn_doctor.model.findings import Finding, Severity
from attn_doctor.model.report import Report
from attn_doctor.report.blocks import Block, Cell, Field, Fields, Heading, Notes, Table, Tone, Verdict
from attn_doctor.report.comparison import Change, Comparison, Pace
from attn_doctor.report.outline import problems, saved_doubt

_MOST = 40  # the table has at most so many facts that are not evidence of findings; the JSON has all facts
_LONG = 200  # a longer value is cut to this many characters


def outline(before: Report, after: Report, found: Comparison, names: tuple[str, str]) -> list[Block]:
    """Return all blocks, in order: first the verdict and findings, then everything that differs. `names`: of the two files."""
    blocks: list[Block] = [
        Heading("attn-doctor compare"),
        Fields((_about("before", before, names[0]), _about("after", after, names[1]))),
        _verdict(found),
        *problems([_alone(f, found) for f in found.gained], after.facts, saved_doubt(after)),
    ]
    for title, findings in (("Gone", found.lost), ("In both", found.kept)):
        if findings:
            blocks.append(Notes(title, tuple(_listed(findings))))
    if found.changes:
        blocks.append(_facts(found.changes))
    if found.paces:
        blocks.append(_trials(found.paces))
    if found.backend_before != found.backend_after:
        backends = [backend or "no backend" for backend in (found.backend_before, found.backend_after)]
        blocks.append(Notes("Recommendation", (f"{backends[0]} before, {backends[1]} after",)))
    return blocks


def _about(label: str, report: Report, name: str) -> Field:
    return Field(label, f"{name}: {report.target.python}, {report.created}, attn-doctor {report.tool.version}")


def _alone(finding: Finding, found: Comparison) -> Finding:
    """Return a finding as a cause of its own, if both reports have its cause: as a consequence it would not be shown."""
    if finding.explained_by is None or finding.explained_by in {f.code for f in found.gained}:
        return finding
    return msgspec.structs.replace(finding, root_cause=True, explained_by=None)


def _listed(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Yield warnings and errors with their messages, infos by name only."""
    for finding in findings:
        if finding.severity is not Severity.INFO:
            yield f"{finding.code} {finding.slug}: {finding.message}"
    infos = [f"{f.code} {f.slug}" for f in findings if f.severity is Severity.INFO]
    if infos:
        yield f"good to know: {', '.join(infos)}"


def _verdict(found: Comparison) -> Verdict:
    worse = [f.slug for f in found.gained if f.severity is not Severity.INFO]
    better = [f.slug for f in found.lost if f.severity is not Severity.INFO]
    said = []
    if worse:
        said.append(f"new: {', '.join(worse)}")
    if better:
        said.append(f"gone: {', '.join(better)}")
    if said:
        return Verdict(f"Problems {'; '.join(said)}.", "bad" if worse else "good")
    kept = sum(f.severity is not Severity.INFO for f in found.kept)
    same = "No problem came or went" + (f"; {kept} in both" if kept else "")
    different = len(found.changes)
    facts = f"{different} facts differ" if different != 1 else "one fact differs"
    return Verdict(f"{same}. {facts[0].upper()}{facts[1:]}." if different else f"{same}, and no fact differs.", "good")


def _facts(changes: tuple[Change, ...]) -> Table:
    blamed = [c for c in changes if c.behind]
    others = [c for c in changes if not c.behind]
    left = len(others) - _MOST
    rows = tuple(
        (
            Cell(c.path.replace("packages.distributions.", "package "), "strong"),
            Cell(_value(c.before)),
            Cell(_value(c.after)),
            Cell(", ".join(c.behind), "warn"),
        )
        for c in (*blamed, *others[:_MOST])
    )
    notes = (f"{left} more differ: --json has them all",) if left > 0 else ()
    return Table("Facts that differ", ("fact", "before", "after", "behind"), rows, notes)


def _value(text: str | None) -> str:
    if text is None:
        return "not there"
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _trials(paces: tuple[Pace, ...]) -> Table:
    rows = []
    for pace in paces:
        times = [f"{i.median:.1f} ({i.low:.1f}–{i.high:.1f})" if i else "" for i in (pace.before_ms, pace.after_ms)]
        if pace.ratio is None:
            said = "" if pace.status_before == pace.status_after else f"{pace.status_before}, now {pace.status_after}"
        elif not pace.differs:
            said = "no difference beyond noise"
        else:
            said = f"{pace.ratio:.2f}× as fast" if pace.ratio > 1 else f"takes {1 / pace.ratio:.2f}× as long"
            if pace.status_before != pace.status_after:
                said += f"; {pace.status_before}, now {pace.status_after}"
        tone: Tone = "" if not pace.differs or pace.ratio is None else "good" if pace.ratio > 1 else "bad"
        what = pace.shape or f"{pace.model or 'attention'} {pace.imgsz}, batch {pace.batch}"
        rows.append((Cell(pace.backend, "strong"), Cell(pace.dtype), Cell(what), *map(Cell, times), Cell(said, tone)))
    columns = ("backend", "dtype", "on", "step before, ms", "step after, ms", "")
    note = "two runs at two times: other programs may have been busy in one of them"
    return Table("Attention backends", columns, tuple(rows), (note,))
