"""`attn-doctor compare`: show the differences between two saved reports."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from attn_doctor.cli.options import add_fail_on, add_outputs, fail_on


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "compare",
        help="say what differs between two saved reports",
        description="Compares two JSON reports: of one environment before and after a change, or of a machine that works and one that "
        "does not. Shows problems that came and went, facts that differ (first those that a problem is about), and backend times.",
        epilog="Exit codes: 0 no new problem at or above --fail-on; 1 a new problem; 2 wrong usage.",
        formatter_class=formatter,
    )
    parser.add_argument("before", metavar="BEFORE", help="a JSON report; - for standard input")
    parser.add_argument("after", metavar="AFTER", help="another one")
    add_outputs(parser, "the comparison", only=("json", "markdown"))
    add_fail_on(parser, "a new problem from this severity on")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli import FINDINGS, OK
    from attn_doctor.cli.output import check_outputs, on_terminal, show_blocks, write
    from attn_doctor.examination.inputs import read_file
    from attn_doctor.model.report import Unreadable, decode_report
    from attn_doctor.report.comparison import compare
    from attn_doctor.report.comparison_outline import outline
    from attn_doctor.report.formats import Answer
    from attn_doctor.report.gate import Gate

    check_outputs(arguments)
    names = (arguments.before, arguments.after)
    if names == ("-", "-"):
        raise Unreadable("only one of the reports can come from standard input")
    before, after = (decode_report(read_file(name), name) for name in names)
    found = compare(before, after)
    shown = (Path(names[0]).name, Path(names[1]).name)  # a folder may name its owner

    def answer(gate: Gate) -> Answer:
        clean = gate.report(before), gate.report(after)
        compared = compare(*clean)
        return Answer(compared, lambda: outline(*clean, compared, (gate.text(shown[0]), gate.text(shown[1]))))

    write(arguments, answer)
    if on_terminal(arguments):
        show_blocks(outline(before, after, found, shown), arguments, elsewhere=True)
    least = fail_on(arguments)
    return FINDINGS if least and any(f.severity.rank >= least.rank for f in found.gained) else OK
