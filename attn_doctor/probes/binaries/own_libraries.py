"""Find the libraries that an extension needs and that its own package loads before it.

The loader does not search the folder of an extension. torchaudio 2.8 has torchaudio/lib/_torchaudio.so, which needs
libtorchaudio.so beside it; its __init__.py loads that library by its path first, and the loader then uses it:
https://github.com/pytorch/audio/blob/release/2.8/src/torchaudio/_extension/utils.py
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attn_doctor.probes.binaries.files import Files
from attn_doctor.probes.binaries.loader import Missing, Opening, Process

# torch.ops.load_library, ctypes.CDLL, ctypes.cdll.LoadLibrary
_LOADS = re.compile(r"\b(?:load_library|CDLL|LoadLibrary)\s*\(")
_MOST_SOURCES = 400  # files with Python's source that are read of a package; torchaudio 2.8 has 130


class Preloaded(NamedTuple):
    """Hold the result of loading an extension after the libraries of its own package."""

    opening: Opening
    libraries: tuple[str, ...]  # their paths
    named: bool  # the package's source names each of them, so that it is known to load them


def preloaded(files: Files, before: Process, path: str, opening: Opening) -> Preloaded | None:
    """Load an extension once more, after the missing libraries that are in its own folder, and return the result.

    None if its folder has none of the missing libraries, or if no source file of its package loads a library by its path. `opening`:
    the result without these libraries. `before`: the process before the extension was loaded.
    """
    folder, _, _ = path.rpartition("/")
    missing = [t.name for t in opening.troubles if isinstance(t, Missing) and t.wanted_by == path]
    beside = [f"{folder}/{name}" for name in missing if files.exists(f"{folder}/{name}")]
    if not beside:
        return None
    sources = _sources(files, folder)
    if not any(_LOADS.search(source) for source in sources):
        return None
    process = before.branch()
    first = [trouble for library in beside for trouble in process.dlopen(library).troubles]
    then = process.dlopen(path)
    if first:  # the package stops at its own library
        then = then._replace(troubles=first)
    return Preloaded(then, tuple(beside), all(_is_named(library, sources) for library in beside))


def _is_named(library: str, sources: Sequence[str]) -> bool:
    """Return whether a Python source names a library in a text, with or without its ending, with or without "lib" in front."""
    stem = library.rpartition("/")[2].partition(".so")[0]
    name = re.compile(rf"""["'/](?:lib)?{re.escape(stem.removeprefix("lib"))}(?:\.so[\d.]*)?["']""")
    return any(name.search(source) for source in sources)


def _sources(files: Files, folder: str) -> list[str]:
    """Return the Python sources of the package to which a folder belongs.

    The package is the topmost folder below site-packages with an __init__.py.
    """
    top = folder
    while (above := top.rpartition("/")[0]) and files.exists(f"{above}/__init__.py"):
        top = above
    return [text for path in files.sources(top)[:_MOST_SOURCES] if (text := files.text(path))]
