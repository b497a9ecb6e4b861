"""Which Python is the patient, when the user names none, and why. Starts nothing: it only looks at files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# Files by which the tools that make an environment for one program mark it: pipx, `uv tool install`.
_HOLDER_FILES = ("pipx_metadata.json", "uv-receipt.toml")
# Folders of uv's cache in which `uvx` and `uv run --with` make their throw-away environments.
_HOLDER_FOLDERS = ("archive-v0", "environments-v2", "builds-v0")
_PATIENTS = ("torch", "ultralytics", "flash_attn")


class Choice(NamedTuple):
    python: str
    why: str


class NoTarget(ValueError):
    """The named target cannot be a Python. The text is one sentence for the user."""


def choose(
    named: str | None, environ: Mapping[str, str] = os.environ, own_prefix: str = sys.prefix, own: str = sys.executable
) -> Choice:
    """The interpreter to examine. Raises NoTarget when one was named that cannot be it."""
    if named is not None:
        return Choice(_check(named, environ), "named with --target")
    for variable, what in (
        ("VIRTUAL_ENV", "the active virtual environment"),
        ("CONDA_PREFIX", "the active conda environment"),
    ):
        prefix = environ.get(variable)
        if prefix and not is_holder(prefix):
            python = _python_in(Path(prefix))
            if python:
                return Choice(python, f"{what} ({variable})")
    if not is_holder(own_prefix) and _holds_patient(Path(own_prefix)):
        # `.venv/bin/attn-doctor check` without activating: the doctor was put beside the patient.
        return Choice(own, "the environment that attn-doctor is installed in, which holds PyTorch")
    for name in ("python", "python3"):
        for folder in environ.get("PATH", os.defpath).split(os.pathsep):
            found = shutil.which(name, path=folder) if folder else None
            if found and not is_holder(str(Path(found).parent.parent)):
                return Choice(found, f"`{name}` on PATH")
    return Choice(own, "the interpreter that attn-doctor runs in: no other Python was found")


def is_holder(prefix: str) -> bool:
    """Whether an environment exists only to hold a program, so that it is nobody's training environment."""
    folder = Path(prefix)
    if any((folder / name).exists() for name in _HOLDER_FILES):
        return True
    return any(part in _HOLDER_FOLDERS for part in folder.parts) and not _holds_patient(folder)


def _holds_patient(prefix: Path) -> bool:
    places = [*prefix.glob("lib/python3*/site-packages"), prefix / "Lib" / "site-packages"]
    return any((place / name).is_dir() for place in places for name in _PATIENTS)


def _python_in(prefix: Path) -> str | None:
    for relative in ("bin/python", "bin/python3", "python.exe", "Scripts/python.exe"):
        if (prefix / relative).exists():
            return str(prefix / relative)
    return None


def _check(named: str, environ: Mapping[str, str]) -> str:
    path = Path(named).expanduser()
    if path.is_dir():
        inside = _python_in(path)
        hint = f": did you mean {inside}?" if inside else ", and there is no Python in it"
        raise NoTarget(f"--target {named} is a folder{hint}")
    if path.exists():
        if not os.access(path, os.X_OK):
            raise NoTarget(f"--target {named} is not executable")
        return str(path if path.is_absolute() else Path.cwd() / path)
    found = shutil.which(named, path=environ.get("PATH", os.defpath))
    if found:
        return found
    raise NoTarget(f"--target {named} does not exist")
