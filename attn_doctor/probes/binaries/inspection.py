"""Judge libraries and wheels that the user names, against a target. Only the target's interpreter is run, none of its packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from attn_doctor.errors import NoAnswer
from attn_doctor.model.facts import Binary, BinaryVerdict, Interpreter, Unknown
from attn_doctor.model.foreign_text import text
from attn_doctor.probes.ask import ask
from attn_doctor.probes.binaries import naming, wheel
from attn_doctor.probes.binaries.files import Files
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.package_consistency import Judged, settle
from attn_doctor.probes.binaries.target import Target, newest_version
from attn_doctor.probes.binaries.verdict import judge
from attn_doctor.system.files import absolute


class Place(NamedTuple):
    """Describe the target of an inspection: an interpreter, its torch and its search path."""

    interpreter: Interpreter
    torch: str | None
    path: tuple[str, ...]


def place_of(python: str, environ: Mapping[str, str], timeout: float = 120.0) -> Place:
    """Ask an interpreter what it is, without importing anything. Raises NoAnswer if it does not answer."""
    answer = ask(python, ("interpreter", "modules", "path"), environ, timeout, modules=["torch"])
    if isinstance(answer.modules, Unknown):
        raise NoAnswer(text(python), f"does not say where its torch is: {answer.modules.why}")
    torch = answer.module("torch").origin
    return Place(answer.interpreter, str(Path(torch).parent) if torch else None, tuple(p for p in answer.path if p))


def inspect(paths: Sequence[str], place: Place, environ: Mapping[str, str]) -> Iterator[Binary]:
    """Yield one record for a library, and one for each extension in a wheel. The verdict is unknown for a file that cannot be read."""
    for path in paths:
        location = absolute(path)  # links are left as they are: $ORIGIN depends on them
        if path.endswith(".whl"):
            yield from _wheel(location, place, environ)
        else:
            target = Target(Files(), place.interpreter, place.torch, place.path, environ)
            yield judge(target, naming.parse(Path(path).name).module, location).record


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
                yield Binary(module=name, path=path, verdict=verdict, because=because, sm=(), ptx=(), needs=())
            judged = [_member(target, path, member, archive.place(member, folder)) for member in archive.extensions]
            for record in settle(judged, target.torch_minor):
                yield record if refusal is None else _refused(record, refusal)
    except DamagedFile as error:
        yield Binary(module=name, path=path, verdict="fails", cause="damaged", because=(f"it {error}",))
    except OSError as error:
        why = f"{path} cannot be read ({error.strerror or error})"
        yield Binary(module=name, path=path, verdict=Unknown(why))


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
