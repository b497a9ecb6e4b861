"""Read the parts of a Mach-O file (.dylib, .so of macOS) that its loader dyld uses, by mapping the file and reading few pages.

Every damaged file raises DamagedFile: no other exception, no endless loop, no read outside the file. Layout: <mach-o/loader.h>,
<mach-o/fat.h> and <mach-o/nlist.h>, https://github.com/apple-oss-distributions/xnu/tree/main/EXTERNAL_HEADERS/mach-o.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from attn_doctor.probes.binaries import code_signature
from attn_doctor.probes.binaries.exports_trie import Exported, ExportsTrie
from attn_doctor.probes.binaries.macho_bindings import (
    FLAT,
    PROGRAM,
    SHARED,
    Undefined,
    from_imports,
    from_instructions,
)
from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile, Mapped

MACHINES = {7: "i386", 12: "arm", 18: "ppc", 0x01000007: "x86_64", 0x0100000C: "arm64", 0x0200000C: "arm64_32"}
MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")

_OTHERS = {b"\x7fELF": "Linux", b"MZ": "Windows"}
_FAT, _FAT_64, _THIN, _THIN_32 = 0xCAFEBABE, 0xCAFEBABF, 0xFEEDFACF, 0xFEEDFACE
_HEADER = struct.Struct("<IiiIIIII")
_COMMAND = struct.Struct("<II")
_SEGMENT = struct.Struct("<16sQQQQ")  # name, address, size in memory, offset, size in the file
_DYLIB = struct.Struct("<IIII")  # place of the name, time, current version, compatible version
_SYMBOLS = struct.Struct("<IIII")  # offset and count of the symbols, offset and size of their names
_DYNAMIC_SYMBOLS = struct.Struct("<IIIIII")  # first and count of local, external and undefined symbols
_SYMBOL = struct.Struct("<IBBHQ")
_PLACE = struct.Struct("<II")
_LONG, _BIG_LONG = struct.Struct("<I"), struct.Struct(">I")
_ARCH, _ARCH_64 = struct.Struct(">iiIII"), struct.Struct(">iiQQII")

_SEGMENT_64, _SYMTAB, _DYSYMTAB, _ID, _RPATH, _SIGNATURE = 0x19, 0x2, 0xB, 0xD, 0x8000001C, 0x1D
_LOAD, _WEAK, _REEXPORT, _LAZY, _UPWARD = 0xC, 0x80000018, 0x8000001F, 0x20, 0x80000023
_INFO, _INFO_ONLY, _TRIE, _CHAINED, _BUILD, _OLD_BUILD = 0x22, 0x80000022, 0x80000033, 0x80000034, 0x32, 0x24
# In LC_DYLD_INFO. The two bindings: of what is bound at once, and of what is bound at its first call.
_BINDINGS_AT, _EXPORTS_AT, _INFO_SIZE = (16, 32), 40, 48
DylibKind = Literal["needed", "weak", "reexported", "lazy"]
_LOADS: dict[int, DylibKind] = {
    _LOAD: "needed",
    _WEAK: "weak",
    _REEXPORT: "reexported",
    _LAZY: "lazy",
    _UPWARD: "needed",
}
_MACOS = (1, 6)  # platforms of LC_BUILD_VERSION: macOS, and iOS programs on macOS
# The mark of a dylib_use_command (macOS 15), whose third number holds flags.
_USE_MARK, _USE_WEAK, _USE_REEXPORT = 0x1A741800, 1, 2
_TWO_LEVEL = 0x80

_STAB, _PRIVATE, _KIND, _EXTERNAL, _UNDEFINED = 0xE0, 0x10, 0x0E, 0x01, 0
_WEAK_REFERENCE, _TO_WEAK = 0x40, 0x80
_ANY, _OF_PROGRAM = 0xFE, 0xFF  # in place of the number of a library

_MOST_SLICES, _MOST_COMMANDS, _MOST_SYMBOLS, _LONGEST_NAME = 64, 1 << 16, 1 << 24, 1 << 16
_MOST_NAMES = 1 << 27  # bytes of all names of the symbol table that are read; they may overlap


class Dylib(NamedTuple):
    """Describe a library that a file names.

    `kind`: "needed", "weak" (it is no error if it is missing), "reexported" or "lazy" (loaded at the first call).
    """

    name: str
    kind: DylibKind


class MachO:
    """Describe the code for one architecture: a whole file, or one slice of a universal file.

    All but the load commands is read when asked for.
    """

    def __init__(self, file: Mapped, start: int = 0, size: int | None = None) -> None:
        """Read the load commands.

        Raises DamagedFile if this is no Mach-O file or is cut short, ForeignFile if it is a 32-bit file.
        """
        self.file = file
        self._start, self._size = start, file.size - start if size is None else size
        self._taken = 0
        if self._size < 0 or start + self._size > file.size:
            raise DamagedFile("refers to bytes after its end")
        magic = file.unpack(_LONG, start)[0]
        if magic == _THIN_32:
            raise ForeignFile("is a 32-bit file, which is not read here")
        if magic != _THIN:
            raise DamagedFile("is no file of macOS")
        _, code, subtype, self.filetype, count, length, self._flags, _ = file.unpack(_HEADER, start)
        self.machine = _machine(code, subtype)
        if count > _MOST_COMMANDS or _HEADER.size + length > self._size:
            raise DamagedFile("has load commands after its end")
        self._commands = list(self._read_commands(count, length))
        end = max((offset + held for _, _, _, offset, held in self._segments()), default=0)
        if end > self._size:
            raise DamagedFile(f"is cut short: {self._size} of at least {end} bytes are here")

    @cached_property
    def dylibs(self) -> tuple[Dylib, ...]:
        """Return the libraries that the file names, in their order: symbols refer to them by number."""
        return tuple(self._dylib(kind, place, size) for kind, place, size in self._commands if kind in _LOADS)

    @cached_property
    def install_name(self) -> str | None:
        """Return the name that programs linked with this library look for: "@rpath/libc10.dylib"; None if it is no library."""
        for kind, place, size in self._commands:
            if kind == _ID:
                return self._dylib(kind, place, size).name
        return None

    @cached_property
    def rpaths(self) -> tuple[str, ...]:
        return tuple(self._text(place, size, 8) for kind, place, size in self._commands if kind == _RPATH)

    @cached_property
    def oldest_macos(self) -> str | None:
        """Return the oldest macOS for which the file was built, "11.0"; None if the file does not name it."""
        for kind, place, size in self._commands:
            if kind == _BUILD and size >= 16:
                platform, oldest = self.file.unpack(_PLACE, place + 8)
                if platform in _MACOS:
                    return _version(oldest)
            elif kind == _OLD_BUILD and size >= 12:
                return _version(self.file.unpack(_LONG, place + 8)[0])
        return None

    @cached_property
    def signature(self) -> code_signature.Signature:
        """Return the kind of the code signature. Raises DamagedFile if a load command names one that is not there."""
        for kind, place, size in self._commands:
            if kind == _SIGNATURE and size >= _COMMAND.size + _PLACE.size:
                start, length = self.file.unpack(_PLACE, place + _COMMAND.size)
                if start + length > self._size:
                    raise DamagedFile("refers to bytes after its end")
                return code_signature.of_macos(self.file, self._start + start)
        return "none"

    @property
    def two_level(self) -> bool:
        """Return whether the file names the library of each undefined name.

        If False, any library of the process can define the name.
        """
        return bool(self._flags & _TWO_LEVEL)

    @cached_property
    def undefined(self) -> tuple[Undefined, ...]:
        """Return the names that the file uses and does not define."""
        found: list[Undefined] = []
        known = False
        for kind, place, size in self._commands:
            if kind in (_INFO, _INFO_ONLY) and size >= _INFO_SIZE:
                known = True
                for at in _BINDINGS_AT:
                    found += from_instructions(self._piece(*self.file.unpack(_PLACE, place + at)))
            elif kind == _CHAINED and size >= _COMMAND.size + _PLACE.size:
                known = True
                found += from_imports(self._piece(*self.file.unpack(_PLACE, place + _COMMAND.size)))
        return tuple(dict.fromkeys(found if known else self._listed))

    @property
    def _listed(self) -> Iterator[Undefined]:
        """Yield the undefined names in the symbol table: for files from before macOS 10.6."""
        first, count = 0, self._symbols[1]
        for kind, place, size in self._commands:
            if kind == _DYSYMTAB and size >= _COMMAND.size + _DYNAMIC_SYMBOLS.size:
                first, count = self.file.unpack(_DYNAMIC_SYMBOLS, place + _COMMAND.size)[4:]
        if first + count > self._symbols[1]:
            raise DamagedFile("has undefined symbols after its symbol table")
        for name, kind, description, value in self._rows(first, count):
            if kind & _STAB or kind & _KIND != _UNDEFINED or not kind & _EXTERNAL or value:
                continue
            said = description >> 8 if self.two_level else _ANY
            library = SHARED if description & _TO_WEAK else {_ANY: FLAT, _OF_PROGRAM: PROGRAM}.get(said, said)
            yield Undefined(self._name(name), library, bool(description & _WEAK_REFERENCE))

    def exported(self, name: str) -> Exported | None:
        """Return the entry of an exported name, which begins with an underscore: "_PyInit__C"; None if the file does not export it."""
        if self._trie is not None:
            return self._trie.find(name.encode())
        return Exported() if name in self._defined else None

    def exports(self) -> Iterator[str]:
        """Yield all names that the file exports. Slow: use `exported` for single names."""
        if self._trie is not None:
            yield from (name.decode("utf-8", "replace") for name in self._trie.names())
        else:
            yield from self._defined

    @cached_property
    def _trie(self) -> ExportsTrie | None:
        for kind, place, size in self._commands:
            at = _EXPORTS_AT if kind in (_INFO, _INFO_ONLY) else 8 if kind == _TRIE else None
            if at is not None and size >= at + _PLACE.size:
                start, length = self.file.unpack(_PLACE, place + at)
                if length:
                    return ExportsTrie(self._piece(start, length))
        return None

    @cached_property
    def _defined(self) -> frozenset[str]:
        """Return the exported names of the symbol table: for files from before macOS 10.6, which have no tree of exports."""
        found = self._rows(0, self._symbols[1])
        plain = (
            name for name, kind, _, _ in found if kind & (_STAB | _PRIVATE | _EXTERNAL) == _EXTERNAL and kind & _KIND
        )
        return frozenset(self._name(name) for name in plain)

    @cached_property
    def _symbols(self) -> tuple[int, int, int, int]:
        for kind, place, size in self._commands:
            if kind == _SYMTAB and size >= _COMMAND.size + _SYMBOLS.size:
                at, count, names, length = self.file.unpack(_SYMBOLS, place + _COMMAND.size)
                if count > _MOST_SYMBOLS or max(at + count * _SYMBOL.size, names + length) > self._size:
                    raise DamagedFile("has a symbol table after its end")
                return at, count, names, length
        return 0, 0, 0, 0

    def _rows(self, first: int, count: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield four numbers for each of `count` symbols from `first` on: offset of the name, kind, description, value."""
        data = self._piece(self._symbols[0] + first * _SYMBOL.size, count * _SYMBOL.size)
        for name, kind, _, description, value in _SYMBOL.iter_unpack(data):
            yield name, kind, description, value

    def _name(self, place: int) -> str:
        _, _, start, length = self._symbols
        begin = self._start + start + place
        end = self.file.find(b"\0", begin, min(begin + _LONGEST_NAME, self._start + start + length))
        if place >= length or end < 0:
            raise DamagedFile("has a name outside its string table")
        self._taken += end - begin
        if self._taken > _MOST_NAMES:
            raise DamagedFile("has names that are too long")
        return self.file.take(begin, end - begin).decode("utf-8", "replace")

    def _piece(self, start: int, size: int) -> bytes:
        if start + size > self._size:
            raise DamagedFile("refers to bytes after its end")
        return self.file.take(self._start + start, size)

    def _read_commands(self, count: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Yield kind, offset and size of each load command."""
        place = self._start + _HEADER.size
        end = place + length
        for _ in range(count):
            if place + _COMMAND.size > end:
                raise DamagedFile("has load commands after their end")
            kind, size = self.file.unpack(_COMMAND, place)
            if size < _COMMAND.size or place + size > end:
                raise DamagedFile("has a load command of a wrong size")
            yield kind, place, size
            place += size

    def _segments(self) -> Iterator[tuple[bytes, int, int, int, int]]:
        for kind, place, size in self._commands:
            if kind == _SEGMENT_64 and size >= _COMMAND.size + _SEGMENT.size:
                name, address, held, offset, length = self.file.unpack(_SEGMENT, place + _COMMAND.size)
                yield name, address, held, offset, length

    def _dylib(self, kind: int, place: int, size: int) -> Dylib:
        if size < _COMMAND.size + _DYLIB.size:
            raise DamagedFile("has a load command of a wrong size")
        _, time, _, _ = self.file.unpack(_DYLIB, place + _COMMAND.size)
        how = _LOADS.get(kind, "needed")
        if kind == _LOAD and time == _USE_MARK and size >= 28:
            flags = self.file.unpack(_LONG, place + 24)[0]
            how = "weak" if flags & _USE_WEAK else "reexported" if flags & _USE_REEXPORT else how
        return Dylib(self._text(place, size, _COMMAND.size), how)

    def _text(self, place: int, size: int, at: int) -> str:
        """Return the text of a load command at `place`.

        `at`: the offset in the command of the number that says where its text begins.
        """
        if size < at + _LONG.size:
            raise DamagedFile("has a load command of a wrong size")
        begin = self.file.unpack(_LONG, place + at)[0]
        if begin >= size:
            raise DamagedFile("has a name outside its load command")
        return self.file.take(place + begin, size - begin).split(b"\0")[0].decode("utf-8", "replace")


class MachFile:
    """Describe a file with the code for one architecture or for several (a universal file)."""

    def __init__(self, file: Mapped) -> None:
        """Read the table of architectures. Raises DamagedFile if this is no Mach-O file."""
        self.slices: dict[str, MachO] = {}
        other = next((name for start, name in _OTHERS.items() if file.says(0, start)), None)
        if other is not None:
            raise ForeignFile(f"is a file of {other}, not of macOS")
        magic = file.unpack(_BIG_LONG, 0)[0]
        if magic not in (_FAT, _FAT_64):
            whole = MachO(file)
            self.slices[whole.machine] = whole
            return
        shape = _ARCH_64 if magic == _FAT_64 else _ARCH
        count = file.unpack(_BIG_LONG, 4)[0]
        if not 0 < count <= _MOST_SLICES:  # a class file of Java begins with the same four bytes
            raise DamagedFile("is no file of macOS")
        for number in range(count):
            code, subtype, offset, size, *_ = file.unpack(shape, 8 + number * shape.size)
            try:
                self.slices[_machine(code, subtype)] = MachO(file, offset, size)
            except ForeignFile:  # 32-bit code beside 64-bit code
                continue
        if not self.slices:
            raise ForeignFile("holds 32-bit code only, which is not read here")

    @classmethod
    def open(cls, path: Path) -> MachFile:
        """Map a file. Raises OSError if it cannot be opened, DamagedFile if it is damaged."""
        return cls(Mapped.open(path))


def _machine(code: int, subtype: int) -> str:
    name = MACHINES.get(code, f"machine {code & 0xFFFFFFFF:#x}")
    # arm64e is a second ABI of the same processor, for programs of Apple; x86_64h is x86_64 of newer processors.
    return {("arm64", 2): "arm64e", ("x86_64", 8): "x86_64h"}.get((name, subtype & 0xFFFFFF), name)


def _version(packed: int) -> str:
    """Return the version that four bytes hold: "11.0" or "10.15.4"."""
    parts = [packed >> 16, packed >> 8 & 0xFF, packed & 0xFF]
    return ".".join(map(str, parts if parts[2] else parts[:2]))
