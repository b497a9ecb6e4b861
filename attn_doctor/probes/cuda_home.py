"""Find the CUDA toolkit that torch.utils.cpp_extension would build with, and the problems of that choice.

The rule is the same in every PyTorch from 2.0 to 2.15, read in their sources: CUDA_HOME, else CUDA_PATH; else the
folder two above the nvcc on PATH, links not followed; else /usr/local/cuda. Up to 2.3 PyTorch used the program `which` to search for
nvcc, so without that program it found no nvcc. A PyTorch without CUDA never searches; another rule judges that case.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import NamedTuple

from attn_doctor.model.facts import Toolkit
from attn_doctor.probes.root import Root
from attn_doctor.probes.toolkits import include_folders

_DEFAULT = "/usr/local/cuda"
_WINDOWS_HOME = "C:/Program Files/NVIDIA GPU Computing Toolkit/CUDA"
# Folders that the compiler searches anyway: a header found there is not missing.
_INCLUDE_VARIABLES = ("CUDA_INC_PATH", "CPATH", "CPLUS_INCLUDE_PATH")


class Chosen(NamedTuple):
    """Hold the CUDA toolkit that a build of an extension would use, and what decided that."""

    path: str | None  # the folder of the toolkit; None: none is chosen
    by: str | None  # what decided: "CUDA_HOME", "nvcc on PATH"
    problem: str | None  # the end of a sentence that begins with the path: "does not exist"; None: there is none


def cuda_home(tree: Root, environ: Mapping[str, str], nvcc: str | None, windows: bool) -> Chosen:
    """Return the toolkit with which torch.utils.cpp_extension would build. `nvcc`: the first nvcc on PATH, or None.

    `windows`: the rules of Windows count.
    """
    for name in ("CUDA_HOME", "CUDA_PATH"):
        if environ.get(name):
            return Chosen(environ[name], name, _problem(tree, environ, environ[name], windows))
    if "CUDA_PATH" in environ:
        # An empty CUDA_PATH is used as it is; an empty CUDA_HOME is ignored.
        return Chosen("", "CUDA_PATH", "is empty")
    if nvcc is not None:
        folder = os.path.dirname(os.path.dirname(nvcc))  # noqa: PTH120 - exactly what PyTorch does
        return Chosen(folder, "nvcc on PATH", _problem(tree, environ, folder, windows))
    home = next(iter(tree.matching(_WINDOWS_HOME, "v")), None) if windows else _DEFAULT
    if home and tree.exists(home):
        return Chosen(home, home, _problem(tree, environ, home, windows))
    return Chosen(None, None, "is set but empty, which counts as unset" if "CUDA_HOME" in environ else None)


def with_toolkits(tree: Root, chosen: Chosen, found: tuple[Toolkit, ...]) -> Chosen:
    """Return the choice after every nvcc was run. If the chosen nvcc does not run, the choice has that as its problem."""
    nvcc = f"{chosen.path}/bin/nvcc"
    if chosen.path is None or not tree.is_file(nvcc) or not os.access(tree.at(nvcc), os.X_OK):
        return chosen
    real = tree.resolve(nvcc)
    broken = next(
        (t for t in found if isinstance(t.problem, str) and isinstance(t.nvcc, str) and tree.resolve(t.nvcc) == real),
        None,
    )
    return chosen._replace(problem=f"has bin/nvcc, but nvcc does not run: {broken.problem}") if broken else chosen


def _problem(tree: Root, environ: Mapping[str, str], value: str, windows: bool) -> str | None:
    """Return the problem that keeps a build from finding the compiler and the headers in a folder, as the end of a sentence; None if there is none."""
    if tree.is_dir(value) and value == value.strip():
        return _problem_of_folder(tree, environ, value, windows)
    if value != value.strip():
        return "ends in a line break" if value.rstrip("\r\n") != value else "begins or ends with white space"
    if value.startswith(("'", '"')):
        return "is in quotation marks, which became a part of it"
    if "$" in value:
        return "holds a variable that was not expanded"
    if not windows and re.match(r"[A-Za-z]:[\\/]", value):
        return "is a path of Windows"
    folders = re.split(";" if windows else "[:;]", value)  # on Windows a colon is a part of "C:", and separates nothing
    if len(folders) > 1:
        given = [folder for folder in folders if folder]
        if len(given) > 1:
            return f"is a list of {len(given)} folders; it has to be one"
        mark = value[-1] if not folders[-1] else value[0]
        return f"{'ends' if not folders[-1] else 'begins'} with {mark!r}, which became a part of it"
    if value.startswith("~"):
        return "begins with '~', which is not expanded"
    if tree.is_file(value):
        return "is a file; it has to be the folder of the toolkit"
    return "does not exist"


def _problem_of_folder(tree: Root, environ: Mapping[str, str], folder: str, windows: bool) -> str | None:
    home = PurePath(folder)
    nvcc = "nvcc.exe" if windows else "nvcc"
    if not tree.is_file(f"{home}/bin/{nvcc}"):
        if home.name == "bin" and tree.is_file(f"{home}/{nvcc}"):
            return f"ends in /bin; the toolkit is the folder above, {home.parent}"
        return f"has no bin/{nvcc}"
    if not os.access(tree.at(f"{home}/bin/{nvcc}"), os.X_OK):
        return f"has bin/{nvcc}, but {nvcc} is not executable"
    added = [f for name in _INCLUDE_VARIABLES for f in environ.get(name, "").split(os.pathsep) if f]
    if not any(tree.is_file(f"{f}/cuda_runtime.h") for f in (*include_folders(tree, str(home)), *added)):
        return "has no include/cuda_runtime.h"
    return None
