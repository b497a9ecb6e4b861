"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attn_doctor.examination import Options


def add_target(parser: argparse.ArgumentParser) -> None:
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
    """Make the options of an examination: what every command takes (--target, --timeout), the environment, and `more`.

    The variable ATTN_DOCTOR_ROOT names a folder that stands for a machine, see docs/testing.md. No other place reads it.
    """
    from attn_doctor.examination import Options

    root = os.environ.get("ATTN_DOCTOR_ROOT", "/")
    return Options(target=arguments.target, timeout=arguments.timeout, environ=dict(os.environ), root=root, **more)


def add_gpu(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gpu",
        type=gpu,
        metavar="CC",
        help="judge for a GPU that is elsewhere, as on a login node or in docker build: its compute capability (8.9 or "
        "sm_89) or its name",
    )


def add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON, redacted; - for standard output")
    parser.add_argument("--markdown", metavar="FILE", help="write it as Markdown, redacted, to paste into an issue")
    parser.add_argument("--html", metavar="FILE", help="write it as one HTML page, redacted")


def positive(text: str) -> float:
    """A positive number, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def gpu(text: str) -> str:
    """A compute capability or the name of a GPU, for argparse."""
    from attn_doctor.errors import Refused
    from attn_doctor.judging import stated_gpu

    try:
        stated_gpu.read(text)
    except Refused as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--gpu ")) from error
    return text


def whole(text: str) -> int:
    """A positive whole number, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
