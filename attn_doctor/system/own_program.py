"""Find the words that start this attn-doctor in the shell from which it was started."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path, PurePath

from attn_doctor.system import platforms

_NAME = "attn-doctor"


def typed() -> tuple[str, ...]:
    """Return ("attn-doctor",) if the shell finds this attn-doctor by its name, else the words that were typed.

    Examples: ("v/bin/attn-doctor",) for the program of an environment that is not active, ("v/bin/python", "-m", "attn_doctor") for
    the module. A command that is printed with the bare name would not run in that shell, or would be another attn-doctor.
    """
    started, found = sys.argv[0], shutil.which(_NAME)
    if PurePath(started).stem == _NAME:
        by_name = PurePath(started).name == started or (found is not None and _same(started, found))
        return (_NAME,) if by_name else (started,)
    if PurePath(started).name == "__main__.py":
        by_name = found is not None and _same(str(Path(sys.executable).parent / _NAME), found)
        return (_NAME,) if by_name else (sys.orig_argv[0], "-m", "attn_doctor")
    return (_NAME,)


def _same(one: str, other: str) -> bool:
    """Return whether two paths are the same file. Windows adds ".exe" to a name that is typed without it."""
    paths = (Path(one), Path(f"{one}.exe")) if platforms.WINDOWS else (Path(one),)
    return any(path.exists() and path.samefile(other) for path in paths)
