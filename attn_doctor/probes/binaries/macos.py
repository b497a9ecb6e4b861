"""Judge whether extensions and wheels for macOS would load.

Only files are read: the extension, its folder, torch, and other named folders.
"""

from __future__ import annotations

import platform
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from attn_doctor.knowledge import macos_libraries
from attn_doctor.knowledge.cxx_names.parser import demangle
from attn_doctor.model.facts import Binary, BinaryCause, Interpreter, Needed, Unknown
from attn_doctor.probes.binaries import naming, wheel
from attn_doctor.probes.binaries.macho import MAGICS
from attn_doctor.probes.binaries.macos_files import Disk, Image, before
from attn_doctor.probes.binaries.macos_loader import (
    Mac,
    Missing,
    NoSymbol,
    OtherMachine,
    Process,
    Trouble,
    Unsigned,
)
from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile, Mapped
from attn_doctor.probes.binaries.verdict import Reason, sentences
from attn_doctor.system import files

_SITE = "/site-packages"  # where a wheel is read as if it were installed there
_TAG = re.compile(r"(\.(cpython-\d+t?-darwin|abi3))?\.(so|dylib)$")


class Target(NamedTuple):
    """Describe the Python of a Mac whose files can be read here.

    Functions take None in its place if the target is another machine: then only the folders of `--beside` describe it.
    """

    mac: Mac
    interpreter: Interpreter


def target_of(interpreter: Interpreter, environ: Mapping[str, str]) -> Target | None:
    """Return the target if it is a Python of macOS, else None."""
    if not isinstance(interpreter.platform, str) or not interpreter.platform.startswith("macosx"):
        return None
    told = interpreter.platform.rpartition("-")[2]  # "universal2" for a Python with the code for both
    machine = told if told in ("arm64", "x86_64") else platform.machine()
    # macOS 11 and newer say 10.16 to a Python that was built for older ones.
    version = platform.mac_ver()[0]
    python = interpreter.python
    program = Disk().get(str(Path(python).resolve())) if isinstance(python, str) else None
    return Target(Mac(machine, None if version in ("", "10.16") else version, environ, program), interpreter)


def is_for_macos(path: str) -> bool:
    """Return whether a file is judged by the rules of macOS: a wheel with a tag for macOS, a .dylib, or a .so that begins like a Mach-O file."""
    if path.endswith(".whl"):
        return re.search(r"-macosx_\d+_\d+_\w+\.whl$", path) is not None
    if path.endswith(".dylib"):
        return True
    try:
        return path.endswith(".so") and files.head(path, 4) in MAGICS
    except OSError:
        return False


def library(path: str, beside: Sequence[str] = (), target: Target | None = None, module: str | None = None) -> Binary:
    """Judge one file. `beside`: folders whose libraries are loaded already, such as torch/lib. `target`: see `Target`.

    `module`: the name under which Python would import the file; None: from the name of the file. The verdict is unknown if the file
    cannot be opened.
    """
    module = module or _TAG.sub("", Path(path).name)
    image = Image(path, partial(Mapped.open, Path(path)))
    try:
        image.file  # noqa: B018 - opens it
    except OSError as error:
        return Binary(module=module, path=path, verdict=Unknown(f"{path} cannot be read ({error.strerror or error})"))
    except DamagedFile as error:
        return _unreadable(module, path, error)
    disk = Disk()
    near = list(before([str(Path(path).parent)], disk))
    return _judged(image, _Around(disk, beside, near), target, _Name(path, module))


def members(path: str, beside: Sequence[str] = (), target: Target | None = None) -> Iterator[Binary]:
    """Judge each extension of a wheel as if it were installed. Raises OSError or DamagedFile if the wheel cannot be read.

    `beside`, `target`: as for `library`.
    """
    with wheel.WheelFile(Path(path)) as archive:
        places = {archive.place(member, _SITE): member for member in archive.of_macos}
        disk = Disk({place: archive.opener(member) for place, member in places.items()})
        for place in _modules(places, disk):
            image = disk.get(place)
            if image is None:
                continue
            module = ".".join([*PurePosixPath(place).relative_to(_SITE).parent.parts, _TAG.sub("", image.name)])
            shown = f"{path}/{places[place]}"
            try:
                image.file  # noqa: B018 - unpacks it
            except DamagedFile as error:
                yield _unreadable(module, shown, error)
                continue
            package = place.removeprefix(f"{_SITE}/").partition("/")[0]
            near = [one for at in places if at.startswith(f"{_SITE}/{package}/") and (one := disk.get(at))]
            yield _judged(image, _Around(disk, beside, near), target, _Name(shown, module))


