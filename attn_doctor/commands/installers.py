"""Renders steps as commands, one class an installer, and says which installer keeps the books of an environment. Pure.

What an installer has no word for stays with the environment's own pip, and the step says so.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.steps import OPTIONS, AddPip, Install, Remove, Step, Uninstall, name_of

Argv = tuple[str, ...]
# Distributions that conda channels know under another name.
_CONDA_NAMES = {"torch": "pytorch", "opencv-python": "opencv", "opencv-python-headless": "opencv"}


class Context(Record, frozen=True, kw_only=True):
    """Hold what rendering needs to know of the target and its project."""

    installer: str
    python: str
    prefix: str = ""
    folder: str = "."  # of the project
    from_conda: frozenset[str] = frozenset()  # distributions that conda installed
    declared: frozenset[str] = frozenset()  # distributions that the project itself asks for


class Installer(ABC):
    """Render steps for one installer."""

    EXPRESSES: ClassVar[frozenset[str]]  # the options of an installation that it has words for

    def __init__(self, here: Context) -> None:
        self.here = here

    @abstractmethod
    def install(self, step: Install) -> Argv | None:
        """Return the command of an installation, of which all options are expressible; None where it has no words for it."""

    @abstractmethod
    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command of a removal; None where the installer has no words for it."""

    def note(self, step: Install) -> str | None:  # noqa: ARG002
        """Return what the command does otherwise than the step asks for, in words; mostly nothing."""
        return None

    def rendered(self, step: Step) -> Step:
        """Return the step with its command; of a variable, and of a command that is one already, the step as it is."""
        if isinstance(step, Remove):
            return msgspec.structs.replace(step, argv=("rm", "-r", *step.paths))
        if isinstance(step, AddPip):
            return msgspec.structs.replace(step, argv=(self.here.python, "-m", "ensurepip", "--upgrade"))
        if not isinstance(step, Install | Uninstall):
            return step
        argv = self._words(step)
        if argv is None:
            why = f"{step.why}; {self.here.installer} has no word for this, so the environment's own pip does it"
            return Pip(self.here).rendered(msgspec.structs.replace(step, why=why))
        said = self.note(step) if isinstance(step, Install) else None
        return msgspec.structs.replace(step, argv=argv, why=f"{step.why}; {said}" if said else step.why)

    def _words(self, step: Install | Uninstall) -> Argv | None:
        if isinstance(step, Uninstall):
            return self.uninstall(step)
        return self.install(step) if step.options() <= self.EXPRESSES else None


class Pip(Installer):
    """pip of the target itself."""

    EXPRESSES = frozenset(OPTIONS)

    def install(self, step: Install) -> Argv:
        """Return the command of an installation."""
        return (self.here.python, "-m", "pip", "install", *_options(step))

    def uninstall(self, step: Uninstall) -> Argv:
        """Return the command of a removal."""
        return (self.here.python, "-m", "pip", "uninstall", "-y", *step.requirements)


class Uv(Installer):
    """uv, which takes pip's words and installs into the environment of a given Python."""

    EXPRESSES = frozenset(OPTIONS)

    def install(self, step: Install) -> Argv:
        """Return the command of an installation."""
        return ("uv", "pip", "install", "--python", self.here.python, *_options(step))

    def uninstall(self, step: Uninstall) -> Argv:
        """Return the command of a removal."""
        return ("uv", "pip", "uninstall", "--python", self.here.python, *step.requirements)


_SWITCHES = {
    "verbose": "-v",
    "upgrade": "--upgrade",
    "reinstall": "--force-reinstall",
    "no_deps": "--no-deps",
    "no_build_isolation": "--no-build-isolation",
    "no_cache": "--no-cache-dir",
}


def _options(step: Install) -> Argv:
    """Return options and requirements in the words that pip and uv share; an index stands last, as pytorch.org writes it."""
    folder = ("--no-index", "--find-links", step.from_folder) if step.from_folder else ()
    index = ("--index-url", step.index_url) if step.index_url else ()
    return (*(word for name, word in _SWITCHES.items() if getattr(step, name)), *folder, *step.requirements, *index)


