"""Build the steps for a package that a project requires and that its tool (uv, Poetry, PDM, pixi) failed to build. Pure.

`uv add torch` does not help: it installs the complete project, and fails at the same package. Tried with uv 0.13 and a package
whose setup.py imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from attn_doctor.commands import target_python
from attn_doctor.commands.environment_tools import ProjectTool
from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.steps import RunByHand, Step

Argv = tuple[str, ...]
_OWN = re.compile(
    r"\b(?P<tool>uv|poetry|pdm|pixi) (?P<verb>sync|run|lock|install|update|i|shell)\b(?P<rest>[^&|;\r\n]*)"
)
# Options of `uv sync` that choose what is installed of the project, https://docs.astral.sh/uv/reference/cli/#uv-sync
_KEPT = re.compile(
    r"(?<= )(?:--(?:extra|group|only-group|package|python)[ =][\w./+-]+|-p [\w./+-]+|--(?:all-extras|all-groups|all-packages|no-dev|no-default-groups|active)\b)"
)
_CHANGES = "the environment of the project"


def fails_itself(facts: Facts) -> ProjectTool | None:
    """Return the tool whose command installs the whole project in a failed log, "uv"; None if there is no such tool.

    Examples: `uv sync` and `poetry install` install the whole project; `uv add` adds one package, and does not count. The lock file of the
    tool ("uv.lock") must be known too. Only Poetry also counts if the log does not show the command: see `_builds_by_poetry`.
    """
    command, locks = facts.subject.command, facts.project.locks
    if facts.grade == "stated" and not isinstance(command, str) and _builds_by_poetry(facts):
        return "poetry"
    found = _OWN.search(command) if isinstance(command, str) else None
    if found is None or facts.grade != "stated" or isinstance(locks, Unknown):
        return None
    return next((tool for tool in _TOOLS if tool == found["tool"] and f"{tool}.lock" in locks), None)


def _builds_by_poetry(facts: Facts) -> bool:
    """Return whether Poetry built a package while it installed its project, in a log that does not show the command.

    `poetry add torch` would build that package again, and fail before it writes pyproject.toml.
    """
    return facts.interpreter.installers == ("poetry",) and facts.subject.doing == "building"


class ProjectBuild(Record, frozen=True, kw_only=True):
    """Describe a package that a project requires and that cannot be built in isolation."""

    name: str
    tools: Argv  # what its setup imports beside torch
    torch: Argv  # the requirement that any torch fulfils
    limit: tuple[Step, ...] = ()  # limits how many compilers run at the same time
    why: str
    takes: str | None = None


def build(facts: Facts, wanted: ProjectBuild) -> tuple[Step, ...]:
    """Return the steps that build one package of the project without isolation. Steps before it install all other packages.

    Raises KeyError if no tool failed at its own project.
    """
    tool = fails_itself(facts)
    if tool is None:
        raise KeyError(wanted.name)
    return _TOOLS[tool](facts, wanted)


def _uv(facts: Facts, wanted: ProjectBuild) -> tuple[Step, ...]:
    command = str(facts.subject.command)
    typed = _OWN.search(command)
    options = (
        tuple(word for part in _KEPT.findall(f"{typed['rest']} ") for word in part.split())
        if typed and typed["verb"] == "sync"
        else ()
    )
    uv_pip = ("uv", "pip", "install", *target_python.for_uv(facts))
    before: tuple[Step, ...] = (
        RunByHand(
            argv=("uv", "sync", *options, "--no-install-package", wanted.name),
            why=f"installs the project's torch and all its other packages, but not {wanted.name}",
            changes=_CHANGES,
        ),
        RunByHand(
            argv=(*uv_pip, *wanted.tools),
            why=f"the setup.py of {wanted.name} imports these build tools",
            changes="adds build tools for the next step",
        ),
    )
    # uv builds a package without static metadata even to write the lock file. flash-attn at PyPI has static metadata.
    locked = facts.subject.locked is True or (
        wanted.name == "flash-attn" and typed is not None and typed["verb"] != "lock"
    )
    if not locked:
        made = RunByHand(
            argv=(*uv_pip, *wanted.torch, *wanted.tools),
            why=f"uv runs the setup.py of {wanted.name} before it can write uv.lock, and that setup.py imports these packages",
            changes=_CHANGES,
        )
        lock = RunByHand(
            argv=("uv", "lock", "--no-build-isolation-package", wanted.name), why="writes uv.lock", changes="uv.lock"
        )
        before = (made, lock, *before)
    kept = f'[tool.uv] no-build-isolation-package = ["{wanted.name}"] in pyproject.toml makes the option permanent'
    last = RunByHand(
        argv=("uv", "sync", *options, "--no-build-isolation-package", wanted.name),
        why=f"{wanted.why}; uv removes the build tools again; {kept}",
        changes=f"adds {wanted.name}",
        takes=wanted.takes,
    )
    return (*before, *wanted.limit, last)


def _pip(facts: Facts, *words: str) -> Argv:
    return (*target_python.starting(facts), "-m", "pip", *words)


def _imported(facts: Facts, wanted: ProjectBuild) -> Argv:
    """Return the packages that the setup.py imports; on Windows without torch, because PyPI's torch for Windows is a CPU build."""
    return wanted.tools if facts.system.os == "windows" else (*wanted.torch, *wanted.tools)


