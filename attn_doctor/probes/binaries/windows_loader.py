"""Simulate the loader of Windows, as Python calls it for an extension: the libraries that it finds, and the functions that they lack.

Python asks for LOAD_LIBRARY_SEARCH_DEFAULT_DIRS and LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR since 3.8, so PATH and the current folder do
not count: https://docs.python.org/3/library/os.html#os.add_dll_directory,
https://learn.microsoft.com/windows/win32/dlls/dynamic-link-library-search-order. If a library of the same name is loaded already,
Windows uses that library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from attn_doctor.knowledge import windows_dlls
from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile, Mapped
from attn_doctor.probes.binaries.pe import Pe


class Missing(NamedTuple):
    """Report a library that is in none of the folders. The message of Windows: "The specified module could not be found"."""

    name: str
    wanted_by: str


class NoFunction(NamedTuple):
    """Report a function that a library lacks. The message of Windows: "The specified procedure could not be found"."""

    function: str
    library: str
    wanted_by: str


class Unreadable(NamedTuple):
    """Report a library that Windows refuses, because it is damaged or for another processor."""

    name: str
    why: str
    foreign: bool


Trouble = Missing | NoFunction | Unreadable


class Library:
    """Describe one library. Its content is read when it is first asked for."""

    def __init__(self, path: str, opener: Callable[[], Mapped]) -> None:
        self.path = path
        self._opener = opener

    @property
    def name(self) -> str:
        return self.path.replace("\\", "/").rpartition("/")[2]

    @cached_property
    def pe(self) -> Pe:
        """Return the content. Raises OSError if the file cannot be opened, DamagedFile if it is damaged."""
        return Pe(self._opener())


class Folder:
    """Hold the libraries of one folder by name. The names are in small letters, because Windows ignores capitals."""

    def __init__(self, files: Mapping[str, Library]) -> None:
        self._files = {name.lower(): library for name, library in files.items()}

    @classmethod
    def of(cls, path: Path) -> Folder:
        """Read the names in a folder; empty if the folder cannot be read."""
        try:
            found = [entry for entry in path.iterdir() if entry.suffix.lower() in (".dll", ".pyd", ".exe")]
        except OSError:
            found = []
        return cls({entry.name: Library(str(entry), partial(Mapped.open, entry)) for entry in found})

    def get(self, name: str) -> Library | None:
        return self._files.get(name.lower())

    def libraries(self) -> Iterable[Library]:
        return self._files.values()


class Process:
    """Simulate one process of Windows: the libraries that it loads.

    `folders`: the folders that it searches, in this order, after the folder of the file itself. System32 is the last one, if it
    is among them.
    """

    def __init__(self, folders: Sequence[Folder], machine: str = "x86-64", *, has_system: bool = False) -> None:
        """Begin with an empty process.

        `has_system`: System32 is among the folders, so that libraries of Windows must be found there too.
        """
        self._folders = folders
        self._machine = machine
        self._has_system = has_system
        self.loaded: dict[str, Library] = {}  # by name, in small letters
        # Libraries that Windows or an installer can have installed; whether they are there is not known.
        self.doubts: list[str] = []

    def load(self, library: Library, own: Folder) -> list[Trouble]:
        """Load a file with all libraries that it needs, and return the errors. `own`: the folder of the file.

        Windows itself reports the first one only.
        """
        troubles: list[Trouble] = []
        self._load(library, own, troubles)
        return troubles

    def found(self, name: str, own: Folder) -> Library | None:
        """Return the library that Windows would load for this name; None if it is in none of the folders.

        `own`: the folder of the file that is being loaded, which is searched first.
        """
        known = self.loaded.get(name.lower()) or own.get(name)
        return known or next((there for folder in self._folders if (there := folder.get(name))), None)

    def brought(self, name: str) -> bool:
        """Return whether a library that is in no folder is assumed to exist, because it is a part of Windows or Python."""
        known = windows_dlls.owner(name) in (windows_dlls.WINDOWS, windows_dlls.PYTHON)
        return windows_dlls.is_api_set(name) or (known and not self._has_system)

    def _load(self, library: Library, own: Folder, troubles: list[Trouble]) -> None:
        try:
            if library.pe.machine != self._machine:
                troubles.append(
                    Unreadable(library.name, f"is for {library.pe.machine}, and the target is {self._machine}", True)
                )
                return
            self.loaded[library.name.lower()] = library
            for name, functions in library.pe.imports:
                self._take(library, name, functions, own, troubles)
        except OSError as error:
            troubles.append(Unreadable(library.name, f"cannot be read ({error.strerror or error})", False))
        except DamagedFile as error:
            troubles.append(Unreadable(library.name, str(error), isinstance(error, ForeignFile)))

    def _take(
        self, library: Library, name: str, functions: Sequence[str], own: Folder, troubles: list[Trouble]
    ) -> None:
        there = self.found(name, own)
        if there is None:
            if not self.brought(name):
                self._miss(name, library, troubles)
            return
        if name.lower() not in self.loaded and self._is_of_system(there):
            self.loaded[name.lower()] = there  # the libraries of Windows fit each other, and need hundreds of others
        elif name.lower() not in self.loaded:
            self._load(there, own, troubles)
        lacking = [function for function in functions if not self._exports(there, function, own)]
        troubles.extend(NoFunction(function, there.name, library.name) for function in lacking)

    def _is_of_system(self, library: Library) -> bool:
        return self._has_system and bool(self._folders) and self._folders[-1].get(library.name) is library

    def _miss(self, name: str, library: Library, troubles: list[Trouble]) -> None:
        if windows_dlls.owner(name) is not None and not self._has_system:
            self.doubts.append(name)
        else:
            troubles.append(Missing(name, library.name))

    def _exports(self, library: Library, function: str, own: Folder, depth: int = 0) -> bool:
        """Return whether a library exports a function, itself or by forwarding it to another library."""
        try:
            exports = library.pe.exports
        except (OSError, DamagedFile):
            return True  # this was reported when the library was loaded
        if function not in exports:
            return False
        target = exports[function]
        if target is None or depth > _DEEPEST:
            return True
        name, _, wanted = target.rpartition(".")
        there = self.found(f"{name}.dll", own)
        if there is None:
            return self.brought(f"{name}.dll") or windows_dlls.owner(f"{name}.dll") is not None
        return self._exports(there, wanted, own, depth + 1)


_DEEPEST = 8  # forwards one after the other; kernel32 to kernelbase to ntdll are two
