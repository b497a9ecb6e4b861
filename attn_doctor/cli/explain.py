"""`attn-doctor explain`: describe a failure mode, its causes and its cure."""

from __future__ import annotations

import argparse
from typing import Any

from attn_doctor.cli.options import add_outputs


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "explain",
        help="explain a failure mode",
        description="Explains a failure mode: what it is, why it happens, what to do.",
        formatter_class=formatter,
    )
    parser.add_argument("name", metavar="CODE|SLUG", help="code or slug of a failure mode, such as AD311 or numpy-abi")
    add_outputs(parser, "the page", only=("markdown",), redacted=False)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli.output import check_outputs, on_terminal, show_blocks, write
    from attn_doctor.failure_modes import find
    from attn_doctor.report import pages
    from attn_doctor.report.formats import Answer

    check_outputs(arguments)
    module = find(arguments.name)
    write(arguments, lambda _: Answer(None, page=lambda: pages.markdown(module)))
    if on_terminal(arguments):
        show_blocks(pages.blocks(module), arguments)
    return 0
