"""`attn-doctor help`, and the answer of `attn-doctor` without a command: the first commands to run."""

from __future__ import annotations

import argparse
import sys
from typing import Any

BEGIN = """\
attn-doctor finds out what is wrong with FlashAttention, PyTorch and YOLOv12
on this machine, and what puts it right. Begin with one of these:

Something does not work, or you want to know what this machine can do:
  attn-doctor check

An installation or a program failed, and you have what it printed:
  attn-doctor diagnose build.log

All works, and it should be faster:
  attn-doctor trial --tune

All commands: `attn-doctor help`. The options of one: `attn-doctor help check`.
"""


def register(commands: Any, formatter: type[argparse.HelpFormatter]) -> None:
    parser = commands.add_parser(
        "help",
        help="show the help of a command, or of all",
        description="Shows the help of a command, or the list of all commands.",
        formatter_class=formatter,
    )
    # The commands that are registered later are in it too: it is the table of the parser itself.
    parser.add_argument("about", nargs="?", metavar="COMMAND", choices=commands.choices, help="the command")
    parser.add_argument(
        "--man", action="store_true", help="write the manual page of all commands (roff), for `man -l -`"
    )
    parser.set_defaults(execute=execute)


def begin(_: argparse.Namespace) -> int:
    """Print the first commands to run, for `attn-doctor` without a command."""
    from attn_doctor.cli.output import own_name

    program = own_name() if sys.stdout.isatty() else "attn-doctor"
    sys.stdout.write(BEGIN.replace("  attn-doctor ", f"  {program} ").replace("`attn-doctor ", f"`{program} "))
    return 0


def execute(arguments: argparse.Namespace) -> int:
    from attn_doctor.cli import parser
    from attn_doctor.cli.usage import Parser

    made = parser()
    if arguments.man:
        from attn_doctor.cli.manual import page

        sys.stdout.write(page(made))
        return 0
    shown = made.siblings[arguments.about] if arguments.about else made
    assert isinstance(shown, Parser)
    shown.print_help()
    return 0
