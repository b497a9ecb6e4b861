"""Choose the installer of an environment by the facts, and render the steps of a fix or a plan for it. Pure.

Fixes of findings and plans go through `in_order`, so both have the same commands. If an installer has no command for a step, the
environment's own pip or uv does the step, and its text says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import msgspec

from attn_doctor.commands import target_python
from attn_doctor.commands.environment_tools import (
    Conda,
    Context,
    Installer,
    InstallerName,
    Pip,
    Pipx,
    ProjectTool,
    Uv,
    later_installed,
    of_packages,
)
from attn_doctor.commands.nix_store import STORE, Nix
from attn_doctor.commands.project_tools import Pdm, Pixi, Poetry, Project, UvPinned, UvProject, taken_in
from attn_doctor.knowledge import built_packages
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.steps import AddPip, Install, Run, RunByHand, Step, Uninstall, action, name_of

__all__ = [
    "INSTALLERS",
    "KEEPERS",
    "Context",
    "InstallerName",
    "by_own_tool",
    "chosen",
    "context",
    "in_order",
    "installer",
    "keeps_books",
    "kept_by_project",
    "of_packages",
    "own",
    "plain",
    "rendered",
]

INSTALLERS: dict[InstallerName, type[Installer]] = {
    "pip": Pip,
    "uv": Uv,
    "conda": Conda,
    "mamba": Conda,
    "micromamba": Conda,
    "pixi": Pixi,
    "poetry": Poetry,
    "pdm": Pdm,
    "pipx": Pipx,
}
# Lock file -> the tool that writes it. uv comes last: many projects of another tool still have an old uv.lock.
KEEPERS: dict[str, ProjectTool] = {"poetry.lock": "poetry", "pdm.lock": "pdm", "pixi.lock": "pixi", "uv.lock": "uv"}
_CONDAS: tuple[InstallerName, ...] = ("mamba", "micromamba", "conda")


def installer(here: Context) -> Installer:
    """Return the renderer for the installer of this context. Raises KeyError for an unknown name."""
    if here.installer == "nix":
        return Nix(here)
    if here.installer == "uv" and "uv.lock" in here.locks:
        return UvProject(here)
    if here.installer == "uv" and here.in_pyproject:
        return UvPinned(here)
    return INSTALLERS[here.installer](here)


def plain(here: Context) -> Context:
    """Return the context with the environment's own pip or uv as the installer. It writes into no file of a project."""
    name: InstallerName = "uv" if isinstance(of_packages(here), Uv) else "pip"
    return msgspec.structs.replace(here, installer=name, locks=(), in_pyproject=frozenset())


def keeps_books(here: Context) -> bool:
    """Return whether the installer of this context writes into files of a project."""
    return isinstance(installer(here), Project)


def kept_by_project(here: Context, step: Step) -> frozenset[str]:
    """Return the names of the packages whose new version a step writes into the project's own files."""
    tool = installer(here)
    keeps = isinstance(step, Install) and isinstance(tool, Project) and tool.keeps(step)
    return frozenset(step.names()) if keeps and isinstance(step, Install) else frozenset()


def _tools(facts: Facts) -> tuple[str, ...]:
    tools = facts.interpreter.installers
    return () if isinstance(tools, Unknown) else tuple(tool.partition(" ")[0] for tool in tools)


def _has_pip(facts: Facts) -> bool:
    """Return whether the target has a pip.

    A log shows only one tool; if that is uv, PDM or pixi, the environment has no pip.
    """
    if isinstance(facts.interpreter.installers, Unknown):
        return True
    names = _tools(facts)
    return not {"uv", "pdm", "pixi"} & set(names) if _by_log(facts) else "pip" in names


def _by_log(facts: Facts) -> bool:
    """Return whether the installer is known from a log only."""
    return facts.grade == "stated" or isinstance(facts.interpreter.kind, Unknown)


def chosen(facts: Facts, wanted: InstallerName | None = None) -> tuple[InstallerName, str]:
    """Return the name of the installer that records the packages of this environment, and the reason for the choice.

    `wanted`: the name that the user gave by --installer; None: the facts decide.
    """
    if wanted:
        return wanted, "asked for with --installer"
    if isinstance(facts.interpreter.prefix, str) and facts.interpreter.prefix.startswith(STORE):
        return "nix", "this Python lies in /nix/store, which nix alone fills"
    kind, names = facts.interpreter.kind, _tools(facts)
    locks = () if isinstance(facts.project.locks, Unknown) else facts.project.locks
    kept = [(lock, name) for lock, name in KEEPERS.items() if lock in locks]
    if kept:
        by_maker = next(((lock, name) for lock, name in kept if name == kind), kept[0])
        return by_maker[1], f"{by_maker[0]} of this project says what is in this environment"
    ran = names[0] if names and _by_log(facts) else None
    alone: tuple[InstallerName, ...] = ("pixi", "pipx")
    for name in alone:
        if name in (kind, ran):
            return name, f"this is an environment of {name}"
    if kind == "conda" or ran in _CONDAS:
        found: InstallerName = next((name for name in _CONDAS if name in names), "conda")
        return found, "this is an environment of conda"
    if not _has_pip(facts) and ("uv" in names or kind == "uv"):
        return "uv", "this environment has no pip" if kind != "uv" else "uv made this environment, without pip"
    return "pip", "the pip of this environment" if "pip" in names else "every Python can bring its own pip"


def own(facts: Facts) -> str:
    """Return the tool, "pip" or "uv", that installs into this target and writes into no file of a project."""
    return "uv" if isinstance(of_packages(context(facts, chosen(facts)[0])), Uv) else "pip"


