"""Read one wheel file and judge it for a target. Only the target's interpreter is run, none of its packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attn_doctor.errors import Refused
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.wheel_file import WheelContents
from attn_doctor.probes.binaries.inspection import inspect, place_of
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.wheel_contents import Folders, Meetings, contents, meetings
from attn_doctor.wheels.proof import Proof, names, prove


def proof_of(
    path: Path,
    facts: Facts,
    environ: Mapping[str, str],
    timeout: float,
    *,
    gpus: Sequence[str] | Unknown | None = None,
    also: Sequence[str] = (),
) -> Proof:
    """Return the verdict on a wheel for the target of these facts. `gpus`: compute capabilities ("8.9") in place of those in the facts.

    `timeout`: seconds for the target's answer. `also`: see `prove`. Raises Refused if the file cannot be read, NoAnswer if the
    target does not answer.
    """
    python, site = str(facts.interpreter.python), facts.interpreter.site_packages
    notices: list[str] = []
    try:
        seen = contents(path)
        if isinstance(site, str):
            scripts, prefix = Path(python).parent, facts.interpreter.prefix
            places = (site, scripts, prefix if isinstance(prefix, str) else scripts.parent)
            met = meetings(path, Folders(*(Path(os.path.realpath(place)) for place in places)), seen.name)
            also = (*also, *_replaced(met))
            notices += _among(met)
            notices += _hidden(seen, scripts, environ.get("PATH", ""))
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from error
    except DamagedFile as error:
        raise Refused(f"{path} {error}") from error
    records = list(inspect([str(path)], place_of(python, environ, timeout), environ))
    return prove(seen, records, key_of(facts).gpus if gpus is None else gpus, also=also, beside=notices)


def _replaced(met: Meetings) -> Iterator[str]:
    if met.replaced:
        yield f"it would replace files of other packages: {names(met.replaced)}"


def _among(met: Meetings) -> Iterator[str]:
    if met.among:
        yield f"it puts files into the folders of installed packages: {names(met.among)}"


def _hidden(seen: WheelContents, scripts: Path, path: str) -> Iterator[str]:
    """Yield a sentence if programs of the wheel have the names of other programs on PATH, which they may hide."""
    elsewhere = os.pathsep.join(folder for folder in path.split(os.pathsep) if Path(folder) != scripts)
    programs = [name.rpartition("/")[2] for name in seen.scripts]
    there = [found for name in programs if (found := shutil.which(name, path=elsewhere))]
    if there:
        yield f"its programs have the names of others on your PATH, and may hide them: {names(there)}"
