"""`attn-doctor show`: show a saved report again, in any format, on any machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from attn_doctor.cli.options import add_form, add_outputs


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "show",
        help="show a saved report",
        description="Shows a saved JSON report in any format.",
        formatter_class=formatter,
    )
    parser.add_argument("report", metavar="REPORT", help="a JSON report; - for standard input")
    add_outputs(parser)
    add_form(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli.output import check_outputs, show
    from attn_doctor.examination.inputs import read_file
    from attn_doctor.model.report import decode_report

    check_outputs(arguments)
    report = decode_report(read_file(arguments.report), arguments.report)
    show(report, arguments, saved="standard input" if arguments.report == "-" else Path(arguments.report).name)
    return 0
