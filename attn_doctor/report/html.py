"""Render a report as one HTML file without external scripts, fonts or pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attn_doctor.report.blocks import Block, Details, neutral
from attn_doctor.system.printable import one_line


def render(blocks: Iterable[Block], title: str) -> str:
    import jinja2  # imported here: it takes a tenth of a second, and few runs write HTML

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attn_doctor", "report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2").render(title=one_line(title), parts=_named(neutral(blocks)))


def _named(blocks: Iterable[Block]) -> list[tuple[str, Any]]:
    """Return each block with the name of its kind, the blocks inside of folded parts too."""
    return [
        (
            type(block).__name__,
            {**block._asdict(), "blocks": _named(block.blocks)} if isinstance(block, Details) else block,
        )
        for block in blocks
    ]
