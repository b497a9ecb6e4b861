"""Read the parts of a PE file (.dll, .pyd, .exe) that the loader of Windows uses, by mapping the file and reading few pages.

Every damaged file raises DamagedFile: no other exception, no endless loop, no read outside the file.
Layout: https://learn.microsoft.com/windows/win32/debug/pe-format.
"""

from __future__ import annotations

import struct
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from attn_doctor.probes.binaries.code_signature import Signature
from attn_doctor.probes.binaries.elf import Section
from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile, Mapped

MACHINES = {0x14C: "x86", 0x8664: "x86-64", 0xAA64: "arm64"}

_COFF = struct.Struct("<HHIIIHH")  # the header after the signature "PE\0\0"
_SECTION = struct.Struct("<8sIIIIIIHHI")
_DIRECTORY = struct.Struct("<II")  # address, size
_IMPORT = struct.Struct("<IIIII")
_DELAYED = struct.Struct("<IIIIIIII")
_EXPORT = struct.Struct("<IIHHIIIIIII")
_WORD, _LONG, _QUAD = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")

_PE32_PLUS = 0x20B
_DIRECTORIES_AT = 112  # in the optional header of a 64-bit file
_EXPORTS, _IMPORTS, _CERTIFICATES, _DELAYED_IMPORTS = 0, 1, 4, 13  # numbers of directories
_BY_ADDRESS = 1  # the fields of a delayed import are addresses within the image; files from before 2002 have 0 here
_BY_NUMBER = 1 << 63
_MOST_LIBRARIES, _MOST_NAMES, _LONGEST_NAME = 4096, 1 << 20, 1 << 14


class Import(NamedTuple):
    """Describe a library that a file names, and the functions that the file imports from it: by name, or "#17" by number."""

    library: str
    names: tuple[str, ...]


