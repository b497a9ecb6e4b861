"""Lock a file against other processes. The system frees the lock when the process ends, even after a crash."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO


def hold(path: Path) -> IO[bytes] | None:
    """Lock a file for this process until the returned file is closed. None: another process holds the lock.

    Raises OSError if the file cannot be opened. Linux and macOS: flock(2). Windows: nothing is locked, and None is always returned,
    whether or not another process uses the file.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
