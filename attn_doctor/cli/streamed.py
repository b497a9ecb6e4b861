"""Show the results of `check` as soon as they are known: the findings before the trial, the rest after it."""

from __future__ import annotations

import argparse

from attn_doctor.cli.output import Progress, amount, on_terminal, show_blocks, write_report, written
from attn_doctor.model.report import Report


class Screen:
    """Show one `check` on the screen, and remember the results that are already shown."""

    def __init__(
        self, arguments: argparse.Namespace, progress: Progress, baseline: tuple[Report, str] | None = None
    ) -> None:
        """Prepare. `baseline`: the report with which this one is compared, and the name of its file."""
        self._arguments = arguments
        self._progress = progress
        self._baseline = baseline
        self._opened: Report | None = None

    def judged(self, report: Report) -> None:
        """Show the machine and the findings, before the trial, which takes most of the time."""
        if not on_terminal(self._arguments):
            return
        from attn_doctor.report.amount import little
        from attn_doctor.report.screen import opening

        self._progress.close()
        report = self._compared(report)
        blocks = opening(report)
        show_blocks(little(blocks) if amount(self._arguments) == "little" else blocks, self._arguments)
        self._opened = report

    def end(self, report: Report) -> Report:
        """Write the files, then show the results that are not on the screen yet. Return the report as it was written.

        Raises Unwritable if a file cannot be written.
        """
        report = self._compared(report)
        write_report(report, self._arguments)
        if not on_terminal(self._arguments):
            return report
        from attn_doctor.report.screen import closing

        how_much = amount(self._arguments)
        blocks = closing(report, self._opened, written(self._arguments), folded_too=how_much == "all")
        show_blocks(blocks[:-1] if how_much == "little" else blocks, self._arguments)
        return report

    def _compared(self, report: Report) -> Report:
        if self._baseline is None:
            return report
        from attn_doctor.judging.diagnose import diagnose
        from attn_doctor.report.baseline import against

        return against(report, *self._baseline, diagnose)
