"""Bring the packages that need NumPy 2 along, where a fix installs NumPy 1 because torch works only with that. Pure.

The table numpy_2 has the first releases that need NumPy 2: those of OpenCV, on Python 3.9 and newer.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import torch_here
from attn_doctor.failure_modes.shared.fact_queries import package
from attn_doctor.knowledge.rows import NumpyBuild
from attn_doctor.knowledge.tables import load
from attn_doctor.model.facts import Distribution, Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.requirements import Requirement, read_requirement
from attn_doctor.model.steps import Install, Step
from attn_doctor.model.versions import pair

_PYTHON = (3, 9)
# With another option the requirement of OpenCV does not belong into the same command: PyTorch's index has no OpenCV.
_JOINED = frozenset({"upgrade", "verbose", "no_cache"})


def beside_torch(facts: Facts, specifier: str, dependents: Sequence[str]) -> tuple[str, ...]:
    """Return the requirement of a NumPy for the torch here and for the packages that want it within `specifier`.

    If torch works only with NumPy 1 and these packages need NumPy 2, they follow by name: the installer then looks for releases of
    them that work with NumPy 1.
    """
    asked = torch_here.numpy_for(facts, specifier)
    return (asked,) if specifier in asked else (asked, *dict.fromkeys(dependents))


def with_opencv(facts: Facts, fix: Fix) -> Fix:
    """Return the fix; if it installs NumPy 1 beside an OpenCV that needs NumPy 2, with an OpenCV that works with NumPy 1 too."""
    wanted = _older(facts)
    here = _found(facts, "numpy")
    stays = f"numpy=={here.version}" if here is not None else None
    if not wanted or not any(_numpy_1(step) not in (None, stays) for step in fix.steps):
        return fix
    steps: list[Step] = []
    for step in fix.steps:
        numpy, named = _numpy_1(step), set(step.names()) if isinstance(step, Install) else set()
        missing = tuple(text for text in wanted if text.partition("<")[0] not in named)
        if numpy is None or not isinstance(step, Install):
            steps.append(step)
        elif step.options() <= _JOINED and not _of_conda(facts, "numpy"):
            bounded = {text.partition("<")[0]: text for text in wanted}
            requirements = (*(bounded.get(text, text) for text in step.requirements), *missing)
            changes = ", ".join((step.changes, *missing))
            why = f"{step.why}; {_why(wanted)}"
            steps.append(msgspec.structs.replace(step, requirements=requirements, changes=changes, why=why))
        else:
            steps += [step, commands.install(*wanted, numpy, why=_why(wanted), changes=", ".join(wanted))]
    return msgspec.structs.replace(fix, steps=tuple(steps))


def _why(wanted: tuple[str, ...]) -> str:
    return "; ".join(
        f"{name} needs NumPy 2 from {first} on" for name, _, first in (text.partition("<") for text in wanted)
    )


def _numpy_1(step: Step) -> str | None:
    """Return the requirement by which a step installs a NumPy older than 2; None if it does not."""
    for text in step.requirements if isinstance(step, Install) else ():
        asked = read_requirement(text)
        if asked is not None and asked.name.lower() == "numpy" and _excludes_2(asked):
            return text
    return None


def _excludes_2(asked: Requirement) -> bool:
    for part in asked.specifier:
        version = pair(part.version.removesuffix(".*"))
        if version is None:
            continue
        if version < (2, 0) and part.operator in ("==", "<", "<=", "~="):
            return True
        if version == (2, 0) and part.operator == "<":
            return True
    return False


def _older(facts: Facts) -> tuple[str, ...]:
    """Return the requirements of an older OpenCV, for each installed one that needs NumPy 2."""
    python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    if python is None or python < _PYTHON:
        return ()
    rows = [(row.package, row.requires) for row in load(NumpyBuild) if row.requires is not None]
    return tuple(f"{name}<{first}" for name, first in rows if _needs_2(_found(facts, name), first))


def _needs_2(found: Distribution | None, first: str) -> bool:
    if found is None or found.installer == "conda" or not isinstance(found.version, str):
        return False  # conda's solver reads what its own packages need
    version, least = pair(found.version), pair(first)
    return version is not None and least is not None and version >= least


def _found(facts: Facts, name: str) -> Distribution | None:
    try:
        return package(facts, name)
    except Unsure:
        return None


def _of_conda(facts: Facts, name: str) -> bool:
    found = _found(facts, name)
    return found is not None and found.installer == "conda"
