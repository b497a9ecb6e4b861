"""Names the operating system that this process runs on. Under WSL that is Linux."""

from __future__ import annotations

import sys

LINUX: bool = sys.platform == "linux"
MACOS: bool = sys.platform == "darwin"
WINDOWS: bool = sys.platform == "win32"


def name() -> str:
    """Return "linux", "darwin" or "windows"; of any other system the name that Python gives it, such as "freebsd14"."""
    return "windows" if WINDOWS else sys.platform
