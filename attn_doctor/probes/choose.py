"""Choose the Python to examine if the user names none, and say why. Starts no program: it only reads files.

It uses os.path, not Path: until Python 3.14 the methods of Path raise for a folder without search permission.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from attn_doctor.errors import NoAnswer
from attn_doctor.model.facts import ChosenPython
from attn_doctor.model.foreign_text import text
from attn_doctor.probes.prefixes import prefix_of

# Files by which tools mark an environment that they made for one program: pipx, `uv tool install`.
_HOLDER_FILES = ("pipx_metadata.json", "uv-receipt.toml")
# Folders of uv's cache in which `uvx` and `uv run --with` make their temporary environments.
_HOLDER_FOLDERS = ("archive-v0", "environments-v2", "builds-v0")
_PATIENTS = ("torch", "ultralytics", "flash_attn")


_SHOWN = 200  # a longer name is cut to this many characters in a message


def choose(
    named: str | None, environ: Mapping[str, str], own_prefix: str = sys.prefix, own: str = sys.executable
) -> ChosenPython:
    """Return the interpreter to examine, and why. Raises NoAnswer if the path that the user named (`named`) cannot be a Python.

    `own` and `own_prefix`: the interpreter and the environment that attn-doctor runs in.
    """
    if named is not None:
        return ChosenPython(_check(named, environ), "named with --target")
    for variable, what in (
        ("VIRTUAL_ENV", "the active virtual environment"),
        ("CONDA_PREFIX", "the active conda environment"),
    ):
        prefix = environ.get(variable)
        if prefix and not is_holder(prefix):
            python = _python_in(Path(prefix))
            if python:
                return ChosenPython(python, f"{what} ({variable})")
    if not is_holder(own_prefix) and _holds_patient(Path(own_prefix)):
        # `.venv/bin/attn-doctor check` without activating the environment: the user means the torch that is installed
        # beside the doctor.
        return ChosenPython(own, "the environment that attn-doctor is installed in, which holds PyTorch")
    for name in ("python", "python3"):
        for folder in sorted(environ.get("PATH", os.defpath).split(os.pathsep), key=_is_of_the_store):
            found = shutil.which(name, path=folder) if folder else None
            if found and not is_holder(prefix_of(found)):
                return ChosenPython(found, f"`{name}` on PATH")
    return ChosenPython(own, "the interpreter that attn-doctor runs in: no other Python was found")


def _is_of_the_store(folder: str) -> bool:
    """Return whether a folder holds only the `python.exe` with which Windows opens the Microsoft Store while no Python is installed.

    https://learn.microsoft.com/windows/python/faqs#why-does-running-python-exe-open-the-microsoft-store
    """
    return folder.replace("\\", "/").rstrip("/").lower().endswith("/microsoft/windowsapps")


def is_holder(prefix: str) -> bool:
    """Return whether an environment was made to run one program only, as pipx, `uv tool` and `uvx` make it.

    An environment in the cache of uv does not count if it has torch, ultralytics or flash_attn.
    """
    folder = Path(prefix)
    if any(os.path.exists(folder / name) for name in _HOLDER_FILES):
        return True
    return any(part in _HOLDER_FOLDERS for part in folder.parts) and not _holds_patient(folder)


def _holds_patient(prefix: Path) -> bool:
    places = [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib" / "site-packages"]
    return any(os.path.isdir(place / name) for place in places for name in _PATIENTS)


def _python_in(prefix: Path) -> str | None:
    for relative in ("bin/python", "bin/python3", "python.exe", "Scripts/python.exe"):
        if os.path.exists(prefix / relative):
            return str(prefix / relative)
    return None


def _check(named: str, environ: Mapping[str, str]) -> str:
    if not named:
        raise NoAnswer("--target", "names nothing")
    shown = text(named if len(named) <= _SHOWN else f"{named[:_SHOWN]}...")
    path = os.path.expanduser(named)  # Path.expanduser raises for an unknown user
    if os.path.isdir(path):
        inside = _python_in(Path(path))
        hint = f": did you mean {text(inside)}?" if inside else ", and there is no Python in it"
        raise NoAnswer(f"--target {shown}", f"is a folder{hint}")
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise NoAnswer(f"--target {shown}", f"cannot be read: {why}") from error
    else:
        if not os.access(path, os.X_OK):
            raise NoAnswer(f"--target {shown}", "is not executable")
        return path if os.path.isabs(path) else str(Path(_here(shown)) / path)
    found = shutil.which(named, path=environ.get("PATH", os.defpath))
    if found:
        return found
    raise NoAnswer(f"--target {shown}", "does not exist")


def _here(shown: str) -> str:
    try:
        return os.getcwd()
    except OSError as error:
        why = f"is no absolute path, and the current folder was deleted ({error.strerror})"
        raise NoAnswer(f"--target {shown}", why) from error
