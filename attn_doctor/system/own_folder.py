"""Make a folder that only the user of this process can write to.

Runs under Python 3.8, because the user's own programs use it too.
"""

from __future__ import annotations

import contextlib
import stat
from typing import TYPE_CHECKING

from attn_doctor.system.files import is_own, others_may_write

if TYPE_CHECKING:
    from pathlib import Path


def own_folder(path: Path, *, make: bool = False) -> Path | None:
    """Return a folder if it belongs to this user and only this user can write to it, else None.

    None also for a relative path, for a link, and if it does not exist. `make`: create it first, with mode 0700, and its parents.
    Raises OSError if it cannot be created.
    """
    if not path.is_absolute():
        return None
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    try:
        seen = path.lstat()
    except OSError:
        return None
    mine = stat.S_ISDIR(seen.st_mode) and is_own(seen) and not others_may_write(seen)
    return path if mine else None
