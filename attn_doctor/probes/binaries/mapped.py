"""Read bytes of a file within bounds: a read outside the file raises DamagedFile."""

from __future__ import annotations

import mmap
import stat
import struct
from pathlib import Path
from typing import Any

from attn_doctor.system import files


class DamagedFile(ValueError):
    """Report that a file is damaged. The text is the end of a sentence that begins with the file's name: "is empty"."""


class ForeignFile(DamagedFile):
    """Report that a file is for another system or machine. It is not damaged there."""


class Mapped:
    """Hold the bytes of a whole file, mapped or in memory."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data
        self.size = len(data)

    @classmethod
    def open(cls, path: Path) -> Mapped:
        """Map a file. Raises OSError if it cannot be opened, DamagedFile if it is empty or no plain file."""
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block until another process writes
            raise DamagedFile("is no plain file")
        try:
            with path.open("rb") as file:
                return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))  # opens it once more
        except ValueError:  # mmap cannot map an empty file
            raise DamagedFile("is empty") from None
        except OSError as error:
            files.raise_if_exhausted(error)
            raise

    def take(self, offset: int, size: int) -> bytes:
        if offset + size > self.size:
            raise DamagedFile("refers to bytes after its end")
        return self._data[offset : offset + size]

    def unpack(self, shape: struct.Struct, offset: int) -> tuple[Any, ...]:
        if offset + shape.size > self.size:
            raise DamagedFile("refers to bytes after its end")
        return shape.unpack_from(self._data, offset)

    def find(self, needle: bytes, start: int, end: int) -> int:
        """Return the offset of `needle` between two offsets, or -1."""
        return self._data.find(needle, min(start, self.size), min(end, self.size))

    def says(self, offset: int, text: bytes) -> bool:
        """Return whether the file has these bytes at the offset; False if it ends before."""
        return offset <= self.size and self._data[offset : offset + len(text)] == text
