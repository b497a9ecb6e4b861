"""Build the part of the outline about a CI: the configuration, the exceptions, the baseline. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attn_doctor.model.acceptance import Baseline, Exempt
from attn_doctor.model.report import Report
from attn_doctor.report.blocks import Block, Notes, Problem


def acceptance(report: Report) -> list[Block]:
    """Return a block about the configuration and its exceptions, and a block about the baseline.

    A block is left out if there is nothing to say.
    """
    told = report.acceptance
    if told is None:
        return []
    blocks: list[Block] = []
    if told.configuration:
        used = ", ".join(f"{s.key} = {s.value}" for s in told.configuration.settings if s.used)
        beside = ", ".join(s.key for s in told.configuration.settings if not s.used)
        items = [used or "no setting of it was used"]
        items += [f"not used of it, since the command line goes before it: {beside}"] if beside else []
        blocks.append(Notes(f"Configuration: {told.configuration.file}", (*items, *map(_exception, told.exceptions))))
    if told.baseline:
        blocks.append(Notes(f"Against the baseline: {told.baseline.file}", tuple(_baseline(told.baseline, report))))
    return blocks


def _exception(exempt: Exempt) -> str:
    name = f"{exempt.code} {exempt.slug}"
    if exempt.ran_out:
        return f"{name}: the exception ran out on {exempt.until} and counts no more (it was: {exempt.reason})"
    until = f", until {exempt.until}" if exempt.until else ""
    found = f"{exempt.severity.value}: {exempt.message}" if exempt.severity else "it was not found"
    return f"{name} is ignored ({exempt.reason}{until}). {found}"


def _baseline(told: Baseline, report: Report) -> Iterator[str]:
    named = {finding.code: f"{finding.code} {finding.slug}" for finding in report.findings}
    yield f"written {told.created[:10]} by attn-doctor {told.version}"
    for what, codes in (
        ("new", told.new),
        ("known", told.known),
        ("known by the rules of this attn-doctor, which find it in the facts of the baseline too", told.told_today),
    ):
        if codes:
            yield f"{what}: {', '.join(named.get(code, code) for code in codes)}"
    if not told.new:
        yield "nothing is new"
    for gone in told.gone:
        yield f"gone: {gone.code} {gone.slug}" + (" (no failure mode has this code any more)" if gone.retired else "")


def marked(blocks: Iterable[Block], report: Report) -> Iterator[Block]:
    """Yield the blocks with a mark on each finding: "known" if the baseline has it, else "new".

    Without a baseline the blocks are unchanged.
    """
    told = report.acceptance
    for block in blocks:
        if isinstance(block, Problem) and told and told.baseline:
            yield block._replace(qualifiers=f"{block.qualifiers}, {'known' if told.is_known(block.code) else 'new'}")
        else:
            yield block
