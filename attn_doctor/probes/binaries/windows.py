"""Judge whether extensions and wheels for Windows would load.

Only files are read: the extension, its folder, torch, and other named folders.
"""

from __future__ import annotations

import contextlib
import ntpath
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from attn_doctor.knowledge import windows_dlls
from attn_doctor.model.facts import Binary, BinaryCause, Needed, Unknown
from attn_doctor.probes.binaries import fatbin, wheel
from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile, Mapped
from attn_doctor.probes.binaries.verdict import Reason, sentences
from attn_doctor.probes.binaries.windows_loader import (
    Folder,
    Library,
    Missing,
    NoFunction,
    Process,
    Trouble,
)

SUFFIXES = (".pyd", ".dll")
_TAG = re.compile(r"\.(?P<tag>cp\d+t?-win_\w+)\.pyd$|\.pyd$|\.dll$", re.IGNORECASE)


def is_for_windows(name: str) -> bool:
    """Return whether a file is judged by the rules of Windows.

    Its name decides: a .pyd, a .dll, or a wheel with a tag for Windows.
    """
    return name.lower().endswith(SUFFIXES) or re.search(r"-win(_amd64|_arm64|32)\.whl$", name) is not None


def folders_of(python: str, base_prefix: str | None, torch: str | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders that the Python of a Windows machine searches, as torch/__init__.py sets them; System32 is the last.

    Folders that a program adds itself by add_dll_directory are not included. If no folder before it has a cudart, a torch for CUDA
    12.6 also searches that toolkit: CUDA_PATH_V12_6, or its usual place (CUDA_PATH does not count). `torch`: the folder of the
    package; None: there is none.
    """
    from attn_doctor.probes.torch import version_py  # that module judges torch's own files by this package

    found = [ntpath.join(torch, "lib")] if torch else []
    home = base_prefix or ntpath.dirname(python)
    found += [ntpath.join(home, "Library", "bin"), ntpath.dirname(python), home, ntpath.join(home, "DLLs")]
    cuda = version_py(Path(ntpath.join(torch, "version.py"))).get("cuda") if torch else None
    if cuda and not any(next(Path(folder).glob("cudart64*.dll"), None) for folder in found):
        programs = environ.get("PROGRAMFILES") or r"C:\Program Files"
        usual = ntpath.join(programs, "NVIDIA GPU Computing Toolkit", "CUDA", f"v{cuda}")
        found.append(ntpath.join(environ.get(f"CUDA_PATH_V{cuda.replace('.', '_')}") or usual, "bin"))
    found.append(ntpath.join(environ.get("SYSTEMROOT") or r"C:\Windows", "System32"))
    return tuple(dict.fromkeys(found))


def library(path: str, beside: Sequence[str] = (), *, has_system: bool = False, module: str | None = None) -> Binary:
    """Judge one file. `beside`: further folders that Windows would search, the folder of torch's libraries first.

    `has_system`: one of these folders is System32. `module`: the name under which Python would import the file; None: from the name of
    the file. The verdict is unknown if the file cannot be opened.
    """
    own = Folder.of(Path(path).parent)
    name = Path(path).name
    found = own.get(name) or Library(path, partial(Mapped.open, Path(path)))
    module = module or _TAG.sub("", name)
    try:
        found.pe  # noqa: B018 - opens it
    except OSError as error:
        return Binary(module=module, path=path, verdict=Unknown(f"{path} cannot be read ({error.strerror or error})"))
    except DamagedFile as error:
        return _unreadable(module, path, error)
    return _judged(found, own, Process(_folders(beside), has_system=has_system), path, module)


def _unreadable(module: str, path: str, error: DamagedFile) -> Binary:
    cause: BinaryCause = "machine" if isinstance(error, ForeignFile) else "damaged"
    return Binary(module=module, path=path, verdict="fails", cause=cause, because=(f"it {error}",))


def members(path: str, beside: Sequence[str] = (), *, has_system: bool = False) -> Iterator[Binary]:
    """Judge each extension of a wheel as if it were installed. Raises OSError or DamagedFile if the wheel cannot be read.

    `beside`, `has_system`: as for `library`.
    """
    with wheel.WheelFile(Path(path)) as archive:
        folders = _in_wheel(archive)
        every = [folder for folder in folders.values() if list(folder.libraries())]
        modules = [m for m in archive.of_windows if m.lower().endswith(".pyd")]
        for member in modules or _loaded_by_path(archive, folders):
            place = archive.place(member, "")[1:]
            own = folders[posixpath.dirname(place)]
            found = own.get(posixpath.basename(place))
            if found is None:
                continue
            # A package adds its own folders of libraries before it imports the extension (os.add_dll_directory).
            package = place.partition("/")[0]
            near = [
                f for at, f in folders.items() if at.partition("/")[0] in (package, f"{package}.libs") and f is not own
            ]
            search = [*near, *_folders(beside)] if beside else [*near, *(f for f in every if f not in near)]
            yield _judged(found, own, Process(search, has_system=has_system), f"{path}/{member}", _module(place))


def _in_wheel(archive: wheel.WheelFile) -> Mapping[str, Folder]:
    """Return the folders of a wheel, each with its place in site-packages and its libraries."""
    found: dict[str, dict[str, Library]] = {}
    for member in archive.of_windows:
        place = archive.place(member, "")[1:]
        folder, name = posixpath.split(place)
        found.setdefault(folder, {})[name] = Library(place, archive.opener(member))
    return {folder: Folder(files) for folder, files in found.items()}


def _loaded_by_path(archive: wheel.WheelFile, folders: Mapping[str, Folder]) -> list[str]:
    """Return the libraries of a wheel that are no modules and that no other library names.

    A program loads these by their path.
    """
    named: set[str] = set()
    for folder in folders.values():
        for one in folder.libraries():
            with contextlib.suppress(OSError, DamagedFile):
                named.update(wanted.library.lower() for wanted in one.pe.imports)
    return [member for member in archive.of_windows if posixpath.basename(member).lower() not in named]


def _module(place: str) -> str:
    parts = PurePosixPath(place)
    return ".".join([*parts.parent.parts, _TAG.sub("", parts.name)])


def _folders(beside: Sequence[str]) -> list[Folder]:
    return [Folder.of(Path(folder)) for folder in beside]


def _judged(found: Library, own: Folder, process: Process, path: str, module: str) -> Binary:
    troubles = process.load(found, own)
    reasons = [_reason(trouble) for trouble in troubles]
    doubts = tuple(dict.fromkeys(process.doubts))
    verdict: object = "fails" if reasons else "loads"
    if not reasons and doubts:
        verdict = Unknown(
            " and ".join(f"{dll} comes with {windows_dlls.owner(dll)}" for dll in doubts)
            + ": whether it is there was not seen"
        )
    return Binary(
        module=module,
        path=path,
        verdict=verdict,  # type: ignore[arg-type]
        cause=reasons[0].cause if reasons else None,
        because=sentences(reasons),
        needs=_needs(found, own, process),
        undefined=tuple(dict.fromkeys(t.function for t in troubles if isinstance(t, NoFunction))),
        built_for_torch=Unknown("C++ names on Windows do not show the torch that a file was compiled for"),
        glibc=None,
        glibcxx=None,
        cxx11_abi=None,
        macos=None,
        signature=_signature(found),
        **_gpu_code(found),
    )


def _reason(trouble: Trouble) -> Reason:
    """Return the cause, and a sentence with the error message of Windows."""
    if isinstance(trouble, Missing):
        package = windows_dlls.package_of(trouble.name)
        text = f"{trouble.name}, which {trouble.wanted_by} needs, is in none of the folders that Windows searches"
        tail = f"; {package} has it" if package else ""
        plain = trouble.name.lower()
        cause: BinaryCause = (
            "cuda-flavour"
            if plain in windows_dlls.CUDA_TORCH
            else "torch-missing"
            if plain in windows_dlls.TORCH
            else "library"
        )
        return Reason(cause, f"{text}{tail} (Windows says: The specified module could not be found)")
    if isinstance(trouble, NoFunction):
        cause = (
            "torch-version" if trouble.library.lower() in (*windows_dlls.TORCH, *windows_dlls.CUDA_TORCH) else "symbol"
        )
        return Reason(
            cause,
            f"{trouble.wanted_by} takes {trouble.function} from {trouble.library}, which does not have it (Windows says: The specified "
            "procedure could not be found)",
        )
    return Reason("machine" if trouble.foreign else "damaged", f"{trouble.name} {trouble.why}")


def _needs(found: Library, own: Folder, process: Process) -> tuple[Needed, ...] | Unknown:
    try:
        wanted = [one.library for one in found.pe.imports]
    except (OSError, DamagedFile) as error:
        return Unknown(f"it {error}")
    return tuple(_needed(name, process.found(name, own), process) for name in dict.fromkeys(wanted))


def _needed(name: str, there: Library | None, process: Process) -> Needed:
    if there is not None:
        return Needed(name=name, found=there.path, package=None)
    if process.brought(name):
        return Needed(
            name=name,
            found=f"of {'Windows' if windows_dlls.owner(name) == windows_dlls.WINDOWS else 'Python'}",
            package=None,
        )
    return Needed(name=name, found=None, package=windows_dlls.package_of(name))


def _signature(found: Library) -> str | Unknown:
    try:
        return found.pe.signature
    except (OSError, DamagedFile) as error:
        return Unknown(f"it {error}")


def _gpu_code(found: Library) -> dict[str, tuple[str, ...] | Unknown]:
    try:
        codes = fatbin.gpu_code(found.pe)
    except (OSError, DamagedFile) as error:
        return dict.fromkeys(("sm", "ptx"), Unknown(f"it {error}"))
    return {kind: fatbin.ordered(codes, kind) for kind in ("sm", "ptx")}
