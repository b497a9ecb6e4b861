"""Name the operating system of this process. Under WSL it is Linux."""

from __future__ import annotations

import sys
from typing import Literal

LINUX: bool = sys.platform == "linux"
MACOS: bool = sys.platform == "darwin"
WINDOWS: bool = sys.platform == "win32"


def name() -> Literal["linux", "darwin", "windows"] | None:
    """Return the operating system; None for one that attn-doctor does not know, such as FreeBSD."""
    return "linux" if LINUX else "darwin" if MACOS else "windows" if WINDOWS else None
