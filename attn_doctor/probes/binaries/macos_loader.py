"""Simulate dyld, the loader of macOS, as Python calls it for an extension: the libraries that it finds, and the names that they lack.

Rules: dyld/Loader.cpp (`getLoader`, `forEachPath`, `resolveSymbol`, `hasExportedSymbol`) and dyld/JustInTimeLoader.cpp
(`matchesPath`) of https://github.com/apple-oss-distributions/dyld, and dyld(1). A library that is loaded already is found again
by its path and by its install name: an extension that names @rpath/libtorch.dylib needs no rpath of its own after `import torch`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from attn_doctor.knowledge import macos_libraries
from attn_doctor.probes.binaries.macho import MachO
from attn_doctor.probes.binaries.macho_bindings import FLAT, PROGRAM, SELF, SHARED, Undefined
from attn_doctor.probes.binaries.macos_files import Disk, Image
from attn_doctor.probes.binaries.mapped import DamagedFile


class Missing(NamedTuple):
    """Report a library that is in none of the places where dyld looks. dyld says: "Library not loaded"."""

    name: str
    wanted_by: str


class NoSymbol(NamedTuple):
    """Report a name that a library lacks. dyld says: "Symbol not found"."""

    symbol: str
    library: str
    wanted_by: str


class OtherMachine(NamedTuple):
    """Report a library for another processor. dyld says: "incompatible architecture (have 'x86_64', need 'arm64')"."""

    name: str
    have: tuple[str, ...]
    need: str


class Unsigned(NamedTuple):
    """Report a library without a code signature, in a process of Apple silicon. The kernel does not map its code."""

    name: str


class Damaged(NamedTuple):
    """Report a library that dyld cannot read."""

    name: str
    why: str


Trouble = Missing | NoSymbol | OtherMachine | Unsigned | Damaged
MOST_REEXPORTS = 16  # libraries one after the other


class Mac(NamedTuple):
    """Describe the Mac on which a process runs.

    `macos`: "14.5"; None: not known. `program`: Python's own file.
    """

    machine: str  # of the process: "arm64" or "x86_64"
    macos: str | None
    environ: Mapping[str, str]
    program: Image | None


class Process:
    """Simulate one process of macOS: the libraries that it loads.

    `before`: libraries that it has loaded earlier, for example by `import torch`; they are not checked themselves. `near`:
    libraries of the extension's own package, which the package can load by their paths. `mac`: the Mac of the process. None: it
    is another machine, so absolute paths are not looked up here.
    """

    def __init__(
        self, disk: Disk, machine: str, before: Sequence[Image] = (), near: Sequence[Image] = (), mac: Mac | None = None
    ) -> None:
        self._disk = disk
        self.machine = machine
        self._near = near
        self._elsewhere = mac is None
        self._program = mac.program if mac else None
        variables = mac.environ if mac else {}
        self._first = _folders(variables.get("DYLD_LIBRARY_PATH"))
        self._last = _folders(variables.get("DYLD_FALLBACK_LIBRARY_PATH"))
        self.loaded: dict[str, Image] = {}  # by path
        self._named: dict[str, Image] = {}  # by install name
        self._ready = tuple(before)
        self._before = {image.path for image in before}
        self.doubts: list[str] = []  # why the answer may be another one on the machine itself
        # Path of a file -> its libraries by number. A text is a library that is not looked up in files (see `found`).
        self._wanted: dict[str, list[Image | str | None]] = {}
        for image in before:
            self._enter(image)

    def load(self, image: Image) -> list[Trouble]:
        """Load a file with all libraries that it needs, and return the errors. dyld itself reports the first one only."""
        troubles: list[Trouble] = []
        self._before.discard(image.path)
        self._map(image, self._of_program(), troubles)
        for path in [path for path in self.loaded if path not in self._before]:
            self._bind(self.loaded[path], troubles)
        return troubles

    def found(self, image: Image, number: int) -> Image | str | None:
        """Return the library with a number, from 1 on, in a loaded file.

        A text stands for a library that is not looked up in files: its owner ("macOS", "Python"), or "elsewhere". None if the
        library is missing.
        """
        libraries = self._wanted.get(image.path, [])
        return libraries[number - 1] if 0 < number <= len(libraries) else None

    def _enter(self, image: Image) -> None:
        if image.fits(self.machine):
            self.loaded.setdefault(image.path, image)
            name = image.install_name(self.machine)
            if name:
                self._named.setdefault(name, image)

    def _map(self, image: Image, chain: tuple[str, ...], troubles: list[Trouble]) -> None:
        """Map a file and all that it needs. `chain`: the rpaths of the files that loaded it."""
        waiting = [(image, chain)]
        while waiting:
            one, above = waiting.pop()
            if one.path in self._wanted:
                continue
            wanted = self._entered(one, troubles)
            if wanted is not None and one.path not in self._before:
                rpaths = (*self._rpaths(one, wanted), *above)
                following = self._needed(one, wanted, rpaths, troubles)
                waiting += [(there, rpaths) for there in reversed(following)]

    def _entered(self, image: Image, troubles: list[Trouble]) -> MachO | None:
        """Return the code of a file for this process. None: dyld refuses the file; the reason is added to `troubles`."""
        self._wanted[image.path] = []
        try:
            code = image.code(self.machine)
            if code is None:
                troubles.append(OtherMachine(image.name, tuple(image.file.slices), self.machine))
                return None
            _ = code.dylibs, code.rpaths, code.install_name
            if self.machine.startswith("arm64") and image.path not in self._before and code.signature == "none":
                troubles.append(Unsigned(image.name))
                return None
        except OSError as error:
            troubles.append(Damaged(image.name, f"cannot be read ({error.strerror or error})"))
        except DamagedFile as error:
            troubles.append(Damaged(image.name, str(error)))
        else:
            self._enter(image)
            return code
        return None

    def _needed(self, image: Image, code: MachO, rpaths: Sequence[str], troubles: list[Trouble]) -> list[Image]:
        """Find the libraries that a file names, and return those that dyld loads together with it."""
        libraries = self._wanted[image.path]
        following: list[Image] = []
        for dylib in code.dylibs:
            there = self._find(dylib.name, image, rpaths) or self._outside(dylib.name)
            if dylib.kind == "weak" and isinstance(there, Image) and not there.fits(self.machine):
                there = None
            libraries.append(there)
            if there is None and dylib.kind not in ("weak", "lazy"):
                troubles.append(Missing(dylib.name, image.name))
            elif isinstance(there, Image) and dylib.kind != "lazy":
                following.append(there)
        return following

    def _rpaths(self, image: Image, code: MachO) -> Iterator[str]:
        """Yield the rpaths of a file.

        For a process on another machine only those are used that begin at a file (@loader_path).
        """
        for rpath in code.rpaths:
            if rpath.startswith("@") or not self._elsewhere:
                yield self._expanded(rpath, image)

    def _find(self, name: str, image: Image, rpaths: Sequence[str]) -> Image | None:
        """Return the first library for this architecture; else the first one for another architecture; else None."""
        if name in self._named and name.startswith(("@rpath/", "/")):
            return self._named[name]
        there = [found for place in self._places(name, image, rpaths) if (found := self._disk.get(place))]
        if self._elsewhere and not macos_libraries.is_apple(name):  # the folders of the other machine have other paths
            leaf = posixpath.basename(name)
            there += [one for one in self._ready if one.name == leaf]
        there += [one for one in self._near if one.install_name(self.machine) == name]
        return next((one for one in there if one.fits(self.machine)), there[0] if there else None)

    def _places(self, name: str, image: Image, rpaths: Sequence[str]) -> Iterator[str]:
        leaf = posixpath.basename(name)
        yield from (f"{folder}/{leaf}" for folder in self._first)
        if name.startswith("@rpath/"):
            yield from (f"{rpath}/{name.removeprefix('@rpath/')}" for rpath in rpaths)
        elif not self._elsewhere or not name.startswith("/"):
            yield self._expanded(name, image)
        yield from (f"{folder}/{leaf}" for folder in self._last)

    def _outside(self, name: str) -> str | None:
        """Return the owner of a library that is not looked up in files ("macOS", "Python"), or "elsewhere".

        None: the library must be a file here.
        """
        owner = macos_libraries.owner(name)
        if owner == macos_libraries.APPLE or (owner == macos_libraries.PYTHON and self._elsewhere):
            return owner
        if macos_libraries.is_apple(name):
            self.doubts.append(f"{name} would be a part of macOS: whether this macOS has it was not seen")
            return macos_libraries.APPLE
        if self._elsewhere and name.startswith("/"):
            self.doubts.append(f"{name} is outside of the folders that were named: whether it is there was not seen")
            return "elsewhere"
        return None

    def _expanded(self, path: str, image: Image) -> str:
        if path == "@loader_path" or path.startswith("@loader_path/"):
            return posixpath.normpath(posixpath.dirname(image.path) + path.removeprefix("@loader_path"))
        if self._program is not None and path.startswith("@executable_path"):
            return posixpath.normpath(posixpath.dirname(self._program.path) + path.removeprefix("@executable_path"))
        return path

    def _of_program(self) -> tuple[str, ...]:
        """Return the rpaths of Python's program. dyld uses them for all libraries of the process."""
        if self._program is None:
            return ()
        try:
            code = self._program.code(self.machine)
        except (OSError, DamagedFile):  # a script that starts Python (pyenv)
            return ()
        return tuple(self._rpaths(self._program, code)) if code else ()

    def _bind(self, image: Image, troubles: list[Trouble]) -> None:
        try:
            code = image.code(self.machine)
            strays = []
            for symbol in code.undefined if code else ():
                if symbol.library not in (FLAT, PROGRAM):
                    self._resolve(symbol, image, troubles)
                elif code and code.two_level and not symbol.weak and not self._anywhere(symbol.name):
                    strays.append(symbol.name)
        except (OSError, DamagedFile) as error:
            troubles.append(Damaged(image.name, str(error)))
            return
        # dyld would say: symbol not found in flat namespace. But another module of Python may be loaded that has it.
        if strays:
            more = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
            self.doubts.append(
                f"{image.name} takes {strays[0]}{more} from any library of the process, and none here has it"
            )

    def _resolve(self, symbol: Undefined, image: Image, troubles: list[Trouble]) -> None:
        """Look for a name in its library, and add an error to `troubles` if the library lacks it.

        Not judged: names of a missing library; names of Apple's libraries, which are in no file; shared names, which Apple's
        libc++ can define.
        """
        there = image if symbol.library == SELF else self.found(image, symbol.library)
        if symbol.weak or symbol.library == SHARED or there is None or isinstance(there, str):
            return
        if not self._exports(there, symbol.name):
            troubles.append(NoSymbol(symbol.name, there.name, image.name))

    def _anywhere(self, name: str) -> bool:
        """Return whether anything in the process defines a name: a library, Python's program, or the runtime of Objective-C.

        That runtime is in every process.
        """
        return name.startswith(("_Py", "__Py", "_objc_", "_OBJC_")) or any(
            self._exports(image, name) for image in list(self.loaded.values())
        )

    def _exports(self, image: Image, name: str, depth: int = 0) -> bool:
        """Return whether a library exports a name, itself or through the libraries that it re-exports."""
        if depth > MOST_REEXPORTS:
            return False
        try:
            code = image.code(self.machine)
            if code is None:
                return True  # this was reported when it was loaded
            exported = code.exported(name)
            numbers = [number for number, dylib in enumerate(code.dylibs, 1) if dylib.kind == "reexported"]
        except (OSError, DamagedFile):
            return True
        if exported is not None and not exported.library:
            return True
        if exported is not None:
            numbers, name = [exported.library], exported.name or name
        return any(self._exports_by(image, number, name, depth) for number in numbers)

    def _exports_by(self, image: Image, number: int, name: str, depth: int) -> bool:
        if image.path in self._before:
            return True  # its libraries were not looked for
        there = self.found(image, number)
        if isinstance(there, Image):
            return self._exports(there, name, depth + 1)
        return there is not None


def _folders(value: str | None) -> tuple[str, ...]:
    return tuple(folder for folder in (value or "").split(":") if folder.startswith("/"))
