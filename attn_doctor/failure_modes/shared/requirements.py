"""Find the missing requirements of torch, torchvision and ultralytics, judge their severity, and make the steps that install them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import torch_here, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import version
from attn_doctor.knowledge.modules import NEEDED_TO_TRAIN, NOT_NEEDED_TO_TRAIN, OF_TRAINING, TRAINING, module_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Severity
from attn_doctor.model.requirements import read_requirement
from attn_doctor.model.steps import Step


class Missing(NamedTuple):
    """Hold one required package that is not installed. `place`: its index in facts.packages.conflicts."""

    place: int
    asked_by: str  # "ultralytics 8.4.190"
    name: str  # normalised: "opencv-python"
    specifier: str  # ">=4.6.0"


def missing(facts: Facts) -> tuple[Missing, ...]:
    """Return the missing requirements of torch, torchvision, ultralytics, and of the packages that these require; each name once.

    torch itself is left out: torch-missing reports it. Empty also if the conflicts are not known.
    """
    conflicts = facts.packages.conflicts
    found: dict[str, Missing] = {}
    for index, conflict in enumerate(conflicts if isinstance(conflicts, tuple) else ()):
        asked_by = canonicalize_name(conflict.package.partition(" ")[0])
        if conflict.found is not None or not (asked_by in TRAINING or module_of(asked_by) in OF_TRAINING):
            continue
        requirement = read_requirement(conflict.requires)
        if requirement is None:
            continue
        name = canonicalize_name(requirement.name)
        if name != "torch":  # torch-missing reports it
            found.setdefault(name, Missing(index, conflict.package, name, str(requirement.specifier)))
    return tuple(found.values())


def gravity(names: Iterable[str], *, imports: bool) -> Severity:
    """Return the severity of missing requirements.

    ERROR if training is known to stop without one of them. INFO if `imports`, and training is known to need none of them. Else WARNING.
    `imports`: ultralytics was seen to import without them.
    """
    names = set(names)
    if names & NEEDED_TO_TRAIN:
        return Severity.ERROR
    return Severity.INFO if imports and names <= NOT_NEEDED_TO_TRAIN else Severity.WARNING


def listed(lacks: Iterable[Missing], most: int = 12) -> str:
    """Return the names of missing requirements as a part of a sentence: "opencv-python, pillow and 3 more"."""
    names = [lack.name for lack in lacks]
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def install(facts: Facts, lacks: Iterable[Missing], more: Iterable[str] = ()) -> tuple[Step, ...]:
    """Return the steps that install missing requirements, all in one command.

    torchvision gets a step of its own: the release for this torch, from the index of torch's build. `more`: further requirements, such as
    "setuptools<81".
    """
    lacks = tuple(lacks)
    asked = {lack.name: f"{lack.name}{lack.specifier}" for lack in lacks} | {name: name for name in more}
    for lack in lacks:
        if lack.name == "numpy":
            asked["numpy"] = torch_here.numpy_for(facts, lack.specifier)
    vision = torch_here.vision(facts, reinstall=False) if asked.pop("torchvision", None) else None
    wanted = list(asked.values())
    steps = [vision] if vision else []
    if wanted:
        steps.append(
            commands.install(
                *wanted,
                why="the installed packages need these",
                changes=f"adds {', '.join(wanted)}",
            )
        )
    return tuple(steps)


def afresh(facts: Facts, distribution: str) -> tuple[Step, ...]:
    """Return the steps that install a distribution again, in the installed version, without its requirements.

    If the installed torch is not for this machine: the newest torch for it. If the version is not known: the newest release.
    """
    if distribution == "torch":
        return torch_here.again(facts, only_torch=True) or torch_steps.newest_steps(facts, reinstall=True)
    if distribution == "torchvision" and (vision := torch_here.vision(facts)) is not None:
        return (vision,)
    have = None
    with contextlib.suppress(Unsure):
        have = version(facts, distribution)
    return (
        commands.install(
            f"{distribution}=={have.partition('+')[0]}" if have else distribution,
            why="replaces the damaged copy by a complete copy",
            changes=f"{distribution}, the present version" if have else distribution,
            reinstall=True,
            no_deps=True,
        ),
    )
