"""Define the arguments that several commands share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attn_doctor.examination import Options
    from attn_doctor.model.findings import Severity
    from attn_doctor.report.formats import Option


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add --target and --timeout."""
    parser.add_argument(
        "--target",
        metavar="PYTHON",
        help="the Python to examine (default: the active environment, then `python` on PATH)",
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=120.0,
        metavar="S",
        help="seconds for one import or one trial (default: 120)",
    )


def examination(arguments: argparse.Namespace, **more: Any) -> Options:
    """Return the options of an examination: --target and --timeout (see `add_target`), the environment variables, and `more`.
    The variable ATTN_DOCTOR_ROOT names a folder that is examined as a complete machine, see docs/testing.md. Only this
    function and the explanation of a failure by `attn-doctor run` read it.
    """
    from attn_doctor.examination import Options

    root = os.environ.get("ATTN_DOCTOR_ROOT", "/")
    return Options(target=arguments.target, timeout=arguments.timeout, environ=dict(os.environ), root=root, **more)


def add_gpu(parser: argparse.ArgumentParser) -> None:
    """Add --gpu."""
    parser.add_argument(
        "--gpu",
        type=gpu,
        metavar="CC",
        help="judge for a GPU of another machine (on a login node, in docker build): its compute capability (8.9 or sm_89) "
        "or its name",
    )


def add_outputs(
    parser: argparse.ArgumentParser, what: str = "the report", *, only: Sequence[Option] = (), redacted: bool = True
) -> None:
    """Add an option for each format in which the command can write `what`: all formats, or those in `only`.

    `redacted`: the help says that the output is redacted. False for commands that write only pages and lists of failure modes, which
    have no private data.
    """
    from attn_doctor.report.formats import FORMATS

    clean = ", redacted" if redacted else ""
    said = what
    for made in FORMATS:
        if only and made.option not in only:
            continue
        end = "; - for standard output" if said == what else made.use
        parser.add_argument(f"--{made.option}", metavar="FILE", help=f"write {said} as {made.name}{clean}{end}")
        said = "it"


def add_form(parser: argparse.ArgumentParser) -> None:
    """Add --for, which names a project. The Markdown then has the order of that project's issue form."""
    parser.add_argument(
        "--for",
        dest="form",
        choices=("flash-attn", "pytorch", "ultralytics", "yolov12", "xformers"),
        help="with --markdown: put first what this project asks for in an issue, in its order and with its labels",
    )


def add_amount(parser: argparse.ArgumentParser) -> None:
    """Add -q and -v, which change how much the screen shows. Files always contain everything."""
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument(
        "-q", "--quiet", action="store_true", help="show only the verdict, the root causes and the commands"
    )
    how_much.add_argument("-v", "--verbose", action="store_true", help="show also what is folded in the files")


def add_fail_on(parser: argparse.ArgumentParser, what: str = "") -> None:
    """Add --fail-on. `what`: the words of the help for what makes the exit code 1, "a new problem from this severity on"."""
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "never"),
        default="error",
        help=f"exit with 1 {f'for {what}' if what else 'from this severity on'} (default: error)",
    )


def fail_on(arguments: argparse.Namespace) -> Severity | None:
    """Return the lowest severity that fails the command, by --fail-on; None for "never"."""
    from attn_doctor.model.findings import Severity

    return None if arguments.fail_on == "never" else Severity(arguments.fail_on)


def positive(text: str) -> float:
    """Parse a positive number. argparse turns its ArgumentTypeError into a message."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def gpu(text: str) -> str:
    """Check that a text is a compute capability or the name of a GPU, and return it unchanged. argparse shows its ArgumentTypeError."""
    from attn_doctor.errors import Refused
    from attn_doctor.judging import stated_gpu

    try:
        stated_gpu.read(text)
    except Refused as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--gpu ")) from error
    return text


def whole(text: str) -> int:
    """Parse a positive whole number. argparse turns its ArgumentTypeError into a message."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