class Pe:
    """Describe one 64-bit PE file. Everything but its section table is read on demand."""

    def __init__(self, file: Mapped) -> None:
        """Read the headers. Raises DamagedFile if this is not a PE file, or if it is cut short; ForeignFile for a 32-bit file."""
        self.file = file
        if not file.says(0, b"MZ"):
            raise DamagedFile("is no file of Windows")
        start = file.unpack(_LONG, 0x3C)[0]
        if not file.says(start, b"PE\0\0"):
            raise DamagedFile("is no file of Windows")
        code, count, _, _, _, optional, _ = file.unpack(_COFF, start + 4)
        self.machine = MACHINES.get(code, f"machine {code:#x}")
        self._optional = start + 4 + _COFF.size
        if file.unpack(_WORD, self._optional)[0] != _PE32_PLUS:
            raise ForeignFile(f"is a 32-bit file ({self.machine}), which is not read here")
        rows = [file.unpack(_SECTION, self._optional + optional + number * _SECTION.size) for number in range(count)]
        # Name, size in memory, address, size in the file, offset.
        self._rows = [(row[0].rstrip(b"\0").decode("latin-1"), row[1], row[2], row[3], row[4]) for row in rows]
        end = max((offset + size for _, _, _, size, offset in self._rows), default=0)
        if end > file.size:
            raise DamagedFile(f"is cut short: {file.size} of at least {end} bytes are here")

    @classmethod
    def open(cls, path: Path) -> Pe:
        """Map a file. Raises OSError if it cannot be opened, DamagedFile if it is damaged."""
        return cls(Mapped.open(path))

    @cached_property
    def sections(self) -> dict[str, Section]:
        """Return the sections by name. A name has at most 8 characters: ".nv_fatb" is .nv_fatbin."""
        return {name: Section(0, offset, min(size, held)) for name, held, _, size, offset in self._rows}

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Return the libraries that Windows loads together with this file, in the order of the file."""
        found: list[Import] = []
        place = self._directory(_IMPORTS)
        for number in range(_MOST_LIBRARIES if place else 0):
            names_at, _, _, library, bound = self.file.unpack(_IMPORT, self._offset(place) + number * _IMPORT.size)
            if not library:
                return tuple(found)
            found.append(Import(self._text(library), self._functions(names_at or bound)))
        return tuple(found)

    @cached_property
    def delayed(self) -> tuple[Import, ...]:
        """Return the libraries that Windows loads only when one of their functions is called for the first time."""
        found: list[Import] = []
        place = self._directory(_DELAYED_IMPORTS)
        for number in range(_MOST_LIBRARIES if place else 0):
            row = self.file.unpack(_DELAYED, self._offset(place) + number * _DELAYED.size)
            attributes, library, names_at = row[0], row[1], row[4]
            if not library:
                break
            if attributes & _BY_ADDRESS:
                found.append(Import(self._text(library), self._functions(names_at)))
        return tuple(found)

    @cached_property
    def exports(self) -> dict[str, str | None]:
        """Return the exported functions, by name or by number ("#17").

        The value is None for a function of this file, else the function of another library to which the export is forwarded.
        """
        directory = self._directory(_EXPORTS)
        if not directory:
            return {}
        size = self._size(_EXPORTS)
        row = self.file.unpack(_EXPORT, self._offset(directory))
        first, functions, names, functions_at, names_at, numbers_at = row[5:]
        if max(functions, names) > _MOST_NAMES:
            raise DamagedFile(f"exports {max(functions, names)} functions, more than a file can hold")
        found: dict[str, str | None] = {}
        addresses = self._array(functions_at, functions, "I")
        targets = [self._text(at) if directory <= at < directory + size else None for at in addresses]
        found.update({f"#{first + i}": target for i, target in enumerate(targets) if addresses[i]})
        numbers = self._array(numbers_at, names, "H")
        for at, number in zip(self._array(names_at, names, "I"), numbers, strict=True):
            if number >= functions:
                raise DamagedFile("has a table of exports that refers to no function")
            found[self._text(at)] = targets[number]
        return found

    @property
    def signature(self) -> Signature:
        """Return "of a certificate" if the file has a signature of Authenticode, else "none". The signature is not checked.

        The files of Windows itself (System32) have their signatures in other files (catalogues): for them it is "none".
        """
        return "of a certificate" if self._directory(_CERTIFICATES) and self._size(_CERTIFICATES) else "none"

    def _functions(self, address: int) -> tuple[str, ...]:
        found: list[str] = []
        place = self._offset(address)
        while len(found) < _MOST_NAMES:
            value = self.file.unpack(_QUAD, place + len(found) * _QUAD.size)[0]
            if not value:
                break
            found.append(f"#{value & 0xFFFF}" if value & _BY_NUMBER else self._text((value & 0x7FFFFFFF) + _WORD.size))
        return tuple(found)

    def _array(self, address: int, count: int, kind: str) -> tuple[int, ...]:
        shape = struct.Struct(f"<{count}{kind}")
        return tuple(self.file.unpack(shape, self._offset(address))) if count else ()

    def _directory(self, number: int) -> int:
        """Return the address of one of the data directories, by its number; 0 if the file has none."""
        count = self.file.unpack(_LONG, self._optional + _DIRECTORIES_AT - 4)[0]
        return int(self.file.unpack(_DIRECTORY, self._at(number))[0]) if number < count else 0

    def _size(self, number: int) -> int:
        return int(self.file.unpack(_DIRECTORY, self._at(number))[1])

    def _at(self, number: int) -> int:
        return int(self._optional + _DIRECTORIES_AT + number * _DIRECTORY.size)

    def _offset(self, address: int) -> int:
        """Return the file offset of an address in the image."""
        for _, held, start, size, offset in self._rows:
            if start <= address < start + max(held, size) and address - start < size:
                return int(offset + address - start)
        raise DamagedFile(f"refers to the address {address:#x}, which none of its sections holds")

    def _text(self, address: int) -> str:
        start = self._offset(address)
        end = self.file.find(b"\0", start, start + _LONGEST_NAME)
        if end < 0:
            raise DamagedFile("has a name without an end")
        return self.file.take(start, end - start).decode("utf-8", "replace")
