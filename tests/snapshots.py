"""What is in a folder, down to modes and bytes, so that two moments can be compared."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path


def snapshot(folder: Path) -> dict[str, tuple[str, ...]]:
    """Relative path -> kind, mode, hash or link target, of every file, folder and link."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        mode = oct(stat.S_IMODE(status.st_mode))
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", mode)
        else:
            found[name] = ("file", mode, hashlib.sha256(path.read_bytes()).hexdigest(), str(status.st_mtime_ns))
    return found
