"""Render steps as commands of the tools that install into an environment: pip, uv, conda, pipx. Pure.

Tools that record packages in a project's files (a lock file) are in `project_tools`. Each class lists the options that its
installer supports. A step with another option gets a command of the environment's own pip or uv, and its text says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import PureWindowsPath
from typing import ClassVar, Literal

import msgspec
from packaging.utils import canonicalize_name

from attn_doctor.model.facts import Record
from attn_doctor.model.requirements import read_requirement
from attn_doctor.model.steps import OPTIONS, AddPip, Install, Remove, Run, RunByHand, Step, Uninstall, name_of

Argv = tuple[str, ...]
# Distributions that conda channels know under another name.
_CONDA_NAMES = {"torch": "pytorch", "opencv-python": "opencv", "opencv-python-headless": "opencv"}


InstallerName = Literal["pip", "uv", "conda", "mamba", "micromamba", "pixi", "poetry", "pdm", "pipx", "nix"]
ProjectTool = Literal["uv", "poetry", "pdm", "pixi"]  # a tool that writes the packages into the project's own files


class Context(Record, frozen=True, kw_only=True):
    """Hold the properties of the target and its project that a renderer needs."""

    installer: InstallerName
    python: str
    prefix: str = ""
    folder: str = ""  # of the project; empty: where the command is typed
    locks: tuple[str, ...] = ()  # lock files of that project
    from_conda: frozenset[str] = frozenset()  # distributions that conda installed
    all_listed: bool = True  # whether the installer of each distribution is known; a log does not say it
    declared: frozenset[str] = frozenset()  # distributions that the project itself asks for
    in_pyproject: frozenset[str] = (
        frozenset()
    )  # the dependencies in a pyproject.toml with a uv environment beside it and no lock file
    built_alone: frozenset[str] = (
        frozenset()
    )  # of `declared`: those that a tool compiles in isolation, without the torch that they need
    has_pip: bool = True
    has_uv: bool = False
    of_system: bool = False  # PEP 668: pip and uv refuse without --break-system-packages
    started_by: Argv = ()  # the command that starts this Python, where its path alone does not: ("poetry", "run", "python")
    uv_target: Argv | None = None  # the options that name the environment to uv; None: --python and the path

    @property
    def pip(self) -> Argv:
        """Return the command that starts the target's own pip."""
        return (*(self.started_by or (self.python,)), "-m", "pip")


class Installer(ABC):
    """Render steps as commands of one installer."""

    EXPRESSES: ClassVar[frozenset[str]]  # the options of an installation that it supports
    FREE: ClassVar[frozenset[str]] = frozenset()  # this tool needs no option for the effect of these options

    def __init__(self, here: Context) -> None:
        self.here = here

    @abstractmethod
    def install(self, step: Install) -> Argv | None:
        """Return the command of an installation; None if the installer has no such command.

        All options of `step` must be supported (`says`).
        """

    @abstractmethod
    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command of a removal; None if the installer has no such command."""

    def before(self, step: Install) -> tuple[Step, ...]:  # noqa: ARG002
        """Return the steps that must come first, such as one that names an index in the project's files; usually none."""
        return ()

    def note(self, step: Install) -> str | None:  # noqa: ARG002
        """Return a sentence about the difference between the command and the step, if there is one; else None."""
        return None

    def otherwise(self, step: Install | Uninstall) -> str:  # noqa: ARG002
        """Return why the environment's own pip or uv does a step in place of this installer."""
        tool = "uv" if isinstance(of_packages(self.here), Uv) else "pip"
        return f"{self.here.installer} has no command for this, so the environment's own {tool} does it"

    def add_pip(self) -> Argv:
        """Return the command that puts a pip into an environment that has none."""
        return (*self.here.pip[:-1], "ensurepip", "--upgrade")

    def rendered(self, step: Step) -> Step:
        """Return the step with its command.

        A step that sets a variable is returned unchanged. A step that is a command already is changed only if its command runs pip
        and the target has no pip: then its command is that of uv.
        """
        if isinstance(step, Remove):
            return msgspec.structs.replace(step, argv=("rm", "-r", *step.paths))
        if isinstance(step, AddPip):
            return msgspec.structs.replace(step, argv=self.add_pip())
        if isinstance(step, Run | RunByHand):
            return msgspec.structs.replace(step, argv=_without_pip(step.argv, self.here))
        if not isinstance(step, Install | Uninstall):
            return step
        argv = self._words(step)
        if argv is None:
            why = _also(step.why, self.otherwise(step))
            return of_packages(self.here).rendered(msgspec.structs.replace(step, why=why))
        said = self.note(step) if isinstance(step, Install) else None
        return msgspec.structs.replace(step, argv=argv, why=_also(step.why, said))

    def _words(self, step: Install | Uninstall) -> Argv | None:
        if isinstance(step, Uninstall):
            return self.uninstall(step)
        return self.install(step) if self.says(step) else None

    def says(self, step: Install) -> bool:
        """Return whether the installer supports each option of a step."""
        return step.options() <= self.EXPRESSES | self.FREE


