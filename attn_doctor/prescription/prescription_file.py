"""Store the prescription that `trial --tune` made for this machine: a JSON file in the user's cache folder.

Standard library only, Python 3.8.

The file contains the changes for training and for predicting with one model, and the machine, torch and model of the measurement.
The prescription is used only for these. It can name a library that is loaded into a program, so a file of another user, or a file
that others are allowed to write to, is refused. So is a change that is not in the table.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attn_doctor.prescription.changes.table import ARGUMENTS, CHANGES, PREDICTING, PRELOADED, TRAINING, variables
from attn_doctor.system import machine
from attn_doctor.system.cache_folder import cache_folder
from attn_doctor.system.files import is_own, others_may_write
from attn_doctor.system.own_folder import own_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION = 1
PASSES = (TRAINING, PREDICTING)
_MOST_BYTES = 1 << 16
_PREDICTING_WORDS = ("predict", "val", "track", "benchmark")


class Refused(Exception):
    """Report that a prescription cannot be used here; the text is one sentence."""


def place() -> Path:
    """Return the path of the file with the prescription of the last `trial --tune`."""
    return cache_folder() / "prescription" / "prescription.json"


def here() -> dict[str, Any]:
    """Return the properties of this machine that decide which changes help: processor, cores, architecture, C library."""
    return {
        "processor": machine.processor(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "c_library": machine.c_library(),
    }


def write(prescription: Mapping[str, Any], path: Path | None = None) -> Path:
    """Write a prescription to a file that only this user can read and write, and return the path of the file.

    `path` None: the usual place.

    A reader gets the old file or the new one, never a part. Raises OSError if it cannot be written.
    """
    if path is None:
        path = place()
        if own_folder(path.parent, make=True) is None:
            raise PermissionError(f"{path.parent} is not a folder of yours alone")
    number, name = tempfile.mkstemp(dir=str(path.parent), suffix=".new")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            json.dump(prescription, stream, indent=1)
            stream.write("\n")
        Path(name).replace(path)
    finally:
        with contextlib.suppress(OSError):  # the temporary file still exists only if it was not moved
            Path(name).unlink()
    return path


def read(path: Path | None = None) -> dict[str, Any]:
    """Return the prescription in a file; by default that of the last `trial --tune`.

    Raises Refused if it was made on another kind of machine, or cannot be used.
    """
    path = path or place()
    found = _content(path)
    if found.get("version") != VERSION:
        raise Refused(f"{path} is no prescription that this attn-doctor can read")
    for what in PASSES:
        _refuse_unknown(path, found.get(what))
    now, then = here(), found.get("machine")
    if not isinstance(then, dict):
        raise Refused(f"{path} does not say for which machine it is")
    for name, value in now.items():
        if then.get(name) != value:
            raise Refused(
                f"the prescription is for another machine ({name} {then.get(name)}, here {value}): attn-doctor trial --tune makes one for this"
            )
    return found


def forget() -> int:
    """Remove the stored prescription, and return the number of removed files.

    Raises OSError if a file cannot be removed.
    """
    path = place()
    if own_folder(path.parent) is None or not path.is_file():
        return 0
    path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()
    return 1


def _content(path: Path) -> dict[str, Any]:
    try:
        # Of the file that is open: one that is put in its place later is not read.
        with path.open("rb") as stream:
            seen = os.fstat(stream.fileno())
            if not stat.S_ISREG(seen.st_mode) or not is_own(seen) or others_may_write(seen):
                raise Refused(f"{path} is not a file that you alone can write to")
            found = json.loads(stream.read(_MOST_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise Refused(f"there is no prescription at {path}: attn-doctor trial --tune makes one") from None
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise Refused(f"{path} is no prescription")
    return found


def _refuse_unknown(path: Path, changes: Any) -> None:
    if not isinstance(changes, dict):
        raise Refused(f"{path} does not hold the changes for training and for predicting")
    for name, value in changes.items():
        right = {"threads": int, "pinning": list, "attention": str, "tcmalloc": str, "jemalloc": str}.get(name, bool)
        if name not in CHANGES or not isinstance(value, right):
            raise Refused(
                f"{path} contains a change that this version of attn-doctor does not support ({name}: {value})"
            )


def refuse_other_torch(prescription: Mapping[str, Any], version: str) -> None:
    """Raise Refused if the program's torch is not the torch of the prescription."""
    if prescription.get("torch") != version:
        raise Refused(
            f"the prescription was measured with torch {prescription.get('torch')}, and the installed torch is {version}: "
            "`attn-doctor trial --tune` makes a prescription for the installed torch"
        )


def of_command(argv: Iterable[str]) -> str:
    """Return "predicting" if a command names one of ultralytics' modes for predicting ("val", "predict"), else "training"."""
    return PREDICTING if any(word in _PREDICTING_WORDS for word in argv) else TRAINING


def before_start(
    prescription: Mapping[str, Any], what: str, without: Iterable[str], base: Mapping[str, str]
) -> tuple[dict[str, str], list[int]]:
    """Return the settings for the start of a program: variables, and the cores that it is allowed to use (empty: all cores).

    `what`: "training" or "predicting". `without`: names of changes to leave out. `base`: the variables of this process.
    """
    changes = {name: value for name, value in prescription[what].items() if name not in without}
    given: dict[str, str] = {}
    for name, value in changes.items():
        if CHANGES[name].how == "environment":
            given.update(variables(name, value))
    if "LD_PRELOAD" in given and base.get("LD_PRELOAD"):
        given["LD_PRELOAD"] += ":" + base["LD_PRELOAD"]
    return given, list(changes.get("pinning") or [])


def left_out(prescription: Mapping[str, Any], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (change, reason) for each change that a running process cannot make: ("heap", "the allocator is chosen before ...").

    A change that was made at the start of the process, as `environ` shows, is not in the list.
    """
    found: dict[str, str] = {}
    for what in PASSES:
        for name, value in prescription[what].items():
            how = CHANGES[name].how
            if how == "argument":
                found[name] = f"it is an argument of ultralytics: {ARGUMENTS[name]}"
            elif how == "environment" and not _is_in_force(name, value, environ):
                why = "the allocator is chosen" if name in PRELOADED or name == "heap" else "it is set"
                found[name] = f"{why} before a process starts: attn-doctor run --prescribed -- your program"
    return list(found.items())


def _is_in_force(name: str, value: Any, environ: Mapping[str, str]) -> bool:
    if name == "pinning":
        return getattr(os, "sched_getaffinity", lambda _: None)(0) == set(value)
    given = variables(name, value)
    return all(environ.get(v, "").split(":")[0] == wanted for v, wanted in given.items())
