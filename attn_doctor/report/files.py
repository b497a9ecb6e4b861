"""Output files: checked before the work starts, written whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


class Unwritable(ValueError):
    """An output path that cannot be written. The text is one sentence for the user."""


def check(path: str | None) -> None:
    """Raises Unwritable now rather than after a minute of work. "-" is standard output."""
    if path is None or path == "-":
        return
    target = Path(path)
    folder = target.parent
    if target.is_dir():
        raise Unwritable(f"{path} is a folder: name a file")
    if not folder.is_dir():
        raise Unwritable(f"{path} cannot be written: the folder {folder} does not exist")
    if target.exists() and not os.access(target, os.W_OK):
        raise Unwritable(f"{path} cannot be written: permission denied")
    try:
        descriptor, name = tempfile.mkstemp(prefix=".attn-doctor-", dir=folder)
    except OSError as error:
        raise Unwritable(f"{path} cannot be written: {error.strerror}") from error
    os.close(descriptor)
    Path(name).unlink()


def write(path: str, data: bytes) -> None:
    """Write to a temporary file beside the target and rename it over. Raises Unwritable."""
    if path == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    target = Path(path)
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".attn-doctor-", dir=target.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise Unwritable(f"{path} could not be written: {error.strerror}") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
