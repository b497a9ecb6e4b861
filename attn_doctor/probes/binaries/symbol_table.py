"""Read the dynamic symbols of an ELF file: its undefined symbols, and whether it exports a given symbol.

Names are looked up through DT_GNU_HASH, as the loader does it, so that only a few words are read of the 78,000 symbols of
libtorch_cpu.so. Rules: glibc's elf/dl-lookup.c (do_lookup_x, check_match).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

from attn_doctor.probes.binaries.elf import Elf
from attn_doctor.probes.binaries.mapped import DamagedFile

_SYMBOL = struct.Struct("<IBBHQQ")
_WORD = struct.Struct("<I")
_HALF = struct.Struct("<H")
_HASH_HEADER = struct.Struct("<IIII")
_RELA = 24  # bytes of an Elf64_Rela

_DT_PLTRELSZ, _DT_HASH, _DT_SYMTAB, _DT_RELA, _DT_RELASZ, _DT_JMPREL = 2, 4, 6, 7, 8, 23
_DT_GNU_HASH, _DT_VERSYM = 0x6FFFFEF5, 0x6FFFFFF0
_GLOBAL, _WEAK, _UNIQUE = 1, 2, 10  # bindings
_TLS, _ABSOLUTE = 6, 0xFFF1
_HIDDEN = 0x8000  # in .gnu.version: not the default version of its name
_OLDEST = 2  # index of the first version that a library defines
_LONGEST_CHAIN = 4096  # more symbols in one hash bucket are refused; real buckets have fewer than 30


class Undefined(NamedTuple):
    """Describe a name that another library must export."""

    number: int  # its index in the table
    name: bytes
    weak: bool
    version: str | None
    library: str | None  # the library of that version


class _GnuHash(NamedTuple):
    first: int  # index of the first symbol that is hashed
    shift: int
    bloom: array[int]
    buckets: array[int]
    chains_at: int


class SymbolTable:
    """Describe the .dynsym of one file."""

    def __init__(self, elf: Elf) -> None:
        self._elf = elf
        self._file = elf.file

    @cached_property
    def undefined(self) -> tuple[Undefined, ...]:
        """Return the names that this file takes from other libraries, in the order of the table. Weak names may be missing there."""
        asked = {need.number: need for need in self._elf.needs}
        # The first of the three words of a symbol ends with the index of its section: 0 if it is undefined.
        words = array("Q", self._file.take(self._symbols_at, self._count * _SYMBOL.size))[::3] if self._count else ()
        found = []
        for number in [number for number, word in enumerate(words) if not word >> 48 and word & 0xFFFFFFFF]:
            name, info, *_ = self._row(number)
            if info >> 4 in (_GLOBAL, _WEAK):
                need = None if self._versions_at is None else asked.get(self._version_of(number) & ~_HIDDEN)
                version, library = (need.version, need.library) if need else (None, None)
                found.append(Undefined(number, self._elf.string(name), info >> 4 == _WEAK, version, library))
        return tuple(found)

    def exported(self) -> Iterator[bytes]:
        """Yield every exported name, once for each of its versions."""
        if not self._count:
            return
        for row in _SYMBOL.iter_unpack(self._file.take(self._symbols_at, self._count * _SYMBOL.size)):
            if row[0] and _defines(row):
                yield self._elf.string(row[0])

    def exports(self, name: bytes, version: str | None = None, hashed: int | None = None) -> bool:
        """Return whether this file exports the name in this version, so that the loader's search would end here.

        `hashed`: gnu_hash(name), if the caller has computed it already.
        """
        table = self._gnu_hash
        candidates: Iterable[int] = range(self._count)
        if table is not None:
            candidates = self._chain(table, gnu_hash(name) if hashed is None else hashed)
        for index in candidates:
            row = self._row(index)
            is_named = self._file.says(self._elf.strings[0] + row[0], name + b"\0")
            if is_named and _defines(row) and self._fits(index, version):
                return True
        return False

    def exported_like(self, beginning: bytes) -> Iterator[bytes]:
        """Yield the exported names with this prefix, from the string table: cheaper than reading all symbols."""
        start, end = self._elf.strings
        place = self._file.find(b"\0" + beginning, start, end)
        while place >= 0:
            name = self._elf.string(place + 1 - start)
            if self.exports(name):
                yield name
            place = self._file.find(b"\0" + beginning, place + 1, end)

    def in_order_of_relocation(self, wanted: set[int]) -> list[int]:
        """Return the symbols of `wanted` (by index) that relocations refer to, in the loader's order."""
        infos = (info >> 32 for table in self._relocations for info in table)
        return list(dict.fromkeys(index for index in infos if index in wanted))

    def _fits(self, index: int, version: str | None) -> bool:
        """Return whether the symbol at an index satisfies a version.

        A library without versions satisfies every version. A search without a version accepts the oldest or the default version.
        """
        if self._versions_at is None:
            return True
        mark = self._version_of(index)
        defined = self._elf.defines.get(mark & ~_HIDDEN)
        if version is None:
            return mark & ~_HIDDEN <= _OLDEST or not mark & _HIDDEN
        return defined == version or (defined is None and not mark & _HIDDEN)

    def _chain(self, table: _GnuHash, hashed: int) -> Iterator[int]:
        """Yield the indexes of the symbols with this hash.

        For most libraries two bits of one word (a Bloom filter) show that there is none.
        """
        word = table.bloom[hashed // 64 % len(table.bloom)]
        if not (word >> hashed % 64) & (word >> (hashed >> table.shift) % 64) & 1:
            return
        first = table.buckets[hashed % len(table.buckets)]
        if first < table.first:
            return
        for index in range(first, first + _LONGEST_CHAIN):
            value = self._file.unpack(_WORD, table.chains_at + 4 * (index - table.first))[0]
            if value | 1 == hashed | 1:
                yield index
            if value & 1:
                return
        raise DamagedFile("has a symbol table without an end")

    @cached_property
    def _gnu_hash(self) -> _GnuHash | None:
        if _DT_GNU_HASH not in self._elf.dynamic:
            return None
        at = self._elf.offset(self._elf.dynamic[_DT_GNU_HASH], _HASH_HEADER.size)
        buckets, first, bloom_size, shift = self._file.unpack(_HASH_HEADER, at)
        if not buckets or not bloom_size or shift > 63:
            raise DamagedFile("has a hash table that makes no sense")
        bloom_at = at + _HASH_HEADER.size
        buckets_at = bloom_at + 8 * bloom_size
        return _GnuHash(
            first,
            shift,
            array("Q", self._file.take(bloom_at, 8 * bloom_size)),
            array("I", self._file.take(buckets_at, 4 * buckets)),
            buckets_at + 4 * buckets,
        )

    @cached_property
    def _last_hashed(self) -> int | None:
        """Return the index of the last symbol in the GNU hash table; None if there is no table or it is empty."""
        table = self._gnu_hash
        if table is None:
            return None
        first = max(table.buckets)
        if first == 0 or first < table.first:
            return None
        for index in range(first, first + _LONGEST_CHAIN):
            if self._file.unpack(_WORD, table.chains_at + 4 * (index - table.first))[0] & 1:
                return index
        raise DamagedFile("has a symbol table without an end")

    @cached_property
    def _count(self) -> int:
        """Return the number of dynamic symbols. The file has no field with this number, so it is worked out."""
        if _DT_SYMTAB not in self._elf.dynamic:
            return 0
        if self._last_hashed is not None:
            return self._last_hashed + 1
        if _DT_HASH in self._elf.dynamic:
            at = self._elf.offset(self._elf.dynamic[_DT_HASH], 8)
            count: int = self._file.unpack(_WORD, at + 4)[0]
            return count
        # An empty GNU hash table: nothing is exported, and of the rest only referenced symbols matter.
        return 1 + max((info >> 32 for table in self._relocations for info in table), default=-1)

    @cached_property
    def _relocations(self) -> list[array[int]]:
        """Return the r_info words of DT_RELA and DT_JMPREL: their upper half is the index of the symbol."""
        tables = []
        for at, length in ((_DT_RELA, _DT_RELASZ), (_DT_JMPREL, _DT_PLTRELSZ)):
            size = self._elf.dynamic.get(length, 0) // _RELA * _RELA
            if at in self._elf.dynamic and size:
                offset = self._elf.offset(self._elf.dynamic[at], size)
                tables.append(array("Q", self._file.take(offset, size))[1::3])
        return tables

    def _row(self, number: int) -> tuple[Any, ...]:
        return self._file.unpack(_SYMBOL, self._symbols_at + number * _SYMBOL.size)

    @cached_property
    def _symbols_at(self) -> int:
        return self._elf.offset(self._elf.dynamic.get(_DT_SYMTAB, 0))

    @cached_property
    def _versions_at(self) -> int | None:
        dynamic = self._elf.dynamic
        return self._elf.offset(dynamic[_DT_VERSYM]) if _DT_VERSYM in dynamic else None

    def _version_of(self, index: int) -> int:
        mark: int = self._file.unpack(_HALF, (self._versions_at or 0) + 2 * index)[0]
        return mark


def gnu_hash(name: bytes) -> int:
    """Return the hash of DT_GNU_HASH: Bernstein's times 33, 32 bits wide."""
    value = 5381
    for character in name:
        value = (value * 33 + character) & 0xFFFFFFFF
    return value


def _defines(row: tuple[Any, ...]) -> bool:
    """Return whether other libraries can use a symbol: the conditions of do_lookup_x, and its visibility."""
    _, info, other, place, value, _ = row
    if place == 0 or info >> 4 not in (_GLOBAL, _WEAK, _UNIQUE) or other & 3 in (1, 2):
        return False
    return bool(value) or place == _ABSOLUTE or info & 15 == _TLS
