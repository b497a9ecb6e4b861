"""List the libraries that are parts of macOS. Pure.

Since macOS 11 these libraries are not files: they exist only in dyld's shared cache. So they are recognised by their paths.
"""

from __future__ import annotations

import functools
import re
from typing import ClassVar

from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load
from attn_doctor.model.versions import parse

APPLE, PYTHON = "macOS", "Python"
TORCH = (
    "libc10.dylib",
    "libtorch_cpu.dylib",
    "libtorch.dylib",
    "libtorch_python.dylib",
    "libshm.dylib",
    "libtorch_global_deps.dylib",
)
_FRAMEWORK = re.compile(r"/System/Library/Frameworks/(?:.*/Frameworks/)?(\w+)\.framework/(?:Versions/\w+/)?\1")


class MacosLibraries(Row, frozen=True, kw_only=True):
    """Hold names of libraries and frameworks that exist since one release of macOS: "libz.1" (libz.1.dylib), "Metal"."""

    TABLE: ClassVar[str] = "macos_libraries"

    since: str
    names: tuple[str, ...]


def is_apple(path: str) -> bool:
    """Return whether a library with this path can only be a part of macOS."""
    return path.startswith(("/usr/lib/", "/System/"))


def owner(path: str) -> str | None:
    """Return the owner of the library with this path, "macOS" or "Python"; None if it is another, or not known."""
    if re.search(r"(^|/)(libpython3\.\d+t?\.dylib|Python\.framework/Versions/[^/]+/Python|Python)$", path):
        return PYTHON
    return APPLE if since(path) is not None else None


def since(path: str) -> str | None:
    """Return the first macOS ("11.0") that has the library with this path; None if the table lacks it."""
    framework = _FRAMEWORK.fullmatch(path)
    if framework:
        return _by_name().get(framework[1])
    if path.startswith("/usr/lib/") and path.endswith(".dylib"):
        return _by_name().get(path.removeprefix("/usr/lib/").removesuffix(".dylib"))
    return None


def older(macos: str, than: str) -> bool:
    """Return whether one release of macOS is older than another: "10.15" than "11.0". False if one of the two cannot be read."""
    first, second = parse(macos), parse(than)
    return first is not None and second is not None and first < second


@functools.cache
def _by_name() -> dict[str, str]:
    return {name: row.since for row in load(MacosLibraries) for name in row.names}
