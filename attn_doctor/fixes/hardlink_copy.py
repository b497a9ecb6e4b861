"""Copy a folder tree by hard links. Files that an installer may change in place are really copied.

Used for the backup before a plan is applied, and for the throw-away environment in which a plan is verified.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from attn_doctor.model.facts import Record
from attn_doctor.system import files

_RESERVE = 512 << 20  # if files have to be copied, so many bytes of the disk stay free

# Files that installers rewrite in place. Any other file is replaced: pip and uv unlink the file, or rename a new file over it, and
# Python does the same with its bytecode (importlib's _write_atomic). So a hard link keeps the old content.
_IN_PLACE_SUFFIXES = (".pth", ".egg-link", ".cfg", ".toml", ".lock")
_IN_PLACE_FOLDERS = (".dist-info", ".egg-info", "conda-meta")
_SCRIPT_BYTES = 1 << 16


class NoRoom(OSError):
    """Report that files would have to be copied, and the disk is too full. The text is one sentence for the user."""


class Kept(Record, frozen=True, kw_only=True):
    """Count the files and bytes of one copied tree."""

    files: int = 0
    copied_bytes: int = 0
    unlinkable: int = 0  # files that had to be copied because they could not be linked


def copy_tree(source: Path, copy: Path, skip: tuple[str, ...] = ()) -> Kept:
    """Copy a folder, file or link to `copy`, whose parent exists. Top-level names in `skip` are left out.

    Modes, times and owners are copied too; links stay links. Raises NoRoom, and OSError for a file that cannot be read.
    """
    keeper = _Keeper(shutil.disk_usage(copy.parent).free)
    keeper.take(str(source), str(copy), skip, in_place=False)
    return Kept(files=keeper.files, copied_bytes=keeper.copied, unlinkable=keeper.unlinkable)


class _Keeper:
    def __init__(self, free: int) -> None:
        self.free = free
        self.files = self.copied = self.unlinkable = 0

    def take(self, source: str, copy: str, skip: tuple[str, ...], *, in_place: bool) -> None:
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            Path(copy).symlink_to(os.readlink(source))  # noqa: PTH115
            self.files += 1
        elif stat.S_ISDIR(status.st_mode):
            os.mkdir(copy)  # noqa: PTH102 - plain texts throughout: a large environment has tens of thousands of files
            for name in os.listdir(source):  # noqa: PTH208
                if name not in skip:
                    inside = in_place or name.endswith(_IN_PLACE_FOLDERS)
                    self.take(f"{source}/{name}", f"{copy}/{name}", (), in_place=inside)
            _as(status, source, copy)
        elif stat.S_ISREG(status.st_mode):
            self._file(source, copy, status, in_place)
            self.files += 1

    def _file(self, source: str, copy: str, status: os.stat_result, in_place: bool) -> None:
        if not in_place and not source.endswith(_IN_PLACE_SUFFIXES) and not _is_script(source, status):
            try:
                files.link(source, copy)
            except OSError:
                self.unlinkable += 1  # on another file system, on one without hard links, or owned by another user
            else:
                return
        if self.copied + status.st_size > self.free - _RESERVE:
            raise NoRoom(f"{source} and others would have to be copied, and the disk has no space for them")
        shutil.copyfile(source, copy)
        _as(status, source, copy)
        self.copied += status.st_size


def _as(status: os.stat_result, source: str, copy: str) -> None:
    """Set owner, mode, extended attributes and times, in this order: a change of owner clears some mode bits."""
    files.give_owner(copy, status)
    with contextlib.suppress(PermissionError):
        shutil.copystat(source, copy)


def _is_script(path: str, status: os.stat_result) -> bool:
    """Return whether a file is a small executable text, as in bin/."""
    if not status.st_mode & stat.S_IXUSR or status.st_size > _SCRIPT_BYTES:
        return False
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(2) == b"#!"