class Conda(Installer):
    """conda, mamba and micromamba, for what conda installed itself. A wheel, or what pip put there, is pip's."""

    EXPRESSES = frozenset({"upgrade"})

    def install(self, step: Install) -> Argv | None:
        """Return the command of an installation; None where not all of it came from conda."""
        if not self._of_conda(step.requirements):
            return None
        verb = "update" if step.upgrade and _all_bare(step) else "install"
        return self._command(verb, step.requirements)

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command of a removal; None where not all of it came from conda."""
        return self._command("remove", step.requirements) if self._of_conda(step.requirements) else None

    def note(self, step: Install) -> str | None:
        """Say that a version which is within the range is not replaced."""
        return _kept(self.here.installer, step)

    def _of_conda(self, requirements: Argv) -> bool:
        names = [name_of(text) for text in requirements]
        if any(text.endswith(".whl") or "@" in text for text in requirements):
            return False
        return all(name is not None and name in self.here.from_conda for name in names)

    def _command(self, verb: str, requirements: Argv) -> Argv:
        words = [_conda_name(text) for text in requirements]
        return (self.here.installer, verb, "--prefix", self.here.prefix, "--yes", *words)


def _conda_name(text: str) -> str:
    requirement = Requirement(text)
    name = canonicalize_name(requirement.name)
    return _CONDA_NAMES.get(name, name) + str(requirement.specifier)


def _all_bare(step: Install) -> bool:
    """Return whether all requirements are names without a version."""
    return step.names() == step.requirements


def _kept(installer: str, step: Install) -> str | None:
    return f"{installer} keeps a version that is within the range" if step.upgrade and not _all_bare(step) else None


class Poetry(Installer):
    """Poetry, which writes what it adds into pyproject.toml and its lock file."""

    EXPRESSES = frozenset({"upgrade"})

    def install(self, step: Install) -> Argv:
        """Return the command of an installation."""
        texts = (f"{text}@latest" if step.upgrade and text == name_of(text) else text for text in step.requirements)
        return ("poetry", "--directory", self.here.folder, "add", *texts)

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command of a removal; None where the project does not ask for all of it."""
        if not self.here.declared.issuperset(step.names()):
            return None
        return ("poetry", "--directory", self.here.folder, "remove", *step.names())


class Pdm(Installer):
    """PDM, which writes what it adds into pyproject.toml and its lock file."""

    EXPRESSES = frozenset({"upgrade"})

    def install(self, step: Install) -> Argv:
        """Return the command of an installation."""
        where = ("--project", self.here.folder)
        if step.upgrade and _all_bare(step):
            return ("pdm", "update", *where, "--unconstrained", *step.names())
        return ("pdm", "add", *where, *_addresses_named(step))

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command of a removal; None where the project does not ask for all of it."""
        if not self.here.declared.issuperset(step.names()):
            return None
        return ("pdm", "remove", "--project", self.here.folder, *step.names())

    def note(self, step: Install) -> str | None:
        """Say that a version which is within the range is not replaced."""
        return _kept("pdm", step)


class Pixi(Installer):
    """pixi, which writes what it adds into its manifest and its lock file."""

    EXPRESSES = frozenset({"upgrade"})

    def install(self, step: Install) -> Argv:
        """Return the command of an installation."""
        where = ("--manifest-path", self.here.folder)
        if step.upgrade and _all_bare(step):
            return ("pixi", "upgrade", *where, *step.names())
        return ("pixi", "add", *where, "--pypi", *_addresses_named(step))

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command of a removal; None where the project does not ask for all of it."""
        if not self.here.declared.issuperset(step.names()):
            return None
        return ("pixi", "remove", "--manifest-path", self.here.folder, "--pypi", *step.names())

    def note(self, step: Install) -> str | None:
        """Say that a version which is within the range is not replaced."""
        return _kept("pixi", step)


