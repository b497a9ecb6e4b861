"""Judge libraries and wheels that the user names, against a target.

The target's interpreter is started; none of its packages is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from attn_doctor.errors import NoAnswer
from attn_doctor.model.facts import Binary, BinaryCause, BinaryVerdict, Interpreter, Unknown
from attn_doctor.model.foreign_text import text
from attn_doctor.probes.ask import ask
from attn_doctor.probes.binaries import macos, naming, wheel, windows
from attn_doctor.probes.binaries.files import Files
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.package_consistency import Judged, settle
from attn_doctor.probes.binaries.target import Target, newest_version
from attn_doctor.probes.binaries.verdict import judge
from attn_doctor.system.files import absolute, check_regular


class Place(NamedTuple):
    """Describe the target of an inspection: an interpreter, its torch and its search path."""

    interpreter: Interpreter
    torch: str | None  # the folder of its torch; None: there is none
    path: tuple[str, ...]  # sys.path


def place_of(python: str, environ: Mapping[str, str], timeout: float = 120.0) -> Place:
    """Start an interpreter and return what it says of itself, its torch and its sys.path, without importing a package.

    `environ`: its variables. `timeout`: seconds. Raises NoAnswer if it does not answer.
    """
    answer = ask(python, ("interpreter", "modules", "path"), environ, timeout, modules=["torch"])
    if isinstance(answer.modules, Unknown):
        raise NoAnswer(text(python), f"does not say where its torch is: {answer.modules.why}")
    torch = answer.module("torch").origin
    return Place(answer.interpreter, str(Path(torch).parent) if torch else None, tuple(p for p in answer.path if p))


def inspect(
    paths: Sequence[str], place: Place, environ: Mapping[str, str], beside: Sequence[str] = ()
) -> Iterator[Binary]:
    """Yield one record for a library, and one for each extension in a wheel; a wheel without extensions gives one record.

    The verdict is unknown for a file that cannot be opened. A file for Windows or macOS is judged by the rules of that system. On
    another system this needs its libraries, in the folders `beside`; if none is given, the verdict on a library is unknown.
    """
    here = place.interpreter.platform
    on_windows = isinstance(here, str) and here.startswith("win")
    on_mac = macos.target_of(place.interpreter, environ)
    for path in paths:
        try:
            check_regular(path)
        except OSError as error:
            yield _unread(absolute(path), Path(path).name, error)
            continue
        location = absolute(path)  # links are left as they are: $ORIGIN depends on them
        its = "Windows" if windows.is_for_windows(path) else "macOS" if on_mac or macos.is_for_macos(path) else None
        judgeable = beside or (on_windows if its == "Windows" else on_mac is not None)
        if its and not judgeable and not path.endswith(".whl"):
            # Without the folders of its libraries, one that is missing would only be one that nobody named.
            why = Unknown(f"it is a file of {its}, and the folders of its libraries were not named (--beside FOLDER)")
            yield Binary(module=Path(path).stem, path=location, verdict=why)
        elif its == "Windows" and judgeable:
            yield from _of_windows(location, place, environ, beside, on_windows=on_windows)
        elif its == "macOS" and judgeable:
            yield from _of_macos(location, place, beside, on_mac)
        elif path.endswith(".whl"):
            yield from _wheel(location, place, environ)
        else:
            target = Target(Files(), place.interpreter, place.torch, place.path, environ)
            yield judge(target, naming.parse(Path(path).name).module, location).record


def _of_windows(
    path: str, place: Place, environ: Mapping[str, str], beside: Sequence[str], *, on_windows: bool
) -> Iterator[Binary]:
    python, base = place.interpreter.python, place.interpreter.base_prefix
    there = (
        windows.folders_of(str(python), base if isinstance(base, str) else None, place.torch, environ)
        if on_windows
        else ()
    )
    folders = (*beside, *there)
    refusal = wheel.refused_on_windows(Path(path).name, place.interpreter) if on_windows else None
    yield from _judged(
        path,
        lambda: windows.library(path, folders, has_system=on_windows),
        lambda: windows.members(path, folders, has_system=on_windows),
        refusal,
    )


def _of_macos(path: str, place: Place, beside: Sequence[str], target: macos.Target | None) -> Iterator[Binary]:
    folders = (*beside, str(Path(place.torch) / "lib")) if target and place.torch else beside
    mac = target.mac if target else None
    refusal = wheel.refused_on_macos(Path(path).name, place.interpreter, mac.machine, mac.macos) if mac else None
    yield from _judged(
        path, lambda: macos.library(path, folders, target), lambda: macos.members(path, folders, target), refusal
    )


def _judged(
    path: str, library: Callable[[], Binary], members: Callable[[], Iterator[Binary]], refusal: str | None
) -> Iterator[Binary]:
    """Yield the record of a library, or the records of a wheel.

    `refusal`: the reason why an installer refuses the wheel, or None.
    """
    name = Path(path).name
    is_wheel = path.endswith(".whl")
    try:
        records = list(members()) if is_wheel else [library()]
    except (DamagedFile, OSError) as error:
        yield _unread(path, name, error)
        return
    if not records:
        nothing = ("it holds no compiled extension",)
        records = [Binary(module=name, path=path, verdict=None, because=nothing, sm=(), ptx=(), needs=())]
    for record in records:
        yield _refused(record, refusal) if is_wheel and refusal else record


def _unread(path: str, name: str, error: DamagedFile | OSError) -> Binary:
    if isinstance(error, DamagedFile):
        return Binary(module=name, path=path, verdict="fails", cause="damaged", because=(f"it {error}",))
    return Binary(module=name, path=path, verdict=Unknown(f"{path} cannot be read ({error.strerror or error})"))


def _wheel(path: str, place: Place, environ: Mapping[str, str]) -> Iterator[Binary]:
    name = Path(path).name
    site = place.interpreter.site_packages
    folder = site if isinstance(site, str) else "/site-packages"
    try:
        with wheel.WheelFile(Path(path)) as archive:
            files = Files(laid_over=archive.laid_over(folder))
            target = Target(files, place.interpreter, place.torch, place.path, environ)
            refusal = _refusal(name, target)
            if not archive.extensions:
                because = (*([refusal] if refusal else []), "it holds no compiled extension")
                verdict: BinaryVerdict | None = "fails" if refusal else None
                cause: BinaryCause | None = "wheel-tag" if refusal else None
                yield Binary(
                    module=name, path=path, verdict=verdict, cause=cause, because=because, sm=(), ptx=(), needs=()
                )
            judged = [_member(target, path, member, archive.place(member, folder)) for member in archive.extensions]
            for record in settle(judged, target.torch_minor):
                yield record if refusal is None else _refused(record, refusal)
    except (DamagedFile, OSError) as error:
        yield _unread(path, name, error)


def _member(target: Target, path: str, member: str, place: str) -> Judged:
    module = ".".join([*Path(member).parent.parts, naming.parse(Path(member).name).module])
    judged = judge(target, module, place)
    return judged._replace(record=msgspec.structs.replace(judged.record, path=f"{path}/{member}"))


def _refused(record: Binary, refusal: str) -> Binary:
    return msgspec.structs.replace(record, verdict="fails", cause="wheel-tag", because=(refusal, *record.because))


def _refusal(name: str, target: Target) -> str | None:
    libc = target.process.known("libc.so.6")
    glibc = newest_version(libc.binary, "GLIBC") if libc else None
    return wheel.refused(name, target.interpreter, target.process.machine, glibc)
