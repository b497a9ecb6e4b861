"""Read the names that dyld binds for a Mach-O file, from small instructions (BIND_OPCODE), or since macOS 12 from a table of imports.

A symbol table can list further names, to which no code refers; dyld does not search for those. Layout: `BIND_OPCODE_` in
<mach-o/loader.h> and <mach-o/fixup-chains.h>, https://github.com/apple-oss-distributions/dyld/tree/main/include/mach-o.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from attn_doctor.probes.binaries.mapped import DamagedFile

SELF, PROGRAM, FLAT, SHARED = 0, -1, -2, -3  # in place of the number of a library

_HEADER = struct.Struct("<7I")  # version, starts, imports, names, count of imports, their format, format of the names
_IMPORTS = {1: struct.Struct("<I"), 2: struct.Struct("<Ii"), 3: struct.Struct("<QQ")}
_MOST_IMPORTS, _LONGEST_NAME, _LONGEST_NUMBER = 1 << 22, 1 << 16, 10
_MOST_BYTES = 1 << 26  # of a table, and of all names together, which may overlap; torch's largest table has 2 MB

_DONE, _LIBRARY, _LIBRARY_LONG, _LIBRARY_SPECIAL, _NAME = 0x00, 0x10, 0x20, 0x30, 0x40
_ADDEND, _PLACE, _FORWARD, _BIND, _BIND_FORWARD, _BIND_MANY = 0x60, 0x70, 0x80, 0x90, 0xA0, 0xC0
_THREADED = 0xD0  # 0: the size of a table follows; 1: apply
_BINDS = (_BIND, _BIND_FORWARD, 0xB0, _BIND_MANY)
_NUMBERS_AFTER = {_ADDEND: 1, _PLACE: 1, _FORWARD: 1, _BIND_FORWARD: 1, _BIND_MANY: 2}


class Undefined(NamedTuple):
    """Describe a name that a file uses and does not define. `weak`: it is no error if the name is missing.

    `library` says where dyld looks for it: a number from 1 on is a library of the file; SELF is the file itself; PROGRAM is the
    program; FLAT is any library of the process; SHARED is any library too, for inline C++ that several libraries define.
    """

    name: str
    library: int
    weak: bool


def from_instructions(data: bytes) -> Iterator[Undefined]:
    """Yield the names that the instructions bind. Raises DamagedFile if an instruction is damaged or unknown."""
    if len(data) > _MOST_BYTES:
        raise DamagedFile("has a table of bindings that is too large")
    name, library, weak = "", 0, False
    last = None
    at = 0
    while at < len(data):
        code, low = data[at] & 0xF0, data[at] & 0x0F
        at += 1
        if code == _LIBRARY:
            library = low
        elif code == _LIBRARY_LONG:
            library, at = number(data, at)
        elif code == _LIBRARY_SPECIAL:
            library = low - 0x10 if low else SELF
        elif code == _NAME:
            name, at = text(data, at)
            weak = bool(low & 1)
        elif code in _BINDS and last != (name, library, weak):  # a name is often bound at thousands of places
            last = Undefined(name, library, weak)
            yield last
        for _ in range(1 if code == _THREADED and low == 0 else _NUMBERS_AFTER.get(code, 0)):
            _, at = number(data, at)


def from_imports(data: bytes) -> Iterator[Undefined]:
    """Yield the names in a table of imports. Raises DamagedFile if the table is damaged."""
    if len(data) < _HEADER.size:
        raise DamagedFile("has a table of imports that is cut short")
    _, _, imports, names, count, kind, compressed = _HEADER.unpack_from(data)
    shape = _IMPORTS.get(kind)
    if shape is None or compressed or count > _MOST_IMPORTS or imports + count * shape.size > len(data):
        raise DamagedFile("has a table of imports that cannot be read")
    wide = shape.size == _IMPORTS[3].size
    room = _MOST_BYTES
    for index in range(count):
        packed = shape.unpack_from(data, imports + index * shape.size)[0]
        low, weak, place = (
            (packed & 0xFFFF, packed >> 16 & 1, packed >> 32) if wide else (packed & 0xFF, packed >> 8 & 1, packed >> 9)
        )
        # The highest fifteen numbers are negative: 0xFE is FLAT.
        library = low - (0x10000 if wide else 0x100) if low > (0xFFF0 if wide else 0xF0) else low
        name, end = text(data, names + place)
        room -= end - names - place
        if room < 0:
            raise DamagedFile("has names that are too long")
        yield Undefined(name, library, bool(weak))


def number(data: bytes, at: int) -> tuple[int, int]:
    """Return the ULEB128 number that begins at an offset, and the offset after it.

    Raises DamagedFile if the data ends inside it.
    """
    value = 0
    for position in range(_LONGEST_NUMBER):
        if at + position >= len(data):
            break
        byte = data[at + position]
        value |= (byte & 0x7F) << (7 * position)
        if not byte & 0x80:
            return value, at + position + 1
    raise DamagedFile("has a number without an end")


def text(data: bytes, at: int) -> tuple[str, int]:
    """Return the name that begins at an offset, and the offset after it. Raises DamagedFile if the data ends inside it."""
    end = data.find(b"\0", at, at + _LONGEST_NAME)
    if end < 0:
        raise DamagedFile("has a name without an end")
    return data[at:end].decode("utf-8", "replace"), end + 1