def _also(why: str, said: str | None) -> str:
    """Return the reason with the installer's note.

    The note is added once, although a step is rendered for its finding and again for a plan.
    """
    return why if said is None or said in why else f"{why}; {said}"


def _without_pip(argv: Argv, here: Context) -> Argv:
    """Return the command; if the target has no pip, the uv command in place of a pip command."""
    if here.has_pip or argv[: len(here.pip)] != here.pip or not isinstance(of_packages(here), Uv):
        return argv
    words = argv[len(here.pip) :]
    if words[:2] == ("cache", "purge"):
        return ("uv", "cache", "clean")
    if words[:1] == ("check",):
        return ("uv", "pip", "check", *_python(here))
    # `pip download` and `pip index` change no environment: any pip can run them, and uvx installs a pip.
    return ("uvx", "pip", *words)


class Pip(Installer):
    """Render steps for the target's own pip."""

    EXPRESSES = frozenset(OPTIONS)

    def install(self, step: Install) -> Argv:
        """Return the command that carries out the installation."""
        return (*self.here.pip, "install", *_system(self.here), *options(step))

    def uninstall(self, step: Uninstall) -> Argv:
        """Return the command that carries out the removal."""
        return (*self.here.pip, "uninstall", "-y", *_system(self.here), *step.requirements)

    def note(self, step: Install) -> str | None:  # noqa: ARG002
        """Return the note that this Python belongs to the operating system, if it does."""
        return _OF_SYSTEM if self.here.of_system else None


_OF_SYSTEM = (
    "this Python belongs to the operating system (PEP 668): a virtual environment is safer, "
    "and pip refuses without --break-system-packages"
)


def _system(here: Context) -> Argv:
    """Return the option without which pip and uv refuse a Python of the operating system (PEP 668)."""
    return ("--break-system-packages",) if here.of_system else ()


class Uv(Installer):
    """Render steps for `uv pip`, which has pip's options and installs into the environment of a given Python."""

    EXPRESSES = frozenset(OPTIONS)

    def install(self, step: Install) -> Argv:
        """Return the command that carries out the installation."""
        return ("uv", "pip", "install", *_python(self.here), *_system(self.here), *options(step))

    def uninstall(self, step: Uninstall) -> Argv:
        """Return the command that carries out the removal."""
        return ("uv", "pip", "uninstall", *_python(self.here), *_system(self.here), *step.requirements)

    def note(self, step: Install) -> str | None:  # noqa: ARG002
        """Return the note that this Python belongs to the operating system, if it does."""
        return _OF_SYSTEM if self.here.of_system else None


def _python(here: Context) -> Argv:
    return ("--python", here.python) if here.uv_target is None else here.uv_target


_SWITCHES = {
    "verbose": "-v",
    "upgrade": "--upgrade",
    "reinstall": "--force-reinstall",
    "no_deps": "--no-deps",
    "no_build_isolation": "--no-build-isolation",
    "no_cache": "--no-cache-dir",
}


def options(step: Install) -> Argv:
    """Return options and requirements in the form that both pip and uv accept. The index comes last, as at pytorch.org."""
    folder = ("--no-index", "--find-links", step.from_folder) if step.from_folder else ()
    page = ("--find-links", step.find_links) if step.find_links else ()
    index = ("--index-url", step.index_url) if step.index_url else ()
    # https://pip.pypa.io/en/stable/cli/pip_install/#cmdoption-no-binary, https://docs.astral.sh/uv/reference/cli/#uv-pip-install
    source = tuple(word for name in step.names() if step.no_binary for word in ("--no-binary", name))
    wheels = tuple(word for name in step.names() if step.only_binary for word in ("--only-binary", name))
    switches = (word for name, word in _SWITCHES.items() if getattr(step, name))
    return (*switches, *source, *wheels, *folder, *step.requirements, *page, *index)


