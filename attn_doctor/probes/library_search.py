"""Find the file that the dynamic loader would use for a shared library, from files alone. Loads and runs nothing.

The order is that of ld.so(8) for a library that is not loaded yet: LD_LIBRARY_PATH, /etc/ld.so.cache, the standard folders. The
RPATH of a program is not read here: the caller passes its folders.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from attn_doctor.probes.root import Root
from attn_doctor.system import files

# e_machine of <elf.h>, and the type of a library in ld.so.cache (sysdeps/generic/ldconfig.h of glibc), by `uname -m`.
_KINDS = {"x86_64": (62, 0x0300), "aarch64": (183, 0x0A00), "ppc64le": (21, 0x0500)}
MOST_CACHE = 16 << 20  # at most so many bytes of ld.so.cache are read
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_CACHE_HEADER = 48
_CACHE_ENTRY = struct.Struct("<iIIIQ")  # flags, offset of the name, offset of the path, OS version, hardware


class Entry(NamedTuple):
    """Describe one line of `ldconfig -p`."""

    soname: str
    path: str


class LibrarySearch:
    """Search for 64-bit libraries as the loader of one machine does, in one environment."""

    def __init__(self, root: Root, environ: Mapping[str, str], machine: str) -> None:
        self.root = root
        kinds = _KINDS.get(machine)
        self._machine_code = kinds[0] if kinds else None
        self._cache_kind = kinds[1] if kinds else None
        self._library_path = [p for p in environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":") if p]
        triplet = f"{machine}-linux-gnu"
        self._standard = [f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib64", "/usr/lib64", "/lib", "/usr/lib"]

    @cached_property
    def cache(self) -> tuple[Entry, ...] | None:
        """Return the entries of /etc/ld.so.cache for this kind of machine, in order; None if there is no file."""
        raw = self.root.bytes("/etc/ld.so.cache", MOST_CACHE)
        if raw is None:
            return None
        return tuple(entry for flags, entry in read_cache(raw) if self._cache_kind in (None, flags & 0xFF00))

    def find(self, soname: str, first: Sequence[str] = ()) -> str | None:
        """Return the path of the file that would be loaded, links not followed; None if there is none.

        `first`: folders searched before all others.
        """
        return next(self._fitting(soname, first), None)

    def _fitting(self, soname: str, first: Sequence[str]) -> Iterator[str]:
        named = [f"{folder}/{soname}" for folder in (*first, *self._library_path)]
        cached = [entry.path for entry in self.cache or () if entry.soname == soname]
        standard = [f"{folder}/{soname}" for folder in self._standard]
        return (self.root.name(path) for path in (*named, *cached, *standard) if self._fits(path))

    def _fits(self, path: str) -> bool:
        """Return whether the loader would load this file.

        The loader skips a file of another class or machine without an error.
        """
        try:
            head = files.head(self.root.at(path), 20)
        except (OSError, ValueError):
            return False
        if len(head) < 20 or head[:4] != b"\x7fELF" or head[4] != 2:
            return False
        return self._machine_code in (None, struct.unpack_from("<H", head, 18)[0])


def read_cache(raw: bytes) -> Iterator[tuple[int, Entry]]:
    """Yield the entries of an ld.so.cache with their flags, as `ldconfig -p` lists them.

    Layout: sysdeps/generic/dl-cache.h of glibc. Before glibc 2.32 a table in the old format comes first.
    """
    start = raw.find(_CACHE_MAGIC)
    if start < 0 or start + _CACHE_HEADER > len(raw):
        return
    (count,) = struct.unpack_from("<I", raw, start + len(_CACHE_MAGIC))
    for number in range(count):
        place = start + _CACHE_HEADER + number * _CACHE_ENTRY.size
        if place + _CACHE_ENTRY.size > len(raw):
            return
        flags, name_at, path_at, _, _ = _CACHE_ENTRY.unpack_from(raw, place)
        name, path = _string(raw, start + name_at), _string(raw, start + path_at)
        if name is not None and path is not None:
            yield flags, Entry(name, path)


def _string(raw: bytes, place: int) -> str | None:
    """Return a string of the cache; None if the file ends inside it."""
    end = raw.find(b"\0", place)
    return raw[place:end].decode("utf-8", "replace") if end >= 0 else None
