"""Simulate glibc's dynamic loader in the target: which files it would map, and which it would not find. Runs nothing.

The rules are checked against real imports in the tests: ld.so(8), and glibc's elf/dl-load.c (search), elf/dl-deps.c
(order), elf/dl-version.c (versions), elf/dl-lookup.c (symbols), elf/dl-open.c (scopes).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from attn_doctor.probes.binaries.elf import Need
from attn_doctor.probes.binaries.files import Binary, Files
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.symbol_table import Undefined, gnu_hash

_SHARED_OBJECT = 3
# Folders that glibc searches by default. Each distribution builds glibc with some of them.
_DEFAULT_FOLDERS = ("/lib/{t}", "/usr/lib/{t}", "/lib64", "/usr/lib64", "/lib", "/usr/lib")
_TRIPLETS = {"x86-64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu", "ppc64": "powerpc64le-linux-gnu"}


class Library:
    """Describe a file that a simulated process has mapped: a library, or the program itself."""

    def __init__(self, path: str, real: str, binary: Binary, asked_by: Library | None) -> None:
        self.path = path  # the path under which it was found: $ORIGIN is its folder, links not followed
        self.real = real
        self.binary = binary
        self.asked_by = asked_by  # the library that needs it; None for the program
        self.needs: dict[str, Library] = {}  # by the names in DT_NEEDED

    @property
    def origin(self) -> str:
        return self.path.rpartition("/")[0] or "/"

    def __repr__(self) -> str:
        return f"<{self.path}>"


class Missing(NamedTuple):
    """Describe a needed library that does not exist.

    `other_kind`: a file of that name for another machine, which the loader skips.
    """

    name: str
    wanted_by: str
    other_kind: str | None = None


class Broken(NamedTuple):
    """Describe a file that cannot be mapped. `why` is the end of a sentence that begins with the path: "is empty"."""

    path: str
    why: str
    foreign: bool = False  # it is for another machine: in a search the loader skips it without an error


class Lacking(NamedTuple):
    """Describe a library that was found, but is older than the library that the file was linked against."""

    need: Need
    path: str
    wanted_by: str


class Unresolved(NamedTuple):
    """Describe a symbol that no reachable library exports."""

    symbol: Undefined
    wanted_by: str


Trouble = Missing | Broken | Lacking | Unresolved


class Opening(NamedTuple):
    """Hold the simulated result of loading a file.

    The loader stops at the first error; here all errors are listed, in the order in which the loader would report them.
    """

    library: Library | None  # None: the file itself cannot be mapped
    found: dict[str, str | None]  # the libraries that the file itself needs, with the path of each; None: it is missing
    troubles: list[Trouble]


class Process:
    """Simulate one process of Linux: the libraries that it has mapped, in their order, and the search for symbols among them."""

    def __init__(self, files: Files, environ: Mapping[str, str], program: str | None, machine: str = "x86-64") -> None:
        """Start with an executable.

        `program`: the path of the executable. None: it cannot be read on this machine; the process is then simulated for the processor `machine`.
        """
        self.files = files
        self.libraries: list[Library] = []
        self._names: dict[str, Library] = {}  # sonames of mapped libraries, and names under which they were requested
        self.troubles: list[Trouble] = []  # of the program itself
        self._global_scope: list[Library] = []  # the global scope: searched first for every symbol
        self._folders = [p for p in re.split("[:;]", environ.get("LD_LIBRARY_PATH", "")) if p]
        self._preloads = re.split("[ :]+", environ.get("LD_PRELOAD", ""))
        self.program: Library | None = None
        self.machine = machine
        if program is not None:
            self._start(program)

    def _start(self, program: str) -> None:
        try:
            binary = self.files.open(program)
            self.machine = binary.identity.machine
            interpreter = binary.elf.interpreter
        except (OSError, DamagedFile) as error:
            self.troubles.append(_broken(program, error))
            return
        # The kernel tells a program its own path with all links followed.
        real = self.files.real(program)
        self.program = Library(real, real, binary, None)
        self._add(self.program)
        if interpreter:
            self._add_if_sound(self._open(interpreter, self.program))
        preloaded = [self._place(name, self.program) for name in filter(None, self._preloads)]
        roots = [self.program, *filter(None, map(self._add_if_sound, preloaded))]
        self.troubles = self._map(roots)
        self._global_scope = _breadth_first(roots)

    def _add(self, library: Library) -> None:
        self.libraries.append(library)
        self._names.setdefault(library.path, library)
        if library.binary.elf.soname:
            self._names.setdefault(library.binary.elf.soname, library)

    def _add_if_sound(self, place: Library | Missing | Broken) -> Library | None:
        if not isinstance(place, Library):
            return None  # the loader only warns
        self._add(place)
        return place

    def known(self, name: str) -> Library | None:
        """Return the mapped library with this name, which the loader uses before it searches any folder; None if there is none."""
        return self._names.get(name)

    def branch(self) -> Process:
        """Return a copy of this process, into which a further file can be loaded."""
        twin = Process(self.files, {}, None, self.machine)
        twin.libraries, twin._names, twin.program = list(self.libraries), dict(self._names), self.program
        twin._global_scope, twin._folders = list(self._global_scope), self._folders
        return twin

    @property
    def python(self) -> Library | None:
        """Return the library that calls dlopen for an import: libpython if the program loads one, else the program itself."""
        shared = (lib for lib in self.libraries if "/libpython" in lib.path)
        return next(shared, self.program)

    def dlopen(self, path: str, *, everybody: bool = False, trusted: str | None = None) -> Opening:
        """Load a file by its path, with RTLD_NOW. After an error the process is as it was before.

        `everybody`: load it with RTLD_GLOBAL. `trusted`: a folder with libraries whose symbols are not checked.
        """
        known = next((lib for lib in self.libraries if lib.real == self.files.real(path)), None)
        if known is not None:
            return Opening(known, {}, [])
        first = self._open(path, self.python)
        if isinstance(first, Broken):
            return Opening(None, {}, [first])
        before, names = list(self.libraries), dict(self._names)
        self._add(first)
        troubles = self._map([first])
        reach = _breadth_first([first])
        if not troubles:
            troubles = self._wrong(self.libraries[len(before) :], [*self._global_scope, *reach], trusted)
        if troubles:
            self.libraries, self._names = before, names
        elif everybody:
            self._global_scope += [lib for lib in reach if lib not in self._global_scope]
        found = {name: first.needs.get(name) for name in first.binary.elf.needed}
        return Opening(first, {name: lib.path if lib else None for name, lib in found.items()}, troubles)

    # Mapping

    def _map(self, roots: list[Library]) -> list[Trouble]:
        """Map all libraries that the given libraries need, breadth first."""
        troubles: list[Trouble] = []
        queue = list(roots)
        for library in queue:
            try:
                needed = library.binary.elf.needed
            except DamagedFile as error:
                troubles.append(Broken(library.path, str(error)))
                continue
            for name in needed:
                if self.program is None and name.startswith("ld-linux"):
                    continue  # the loader itself, which the program maps
                place = self.known(name) or self._place(name, library)
                if not isinstance(place, Library):
                    if place not in troubles:
                        troubles.append(place)
                    continue
                same = next((lib for lib in self.libraries if lib.real == place.real), None)
                if same is None:
                    self._add(place)
                    queue.append(place)
                library.needs[name] = same or place
                self._names.setdefault(name, same or place)
        return troubles

    def _place(self, name: str, by: Library) -> Library | Missing | Broken:
        other_kind = None
        for path in self._candidates(name, by):
            if not self.files.exists(path):
                continue
            library = self._open(path, by)
            if isinstance(library, Broken) and library.foreign:
                other_kind = f"{path} {library.why}"
                continue
            return library
        return Missing(name, by.path, other_kind)

    def _open(self, path: str, by: Library | None) -> Library | Broken:
        try:
            binary = self.files.open(path)
            identity = binary.identity
            if (identity.bits, identity.machine) != (64, self.machine):
                return Broken(path, f"is a {identity} file, and this is a 64-bit {self.machine} process", foreign=True)
            if identity.kind != _SHARED_OBJECT:
                return Broken(path, "has the header of no shared library")
            binary.elf.needed  # noqa: B018 - reads so far that damage shows here
            binary.elf.soname  # noqa: B018
        except (OSError, DamagedFile) as error:
            return _broken(path, error)
        return Library(path, self.files.real(path), binary, by)

    def _candidates(self, name: str, by: Library) -> Iterator[str]:
        if "/" in name:
            yield _expanded(name, by)
            return
        elf = by.binary.elf
        if elf.runpath is None:
            yield from (f"{folder}/{name}" for folder in self._inherited(by))
        yield from (f"{folder}/{name}" for folder in self._folders)
        yield from (f"{folder}/{name}" for folder in _listed(elf.runpath, by))
        if elf.ignores_default_folders:
            return
        cached = self.files.cached_libraries(self.machine).get(name)
        if cached is not None:
            yield cached
        triplet = _TRIPLETS.get(self.machine, "")
        yield from (f"{folder.format(t=triplet)}/{name}" for folder in _DEFAULT_FOLDERS)

    def _inherited(self, by: Library) -> Iterator[str]:
        """Yield the DT_RPATH folders of the library, of the libraries that requested it, and of the program."""
        chain: list[Library] = []
        library: Library | None = by
        while library is not None:
            chain.append(library)
            library = library.asked_by
        if self.program is not None and self.program not in chain:
            chain.append(self.program)
        for link in chain:
            yield from _listed(link.binary.elf.rpath, link)

    # Checking

    def _may_lack(self, library: Library) -> bool:
        """Return whether the symbol versions of a library can be checked.

        If the program cannot be read, the simulated process has no C library, so the C library is not checked.
        """
        return self.program is not None or not any(v.startswith("GLIBC_") for v in library.binary.elf.defines.values())

    def _wrong(self, new: list[Library], scope: list[Library], trusted: str | None) -> list[Trouble]:
        """Return the errors of libraries whose files were all found: first missing versions, then missing symbols."""
        troubles: list[Trouble] = list(self._lacking(new))
        checked = [lib for lib in new if self._may_lack(lib) and (trusted is None or not _is_in(lib.path, trusted))]
        versions = {trouble.need.version for trouble in troubles if isinstance(trouble, Lacking)}
        # The symbols of a missing version are missing too: one error is enough.
        return troubles + [t for t in self._unresolved(checked, scope) if _version(t) not in versions]

    def _lacking(self, new: list[Library]) -> Iterator[Lacking | Broken]:
        for library in new:
            try:
                needs = library.binary.elf.needs
                for need in needs:
                    # A library without versions satisfies every version; the loader only warns.
                    asked = library.needs.get(need.library) or self.known(need.library)
                    defined = asked.binary.elf.defines.values() if asked and not need.weak else ()
                    if asked and defined and need.version not in defined:
                        yield Lacking(need, asked.path, library.path)
            except DamagedFile as error:
                yield Broken(library.path, str(error))

    def _unresolved(self, new: list[Library], scope: list[Library]) -> Iterator[Unresolved | Broken]:
        search = _Search(scope)
        for library in reversed(new):  # libraries that others need are relocated first
            try:
                yield from search.unresolved(library)
            except DamagedFile as error:
                yield Broken(library.path, str(error))


class _Search:
    """Search for symbols in one scope: a list of libraries, in their order."""

    def __init__(self, scope: list[Library]) -> None:
        self._scope = scope
        self._hashes: dict[bytes, int] = {}
        self._by_name = {lib.binary.elf.soname or "": lib for lib in reversed(scope)}

    def unresolved(self, library: Library) -> list[Unresolved]:
        open_ones: dict[int, Undefined] = {}
        for symbol in library.binary.symbols.undefined:
            if not symbol.weak and not self._found(symbol):
                open_ones[symbol.number] = symbol
        if not open_ones:
            return []
        # A name that no relocation refers to is never looked up.
        order = library.binary.symbols.in_order_of_relocation(set(open_ones))
        return [Unresolved(open_ones[number], library.path) for number in order]

    def _found(self, symbol: Undefined) -> bool:
        hashed = self._hashes.get(symbol.name)
        if hashed is None:
            hashed = self._hashes[symbol.name] = gnu_hash(symbol.name)
        likely = self._by_name.get(symbol.library or "")  # searched first, only to save time: the result is the same
        scope = self._scope if likely is None else [likely, *self._scope]
        return any(lib.binary.symbols.exports(symbol.name, symbol.version, hashed) for lib in scope)


def _breadth_first(roots: list[Library]) -> list[Library]:
    """Return the libraries in the order in which symbols are searched."""
    order = list(roots)
    for library in order:
        order += [needed for needed in dict.fromkeys(library.needs.values()) if needed not in order]
    return order


def _is_in(path: str, folder: str) -> bool:
    return posixpath.normpath(path).startswith(folder.rstrip("/") + "/")


def _version(trouble: Unresolved | Broken) -> str | None:
    return trouble.symbol.version if isinstance(trouble, Unresolved) else None


def _listed(path: str | None, of: Library) -> list[str]:
    """Return the folders of a DT_RPATH or DT_RUNPATH."""
    return [_expanded(folder, of).rstrip("/") for folder in (path or "").split(":") if folder]


def _expanded(text: str, of: Library) -> str:
    return text.replace("${ORIGIN}", of.origin).replace("$ORIGIN", of.origin)


def _broken(path: str, error: OSError | DamagedFile) -> Broken:
    return Broken(path, str(error) if isinstance(error, DamagedFile) else f"cannot be read ({error.strerror or error})")
