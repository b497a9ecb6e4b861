"""Read files by the paths that the loader of the target uses: installed files, and the files of a wheel as if it were installed."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from attn_doctor.probes.binaries.elf import Elf, Identity, identify
from attn_doctor.probes.binaries.mapped import DamagedFile, Mapped
from attn_doctor.probes.binaries.symbol_table import SymbolTable
from attn_doctor.probes.library_search import MOST_CACHE, read_cache
from attn_doctor.probes.root import Root
from attn_doctor.system.files import MOST

# Kinds of library in ld.so.cache (sysdeps/generic/ldconfig.h of glibc), by machine.
_CACHE_KINDS = {"x86-64": 0x0300, "aarch64": 0x0A00, "ppc64": 0x0500}


class Files:
    """Read files by the paths of the target. Each file is opened once."""

    def __init__(self, root: Root | None = None, laid_over: Mapping[str, Callable[[], Mapped]] | None = None) -> None:
        """Prepare to read the files below `root` (None: of this machine). `laid_over`: files of a wheel, by their future path."""
        self.root = root or Root()
        self._laid_over = laid_over or {}
        self._opened: dict[str, Binary] = {}
        self._real: dict[str, str] = {}
        self._cached: dict[str, dict[str, str]] = {}

    def exists(self, path: str) -> bool:
        try:
            return posixpath.normpath(path) in self._laid_over or self.root.is_file(path)
        except (OSError, ValueError):  # a folder without permission, or a name that no file can have
            return False

    def real(self, path: str) -> str:
        """Return the path of a file with its links followed. All links to one file give the same path."""
        if path not in self._real:
            plain = posixpath.normpath(path)
            self._real[path] = plain if plain in self._laid_over else self.root.resolve(path)
        return self._real[path]

    def open(self, path: str) -> Binary:
        """Open a file. Raises OSError if it does not exist, DamagedFile if it is damaged."""
        real = self.real(path)
        if real not in self._opened:
            over = self._laid_over.get(real)
            self._opened[real] = Binary(over() if over else Mapped.open(self.root.at(path)))
        return self._opened[real]

    def cached_libraries(self, machine: str) -> dict[str, str]:
        """Return {soname: path} of /etc/ld.so.cache for a machine ("x86-64"); empty if there is no such file."""
        if machine not in self._cached:
            found: dict[str, str] = {}
            for flags, entry in read_cache(self.root.bytes("/etc/ld.so.cache", MOST_CACHE) or b""):
                if flags & 0xFF00 == _CACHE_KINDS.get(machine):
                    found.setdefault(entry.soname, entry.path)
            self._cached[machine] = found
        return self._cached[machine]

    def text(self, path: str) -> str | None:
        """Return the text of a file; None if it cannot be read."""
        over = self._laid_over.get(posixpath.normpath(path))
        if over is None:
            return self.root.text(path)
        try:
            file = over()
        except DamagedFile:
            return None
        return file.take(0, min(file.size, MOST)).decode("utf-8", "replace")

    def sources(self, folder: str) -> list[str]:
        """Return the paths of the Python sources in a folder and below it, sorted."""
        here = (f"{folder}/{p.relative_to(self.root.at(folder))}" for p in self.root.at(folder).glob("**/*.py"))
        return sorted({*here, *(p for p in self._laid_over if p.startswith(f"{folder}/") and p.endswith(".py"))})

    def matching(self, folder: str, pattern: str) -> list[str]:
        """Return the paths in a folder that match a fnmatch pattern, sorted."""
        here = (f"{folder}/{Path(p).name}" for p in self.root.at(folder).glob(pattern))
        over = (p for p in self._laid_over if str(Path(p).parent) == folder and Path(p).match(pattern))
        return sorted({*here, *over})


class Binary:
    """Describe one file: its first bytes, and its content, which is read when it is first asked for."""

    def __init__(self, file: Mapped) -> None:
        self.file = file

    @cached_property
    def identity(self) -> Identity:
        return identify(self.file.take(0, min(20, self.file.size)))

    @cached_property
    def elf(self) -> Elf:
        return Elf(self.file)

    @cached_property
    def symbols(self) -> SymbolTable:
        return SymbolTable(self.elf)
