"""Define the report that `attn_doctor.examine` returns.

It has the same data as `check --json`, and shows itself in a notebook. A notebook stores what it shows, and people send notebooks
to others. So private data are removed from the shown text, as from a file.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from attn_doctor.model.report import Report
from attn_doctor.report.blocks import Block


class Printer(Protocol):
    """Describe the one method of IPython's printer that is called here."""

    def text(self, text: str) -> None:
        """Print a text."""


class Examination(Report, frozen=True, kw_only=True):
    """Hold a report with the three forms that IPython asks for: HTML, Markdown and plain text."""

    def _repr_html_(self) -> str:
        from attn_doctor.report import illustrated
        from attn_doctor.report.folded_facts import folded

        clean, blocks = self._clean()
        return illustrated.cell(clean, blocks, folded(clean))

    def _repr_markdown_(self) -> str:
        from attn_doctor.report import markdown

        return markdown.render(self._clean()[1])

    def _repr_pretty_(self, printer: Printer, _cycle: bool) -> None:
        import io

        from rich.console import Console

        from attn_doctor.report.console import render

        console = Console(file=io.StringIO(), width=100, highlight=False, force_terminal=False, force_jupyter=False)
        with console.capture() as shown:
            render(self._clean()[1], console)
        printer.text("\n".join(line.rstrip() for line in shown.get().splitlines()))

    def _clean(self) -> tuple[Report, tuple[Block, ...]]:
        from attn_doctor.report.gate import Gate
        from attn_doctor.report.outline import outline

        clean = Gate().report(Report(**msgspec.structs.asdict(self)))
        return clean, outline(clean)


def shown(report: Report) -> Examination:
    """Return the same report as a value that shows itself in a notebook."""
    return Examination(**msgspec.structs.asdict(report))
