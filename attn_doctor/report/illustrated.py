"""Add to the outline of a report the parts that only a page has: pictures, folded facts, and the pages of all its findings. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.model.report import Report
from attn_doctor.report import html
from attn_doctor.report.blocks import Block, Details, Notes, Problem
from attn_doctor.report.charts import charts
from attn_doctor.report.machine_map import machine_map
from attn_doctor.report.page_parts import about
from attn_doctor.report.pictures import Picture


def pictures(report: Report) -> tuple[Picture, ...]:
    """Return the map of the machine and the charts of the trial."""
    return (machine_map(report), *charts(report.trials))


def page(report: Report, blocks: Iterable[Block], folded: Iterable[Details], title: str) -> str:
    """Return the whole page of a report. `blocks`: its outline. `folded`: its facts.

    Private data are taken out already.
    """
    shown = tuple(blocks)
    return html.render((*shown, *_pages(report, shown), *folded), title, pictures(report))


def cell(report: Report, blocks: Iterable[Block], folded: Iterable[Details]) -> str:
    """Return a report for a cell of a notebook. The arguments are those of `page`."""
    shown = tuple(blocks)
    return html.cell((*shown, *_pages(report, shown), *folded), pictures(report))


def _pages(report: Report, shown: Iterable[Block]) -> tuple[Details, ...]:
    """Return the pages of consequences and notes: of the findings in the outline that have no problem block.

    The page of a problem is shown beside the problem.
    """
    blocks = tuple(shown)
    own = {block.code for block in blocks if isinstance(block, Problem)}
    named = [text for block in blocks for text in _lines(block)]
    found = {
        finding.code: finding
        for finding in report.findings
        if finding.code not in own and any(text.startswith(f"{finding.code} ") for text in named)
    }
    pages = ((finding, about(finding.code)) for finding in found.values())
    return tuple(Details(f"About {finding.slug} ({finding.code})", blocks) for finding, blocks in pages if blocks)


def _lines(block: Block) -> tuple[str, ...]:
    """Return the texts of a block that may begin with the code of a finding."""
    return block.items if isinstance(block, Notes) else block.consequences if isinstance(block, Problem) else ()
