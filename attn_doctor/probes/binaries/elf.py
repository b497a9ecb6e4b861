"""Read the parts of an ELF file that the dynamic loader uses, by mapping the file and reading few pages.

Every damaged file raises DamagedFile: no other exception, no endless loop, no read outside the file.
Layout: System V gABI (https://www.sco.com/developers/gabi/latest/contents.html) and the GNU additions of <elf.h>.
"""

from __future__ import annotations

import struct
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile, Mapped

MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86-64", 183: "aarch64", 243: "riscv"}

_HEADER = struct.Struct("<HHIQQQIHHHHHH")  # the fields after e_ident
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_DYNAMIC = struct.Struct("<qQ")
_NEED = struct.Struct("<HHIII")
_NEED_VERSION = struct.Struct("<IHHII")
_DEFINITION = struct.Struct("<HHHHIII")
_DEFINITION_NAME = struct.Struct("<II")

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
_DT_FLAGS_1, _DF_1_NODEFLIB = 0x6FFFFFFB, 0x800
_DT_VERDEF, _DT_VERDEFNUM, _DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_VER_FLG_BASE, _VER_FLG_WEAK = 1, 2
_MOST_VERSIONS = 0x7FFF  # the largest number of versions: an index has 15 bits
_MOST_DYNAMIC = 1 << 20  # at most so many bytes of a dynamic section are read; real ones have about a thousand


class Identity(NamedTuple):
    """Hold what the first 20 bytes of an ELF file say. By them the loader skips a file of another machine without an error."""

    bits: int
    little: bool
    machine: str
    kind: int  # 2 a program, 3 a shared object

    def __str__(self) -> str:
        return f"{self.bits}-bit {self.machine}"


class Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    file_size: int


class Section(NamedTuple):
    kind: int
    offset: int
    size: int


class Need(NamedTuple):
    """Describe a version of symbols, "GLIBC_2.34", that a needed library must define."""

    number: int  # the number by which symbols refer to it
    library: str
    version: str
    weak: bool


