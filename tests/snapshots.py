"""What is in a folder, down to modes and bytes, so that two moments can be compared."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path


def snapshot(folder: Path, hashed_below: int | None = None) -> dict[str, tuple[str, ...]]:
    """Relative path -> kind, mode, time and hash, or link target, of every file, folder and link.

    `hashed_below`: bytes. Of a larger file the inode stands for the hash: what is kept is a link to it, and not a copy.
    """
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
            hashed = hashed_below is None or status.st_size < hashed_below
            content = hashlib.sha256(path.read_bytes()).hexdigest() if hashed else f"{status.st_ino} {status.st_size}"
            found[name] = ("file", mode, content, str(status.st_mtime_ns))
    return found
