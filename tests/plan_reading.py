"""What tests read of a plan's steps, in one place: whoever changes how a step is kept changes these functions alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attn_doctor.fixes.installers import parse


def installs(step: Any) -> tuple[str, ...]:
    """Return the names of the packages that a step installs, in the order in which it names them."""
    request = parse(step.argv) if step.kind == "run" else None
    return request.names() if request and request.verb == "install" else ()


def uninstalls(step: Any) -> tuple[str, ...]:
    """Return the names of the packages that a step removes."""
    request = parse(step.argv) if step.kind == "run" else None
    return request.names() if request and request.verb == "uninstall" else ()


def variable(step: Any) -> tuple[str, str | None] | None:
    """Return name and value of the variable that a step sets; the value is None where it unsets it."""
    if step.kind != "environment":
        return None
    return step.argv[0], step.argv[1] if len(step.argv) > 1 else None


def run_by_doctor(way: Any) -> tuple[Any, ...]:
    """Return the steps that `fix --apply` runs itself."""
    return way.runnable()


def is_of_the_system(step: Any) -> bool:
    """Whether only the user can take a step: it needs root, a reboot, another machine."""
    return step.kind == "system"


def said(step: Any) -> tuple[str, ...]:
    """Return what tells one step from another: its command, or its words where it has none."""
    return step.argv or (step.why,)


def places(steps: tuple[Any, ...], read: Any, name: str) -> Iterator[int]:
    """Return the places of the steps that install, or remove, a package: `places(way.steps, installs, "torch")`."""
    return (index for index, step in enumerate(steps) if name in read(step))