def _poetry(facts: Facts, wanted: ProjectBuild) -> tuple[Step, ...]:
    """Build with pip, because Poetry always isolates builds. Poetry installs torch before packages that need it, so torch is usually installed."""
    asked = f"{wanted.name}=={facts.subject.asked}" if isinstance(facts.subject.asked, str) else wanted.name
    return (
        RunByHand(
            argv=_pip(facts, "install", *_imported(facts, wanted)),
            why=f"the setup.py of {wanted.name} imports these packages; a torch that poetry has already installed is kept",
            changes="adds build tools",
        ),
        *wanted.limit,
        RunByHand(
            argv=_pip(facts, "install", "--no-build-isolation", asked),
            why=f"{wanted.why}; poetry has no such option, so pip builds the package. Afterwards `poetry install` finds that the version in poetry.lock is installed",
            changes=f"adds {wanted.name}",
            takes=wanted.takes,
        ),
    )


def _pdm(facts: Facts, wanted: ProjectBuild) -> tuple[Step, ...]:
    return (
        RunByHand(
            argv=_pip(facts, "install", *_imported(facts, wanted)),
            why=f"the setup.py of {wanted.name} imports these packages; `pdm add` would fail at {wanted.name} again",
            changes="adds build tools",
        ),
        *wanted.limit,
        RunByHand(
            argv=("pdm", "install", "--no-isolation"), why=wanted.why, changes=f"adds {wanted.name}", takes=wanted.takes
        ),
    )


def _pixi(facts: Facts, wanted: ProjectBuild) -> tuple[Step, ...]:  # noqa: ARG001
    """Build with pixi after an edit by hand: no command of pixi writes this option, https://pixi.sh/latest/reference/pixi_manifest/#no-build-isolation."""
    line = f'write no-build-isolation = ["{wanted.name}"] under [pypi-options] of pixi.toml ([tool.pixi.pypi-options] of pyproject.toml)'
    return (
        RunByHand(argv=(), why=f"{line}: {wanted.why}", changes="pixi.toml"),
        *wanted.limit,
        RunByHand(
            argv=("pixi", "add", *wanted.tools),
            why=f"the setup.py of {wanted.name} imports these build tools; pixi installs everything, {wanted.name} last",
            changes=_CHANGES,
            takes=wanted.takes,
        ),
    )


_TOOLS: dict[ProjectTool, Callable[[Facts, ProjectBuild], tuple[Step, ...]]] = {
    "uv": _uv,
    "poetry": _poetry,
    "pdm": _pdm,
    "pixi": _pixi,
}
