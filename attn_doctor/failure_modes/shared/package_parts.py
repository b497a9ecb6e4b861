"""Make the parts of the fix for packages that do not fit together: each mends one fault, from the facts of the environment. Pure."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.failure_modes.mode import known
from attn_doctor.failure_modes.shared import numpy_1, torch_here, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.model.facts import Conflict, Facts
from attn_doctor.model.machine import tried
from attn_doctor.model.requirements import Requirement, read_requirement
from attn_doctor.model.steps import Remove, Step, name_of

# Packages whose version decides whether attention works. Conflicts between other packages do not matter here.
OURS = re.compile(r"^(torch|torchvision|torchaudio|triton|numpy|flash-attn.*|xformers|ultralytics|nvidia-.*)$")

# The title of a fix and its steps; ("", ()) if there is nothing to do.
Part = tuple[str, tuple[Step, ...]]


def ours(conflict: Conflict) -> bool:
    """Return whether a conflict is about an installed package of OURS: torch and what belongs to it."""
    name = name_of(conflict.requires)
    # A missing package is reported by requirements-missing.
    return name is not None and bool(OURS.match(name)) and conflict.found is not None


def asked_for(facts: Facts) -> Part:
    """Return (title, steps) that install what the installed packages require.

    The steps are empty if there is nothing to do. Only requirements of OURS count. Raises Unsure if the conflicts are
    not known.
    """
    torch = facts.torch.version
    vision, rest, steps = False, dict[str, None](), list[Step]()
    for conflict in known(facts.packages.conflicts):
        requirement = read_requirement(conflict.requires)
        if requirement is None or not ours(conflict):
            continue
        dependent = conflict.package.partition(" ")[0]
        name = canonicalize_name(requirement.name)
        if dependent == "torchvision" and name == "torch" and isinstance(torch, str):
            vision = True  # torchvision is changed to fit torch, not torch to fit torchvision
        elif name == "torchvision":
            vision = True
        elif name == "torch":
            steps += _torch_as_asked(facts, requirement, conflict.package)
        else:
            of_numpy = name == "numpy"
            asked = numpy_1.beside_torch(facts, str(requirement.specifier), (dependent,)) if of_numpy else ()
            rest.update(dict.fromkeys(asked or (str(requirement),)))
    if vision and not steps:
        fitting = torch_here.vision(facts, reinstall=False)
        steps += [fitting] if fitting else []
    if rest:
        names = tuple(rest)
        steps.append(
            commands.install(
                *names,
                why="all that the installed packages require, in one command, so that the installer sees all requirements",
                changes=", ".join(names),
                risk="medium",
                risk_text="perhaps no versions satisfy all requirements: then the installer says so before it changes anything",
            )
        )
    return ("Install what the packages ask for", tuple(steps)) if steps else ("", ())


def _torch_as_asked(facts: Facts, requirement: Requirement, package: str) -> tuple[Step, ...]:
    """Return the steps that install the torch that a package requires: the exact version if it names one, else the newest for this machine."""
    exact = [part.version for part in requirement.specifier if part.operator == "==" and "*" not in part.version]
    if exact:
        return torch_steps.release(facts, exact[0].partition("+")[0], f"{package} requires {requirement}")
    return torch_steps.newest_steps(facts, f"{package} requires {requirement}")


def strangers(facts: Facts) -> Part:
    """Return (title, steps) that leave out PYTHONPATH, or the user site.

    ("", ()) if neither hides packages of the environment or of Python.
    """
    standard = facts.interpreter.standard_hidden
    if not (isinstance(standard, tuple) and standard) and not any(
        " hides " in text for text in known(facts.interpreter.differs_isolated)
    ):
        return "", ()
    if variable(facts, "PYTHONPATH"):
        unset = commands.variable(
            "PYTHONPATH", None, "this setting makes Python import other packages than the packages of the environment"
        )
        return "Leave PYTHONPATH out", (unset,)
    without = commands.variable(
        "PYTHONNOUSERSITE", "1", "the user site makes Python import other packages than those of the environment"
    )
    return "Leave the user site out", (without,)


def _records(duplicate: str) -> tuple[str, tuple[str, ...]]:
    """Return the package and the versions of its records: ("torch", ("2.5.1", "2.6.0")) for "torch 2.5.1 and 2.6.0"."""
    name, _, versions = duplicate.partition(" ")
    return name, tuple(version for version in versions.split(" and ") if version)


def doubled(facts: Facts) -> Part:
    """Return (title, steps) for packages that are installed in several versions; ("", ()) if there is none.

    One removal for each record (dist-info folder) of a package, then the installation of the version that is imported. A removal that
    finds nothing more to remove does no harm. Raises Unsure if the duplicates are not known.
    """
    steps: list[Step] = []
    for text in known(facts.packages.duplicates):
        name, versions = _records(text)
        if not versions:
            continue
        why = f"{len(versions)} versions of it are recorded as installed, and each removal removes only one"
        steps += [commands.uninstall(name, why=why)] * len(versions)
        have = _imported(facts, name) or versions[-1]
        steps.append(
            commands.install(
                f"{name}=={have.partition('+')[0]}",
                index_url=torch_here.index_here(facts) if name == "torch" else None,
                why=f"one complete copy of {name}, in the version that is imported now",
                changes=f"{name} {have}",
                no_deps=True,
            )
        )
    names = [_records(text)[0] for text in known(facts.packages.duplicates)]
    return (f"Install {', '.join(names)} afresh", tuple(steps)) if steps else ("", ())


def _imported(facts: Facts, name: str) -> str | None:
    """Return the version of a package that Python imports; None if it is not known. The records of its installation may name others."""
    if name == "torch":
        return facts.torch.version if isinstance(facts.torch.version, str) else None
    found = next((i.version for i in tried(facts) if i.module == name), None)
    return found if isinstance(found, str) else None


def left_over(facts: Facts) -> Part:
    """Return (title, steps) that remove the folders which an interrupted pip left; ("", ()) if there are none.

    On Windows a step in words. Raises Unsure if the remnants are not known.
    """
    remnants = known(facts.packages.remnants)
    folder = facts.interpreter.site_packages
    if not remnants or not isinstance(folder, str):
        return "", ()
    paths = tuple(f"{folder}/{name}" for name in remnants)
    why, changes = "an interrupted pip left these files; nothing uses them", f"removes {', '.join(remnants)}"
    if facts.system.os == "windows":
        return "Remove what an interrupted pip left", (commands.by_hand((), f"{why}: {', '.join(paths)}", changes),)
    return "Remove what an interrupted pip left", (Remove(paths=paths, why=why, changes=changes),)
