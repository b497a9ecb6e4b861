"""Define the command line: one module for each command, the parser, and the exit codes."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from attn_doctor import __version__
from attn_doctor.cli.usage import Parser
from attn_doctor.errors import FINDINGS, INTERNAL, INTERRUPTED, NOT_EXAMINED, OK, USAGE, AttnDoctorError
from attn_doctor.model.report import Broken, Stopped

if TYPE_CHECKING:
    from attn_doctor.cli.total_timeout import TotalTimeout
    from attn_doctor.model.report import Report

__all__ = ["FINDINGS", "INTERNAL", "INTERRUPTED", "NOT_EXAMINED", "OK", "USAGE", "parser", "run"]

DESCRIPTION = (
    "Finds out what is wrong with FlashAttention, PyTorch and Ultralytics YOLOv12 on this machine, measures which "
    "attention backend it should use, and shows the commands that fix it."
)


# `run` and `mcp` have all the time that their programs need; the others look at nothing.
_UNLIMITED = ("completion", "help", "mcp", "run")


def parser() -> Parser:
    """Return the parser of the whole command line. Command modules import nothing heavy before they are executed."""
    from attn_doctor.cli import (
        check,
        compare,
        completion,
        diagnose,
        explain,
        fix,
        fleet,
        help,  # noqa: A004 - the module has the name of its command
        inspect,
        launch,
        listing,
        matrix,
        mcp,
        reproduce,
        show,
        study,
        trial,
        wheels,
    )

    made = Parser(prog="attn-doctor", description=DESCRIPTION, formatter_class=_formatter())
    made.add_argument("-V", "--version", action="version", version=f"attn-doctor {__version__}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for module in (
        check,
        compare,
        completion,
        diagnose,
        explain,
        fix,
        fleet,
        help,
        inspect,
        listing,
        matrix,
        mcp,
        reproduce,
        launch,
        show,
        study,
        trial,
        wheels,
    ):
        module.register(commands, made.formatter_class)
    from attn_doctor.cli.options import add_amount
    from attn_doctor.cli.total_timeout import add_total_timeout

    made.set_defaults(execute=help.begin)
    made.siblings = commands.choices
    for name, command in commands.choices.items():
        command.siblings = commands.choices
        if name not in _UNLIMITED:
            add_total_timeout(command)
            add_amount(command)
    return made


def _formatter() -> type[argparse.HelpFormatter]:
    """Return the class that formats the help: rich's on a terminal, else argparse's with a fixed width.

    So the help in files and tests is the same everywhere.
    """
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
    """Run one command line and return its exit code. All exceptions that end a command are caught here.

    Only SystemExit is raised: for a wrong command line, --help, --version and the completion of a shell.
    """
    from attn_doctor import child
    from attn_doctor.cli import completion
    from attn_doctor.system import failure, processes, streams

    streams.prepare()
    for number in processes.STOPS:
        if (
            signal.getsignal(number) != signal.SIG_IGN
        ):  # ignored: by nohup, or by a shell for what it starts in the background
            signal.signal(number, _stopped)
    timeout = None
    try:
        made = parser()
        if completion.asked():
            completion.complete(made)
        arguments = made.parse_args(argv)
        timeout = _total_timeout(arguments)
        code: int = arguments.execute(arguments)
        _say_what_was_lost()
    except KeyboardInterrupt as stop:
        child.stop()
        if isinstance(stop, Stopped):
            with contextlib.suppress(Exception):  # the reason for the end is what is to be said
                write_unfinished(stop.report, arguments)
        late = timeout is not None and timeout.passed
        sys.stderr.write(timeout.sentence if timeout and late else "attn-doctor: interrupted\n")
        code = NOT_EXAMINED if late else INTERRUPTED
    except AttnDoctorError as error:
        code = _ended(error, arguments)
    except Exception as error:  # noqa: BLE001 - the doctor's own failure has an exit code of its own, and says what to send
        child.stop()
        failure.start_again(error)
        code = failure.tell(error)
    if timeout:
        timeout.end()
    return code


def _total_timeout(arguments: argparse.Namespace) -> TotalTimeout | None:
    """Start the clock of --total-timeout, if it was given."""
    seconds = getattr(arguments, "total_timeout", None)
    if seconds is None:
        return None
    from attn_doctor.cli.total_timeout import TotalTimeout

    signal.signal(
        signal.SIGTERM, _stopped
    )  # set even if the signal was ignored before: the clock of --total-timeout sends it
    return TotalTimeout(seconds, undoes=arguments.command == "fix")


def _ended(error: AttnDoctorError, arguments: argparse.Namespace) -> int:
    """Print why a command ended early, and write the part of the report that exists."""
    from attn_doctor import child
    from attn_doctor.system import failure, streams

    if isinstance(error, Broken):
        child.stop()
        with contextlib.suppress(Exception):  # the first failure is the one to report
            write_unfinished(error.report, arguments)
        return failure.tell(error.__cause__ or error)
    if failure.limit(error) or error.exit_code == INTERNAL:
        return failure.tell(error)
    said = str(error)
    if sys.stderr.isatty():
        from attn_doctor.cli.output import own_name
        from attn_doctor.report.own_calls import in_a_sentence

        said = in_a_sentence(said, own_name())
    streams.tell(f"attn-doctor: {error.introduced}: {said}")
    return error.exit_code


def write_unfinished(report: Report, arguments: argparse.Namespace) -> None:
    """Write the requested outputs of a command that failed, with the findings that were complete by then.

    Only `check` has such findings.
    """
    from attn_doctor.cli.output import write_report
    from attn_doctor.report.formats import FORMATS

    if all(hasattr(arguments, made.option) for made in FORMATS):
        write_report(report, arguments)


def _say_what_was_lost() -> None:
    """Print a message if standard output could not be written. No message if its reader closed it early (`| head`)."""
    from attn_doctor.system import streams

    error = streams.lost("stdout")
    if error is not None and not streams.gone("stdout"):
        sys.stderr.write(f"attn-doctor: standard output could not be written: {error.strerror}\n")


def _stopped(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    """End all children and the command. Later signals are ignored, so that they do not interrupt the clean-up."""
    from attn_doctor import child
    from attn_doctor.system import processes

    for other in processes.STOPS:
        signal.signal(other, signal.SIG_IGN)
    child.stop()
    raise KeyboardInterrupt
