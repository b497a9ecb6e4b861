"""Files named by a user, libraries and wheels alike, judged against a target. Only the interpreter itself is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from attn_doctor import child
from attn_doctor.facts import Binary, Interpreter, Unknown
from attn_doctor.probes.binaries import naming, wheel
from attn_doctor.probes.binaries.files import Files
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.target import Target, newest_version
from attn_doctor.probes.binaries.together import Judged, settle
from attn_doctor.probes.binaries.verdict import judge
from attn_doctor.probes.choose import NoTarget


class Place(NamedTuple):
    """Where files are judged: an interpreter, its torch and its search path."""

    interpreter: Interpreter
    torch: str | None
    path: tuple[str, ...]


def ask(python: str, timeout: float = 120.0) -> Place:
    """What an interpreter says of itself, without importing anything. Raises NoTarget where it says nothing."""
    try:
        outcome = child.run(
            [python],
            ["target/channel.py", "target/inventory.py"],
            config={"watched": ["torch"]},
            deadline=timeout,
        )
    except OSError as error:
        raise NoTarget(f"{python} cannot be started: {error.strerror or error}") from error
    told: dict[str, Any] = {m.section: m.data for m in outcome.messages if m.at == "fact"}
    if "interpreter" not in told:
        raise NoTarget(f"{python} did not say what it is")
    interpreter = msgspec.convert(told["interpreter"], Interpreter)
    origin = next((m.get("origin") for m in told.get("modules", ())), None)
    torch = str(Path(origin).parent) if origin else None
    return Place(interpreter, torch, tuple(p for p in told.get("path", ()) if p))


def inspect(paths: Sequence[str], place: Place, environ: Mapping[str, str] = os.environ) -> Iterator[Binary]:
    """One record for a library, one for each extension in a wheel. A file that cannot be read has an unknown verdict."""
    for path in paths:
        absolute = os.path.abspath(path)  # noqa: PTH100 - links are left as they are: $ORIGIN depends on them
        if path.endswith(".whl"):
            yield from _wheel(absolute, place, environ)
        else:
            target = Target(Files(), place.interpreter, place.torch, place.path, environ)
            yield judge(target, naming.parse(Path(path).name).module, absolute).record


def _wheel(path: str, place: Place, environ: Mapping[str, str]) -> Iterator[Binary]:
    name = Path(path).name
    site = place.interpreter.site_packages
    folder = site if isinstance(site, str) else "/site-packages"
    try:
        with wheel.Wheel(Path(path)) as archive:
            files = Files(laid_over=archive.laid_over(folder))
            target = Target(files, place.interpreter, place.torch, place.path, environ)
            refusal = _refusal(name, target)
            if not archive.extensions:
                because = (*([refusal] if refusal else []), "it holds no compiled extension")
                verdict = "fails" if refusal else None
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
