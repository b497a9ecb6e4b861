# ruff: noqa: INP001, PTH118, PTH119, PTH123, UP031, UP035 - a program, for Python 3.8 on
"""Print where the target's torch is, and its files. A program, not a module: the target runs it. Only reads.

    python -c <this text> MARK NAME...      NAME: further distributions to list

Output: one line of JSON after the mark: the base interpreter, the versions of Python and torch, and for torch, its requirements
and each further name the paths of its files and folders in site-packages.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
import sysconfig
from typing import Any, Iterable


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, importlib.metadata.Distribution]:
    found: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(normal(name), distribution)
    return found


def closure(found: dict[str, importlib.metadata.Distribution], wanted: Iterable[str]) -> list[str]:
    """Return the names of these distributions and of all installed ones that they require."""
    waiting, names = list(wanted), []
    while waiting:
        name = waiting.pop()
        if name in names or name not in found:
            continue
        names.append(name)
        requirements = [r for r in found[name].requires or () if "extra ==" not in r]
        waiting += [normal(re.split(r"[^\w.-]", r, maxsplit=1)[0]) for r in requirements]
    return names


def entries(distribution: importlib.metadata.Distribution) -> list[str]:
    """Return the absolute paths of a distribution's top-level entries in site-packages."""
    place = str(distribution.locate_file(""))
    tops = {file.parts[0] for file in distribution.files or () if file.parts}
    return sorted(os.path.join(place, top) for top in tops if top not in ("..", "__pycache__"))


def version_of(paths: Iterable[str]) -> dict[str, Any]:
    """Return the assignments in torch/version.py: version, CUDA, ROCm."""
    for path in paths:
        file = os.path.join(path, "version.py")
        if os.path.basename(path) == "torch" and os.path.exists(file):
            said: dict[str, Any] = {}
            with open(file) as text:
                exec(text.read(), said)  # noqa: S102 - torch's own, four assignments
            return said
    return {}


def base() -> str:
    """Return the interpreter behind a virtual environment."""
    for name in ("bin/python%d.%d" % sys.version_info[:2], "python.exe"):
        path = os.path.join(sys.base_exec_prefix, name)
        if os.path.exists(path):
            return path
    return getattr(sys, "_base_executable", None) or sys.executable


def main() -> None:
    found = installed()
    # torch needs numpy, but does not require it
    listed = {name: entries(found[name]) for name in closure(found, ["torch", "numpy", *sys.argv[2:]])}
    said = version_of(listed.get("torch", ()))
    answer = {
        "base": base(),
        "version": list(sys.version_info[:2]),
        "suffix": sysconfig.get_config_var("EXT_SUFFIX") or ".so",
        "torch": said.get("__version__"),
        "cuda": said.get("cuda"),
        "hip": said.get("hip"),
        "entries": listed,
    }
    sys.stdout.write("\n" + sys.argv[1] + json.dumps(answer) + "\n")


main()