class Pipx(Installer):
    """Render steps for pipx, which has one environment for each program.

    `pipx reinstall` keeps what `inject` added; `runpip` accepts every option of pip.

    https://pipx.pypa.io/stable/reference/cli/
    """

    EXPRESSES = frozenset(OPTIONS)

    def install(self, step: Install) -> Argv:
        """Return the command that carries out the installation."""
        if step.options() <= {"verbose"}:
            # Without --force pipx does not change a package that came as a dependency, and exits with 0.
            verbose = ("--verbose",) if step.verbose else ()
            return ("pipx", "inject", "--force", *verbose, self._name, *step.requirements)
        return ("pipx", "runpip", self._name, "install", *options(step))

    def uninstall(self, step: Uninstall) -> Argv:
        """Return the command that carries out the removal."""
        return ("pipx", "runpip", self._name, "uninstall", "-y", *step.requirements)

    @property
    def _name(self) -> str:
        return PureWindowsPath(self.here.prefix).name  # accepts / and \\


class Conda(Installer):
    """Render steps for conda, mamba and micromamba, for packages that conda installed. Wheels, and packages that pip installed, are left to pip."""

    EXPRESSES = frozenset({"upgrade"})

    def install(self, step: Install) -> Argv | None:
        """Return the command of the installation; None if conda did not install all of these packages."""
        if not self._of_conda(step.requirements):
            return None
        verb = "update" if step.upgrade and all_bare(step) else "install"
        return self._command(verb, step.requirements)

    def uninstall(self, step: Uninstall) -> Argv | None:
        """Return the command of the removal; None if conda did not install all of these packages."""
        return self._command("remove", step.requirements) if self._of_conda(step.requirements) else None

    def note(self, step: Install) -> str | None:
        """Return the note that conda keeps an installed version within the range, if the step asks for a newer one."""
        return kept(self.here.installer, step)

    def otherwise(self, step: Install | Uninstall) -> str:
        """Return why the environment's own pip or uv does a step."""
        if self._of_conda(step.requirements):
            return super().otherwise(step)
        tool = "uv" if isinstance(of_packages(self.here), Uv) else "pip"
        if not self.here.all_listed:
            return f"whether conda installed this is not known; the environment's own {tool} replaces it in both cases"
        return f"conda did not install this, so the environment's own {tool} does it"

    def add_pip(self) -> Argv:
        """Return the command that puts a pip into an environment that has none."""
        return self._command("install", ("pip",))

    def _of_conda(self, requirements: Argv) -> bool:
        names = [name_of(text) for text in requirements]
        if any(text.endswith(".whl") or "@" in text for text in requirements):
            return False
        return all(name is not None and name in self.here.from_conda for name in names)

    def _command(self, verb: str, requirements: Argv) -> Argv:
        words = [_conda_name(text) for text in requirements]
        where = ("--prefix", self.here.prefix) if self.here.prefix else ()
        return (self.here.installer, verb, *where, "--yes", *words)


def _conda_name(text: str) -> str:
    requirement = read_requirement(text)
    if requirement is None:
        return text
    name = canonicalize_name(requirement.name)
    return _CONDA_NAMES.get(name, name) + str(requirement.specifier)


def all_bare(step: Install) -> bool:
    """Return whether all requirements are names without a version."""
    return step.names() == step.requirements


def kept(installer: str, step: Install) -> str | None:
    """Return the note that an installer keeps a version within the range, if the step asks for a newer one; else None."""
    return f"{installer} keeps a version that is within the range" if step.upgrade and not all_bare(step) else None


def of_packages(here: Context) -> Installer:
    """Return the renderer (pip or uv) that changes only the environment, and no file of a project."""
    by_uv = here.installer == "uv" or (not here.has_pip and here.has_uv)
    return (Uv if by_uv else Pip)(here)


def later_installed(step: Uninstall, after: Sequence[Step]) -> bool:
    """Return whether later steps install again all packages that a step removes."""
    come = {name for other in after if isinstance(other, Install) for name in other.names()}
    return bool(step.names()) and come.issuperset(step.names())
