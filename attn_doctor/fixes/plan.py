"""What a plan is made of: ways out, each an ordered list of steps, with what each step changes. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from attn_doctor.model.facts import Record
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import AddPip, Install, Remove, Run, RunByHand, SetVariable, Step, Uninstall

Intent = Literal["put it right", "make flash-attn work", "do without flash-attn"]
RIGHT: Intent = "put it right"
WORK: Intent = "make flash-attn work"
WITHOUT: Intent = "do without flash-attn"


class Change(Record, frozen=True, kw_only=True):
    """A package before and after; None: not installed."""

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


RUNNABLE = (Install, Uninstall, AddPip, Remove, Run)  # what attn-doctor can do itself


def variables(steps: Iterable[Step]) -> dict[str, str | None]:
    """What the steps set in a shell, or, with None, unset."""
    return {step.name: step.value for step in steps if isinstance(step, SetVariable)}


class PlannedStep(Record, frozen=True, kw_only=True):
    """One step, in the words of the chosen installer, with what the resolver says of it."""

    step: Step
    changes: tuple[Change, ...] | None = None  # None: nobody resolved it
    unresolved: str | None = None  # why not
    impossible: bool = False  # the resolver says that it cannot be done
    download_bytes: int | None = None
    verify: tuple[str, ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()  # by hand; `fix --undo` does it for what `fix --apply` did
    shown: dict[str, str] = msgspec.field(default_factory=dict)  # shell -> the line to paste

    @property
    def words(self) -> str:
        """What the step changes, in words."""
        return self.step.changes or self.step.why


class Attempt(Record, frozen=True, kw_only=True):
    """What trying a way in a throw-away copy came to."""

    verified: bool
    summary: str
    left: tuple[str, ...] = ()  # findings of warning and above that are there after it
    ran: tuple[str, ...] = ()  # backends that served every attention call of a short trial
    changes: tuple[Change, ...] = ()  # what it really changed
    seconds: float = 0.0


class Way(Record, frozen=True, kw_only=True):
    """One alternative."""

    name: str  # "A"
    title: str
    intent: Intent
    goal: Goal  # what the environment is for once this was done
    cures: tuple[str, ...]  # codes of root causes
    steps: tuple[PlannedStep, ...]
    breaks: tuple[str, ...] = ()  # pins of the project in the current folder, and packages, that it goes against
    notes: tuple[str, ...] = ()
    attempt: Attempt | None = None

    def runnable(self) -> tuple[PlannedStep, ...]:
        return tuple(planned for planned in self.steps if isinstance(planned.step, RUNNABLE))

    def variables(self) -> dict[str, str | None]:
        """What its environment steps set, or, with None, unset."""
        return variables(planned.step for planned in self.steps)

    def impossible(self) -> str | None:
        """What the resolver has against a step, where it says that there is no solution."""
        return next((step.unresolved for step in self.steps if step.impossible), None)

    def by_hand(self) -> tuple[PlannedStep, ...]:
        return tuple(planned for planned in self.steps if isinstance(planned.step, RunByHand))


class Cause(Record, frozen=True, kw_only=True):
    """A root cause, as the diagnosis has it."""

    code: str
    slug: str
    message: str
    severity: str


class Plan(Record, frozen=True, kw_only=True):
    target: str
    goal: Goal
    installer: str
    installer_why: str
    causes: tuple[Cause, ...]
    ways: tuple[Way, ...]  # best first; empty: nothing to do, or nothing known that helps
    notes: tuple[str, ...] = ()


class Draft(Record, frozen=True, kw_only=True):
    """A way before it is put into an installer's words."""

    title: str
    intent: Intent
    goal: Goal
    cures: tuple[str, ...]
    steps: tuple[Step, ...]
    verify: tuple[str, ...]
    notes: tuple[str, ...] = ()
