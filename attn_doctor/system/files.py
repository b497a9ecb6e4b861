"""Read the heads of files, and read and change hard links, owners, modes and open descriptors of files."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from typing import BinaryIO

_OWN_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self|\d+))/fd/(\d+)")
MOST = 1 << 20  # bytes that are read of a file of settings, metadata or source code
_MOST_LINKS = 40  # Linux, too, follows at most 40 symbolic links in one path


class Exhausted(RuntimeError):
    """Report that no more files can be opened.

    This is no OSError. Otherwise callers would believe that the file is missing or damaged.
    """


def raise_if_exhausted(error: Exception) -> None:
    """Raise Exhausted if an error means that this process, or the machine, cannot open more files."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise Exhausted(error.strerror) from error


def head(path: str | os.PathLike[str], most: int = MOST) -> bytes:
    """Return the first `most` bytes of a regular file. Raises OSError for anything else, and Exhausted as `opened` does."""
    with opened(path) as file:
        return file.read(most)


def opened(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading. Raises OSError for anything else: a pipe may have no writer, a device no end.

    Raises Exhausted if no more files can be opened.
    """
    # O_NONBLOCK: opening a pipe would wait for a writer. Windows lacks it, and has no pipes among its files.
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise_if_exhausted(error)
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise OSError unless a path leads to a regular file, links followed. For code that opens the file by itself, as zipfile does."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def text(path: str | os.PathLike[str], most: int = MOST) -> str:
    """Return the first `most` bytes of a regular file as text. Raises OSError as `head` does."""
    return head(path, most).decode("utf-8", "replace")


def link(existing: str, new: str) -> None:
    """Give a file a second name by a hard link.

    Raises OSError if that is not possible: between two file systems, on a file system without hard links (FAT), for a file of another
    user (Linux with fs.protected_hardlinks). Windows: works on NTFS.
    """
    os.link(existing, new)


def give_owner(path: str, like: os.stat_result) -> None:
    """Give a file the owner and the group of another file. Raises OSError on a read-only file system.

    Linux and macOS: only if this process is root; a process of any other user owns the files that it makes. Windows: nothing is
    changed; a new file gets its owner from its folder.
    """
    if sys.platform != "win32" and os.geteuid() == 0:
        os.chown(path, like.st_uid, like.st_gid)


def give_owner_if_allowed(path: str, like: os.stat_result) -> None:
    """Give a file the group and the owner of another file, as far as this process is allowed to. Never raises OSError.

    Linux and macOS: a user may give a file to any of their own groups. Windows: nothing is changed.
    """
    if sys.platform != "win32":
        for owner, group in ((-1, like.st_gid), (like.st_uid, -1)):
            with contextlib.suppress(OSError):
                os.chown(path, owner, group)


def is_own(status: os.stat_result) -> bool:
    """Return whether a file belongs to the user of this process. Windows: always True, because its files have no owner number."""
    return sys.platform == "win32" or status.st_uid == os.getuid()


def others_may_write(status: os.stat_result) -> bool:
    """Return whether the mode lets other users write to a file. Windows: always False, because it has no such bits."""
    return sys.platform != "win32" and bool(status.st_mode & 0o022)


def anyone_may_write(status: os.stat_result) -> bool:
    """Return whether the mode lets every user write to a file, and not its group alone. Windows: always False, because it has no such bits."""
    return sys.platform != "win32" and bool(status.st_mode & 0o002)


def default_mode() -> int:
    """Return the mode of a new file of this process: 0o644 under the umask 022.

    The umask can only be read by changing it for a moment. Windows has a umask too, with "read-only" as its only bit.
    """
    current = os.umask(0)
    os.umask(current)
    return 0o666 & ~current


def forbids_programs(folder: str | os.PathLike[str]) -> bool | None:
    """Return whether a folder's file system forbids running programs (mount option noexec).

    Raises OSError if the folder does not exist.

    Linux: by statvfs(3). macOS and Windows: always None, which means unknown.
    """
    if sys.platform != "linux":
        return None
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def open_to_overwrite(path: str) -> int:
    """Open a path for writing and return the descriptor; a regular file is emptied.

    Raises OSError if that is not possible.

    Linux and macOS: a terminal does not become the terminal of this process (O_NOCTTY). Windows has no such terminals.
    """
    flags = os.O_WRONLY | os.O_TRUNC
    if sys.platform != "win32":
        flags |= os.O_NOCTTY
    return os.open(path, flags)


def own_descriptor(path: str) -> int | None:
    """Return the open descriptor that a path such as /dev/fd/3, /proc/self/fd/1 or /dev/stdout names, links followed; None for any other path.

    Such a path must not be opened again: that would empty its file, and fails for a socket. Windows: always None, because it has no
    such paths.
    """
    if sys.platform == "win32":
        return None
    for _ in range(_MOST_LINKS):
        place = absolute(path)
        match = _OWN_DESCRIPTOR.fullmatch(place)
        owner = re.match(r"/proc/(\d+)/", place)
        if match and (owner is None or int(owner[1]) == os.getpid()):
            return int(match[1])
        try:
            path = os.path.join(os.path.dirname(place), os.readlink(path))
        except (OSError, ValueError):
            return None
    return None


def absolute(path: str) -> str:
    """Return the absolute path, links not followed; the path unchanged if the current folder was deleted."""
    try:
        return os.path.abspath(path)
    except OSError:
        return path
