"""Define plans: a plan has ways; a way is an ordered list of steps; a step has the changes that it makes. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from attn_doctor.commands.installers import InstallerName
from attn_doctor.model.facts import Record
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import AddPip, Install, Remove, Run, RunByHand, SetVariable, Step, Uninstall
from attn_doctor.wheels.proof import Proof

Intent = Literal["put it right", "make flash-attn work", "do without flash-attn"]
RIGHT: Intent = "put it right"
WORK: Intent = "make flash-attn work"
NOT_ASKED = "the installer was not asked"  # why the changes of a step are not known
WITHOUT: Intent = "do without flash-attn"


class Change(Record, frozen=True, kw_only=True):
    """Hold the version of a package before and after; None: not installed."""

    package: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"adds {self.package} {self.after}"
        if self.after is None:
            return f"removes {self.package} {self.before}"
        if self.before == self.after:
            return f"{self.package} {self.before} again"
        return f"{self.package} {self.before} → {self.after}"


RUNNABLE = (Install, Uninstall, AddPip, Remove, Run)  # steps that attn-doctor can run itself


def variables(steps: Iterable[Step]) -> dict[str, str | None]:
    """Return the variables that the steps set in a shell. The value None means: unset."""
    return {step.name: step.value for step in steps if isinstance(step, SetVariable)}


class PlannedStep(Record, frozen=True, kw_only=True):
    """Hold a step with its command for the chosen installer, and the changes of packages that the resolver predicts."""

    step: Step
    changes: tuple[Change, ...] | None = None  # None: the installer was not asked
    unresolved: str | None = None  # why `changes` is None
    impossible: bool = False  # the resolver says that the step has no solution
    download_bytes: int | None = None
    verify: tuple[str, ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()  # commands to undo by hand; `fix --undo` undoes a `fix --apply`
    shown: dict[str, str] = msgspec.field(default_factory=dict)  # shell -> the line to paste

    @property
    def words(self) -> str:
        """Return the changes of the step in words; if the step states none, the reason for the step."""
        return self.step.changes or self.step.why


class Attempt(Record, frozen=True, kw_only=True):
    """Hold the outcome of a way that was tried in a throw-away copy."""

    verified: bool
    summary: str
    left: tuple[str, ...] = ()  # warnings and errors that remain
    ran: tuple[str, ...] = ()  # backends that served every attention call of a short trial
    changes: tuple[Change, ...] = ()  # the real changes
    seconds: float = 0.0  # of the whole try


class Unsigned(Record, frozen=True, kw_only=True):
    """Describe the wheel of a way, if other people than the authors of its package built it.

    The last three fields are known after the download.
    """

    builder: str
    url: str
    file: str | None = None  # where it lies; it is installed from there
    sha256: str | None = None  # of the file that was checked
    proof: Proof | None = None


class Way(Record, frozen=True, kw_only=True):
    """Hold one of the alternatives of a plan: its steps, and the causes that it cures."""

    name: str  # "A"
    title: str
    intent: Intent
    goal: Goal  # the goal that the environment serves afterwards
    cures: tuple[str, ...]  # codes of root causes
    steps: tuple[PlannedStep, ...]
    breaks: tuple[
        str, ...
    ] = ()  # requirements of the project in the current folder and of packages that the way breaks
    notes: tuple[str, ...] = ()
    attempt: Attempt | None = None
    unsigned: Unsigned | None = None

    def runnable(self) -> tuple[PlannedStep, ...]:
        """Return the steps that attn-doctor can run."""
        return tuple(planned for planned in self.steps if isinstance(planned.step, RUNNABLE))

    def variables(self) -> dict[str, str | None]:
        """Return the variables that the way's steps set. The value None means: unset."""
        return variables(planned.step for planned in self.steps)

    def impossible(self) -> str | None:
        """Return the resolver's reason if it found that a step cannot be done; else None."""
        return next((step.unresolved for step in self.steps if step.impossible), None)

    def by_hand(self) -> tuple[PlannedStep, ...]:
        """Return the steps that the user must do."""
        return tuple(planned for planned in self.steps if isinstance(planned.step, RunByHand))


class Cause(Record, frozen=True, kw_only=True):
    """Hold the code, slug, message and severity of one root cause from the diagnosis."""

    code: str
    slug: str
    message: str
    severity: str


class Plan(Record, frozen=True, kw_only=True):
    """Hold the alternatives that fix a machine, and the causes that they fix."""

    target: str  # path of the Python
    goal: Goal
    installer: InstallerName
    installer_why: str  # why this installer was chosen
    causes: tuple[Cause, ...]
    ways: tuple[Way, ...]  # best first; empty: nothing to do, or no known fix
    elsewhere: bool = False  # for another machine: nothing can be tried or applied here
    notes: tuple[str, ...] = ()


class Draft(Record, frozen=True, kw_only=True):
    """Hold a way whose steps have no commands yet."""

    title: str
    intent: Intent
    goal: Goal
    cures: tuple[str, ...]
    steps: tuple[Step, ...]
    verify: tuple[str, ...]
    notes: tuple[str, ...] = ()