def _addresses_named(step: Install) -> Argv:
    """Return the requirements as PEP 508 has them: the address of a wheel needs the name in front."""
    return tuple(
        f"{name_of(text)} @ {text}" if text.endswith(".whl") and name_of(text) else text for text in step.requirements
    )


INSTALLERS: dict[str, type[Installer]] = {
    "pip": Pip,
    "uv": Uv,
    "conda": Conda,
    "mamba": Conda,
    "micromamba": Conda,
    "pixi": Pixi,
    "poetry": Poetry,
    "pdm": Pdm,
}


def installer(here: Context) -> Installer:
    """Return the renderer for the installer of this context. Raises KeyError for a name that is none."""
    return INSTALLERS[here.installer](here)


def of_packages(here: Context) -> Installer:
    """Return the renderer that works on the packages of an environment and on no project's books: its pip, or uv."""
    return Uv(here) if here.installer == "uv" else Pip(here)


def python(facts: Facts) -> str:
    """Return the target's own interpreter."""
    return facts.interpreter.python if isinstance(facts.interpreter.python, str) else "python"


def own(facts: Facts) -> str:
    """Return the name of what installs into this very target: "pip", or "uv" where the target has no pip."""
    names = _tools(facts)
    return "uv" if "pip" not in names and ("uv" in names or facts.interpreter.kind == "uv") else "pip"


def rendered(facts: Facts, step: Step) -> Step:
    """Return the step with its command for the target's own pip or uv."""
    return of_packages(Context(installer=own(facts), python=python(facts))).rendered(step)


def _tools(facts: Facts) -> tuple[str, ...]:
    tools = facts.interpreter.installers
    return () if isinstance(tools, Unknown) else tuple(tool.split()[0] for tool in tools)


def chosen(facts: Facts, wanted: str | None, locks: Sequence[str] = ()) -> tuple[str, str]:
    """Return the installer to speak to, and why. `locks`: names of lock files in the project whose environment the target is."""
    if wanted:
        return wanted, "asked for with --installer"
    for lock, name in (("poetry.lock", "poetry"), ("pdm.lock", "pdm"), ("pixi.lock", "pixi")):
        if lock in locks:
            return name, f"{lock} of this project says what is in this environment"
    kind, names = facts.interpreter.kind, _tools(facts)
    if kind == "pixi":
        return "pixi", "this is an environment of pixi"
    if kind == "conda":
        found = next((n for n in ("mamba", "micromamba", "conda") if n in names), "conda")
        return found, "this is an environment of conda"
    if own(facts) == "uv":
        return "uv", "this environment has no pip" if kind != "uv" else "uv made this environment, without pip"
    return "pip", "the pip of this very environment" if "pip" in names else "every Python can bring its own pip"


def locks_of(folder: str, prefix: str) -> tuple[str, ...]:
    """Return the lock files of a project, where the target is this project's environment. Looks at files."""
    place = Path(folder)
    inside = Path(prefix).is_relative_to(place) or any(p in Path(prefix).parts for p in ("pypoetry", "pdm"))
    names = ("poetry.lock", "pdm.lock", "pixi.lock", "uv.lock")
    return tuple(name for name in names if os.path.isfile(place / name)) if inside else ()


def context(facts: Facts, name: str) -> Context:
    """Return what rendering for this installer needs to know."""
    listed = () if isinstance(facts.packages.distributions, Unknown) else facts.packages.distributions
    pins = () if isinstance(facts.project.pins, Unknown) else facts.project.pins
    return Context(
        installer=name,
        python=python(facts),
        prefix=facts.interpreter.prefix if isinstance(facts.interpreter.prefix, str) else "",
        folder=facts.project.folder if isinstance(facts.project.folder, str) else ".",
        from_conda=frozenset(d.name for d in listed if d.installer == "conda"),
        declared=frozenset(found for pin in pins if (found := name_of(pin.requirement.split(" ")[0]))),
    )
