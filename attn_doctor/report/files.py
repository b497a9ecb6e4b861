"""Check output files before the work starts, and write them so that nothing is lost.

A regular file with one name is written under a temporary name and then renamed: a reader never sees a part of it. Other outputs
(a device, a FIFO, a file with several names, an open descriptor such as /dev/fd/3) are opened and written directly. Links are
followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterable

from attn_doctor.errors import Refused
from attn_doctor.model import foreign_text
from attn_doctor.system import files, streams

# Errors of a rename after which the file itself may still be writable: its folder allows no new file, or the file is a mount.
_NOT_BY_RENAME = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV, errno.EROFS)


class Unwritable(Refused):
    """Report an output path that cannot be written. The text is one sentence for the user."""


def check_all(paths: Iterable[str | None]) -> None:
    """Check all outputs of a command. Raises Unwritable for one that cannot be written, and for one file named twice."""
    seen: dict[object, str] = {}
    for path in paths:
        if path is None:
            continue
        check(path)
        key = _identity(path)
        if key in seen and key == "stdout":
            raise Unwritable("only one output can go to standard output")
        if key in seen:
            also = "" if seen[key] == path else f" ({foreign_text.text(seen[key])} is the same file)"
            raise Unwritable(f"{foreign_text.text(path)} is named for two outputs{also}")
        seen[key] = path


def check(path: str | None) -> None:
    """Check that an output path ("-" is standard output) can be written, before any work is done.

    Raises Unwritable if it cannot.
    """
    if path is None:
        return
    if goes_to_stdout(path):
        if streams.was_closed("stdout"):
            raise Unwritable("standard output is closed: name a file")
        return
    found = _status(path)
    shown = foreign_text.text(path)
    if found is None:
        _check_folder(shown, os.path.dirname(_real(path)) or ".")
    elif stat.S_ISDIR(found.st_mode):
        raise Unwritable(f"{shown} is a folder: name a file")
    elif stat.S_ISBLK(found.st_mode):
        raise Unwritable(f"{shown} is a disk, and what is on it would be lost: name a file")
    elif files.own_descriptor(path) is None and not os.access(path, os.W_OK):
        raise Unwritable(f"{shown} cannot be written: {os.strerror(errno.EACCES)}")


def goes_to_stdout(path: str | None) -> bool:
    """Return whether an output goes to the same place as the text on the terminal."""
    return path is not None and (path == "-" or files.own_descriptor(path) == 1)


def write(path: str, data: bytes | str) -> None:
    """Write an output. Raises Unwritable if that fails. A reader that closes a pipe early, as `head` does, is no error."""
    content = data if isinstance(data, bytes) else foreign_text.text(data).encode()
    try:
        if goes_to_stdout(path):
            _to_stdout(content)
        elif (descriptor := files.own_descriptor(path)) is not None:
            _pour(os.dup(descriptor), content)
        elif _is_replaced(_status(path)):
            _replace(path, content)
        else:
            _overwrite(path, content)
    except BrokenPipeError:
        return
    except OSError as error:
        name = "standard output" if path == "-" else foreign_text.text(path)
        raise Unwritable(f"{name} could not be written: {error.strerror}") from error


def _to_stdout(content: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    error = streams.lost("stdout")
    if error is not None:
        raise error


def _is_replaced(found: os.stat_result | None) -> bool:
    return found is None or (stat.S_ISREG(found.st_mode) and found.st_nlink <= 1)


def _replace(path: str, content: bytes) -> None:
    """Write a temporary file beside the real one and rename it.

    Mode and owner stay the same if this process may set them.
    """
    real = _real(path)
    old = _status(real)
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".attn-doctor-", dir=os.path.dirname(real) or ".")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if old is not None:
            files.give_owner_if_allowed(temporary, old)
        os.chmod(temporary, stat.S_IMODE(old.st_mode) if old is not None else files.default_mode())
        os.replace(temporary, real)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if old is None or error.errno not in _NOT_BY_RENAME:
            raise
        _overwrite(real, content)


def _overwrite(path: str, content: bytes) -> None:
    """Write into the existing file. If the file is a FIFO, this call waits until another program reads from it."""
    _pour(files.open_to_overwrite(path), content)


def _pour(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        left = memoryview(content)
        while left:
            left = left[file.write(left) or 0 :]


def _status(path: str) -> os.stat_result | None:
    """Return the status of a path; None if it does not exist. Raises Unwritable if it cannot be read."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Unwritable(f"{foreign_text.text(path)[:200]} cannot be written: {why}") from error


def _check_folder(shown: str, folder: str) -> None:
    if not os.path.isdir(folder):
        raise Unwritable(f"{shown} cannot be written: the folder {foreign_text.text(folder)} does not exist")
    try:
        descriptor, name = tempfile.mkstemp(prefix=".attn-doctor-", dir=folder)
    except OSError as error:
        raise Unwritable(f"{shown} cannot be written: {error.strerror}") from error
    os.close(descriptor)
    os.unlink(name)


def _real(path: str) -> str:
    return os.path.realpath(path) if os.path.islink(path) else path


def _identity(path: str) -> object:
    """Return a value that is equal for two names of the same file, whether or not the file exists."""
    if goes_to_stdout(path):
        return "stdout"
    found = _status(path)
    if found is not None:
        return (found.st_dev, found.st_ino)
    real = os.path.realpath(path)
    folder = _status(os.path.dirname(real))
    return (folder.st_dev if folder else 0, folder.st_ino if folder else 0, os.path.basename(real))
