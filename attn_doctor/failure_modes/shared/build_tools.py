"""Find the small packages that setup.py imports and that are missing, and install them. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import package
from attn_doctor.knowledge.yes_no_unknown import names
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix, fact

NEEDED = ("setuptools", "wheel", "packaging", "psutil", "ninja")


def missing(facts: Facts, wanted: tuple[str, ...]) -> Hit | None:
    """Find the packages that a build without isolation would miss in the target."""
    if not building.setup_would_run(facts):
        return None
    absent = [name for name in wanted if package(facts, name) is None]
    if not absent:
        return None
    return Hit(
        message=f"{names(absent)} is not installed here, and building flash-attn without isolation imports it."
        if len(absent) == 1
        else f"{names(absent)} are not installed here, and building flash-attn without isolation imports them.",
        evidence=(fact(facts, "packages.distributions", f"there is no {' and no '.join(absent)}"),),
    )


def missed(seen: Seen, usual: str) -> Hit | None:
    """Report a build in a log that stopped because one of them was missing."""
    name = seen.group("module") or usual
    sure = any(m.strength == "proof" or building.in_build(seen, m) for m in seen.matches)
    return Hit(
        message=f"{name} was missing in the environment that built the package.",
        evidence=building.lines(seen.matches),
        confidence=Confidence.HIGH if sure else Confidence.LOW,
    )


def fixes(facts: Facts) -> tuple[Fix, ...]:
    tools = commands.install(
        *NEEDED,
        why="setup.py imports them one after the other: install all at once, or the build fails up to four times",
        changes="adds build tools",
    )
    step = building.build(facts, "with isolation off, the build sees what is installed here")
    title = "Install the build tools, then build without isolation"
    return (
        *building.without_compiling(facts),
        Fix(title=title, steps=(tools, step), verify=building.verify(facts)),
    )