def _modules(places: Mapping[str, str], disk: Disk) -> list[str]:
    """Return the extension modules of a wheel.

    A wheel without modules: the libraries that no other one names, because a program loads those by their path.
    """
    modules = sorted(place for place in places if place.endswith(".so") and "/.dylibs/" not in place)
    if modules:
        return modules
    named: set[str] = set()
    for place in places:
        image = disk.get(place)
        try:
            slices = image.file.slices.values() if image else ()
            named.update(posixpath.basename(dylib.name) for code in slices for dylib in code.dylibs)
        except (OSError, DamagedFile):
            continue
    return sorted(place for place in places if posixpath.basename(place) not in named)


def _unreadable(module: str, path: str, error: DamagedFile) -> Binary:
    cause: BinaryCause = "machine" if isinstance(error, ForeignFile) else "damaged"
    return Binary(module=module, path=path, verdict="fails", cause=cause, because=(f"it {error}",))


class _Name(NamedTuple):
    """Hold the names of a file in its record."""

    path: str
    module: str


class _Around(NamedTuple):
    """Hold the files that can change a verdict.

    `beside`: folders whose libraries the process has loaded already. `near`: the libraries of the same package.
    """

    disk: Disk
    beside: Sequence[str]
    near: Sequence[Image]


def _judged(image: Image, around: _Around, target: Target | None, name: _Name) -> Binary:
    path, module = name
    disk, beside, near = around
    loaded = list(before(beside, disk))
    mac = target.mac if target else None
    machine = mac.machine if mac else _machine_of(image, loaded)
    process = Process(disk, machine, loaded, near, mac)
    troubles = process.load(image)
    refused = naming.refused(image.name, target.interpreter) if target else None
    reasons = [Reason("python-abi", refused)] if refused else []
    reasons += [_reason(trouble) for trouble in troubles]
    oldest, needs = _of_file(image, machine, process)
    reasons += [*_too_new(needs, mac), *_no_entry(image, machine, module)]
    doubts = [*process.doubts, *_newer(image, oldest, mac)]
    verdict: object = "fails" if reasons else Unknown("; ".join(dict.fromkeys(doubts))) if doubts else "loads"
    return Binary(
        module=module,
        path=path,
        verdict=verdict,  # type: ignore[arg-type]
        cause=reasons[0].cause if reasons else None,
        because=sentences(reasons),
        needs=needs,
        undefined=tuple(dict.fromkeys(one.symbol.removeprefix("_") for one in troubles if isinstance(one, NoSymbol))),
        built_for_torch=Unknown("which torch a file for macOS was compiled for is not known"),
        glibc=None,
        glibcxx=None,
        cxx11_abi=None,
        sm=(),
        ptx=(),
        macos=oldest,
        signature=_signature(image, machine),
    )


def _machine_of(image: Image, loaded: Sequence[Image]) -> str:
    """Return the architecture of a simulated process on another machine.

    The file has code for it; if possible the libraries beside the file have too.
    """
    own = sorted(image.file.slices, key=lambda name: (not name.startswith("arm64"), name))
    for other in loaded:
        try:
            shared = [name for name in own if name in other.file.slices]
        except (OSError, DamagedFile):
            continue
        return shared[0] if shared else own[0]
    return own[0]


def _signature(image: Image, machine: str) -> str | Unknown:
    try:
        return (image.code(machine) or next(iter(image.file.slices.values()))).signature
    except (OSError, DamagedFile) as error:
        return Unknown(f"it {error}")


def _of_file(image: Image, machine: str, process: Process) -> tuple[str | None, tuple[Needed, ...] | Unknown]:
    try:
        code = image.code(machine) or next(iter(image.file.slices.values()))
        wanted, oldest = code.dylibs, code.oldest_macos
    except (OSError, DamagedFile) as error:
        return None, Unknown(f"it {error}")
    needs = []
    for number, dylib in enumerate(wanted, 1):
        there = process.found(image, number)
        found = there.path if isinstance(there, Image) else f"of {there}" if there in _OWNERS else None
        needs.append(Needed(name=dylib.name, found=found, package=None if found else _package(dylib.name)))
    return oldest, tuple(needs)


