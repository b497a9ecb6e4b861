"""The command line, a module a command: arguments, call, exit code. No judgement and no input or output of its own."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from attn_doctor import __version__

OK, FINDINGS, USAGE, NOT_EXAMINED, INTERRUPTED = 0, 1, 2, 3, 130

DESCRIPTION = (
    "Finds out what is wrong with FlashAttention, PyTorch and Ultralytics YOLOv12 on this machine, proves which "
    "attention backend it should use, and says which commands put it right."
)


def parser() -> argparse.ArgumentParser:
    """The whole command line. Command modules import nothing heavy before they are executed."""
    from attn_doctor.cli import (
        check,
        compare,
        diagnose,
        explain,
        fix,
        inspect,
        launch,
        listing,
        reproduce,
        show,
        trial,
        wheels,
    )

    made = argparse.ArgumentParser(prog="attn-doctor", description=DESCRIPTION, formatter_class=_formatter())
    made.add_argument("-V", "--version", action="version", version=f"attn-doctor {__version__}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (
        check,
        compare,
        diagnose,
        explain,
        fix,
        inspect,
        listing,
        reproduce,
        launch,
        show,
        trial,
        wheels,
    ):
        module.register(commands, made.formatter_class)
    return made


def _formatter() -> type[argparse.HelpFormatter]:
    """Rich help on a terminal; argparse's own otherwise, of a fixed width, so that it can be compared."""
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        from rich_argparse import RichHelpFormatter

        return RichHelpFormatter
    return _Plain


class _Plain(argparse.HelpFormatter):
    def __init__(self, prog: str, **options: int) -> None:
        super().__init__(
            prog, max_help_position=28, width=100, **{k: v for k, v in options.items() if k == "indent_increment"}
        )


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code. Never raises for what a user can do wrong."""
    from attn_doctor import child

    signal.signal(signal.SIGTERM, _terminated)
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.execute(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        child.end_all()
        sys.stderr.write("attn-doctor: interrupted\n")
        code = INTERRUPTED
    except BrokenPipeError:  # `attn-doctor list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except ValueError as error:
        if not getattr(type(error), "__module__", "").startswith("attn_doctor."):
            raise
        sys.stderr.write(f"attn-doctor: error: {error}\n")
        code = USAGE
    return code


def _terminated(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise KeyboardInterrupt