def context(facts: Facts, name: InstallerName) -> Context:
    """Return the context for this installer: the properties of the target and its project that a renderer needs."""
    listed = () if isinstance(facts.packages.distributions, Unknown) else facts.packages.distributions
    pins = () if isinstance(facts.project.pins, Unknown) else facts.project.pins
    folders = (facts.project.environment_of, facts.project.folder)
    target, path = facts.interpreter, target_python.python(facts)
    starting, for_uv = target_python.starting(facts), target_python.for_uv(facts)
    return Context(
        installer=name,
        python=path,
        prefix=target.prefix if isinstance(target.prefix, str) else "",
        folder=next((folder for folder in folders if isinstance(folder, str)), ""),
        locks=() if isinstance(facts.project.locks, Unknown) else facts.project.locks,
        from_conda=frozenset(d.name for d in listed if d.installer == "conda"),
        all_listed=facts.grade != "stated" and not isinstance(facts.packages.distributions, Unknown),
        declared=frozenset(found for pin in pins if (found := name_of(pin.requirement.split(" ")[0]))),
        in_pyproject=_in_pyproject(facts),
        built_alone=_built_alone(facts),
        has_pip=_has_pip(facts),
        has_uv="uv" in _tools(facts) or target.kind == "uv",
        of_system=target_python.of_system(facts),
        # Empty where the path alone starts this Python: the context of a throw-away copy then differs in the path only.
        started_by=() if starting == (path,) else starting,
        uv_target=None if for_uv == ("--python", path) else for_uv,
    )


def _built_alone(facts: Facts) -> frozenset[str]:
    """Return the packages in a pyproject.toml that their tool compiles in isolation, and whose setup imports torch: flash-attn."""
    pins = () if isinstance(facts.project.pins, Unknown) else facts.project.pins
    by_tool = (pin for pin in pins if pin.isolated and (pin.project_tool or pin.file == "pyproject.toml"))
    names = (name_of(pin.requirement.partition(" ")[0]) for pin in by_tool if ".whl" not in pin.requirement)
    return frozenset(name for name in names if name and built_packages.needs_torch(name))


def _in_pyproject(facts: Facts) -> frozenset[str]:
    """Return the dependencies in the pyproject.toml of an environment of uv without a lock file; empty in every other case."""
    project, target = facts.project, facts.interpreter
    if not isinstance(project.locks, Unknown) and project.locks:
        return frozenset()
    inside = isinstance(project.folder, str) and isinstance(target.prefix, str)
    if target.kind != "uv" or not inside or not PurePath(str(target.prefix)).is_relative_to(str(project.folder)):
        return frozenset()
    pins = () if isinstance(project.pins, Unknown) else project.pins
    texts = (pin.requirement.split(" ")[0] for pin in pins if pin.file == "pyproject.toml")
    return frozenset(found for text in texts if (found := name_of(text)))


def rendered(facts: Facts, step: Step) -> Step:
    """Return the step with its command for the installer of the target."""
    return installer(context(facts, chosen(facts)[0])).rendered(step)


def by_own_tool(facts: Facts, step: Install) -> Step:
    """Return the step with a command of the environment's own pip or uv. It writes into no file of a project."""
    here = context(facts, chosen(facts)[0])
    return (Nix(here) if here.installer == "nix" else of_packages(here)).rendered(step)


def in_order(here: Context, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return steps with their commands, in this order. Steps that the installer needs before them are added.

    If a command needs the target's pip and pip is missing, a first step installs pip. A package that is removed and then
    installed again stays in the project's files. A step is left out if an earlier step of a project's tool has done it.
    """
    tool, made = _for_all(here, steps), list[Step]()
    if isinstance(tool, UvProject) and not isinstance(tool, UvPinned):
        steps = [taken_in(step) for step in steps]
    for place, step in enumerate(steps):
        if isinstance(step, AddPip):
            continue
        if isinstance(step, Uninstall) and isinstance(tool, Project) and later_installed(step, steps[place + 1 :]):
            made.append(of_packages(here).rendered(step))
        else:
            made += [*(tool.before(step) if isinstance(step, Install) else ()), tool.rendered(step)]
    kept = [step for place, step in enumerate(made) if not any(_done(tool, step, other) for other in made[:place])]
    asked = next((step for step in steps if isinstance(step, AddPip)), None)
    if any(step.argv[: len(here.pip)] == here.pip for step in kept) and (asked or not here.has_pip):
        return (tool.rendered(asked or AddPip(why="this environment has no pip", changes="adds pip")), *kept)
    return tuple(kept)


def _for_all(here: Context, steps: Sequence[Step]) -> Installer:
    """Return one renderer for all these steps.

    After `uv add` has written uv.lock, `uv sync` would remove packages that `uv pip` installed.
    """
    tool = installer(here)
    named = isinstance(tool, UvPinned) and any(isinstance(step, Install) and tool.keeps(step) for step in steps)
    return UvProject(here) if named else tool


def _done(tool: Installer, step: Step, earlier: Step) -> bool:
    """Return whether an earlier step has already done the work of this step.

    Two examples. A step that adds an index is needed once only. A step that installs dependencies is not needed after `uv add`,
    which installs them too.
    """
    if isinstance(tool, Nix):
        return isinstance(step, RunByHand) and action(step) == action(earlier)
    if isinstance(step, Run) and isinstance(earlier, Run) and isinstance(tool, Project):
        return action(step) == action(earlier)
    if not isinstance(step, Install) or not isinstance(earlier, Install) or not isinstance(tool, UvProject):
        return False
    return (
        action(step) == action(msgspec.structs.replace(earlier, reinstall=False, no_deps=False)) and earlier.reinstall
    )