_OWNERS = (macos_libraries.APPLE, macos_libraries.PYTHON)


def _package(name: str) -> str | None:
    leaf = posixpath.basename(name)
    if leaf in macos_libraries.TORCH:
        return "torch"
    return "torch, or Homebrew's libomp" if leaf in ("libomp.dylib", "libiomp5.dylib") else None


def _reason(trouble: Trouble) -> Reason:
    """Return the cause, and a sentence with the error message of dyld."""
    if isinstance(trouble, Missing):
        package = _package(trouble.name)
        cause: BinaryCause = "torch-missing" if package == "torch" else "library"
        tail = f"; {package} has it" if package else ""
        text = f"{trouble.name}, which {trouble.wanted_by} needs, is in none of the folders that macOS searches"
        return Reason(cause, f"{text}{tail} (macOS says: Library not loaded: {trouble.name})")
    if isinstance(trouble, NoSymbol):
        of_torch = trouble.library in macos_libraries.TORCH
        return Reason(
            "torch-version" if of_torch else "symbol",
            f"{trouble.wanted_by} takes {_spelled(trouble.symbol)} from {trouble.library}, which does not have it (macOS says: Symbol not "
            f"found: {trouble.symbol})",
        )
    if isinstance(trouble, OtherMachine):
        have = ", ".join(trouble.have)
        text = f"{trouble.name} is for {have}, and the process of Python for {trouble.need}"
        tail = ""
        if {*trouble.have, trouble.need} <= {"arm64", "arm64e", "x86_64"}:
            tail = "; on Apple silicon an x86_64 Python runs under Rosetta, and needs x86_64 libraries only"
        return Reason(
            "machine", f"{text}{tail} (macOS says: incompatible architecture (have '{have}', need '{trouble.need}'))"
        )
    if isinstance(trouble, Unsigned):
        return Reason(
            "signature",
            f"{trouble.name} has no code signature, and Apple silicon runs signed code alone (macOS says: mapped file has no cdhash, completely "
            "unsigned? Code has to be at least ad-hoc signed)",
        )
    return Reason("damaged", f"{trouble.name} {trouble.why}")


def _spelled(symbol: str) -> str:
    """Return a symbol as C++ spells it: "c10::Error::what() const".

    Every name in a Mach-O file begins with one more underscore.
    """
    return demangle(symbol.removeprefix("_"))


def _too_new(needs: tuple[Needed, ...] | Unknown, mac: Mac | None) -> Iterator[Reason]:
    """Yield the libraries of Apple that came with a newer macOS than this one."""
    if isinstance(needs, Unknown) or mac is None or mac.macos is None:
        return
    for need in needs:
        since = macos_libraries.since(need.name)
        if since is not None and macos_libraries.older(mac.macos, since):
            yield Reason(
                "macos",
                f"{need.name} is a part of macOS since {since}, and this is macOS {mac.macos} (macOS says: Library not loaded: {need.name})",
            )


def _no_entry(image: Image, machine: str, module: str) -> Iterator[Reason]:
    """Yield a reason if a file has the name of a Python module and lacks the function that Python calls first."""
    entry = f"PyInit_{module.rpartition('.')[2]}"
    try:
        code = image.code(machine)
        if code is not None and naming.parse(image.name).tag is not None and code.exported(f"_{entry}") is None:
            yield Reason("no-entry", f"it exports no {entry}, so Python cannot import it as {module}")
    except (OSError, DamagedFile) as error:
        yield Reason("damaged", f"it {error}")


def _newer(image: Image, oldest: str | None, mac: Mac | None) -> Iterator[str]:
    """Yield a doubt if a file was built for a newer macOS. dyld loads the file; a call of a function that only the newer macOS has fails."""
    if oldest and mac and mac.macos and macos_libraries.older(mac.macos, oldest):
        yield f"{image.name} was built for macOS {oldest} and newer, and this is macOS {mac.macos}: it may need functions that are not there"
