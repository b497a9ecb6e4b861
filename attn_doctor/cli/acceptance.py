"""Add the options for a CI to `check`, and fill them from the configuration of the project.

A typed option wins over the file.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from attn_doctor.errors import Refused

if TYPE_CHECKING:
    from attn_doctor.examination.configuration import Configuration
    from attn_doctor.model.acceptance import Configured, Exempt
    from attn_doctor.model.report import Report

# Options that the configuration may set too, and their values if neither does.
_DEFAULTS: dict[str, Any] = {
    "goal": None,
    "target": None,
    "fail_on": "error",
    "expect_gpus": None,
    "baseline": None,
    "model": "yolo12n.yaml",
    "imgsz": 640,
    "batch": 2,
    "device": "auto",
    "backend": [],
}


def add_acceptance(parser: argparse.ArgumentParser) -> None:
    """Add the options for a CI: --expect-gpus, --baseline, --config and --no-config.

    Must be called after the other options: it removes their defaults, so that typed options can be recognised.
    """
    parser.add_argument(
        "--expect-gpus",
        type=_count,
        metavar="N",
        help="it is an error if a program can use fewer or more GPUs than this",
    )
    parser.add_argument(
        "--baseline", metavar="REPORT", help="a JSON report: only findings that it does not have make the exit code 1"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--config",
        metavar="FILE",
        help="the configuration of the project (default: the nearest attn-doctor.toml or pyproject.toml with "
        "[tool.attn-doctor], in the current folder or above it, up to the root of the repository)",
    )
    which.add_argument("--no-config", action="store_true", help="use no configuration")
    parser.set_defaults(**dict.fromkeys(_DEFAULTS))


class Settled(NamedTuple):
    """Hold what `settle` read besides options: settings of the configuration file, its exceptions, and the baseline.

    `baseline`: the report, and the name of its file. `configured` is None if no configuration is used.
    """

    configured: Configured | None = None
    exceptions: tuple[Exempt, ...] = ()
    baseline: tuple[Report, str] | None = None


def settle(arguments: argparse.Namespace) -> Settled:
    """Fill the options that were not typed, from the configuration or with their defaults.

    A program that the configuration names is not started before a person agrees, unless the user named the
    configuration. Without a terminal it is refused. Raises Refused for a mistake in the configuration, and if
    --expect-gpus is used with --gpu; Unreadable for a bad baseline.
    """
    from attn_doctor.examination.configuration import Configuration, configuration
    from attn_doctor.system import current_folder
    from attn_doctor.system.streams import tell

    where = current_folder.where()
    found = configuration(
        arguments.config, off=arguments.no_config, environ=os.environ, folder=Path(where) if where else None
    )
    configured = None
    exceptions: tuple[Exempt, ...] = ()
    if isinstance(found, Configuration):
        configured, exceptions = _fill(arguments, found), found.exceptions
    elif found is not None:
        tell(f"attn-doctor: {found.path} is not used: {found.why} (--config FILE uses it)")
    for name, value in _DEFAULTS.items():
        if getattr(arguments, name) in (None, []):
            setattr(arguments, name, value)
    if arguments.expect_gpus is not None and arguments.gpu is not None:
        raise Refused(
            "--expect-gpus counts the GPUs of this machine, and --gpu is about another one: leave one of them out"
        )
    return Settled(configured, exceptions, _baseline(arguments.baseline))


def _fill(arguments: argparse.Namespace, found: Configuration) -> Configured:
    """Put the settings of the file into the options that were not typed."""
    from attn_doctor.model.acceptance import Configured, Setting

    told = []
    for name in _DEFAULTS:
        value = getattr(found.settings, name)
        if value is None:
            continue
        key = name.replace("_", "-")
        used = getattr(arguments, name) in (None, []) and not _is_of_here(arguments, name)
        if used:
            setattr(arguments, name, _ready(found, key, value))
        told.append(Setting(key=key, value=", ".join(value) if isinstance(value, tuple) else str(value), used=used))
    return Configured(file=found.shown, settings=tuple(told))


def _is_of_here(arguments: argparse.Namespace, name: str) -> bool:
    """Return whether a setting describes this machine, although the command is about another machine (--gpu, --facts)."""
    return (name == "expect_gpus" and arguments.gpu is not None) or (name == "target" and arguments.facts is not None)


def _ready(found: Configuration, key: str, value: Any) -> Any:
    """Return a value of the configuration file as its command line option would have it.

    Examples: a tuple of backends becomes a list; a relative path begins at the folder of the file. Raises Refused for a target or a model
    file that may not be started.
    """
    if key == "backend":
        return list(value)
    if key == "model":
        from attn_doctor.trials.plan import is_model_name

        if is_model_name(value):
            return value
    if key in ("baseline", "model"):
        value = found.beside(value)
    if key == "target" and ("/" in value or os.sep in value):
        value = found.beside(value)
    if key in ("target", "model"):
        _ask_for(found, key, value)
    return value


def _ask_for(found: Configuration, key: str, value: str) -> None:
    """Ask the user whether a setting of the file that was found may run code.

    Two settings can run code: a target is a program, and a model's file runs the functions that it names.
    """
    if found.named:
        return
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        from attn_doctor.cli.output import agreed

        if agreed(f"{found.at(key)} sets {key} = {value}, which runs code of that file. Use it?"):
            return
    raise Refused(
        f"{found.at(key)}: {key} runs code that this folder names; --config {found.shown} allows it, --no-config leaves the file out"
    )


def _baseline(name: str | None) -> tuple[Report, str] | None:
    if name is None:
        return None
    from attn_doctor.examination.inputs import read_file
    from attn_doctor.model.report import decode_report

    return decode_report(read_file(name), name), "standard input" if name == "-" else Path(name).name


def _count(text: str) -> int:
    """Parse a number of GPUs, 0 or more. argparse turns its ArgumentTypeError into a message."""
    if not (text.isascii() and text.isdigit()) or len(text) > 4:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)
