"""`attn-doctor explain`: describe a failure mode, its causes and its cure."""

from __future__ import annotations

import argparse
from typing import Any


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "explain",
        help="explain a failure mode",
        description="Explains a failure mode: what it is, why it happens, what to do.",
        formatter_class=formatter,
    )
    parser.add_argument("name", metavar="CODE|SLUG", help="for example AD311 or numpy-abi")
    parser.add_argument("--markdown", metavar="FILE", help="write the page as Markdown; - for standard output")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli.output import check_outputs, on_terminal, show_blocks
    from attn_doctor.failure_modes import find
    from attn_doctor.report import files, pages

    check_outputs(arguments)
    module = find(arguments.name)
    if arguments.markdown:
        files.write(arguments.markdown, pages.markdown(module))
    if on_terminal(arguments):
        show_blocks(pages.blocks(module))
    return 0
