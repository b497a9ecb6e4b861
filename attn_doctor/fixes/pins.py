"""Find the requirements that a way breaks: those of the project in the current folder, and those of installed packages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from packaging.utils import canonicalize_name

from attn_doctor.fixes.plan import Change
from attn_doctor.fixes.resolve import wanted
from attn_doctor.model.facts import Facts, Pin, Unknown
from attn_doctor.model.requirements import Requirement, allows, read_requirement
from attn_doctor.model.steps import Install, Step, Uninstall, name_of

_LOCAL = re.compile(r"\+[A-Za-z0-9._-]+")
Done = tuple[Sequence[Change] | None, Step]  # the changes of a step, if the installer was asked; the step


def broken(facts: Facts, steps: Sequence[Done], kept: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return a sentence for each requirement that is not met after these steps.

    `kept`: packages whose line in the project's own files (pyproject.toml, a lock) is rewritten by the steps.
    """
    pins = facts.project.pins
    ends: dict[str, str | Requirement | None] = {}  # the version, the requirement, or None: removed
    for changes, step in steps:
        ends.update(_ends(changes, step))
    found = [
        text
        for pin in (() if isinstance(pins, Unknown) else pins)
        if not (pin.file.endswith((".toml", ".lock")) and name_of(pin.requirement) in kept)
        for text in _against(pin, ends)
    ]
    return tuple(dict.fromkeys(found))


def excluded(pin: Pin, step: Install) -> tuple[str, ...]:
    """Return a sentence if a constraint and a requirement of a step allow no common version; else an empty tuple."""
    return tuple(_against(pin, _ends(None, step), "allows"))


def _ends(changes: Sequence[Change] | None, step: Step) -> dict[str, str | Requirement | None]:
    if changes is not None:
        return {change.package: change.after for change in changes}
    if isinstance(step, Uninstall):
        return dict.fromkeys(step.names())
    if not isinstance(step, Install):
        return {}
    return {name: asked for name, text in wanted(step).items() if (asked := read_requirement(text)) is not None}


def _against(pin: Pin, ends: dict[str, str | Requirement | None], says: str = "asks for") -> Iterator[str]:
    requirement = read_requirement(pin.requirement)
    name = canonicalize_name(requirement.name) if requirement else name_of(pin.requirement)
    if name is None or name not in ends:
        return
    where = f"{pin.file} line {pin.line} {says} {pin.requirement}"
    end = ends[name]
    if end is None:
        yield f"{where}, and this removes it"
    elif requirement is None:
        return
    elif isinstance(end, str):
        if not _met(requirement, end):
            yield f"{where}, and this installs {end}"
    elif _exclude(requirement, end):
        yield f"{where}, and this asks for {end}"


def _met(requirement: Requirement, version: str) -> bool:
    """Return whether a version meets a requirement. Without a local part it allows any: torch==2.8.0 allows 2.8.0+cu128."""
    return allows(requirement.specifier, version) is not False


def _exclude(one: Requirement, other: Requirement) -> bool:
    """Return whether two requirements allow no common version. Only exact versions are compared."""
    for first, second in ((one, other), (other, one)):
        exact = [s.version for s in first.specifier if s.operator == "==" and "*" not in s.version]
        bare = read_requirement(
            f"{second.name}{_LOCAL.sub('', str(second.specifier))}"
        )  # torch==2.5.1 accepts 2.5.1+cu124
        if any(not _met(second if "+" in version or bare is None else bare, version) for version in exact):
            return True
    return False
