"""Name the folder of the cache: data that attn-doctor can measure or download again at any time."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of the cache, which need not exist.

    Linux: $XDG_CACHE_HOME/attn-doctor, by default ~/.cache/attn-doctor
    (https://specifications.freedesktop.org/basedir-spec/latest/). macOS: ~/Library/Caches/attn-doctor. Windows:
    %LOCALAPPDATA%/attn-doctor/Cache.
    """
    home = Path(os.path.expanduser("~"))  # Path.home() raises for a user without a home
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home) / "attn-doctor" / "Cache"
    default = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or default) / "attn-doctor"
