"""Render a report as one HTML file without external scripts, fonts or pictures."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.report.blocks import Block, neutral
from attn_doctor.system.printable import one_line


def render(blocks: Iterable[Block], title: str) -> str:
    import jinja2  # imported here: it takes a tenth of a second, and few runs write HTML

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attn_doctor", "report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    parts = [(type(block).__name__, block) for block in neutral(blocks)]
    return environment.get_template("report.html.j2").render(title=one_line(title), parts=parts)
