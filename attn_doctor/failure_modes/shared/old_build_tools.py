"""Recognise an old source that this Python can no longer build: its setuptools does not know Python 3.12, or it needs Rust. Make the fixes. Pure.

A wheel was expected, and there is none for this Python.
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import pair

SIGNS = (
    Sign(
        pattern=r"module 'pkgutil' has no attribute '(?P<importer>ImpImporter)'",
        literal="'ImpImporter'",
        sample="AttributeError: module 'pkgutil' has no attribute 'ImpImporter'. Did you mean: 'zipimporter'?",
    ),
    Sign(
        pattern=r"(?P<rust>can't find Rust compiler|Cargo, the Rust package manager, is not installed)",
        literal="Rust ",
        sample="error: can't find Rust compiler",
    ),
)
# pip asks the build backend only in an isolated build; its setuptools is not that of the environment.
ISOLATED = (
    Sign(
        pattern=r"(?P<isolated>[Gg]etting requirements to build (?:wheel|editable))",
        literal="etting requirements to build",
        sample="ERROR: Failed to build 'numpy' when getting requirements to build wheel",
        strength="context",
    ),
)


class Old(Variant, frozen=True, kw_only=True):
    """Hold what an old source needs that is not there: a setuptools that knows this Python, or Rust."""

    lacks: Literal["setuptools", "rust"]
    isolated: bool


def told(seen: Seen) -> Hit | None:
    """Return the hit for a source that this Python can no longer build, and for which there is no wheel; None for other logs."""
    old = [m for m in seen.matches if m.groups.get("importer")]
    if old:
        message = "The setuptools that ran is older than Python 3.12, which removed pkgutil.ImpImporter: what was to be installed is older than this Python."
        variant = Old(lacks="setuptools", isolated=seen.group("isolated") is not None)
        return Hit(message=message, evidence=building.lines(old), variant=variant)
    rust = [m for m in seen.matches if m.groups.get("rust")]
    if rust:
        message = "There is no Rust compiler. Such packages have finished wheels: this release has none for that Python, or this pip is too old to know them."
        return Hit(message=message, evidence=building.lines(rust), variant=Old(lacks="rust", isolated=True))
    return None


def fixes(facts: Facts, old: Old) -> tuple[Fix, ...]:
    """Return the fixes for a source that is too old for this Python.

    An outdated setuptools of the environment itself is upgraded. Else: use an older Python; for a package that needs
    Rust, first a newer pip and the package's newest release, which has a wheel.
    """
    verify, name = commands.check(facts), facts.subject.package
    if old.lacks == "setuptools" and not old.isolated:
        step = commands.install("setuptools<81", upgrade=True, why="supports Python 3.12", changes="setuptools")
        return (Fix(title="Upgrade setuptools", steps=(step,), verify=verify),)
    made: list[Fix] = []
    if old.lacks == "rust":
        pip = commands.install("pip", upgrade=True, why="an old pip does not know the wheels of today", changes="pip")
        names = (name,) if isinstance(name, str) else ()
        get = tuple(
            commands.install(one, upgrade=True, why="its newest release, which has a wheel", changes=one)
            for one in names
        )
        made.append(Fix(title="Upgrade pip, and take the newest release", steps=(pip, *get), verify=verify))
    here = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    older = "3.10" if here == (3, 11) else "3.11"
    why = "an older Python, for which this release was made; or, in this Python, ask for a newer release of the package"
    made.append(Fix(title="Use an older Python", steps=new_pythons.another(facts, older, why), verify=verify))
    return tuple(made)