class Elf:
    """Describe one 64-bit little-endian ELF file. All but its program headers is read on demand."""

    def __init__(self, file: Mapped) -> None:
        """Read the program headers. Raises DamagedFile if this is no such ELF file, or if it is cut short."""
        self.file = file
        self.identity = identify(file.take(0, min(20, file.size)))
        if self.identity.bits != 64 or not self.identity.little:
            raise ForeignFile(f"is a {self.identity} file, which is not read here")
        header = file.unpack(_HEADER, 16)
        self._sections_at, self._section_count, self._section_names = header[5], header[11], header[12]
        if header[9] and header[8] != _SEGMENT.size:
            raise DamagedFile("has program headers of an unknown size")
        rows = [file.unpack(_SEGMENT, header[4] + number * _SEGMENT.size) for number in range(header[9])]
        self._segments = [Segment(kind, offset, at, size) for kind, _, offset, at, _, size, _, _ in rows]
        self._loads = [s for s in self._segments if s.kind == _PT_LOAD]
        end = max((s.offset + s.file_size for s in self._loads), default=0)
        if end > file.size:
            raise DamagedFile(f"is cut short: {file.size} of at least {end} bytes are here")

    @classmethod
    def open(cls, path: Path) -> Elf:
        """Map a file. Raises OSError if it cannot be opened, DamagedFile if it is damaged."""
        return cls(Mapped.open(path))

    @cached_property
    def interpreter(self) -> str | None:
        """Return the dynamic loader that a program names, "/lib64/ld-linux-x86-64.so.2"; None for a library."""
        for segment in self._segments:
            if segment.kind == _PT_INTERP:
                raw = self.file.take(segment.offset, segment.file_size)
                return raw.split(b"\0")[0].decode("utf-8", "replace")
        return None

    @cached_property
    def needed(self) -> tuple[str, ...]:
        return tuple(self.text(value) for tag, value in self._entries if tag == _DT_NEEDED)

    @cached_property
    def soname(self) -> str | None:
        return self._dynamic_text(_DT_SONAME)

    @cached_property
    def rpath(self) -> str | None:
        """Return DT_RPATH; None if DT_RUNPATH exists too, because the loader then ignores DT_RPATH."""
        return None if _DT_RUNPATH in self.dynamic else self._dynamic_text(_DT_RPATH)

    @cached_property
    def runpath(self) -> str | None:
        return self._dynamic_text(_DT_RUNPATH)

    @property
    def ignores_default_folders(self) -> bool:
        return bool(self.dynamic.get(_DT_FLAGS_1, 0) & _DF_1_NODEFLIB)

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """Return the symbol versions needed from other libraries, in the order in which the loader checks them."""
        found: list[Need] = []
        if _DT_VERNEED not in self.dynamic:
            return ()
        place = self.offset(self.dynamic[_DT_VERNEED])
        for _ in range(self.dynamic.get(_DT_VERNEEDNUM, 0)):
            _, count, library, first, following = self.file.unpack(_NEED, place)
            at = place + first
            for _ in range(count):
                _, flags, index, name, step = self.file.unpack(_NEED_VERSION, at)
                weak = bool(flags & _VER_FLG_WEAK)
                found.append(Need(index & 0x7FFF, self.text(library), self.text(name), weak))
                at += step
                if not step:
                    break
            if len(found) > _MOST_VERSIONS:
                raise DamagedFile("has a list of versions without an end")
            place += following
            if not following:
                break
        return tuple(found)

    @cached_property
    def defines(self) -> dict[int, str]:
        """Return the symbol versions that the file defines, by index; empty for a library without versions."""
        found: dict[int, str] = {}
        if _DT_VERDEF not in self.dynamic:
            return found
        place = self.offset(self.dynamic[_DT_VERDEF])
        for _ in range(min(self.dynamic.get(_DT_VERDEFNUM, 0), _MOST_VERSIONS)):
            _, flags, index, _, _, name_at, following = self.file.unpack(_DEFINITION, place)
            # The base definition only repeats the soname, and no symbol can refer to it.
            if not flags & _VER_FLG_BASE:
                found[index & 0x7FFF] = self.text(self.file.unpack(_DEFINITION_NAME, place + name_at)[0])
            place += following
            if not following:
                break
        return found

    @cached_property
    def sections(self) -> dict[str, Section]:
        """Return the sections by name. Tools use them, the loader does not; a file can have none.

        Raises DamagedFile if they are cut off.
        """
        if not self._sections_at or not self._section_count:
            return {}
        ats = (self._sections_at + number * _SECTION.size for number in range(self._section_count))
        rows = [self.file.unpack(_SECTION, at) for at in ats]
        if self._section_names >= len(rows):
            raise DamagedFile("has no names for its sections")
        names = self.file.take(rows[self._section_names][4], rows[self._section_names][5])
        found = {}
        for name, kind, _, _, offset, size, *_ in rows:
            found[names[name : names.find(b"\0", name)].decode("ascii", "replace")] = Section(kind, offset, size)
        return found

    @cached_property
    def dynamic(self) -> dict[int, int]:
        """Return the values of the dynamic section by tag, without DT_NEEDED."""
        return {tag: value for tag, value in self._entries if tag != _DT_NEEDED}

    @cached_property
    def _entries(self) -> list[tuple[int, int]]:
        entries: list[tuple[int, int]] = []
        for segment in self._segments:
            if segment.kind == _PT_DYNAMIC:
                size = min(segment.file_size, _MOST_DYNAMIC) // _DYNAMIC.size * _DYNAMIC.size
                for tag, value in _DYNAMIC.iter_unpack(self.file.take(segment.offset, size)):
                    if tag == _DT_NULL:
                        break
                    entries.append((tag, value))
        return entries

    def offset(self, address: int, room: int = 0) -> int:
        """Return the file offset of the `room` bytes at an address. Raises DamagedFile if the file does not hold them."""
        for segment in self._loads:
            if segment.address <= address and address + room <= segment.address + segment.file_size:
                return address - segment.address + segment.offset
        raise DamagedFile("refers to an address that it does not hold")

    def string(self, place: int) -> bytes:
        """Return the name that begins at an offset of the string table. Raises DamagedFile outside the table."""
        start, end = self.strings
        stop = self.file.find(b"\0", start + place, end) if start + place < end else -1
        if stop < 0:
            raise DamagedFile("has a name outside its string table")
        return self.file.take(start + place, stop - start - place)

    def text(self, place: int) -> str:
        return self.string(place).decode("utf-8", "replace")

    @cached_property
    def strings(self) -> tuple[int, int]:
        """Return the offsets where the string table begins and ends in the file. Raises DamagedFile if there is none."""
        size = self.dynamic.get(_DT_STRSZ, 0)
        if _DT_STRTAB not in self.dynamic:
            raise DamagedFile("has no string table")
        start = self.offset(self.dynamic[_DT_STRTAB], size)
        return start, start + size

    def _dynamic_text(self, tag: int) -> str | None:
        return self.text(self.dynamic[tag]) if tag in self.dynamic else None


def identify(head: bytes) -> Identity:
    """Return the identity in the first 20 bytes of a file. Raises DamagedFile if it is not an ELF file.

    If it is a file of Windows or macOS, the error is a ForeignFile.
    """
    if not head:
        raise DamagedFile("is empty")
    if head[:4] != b"\x7fELF":
        look = _look(head)
        raise (ForeignFile if "file" in look else DamagedFile)(f"is no ELF file but {look}")
    if len(head) < 20 or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise DamagedFile("has a broken ELF header")
    kind, machine = struct.unpack_from("<HH" if head[5] == 1 else ">HH", head, 16)
    return Identity(32 * head[4], head[5] == 1, MACHINES.get(machine, f"machine {machine}"), kind)


def _look(head: bytes) -> str:
    if head[:2] == b"MZ":
        return "a Windows file"
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"):
        return "a macOS file"
    if head[:7] == b"version":
        return "a Git LFS pointer"
    if head.lstrip()[:1] == b"<":
        return "a web page"
    return "something else"
