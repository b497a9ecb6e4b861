"""Read the tree of exported names in a Mach-O file. In this tree names with the same beginning share their first nodes.

A node: the size of its own data (0 if no name ends here), the data, the number of its branches, and for each branch some letters
and the place of the next node. Numbers are ULEB128. Layout: dyld's mach_o/ExportsTrie.cpp and `EXPORT_SYMBOL_FLAGS_` in
<mach-o/loader.h>, https://github.com/apple-oss-distributions/dyld.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from attn_doctor.probes.binaries.macho_bindings import number
from attn_doctor.probes.binaries.mapped import DamagedFile

_REEXPORT = 0x08
_MOST_NODES, _LONGEST_NAME, _SPARE = 1 << 23, 1 << 16, 10


class Exported(NamedTuple):
    """Describe an exported name.

    `library`: the number of the library that really defines it, under the name `name`; 0: this file itself.
    """

    library: int = 0
    name: str = ""


class ExportsTrie:
    """Look up exported names in the tree of one Mach-O file. `data`: the bytes of the tree."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def find(self, name: bytes) -> Exported | None:
        """Return the entry of a name; None if the file does not export it. Raises DamagedFile if the tree is damaged."""
        place, matched = 0, 0
        for _ in range(len(name) + _SPARE):  # a branch has letters; the last one may have none
            size, at = self._number(place)
            if matched == len(name) and size:
                return self._entry(at)
            step = self._step(at + size, name, matched)
            if step is None:
                return None
            place, taken = step
            matched += taken
        raise DamagedFile("has a tree of exports without an end")

    def names(self) -> Iterator[bytes]:
        """Yield all exported names. Raises DamagedFile if the tree is damaged."""
        waiting, seen = [(0, b"")], {0}
        while waiting:
            place, name = waiting.pop()
            size, at = self._number(place)
            if size:
                yield name
            for letters, following in self._branches(at + size):
                if following in seen or len(seen) > _MOST_NODES or len(name) + len(letters) > _LONGEST_NAME:
                    raise DamagedFile("has a tree of exports without an end")
                seen.add(following)
                waiting.append((following, name + letters))

    def _step(self, at: int, name: bytes, matched: int) -> tuple[int, int] | None:
        for letters, following in self._branches(at):
            if name.startswith(letters, matched):
                return following, len(letters)
        return None

    def _branches(self, at: int) -> Iterator[tuple[bytes, int]]:
        count = self._byte(at)
        at += 1
        for _ in range(count):
            end = self._data.find(b"\0", at)
            if end < 0:
                raise DamagedFile("has a name without an end")
            letters = self._data[at:end]
            following, at = self._number(end + 1)
            yield letters, following

    def _entry(self, at: int) -> Exported:
        flags, at = self._number(at)
        if not flags & _REEXPORT:
            return Exported()
        library, at = self._number(at)
        end = self._data.find(b"\0", at)
        if end < 0:
            raise DamagedFile("has a name without an end")
        return Exported(library, self._data[at:end].decode("utf-8", "replace"))

    def _number(self, at: int) -> tuple[int, int]:
        """Return the number that begins at an offset, and the offset after it."""
        if at >= len(self._data):
            raise DamagedFile("has a tree of exports that leads out of it")
        return number(self._data, at)

    def _byte(self, at: int) -> int:
        if at >= len(self._data):
            raise DamagedFile("has a tree of exports that leads out of it")
        return self._data[at]
