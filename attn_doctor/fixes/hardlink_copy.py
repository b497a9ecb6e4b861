"""Copies a tree without copying its bytes: hard links, and real copies of what an installer may change in place.

Used for what is set aside before a plan is applied, and for the throw-away environment in which one is verified.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from attn_doctor.model.facts import Record

_RESERVE = 512 << 20  # bytes to leave free where files have to be copied after all

# What installers write again in place. Everything else they replace: pip and uv unlink a file, or rename a new one over it, and
# Python does the same with its bytecode (importlib's _write_atomic), so that a hard link keeps the old one.
_IN_PLACE_SUFFIXES = (".pth", ".egg-link", ".cfg", ".toml", ".lock")
_IN_PLACE_FOLDERS = (".dist-info", ".egg-info", "conda-meta")
_SCRIPT_BYTES = 1 << 16


class NoRoom(OSError):
    """The files would have to be copied, and there is no room. The text is one sentence for the user."""


class Kept(Record, frozen=True, kw_only=True):
    """What copying a tree came to."""

    files: int = 0
    copied_bytes: int = 0
    unlinkable: int = 0  # files that had to be copied because they could not be linked


def copy_tree(source: Path, copy: Path, skip: tuple[str, ...] = ()) -> Kept:
    """A copy of a folder, file or link at `copy`, whose parent is there. Top-level names in `skip` are left out.

    Modes, times and owners are kept, links stay links. Raises NoRoom, and OSError for what cannot be read.
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
                os.link(source, copy)
            except OSError:
                self.unlinkable += 1  # another file system, none with hard links, a file of somebody else's
            else:
                return
        if self.copied + status.st_size > self.free - _RESERVE:
            raise NoRoom(f"{source} and others would have to be copied, and there is no room for them")
        shutil.copyfile(source, copy)
        _as(status, source, copy)
        self.copied += status.st_size


def _as(status: os.stat_result, source: str, copy: str) -> None:
    """Owner, mode, extended attributes, times: in this order, as a change of owner takes some modes away."""
    if os.geteuid() == 0:
        os.chown(copy, status.st_uid, status.st_gid)
    with contextlib.suppress(PermissionError):
        shutil.copystat(source, copy)


def _is_script(path: str, status: os.stat_result) -> bool:
    """A small executable text, as there are in bin/."""
    if not status.st_mode & stat.S_IXUSR or status.st_size > _SCRIPT_BYTES:
        return False
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(2) == b"#!"
