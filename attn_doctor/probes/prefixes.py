"""Find the folders of the target from files: its prefix, its programs, its site-packages, and the Python of which a virtual environment was made."""

from __future__ import annotations

import re
from pathlib import Path

from attn_doctor.probes.root import Root
from attn_doctor.system import files

_OF_PROGRAMS = ("bin", "scripts")


def prefix_of(python: str) -> str:
    r"""Return the folder of the environment or installation of a Python.

    Examples: /usr for /usr/bin/python3, C:\Python311 for C:\Python311\python.exe.
    """
    folder = Path(python).parent
    return str(folder.parent if folder.name.lower() in _OF_PROGRAMS else folder)


def programs_of(python: str) -> list[str]:
    r"""Return the folders that an activated environment puts on PATH. On Windows pip installs programs into Scripts, beside python.exe."""
    folder = Path(python).parent
    return [str(folder)] if folder.name.lower() in _OF_PROGRAMS else [str(folder), str(folder / "Scripts")]


def prefixes_of(prefix: str | None) -> list[str]:
    """Return the target's folder; for a virtual environment also the folder of the interpreter that it was made from.

    Empty if the target's folder is not known.
    """
    if prefix is None:
        return []
    try:
        settings = files.text(Path(prefix) / "pyvenv.cfg")
    except OSError:
        return [prefix]
    home = re.search(r"^home\s*=\s*(.+)$", settings, re.MULTILINE)
    return [prefix, prefix_of(f"{home[1].strip()}/python")] if home else [prefix]


def site_packages(tree: Root, prefix: str | None) -> str | None:
    """Return the folder in which the target's packages are installed; None if `prefix` is no folder.

    A prefix without a site-packages or dist-packages folder is returned itself.
    """
    if prefix is None or not tree.is_dir(prefix):
        return None
    folders = [f"{prefix}/lib/{name}" for name in tree.entries(f"{prefix}/lib") if name.startswith("python3")]
    places = [
        f"{folder}/{name}" for folder in (*folders, f"{prefix}/Lib") for name in ("site-packages", "dist-packages")
    ]
    return next((place for place in places if tree.is_dir(place)), prefix)
