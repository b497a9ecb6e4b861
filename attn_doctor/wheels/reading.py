"""Read one wheel file and judge it for a target. Only the target's interpreter is run, none of its packages."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from attn_doctor.errors import Refused
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.probes.binaries.inspection import inspect, place_of
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.wheel_contents import contents, overwritten
from attn_doctor.wheels.proof import Proof, prove


def proof_of(
    path: Path,
    facts: Facts,
    environ: Mapping[str, str],
    timeout: float,
    *,
    gpus: Sequence[str] | Unknown | None = None,
    also: Sequence[str] = (),
) -> Proof:
    """Return the verdict on a wheel for the target of these facts. `gpus`: capabilities in place of those in the facts.

    `also`: see `prove`. Raises Refused if the file cannot be read, NoAnswer if the target does not answer.
    """
    python, site = str(facts.interpreter.python), facts.interpreter.site_packages
    try:
        seen = contents(path)
        if isinstance(site, str):
            folder, scripts = (Path(os.path.realpath(place)) for place in (site, Path(python).parent))
            taken = overwritten(path, folder, scripts, seen.name)
            also = (*also, *([_replaces(taken)] if taken else []))
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from error
    except DamagedFile as error:
        raise Refused(f"{path} {error}") from error
    records = list(inspect([str(path)], place_of(python, environ, timeout), environ))
    return prove(seen, records, key_of(facts).gpus if gpus is None else gpus, also=also)


def _replaces(taken: Sequence[str]) -> str:
    rest = len(taken) - 5
    return f"it would replace files of other packages: {', '.join(taken[:5])}" + (
        f" and {rest} more" if rest > 0 else ""
    )
