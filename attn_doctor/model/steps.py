"""Define the steps of a fix: one record for each kind of action. No function here runs or renders a command.

Options are fields, never words among the requirements. `argv` is the command that a reader can paste. `commands.installers`
renders it once, when a fix or a plan is finished, and no code reads it to find out the action of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Union

import msgspec
from packaging.utils import canonicalize_name

from attn_doctor.model.facts import Record
from attn_doctor.model.requirements import read_requirement, read_wheel_name

Risk = Literal["none", "low", "medium", "high"]
RISKS: tuple[Risk, ...] = ("none", "low", "medium", "high")


def name_of(requirement: str) -> str | None:
    """Return the normal name of a package, "flash-attn"; None if there is none.

    `requirement`: a requirement ("flash_attn==2.8.3"), the address of a wheel, or the file name of a wheel.
    """
    if requirement.endswith(".whl"):
        wheel = read_wheel_name(requirement)
        return wheel.name if wheel else None
    asked = read_requirement(requirement)
    return canonicalize_name(asked.name) if asked else None


def _names(requirements: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for text in requirements if (name := name_of(text)))


def _no_command() -> tuple[str, ...]:
    return ()


# A default that is made by a function is written into the JSON: a reader of reports finds `argv` in every step.
_NO_COMMAND: Any = msgspec.field(default_factory=_no_command)


class Action(Record, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Hold the fields that every step has, whatever its action."""

    why: str  # the reason for the step; for a step without a command: what to do
    changes: str  # what it changes, in words: "removes flash-attn"
    risk: Risk = "low"
    risk_text: str | None = None  # the risk in words, "a reboot"
    takes: str | None = None  # time and size of the download, if known
    undo: tuple[str, ...] | None = None  # argv
    into: str | None = None  # a file into which the shell writes the output of the command
    argv: tuple[str, ...] = _NO_COMMAND  # the command; empty for a variable, and for a step without a command

    @property
    def risk_in_words(self) -> str:
        """Return the risk, with its reason if it has one: "medium: a reboot"."""
        return f"{self.risk}: {self.risk_text}" if self.risk_text else self.risk


class Install(Action, frozen=True, kw_only=True, omit_defaults=True, tag="install"):
    """Install packages into the target."""

    requirements: tuple[str, ...]  # names with versions, addresses of wheels, or a repository with sources
    index_url: str | None = None
    from_folder: str | None = None  # install wheels from this folder, and ask no index
    find_links: str | None = None  # a page of wheels, in addition to the index
    upgrade: bool = False
    reinstall: bool = False  # even if this version is installed
    no_deps: bool = False
    no_build_isolation: bool = False
    no_cache: bool = False
    no_binary: bool = False  # compile these packages, even if the index has a finished wheel
    only_binary: bool = False  # install these packages from wheels, even if a newer source exists
    verbose: bool = False
    built_by: str | None = None  # who built the wheel, if it was not the authors of the package and nobody signed it

    def names(self) -> tuple[str, ...]:
        """Return the normal names of the packages."""
        return _names(self.requirements)

    def options(self) -> frozenset[str]:
        """Return the names of the set fields of this installation, such as "index_url" or "upgrade"; `requirements` is left out."""
        return frozenset(name for name in OPTIONS if getattr(self, name))


OPTIONS = (
    "verbose",
    "upgrade",
    "reinstall",
    "no_deps",
    "no_build_isolation",
    "no_cache",
    "no_binary",
    "only_binary",
    "from_folder",
    "find_links",
    "index_url",
)


class Uninstall(Action, frozen=True, kw_only=True, omit_defaults=True, tag="uninstall"):
    """Remove packages from the target."""

    requirements: tuple[str, ...]

    def names(self) -> tuple[str, ...]:
        """Return the normal names of the packages."""
        return _names(self.requirements)


class AddPip(Action, frozen=True, kw_only=True, omit_defaults=True, tag="add-pip"):
    """Install pip into a target that has no pip, with the target's own ensurepip."""


class Remove(Action, frozen=True, kw_only=True, omit_defaults=True, tag="remove"):
    """Remove files or folders."""

    paths: tuple[str, ...]


class SetVariable(Action, frozen=True, kw_only=True, omit_defaults=True, tag="variable"):
    """Set a variable in the user's own shell; a value of None unsets it."""

    name: str
    value: str | None = None


class Run(Action, frozen=True, kw_only=True, omit_defaults=True, tag="run"):
    """Run any other command, `argv`. The user does not need to do anything."""


class RunByHand(Action, frozen=True, kw_only=True, omit_defaults=True, tag="by-hand"):
    """Ask the user to act, in most cases as administrator or on another machine.

    If `argv` is empty, there is no command, and `why` describes the action.
    """

    elsewhere: bool = False  # the user continues in another system: no further step changes this system


Step = Union[Install, Uninstall, AddPip, Remove, SetVariable, Run, RunByHand]  # noqa: UP007 - msgspec, Python 3.10


def bare(step: Step) -> Step:
    """Return the step without the command line that was rendered for an installer.

    The argv of a `Run` or `RunByHand` stays.
    """
    return step if isinstance(step, Run | RunByHand | SetVariable) else msgspec.structs.replace(step, argv=())


def action(step: Step) -> Step:
    """Return the step without its explanations and its risk, so that two steps that do the same are equal.

    A step by hand without a command keeps its `why`, because only `why` says what the user does.
    """
    why = step.why if isinstance(step, RunByHand) and not step.argv else ""
    return msgspec.structs.replace(bare(step), why=why, changes="", risk="low", risk_text=None, takes=None, undo=None)


def moved(step: Step, word: Callable[[str], str]) -> Step:
    """Return a removal, a command or a variable with `word` applied to its paths, its words or its value.

    Example: `word` replaces the folder of an environment by the folder of its copy. Steps of other kinds, such as
    `Install`, are returned unchanged.
    """
    if isinstance(step, Remove):
        return msgspec.structs.replace(step, paths=tuple(map(word, step.paths)))
    if isinstance(step, Run | RunByHand):
        return msgspec.structs.replace(step, argv=tuple(map(word, step.argv)))
    if isinstance(step, SetVariable) and step.value is not None:
        return msgspec.structs.replace(step, value=word(step.value))
    return step
