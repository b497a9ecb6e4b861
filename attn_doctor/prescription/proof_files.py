"""Find and remove the stored results of the checks of `proof`. Standard library only, Python 3.8: no torch is needed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from attn_doctor.system.cache_folder import cache_folder
from attn_doctor.system.own_folder import own_folder

if TYPE_CHECKING:
    from pathlib import Path

MOST_FILES = 32  # settings (threads, variables, torch) of which results are kept


def place() -> Path:
    """Return the path of the folder of the results, whether it exists or not."""
    return cache_folder() / "proofs"


def folder(*, make: bool = False) -> Path | None:
    """Return the folder of the results if only this user can write to it, else None. `make`: create it first.

    Raises OSError if it cannot be read or created.
    """
    return own_folder(place(), make=make)


def stored() -> list[Path]:
    """Return the paths of the stored results; empty if there are none, or if others can write to their folder."""
    mine = folder()
    return sorted(mine.glob("*.json")) if mine is not None else []


def forget() -> int:
    """Remove all results, and return the number of files removed. Raises OSError if one cannot be removed."""
    mine = folder()
    files = [] if mine is None else [*mine.glob("*.json"), *mine.glob("*.new")]
    for file in files:
        file.unlink()
    if mine is not None:
        with contextlib.suppress(OSError):
            mine.rmdir()
    return len(files)
