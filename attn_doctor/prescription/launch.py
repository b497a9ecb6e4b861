"""Make the environment variables with which a program that `attn-doctor run` starts uses another attention.

A prescription can also name the cores that the program may use. PYTHONPATH gets a folder whose sitecustomize exchanges
the attention when the program imports ultralytics (target/startup). No file is written, and nothing is started here:
`cli.launch` runs the program beside attn-doctor, to explain its failure, or with --no-capture becomes the program.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_doctor.errors import Refused
from attn_doctor.exchange.traits import TRAITS, compiles_model
from attn_doctor.prescription import prescription_file
from attn_doctor.prescription.changes.table import CHANGES
from attn_doctor.system import files

PRESCRIPTION, WITHOUT = "ATTN_DOCTOR_PRESCRIPTION", "ATTN_DOCTOR_WITHOUT"
VARIABLE = "ATTN_DOCTOR_ATTENTION"
STARTUP = Path(__file__).parents[1] / "target" / "startup"


class NothingToRun(Refused):
    """Report that a program cannot be started with the backend or the prescription that the user asked for.

    The text is one sentence.
    """


def names() -> tuple[str, ...]:
    """Return the names that `run` accepts for the attention of a program: "auto", "eager" and each backend that is exchanged."""
    return ("auto", *(name for name, traits in TRAITS.items() if traits.exchanged or traits.family == "eager"))


def environment(backend: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` with the variables that put the backend into a program. Raises NothingToRun for an unknown backend."""
    if backend not in names():
        also = (
            " (with ultralytics: yolo train ... compile=True)" if backend in TRAITS and compiles_model(backend) else ""
        )
        near = difflib.get_close_matches(backend.lower(), names(), 1)
        what = f"did you mean {near[0]}?" if near and not also else f"use {', '.join(names())}"
        raise NothingToRun(f"{backend!r} is no attention to exchange{also}: {what}")
    # Only the startup folder is added: were the doctor's own packages on the path, they would hide those of the program.
    path = [str(STARTUP), *([base["PYTHONPATH"]] if base.get("PYTHONPATH") else [])]
    return {**base, VARIABLE: backend, "PYTHONPATH": os.pathsep.join(path)}


class Start(NamedTuple):
    """Describe the start of a program: its environment variables, and the cores that it is allowed to use (empty: all cores)."""

    environ: dict[str, str]
    cores: tuple[int, ...]


def prescribed(argv: Sequence[str], base: Mapping[str, str], path: Path | None, without: Sequence[str]) -> Start:
    """Return how to start a program with the prescription of the file `path` (None: the newest one).

    `argv`: the command, which shows whether it trains or predicts. `base`: the variables of this process. `without`: names of
    changes to leave out. Raises NothingToRun if the prescription cannot be used here.
    """
    for name in without:
        if name not in CHANGES:
            raise NothingToRun(f"there is no change {name!r} to switch off: use {', '.join(CHANGES)}")
    try:
        found = prescription_file.read(path)
        _refuse_changed_torch(found)
    except prescription_file.Refused as error:
        raise NothingToRun(str(error)) from error
    given, cores = prescription_file.before_start(found, prescription_file.of_command(argv), without, base)
    named = {found[what].get("attention", "eager") for what in prescription_file.PASSES}
    attention = "eager" if "attention" in without else next(iter(named)) if len(named) == 1 else "auto"
    environ = environment(attention, {**base, **given})
    where = (path or prescription_file.place()).absolute()
    return Start({**environ, PRESCRIPTION: str(where), WITHOUT: ",".join(without)}, tuple(cores))


def _refuse_changed_torch(found: Mapping[str, Any]) -> None:
    """Raise Refused if the torch at the place of the measured one has another version now, by its version.py.

    If that file cannot be read, nothing is raised: the version is compared again inside the program.
    """
    place = Path(str(found.get("torch_file"))).parent / "version.py"
    try:
        text = files.text(place)
    except OSError:
        return  # the program may have its own interpreter: there the version is compared again
    match = re.search(r"__version__ = '([^']+)'", text)
    if match:
        prescription_file.refuse_other_torch(found, match[1])
