"""`attn-doctor list`: list all known failure modes."""

from __future__ import annotations

import argparse
from typing import Any

from attn_doctor.cli.options import add_outputs, add_target, examination
from attn_doctor.failure_modes.areas import AREAS


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "list",
        help="list the failure modes",
        description="Lists the failure modes that attn-doctor knows.",
        formatter_class=formatter,
    )
    parser.add_argument("--area", choices=[area.name for area in AREAS], help="list only this area")
    parser.add_argument(
        "--severity",
        choices=("error", "warning", "info"),
        help="list only failure modes of this severity (for the goal train)",
    )
    parser.add_argument(
        "--predictable",
        action="store_true",
        help="list only failure modes that attn-doctor can predict before they happen",
    )
    parser.add_argument(
        "--here", action="store_true", help="list only failure modes found on this machine, by reading files alone"
    )
    add_target(parser)
    add_outputs(parser, "the list", only=("json",), redacted=False)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli.output import check_outputs, on_terminal, show_blocks, write_records
    from attn_doctor.failure_modes import ALL
    from attn_doctor.failure_modes.page import page, predictable
    from attn_doctor.report import pages

    check_outputs(arguments)
    chosen = [m for m in ALL if arguments.area in (None, page(m).area)]
    chosen = [m for m in chosen if arguments.severity in (None, m.MODE.train.value)]
    if arguments.predictable:
        chosen = [m for m in chosen if predictable(m)]
    if arguments.here:
        met = _met_here(arguments)
        chosen = [m for m in chosen if m.MODE.slug in met]
    write_records(arguments, pages.table(chosen))
    if on_terminal(arguments):
        show_blocks(pages.listing(chosen), arguments)
    return 0


def _met_here(arguments: argparse.Namespace) -> set[str]:
    from attn_doctor.examination import examine

    report = examine(examination(arguments, static=True, tools=True))
    return {finding.slug for finding in report.findings}
