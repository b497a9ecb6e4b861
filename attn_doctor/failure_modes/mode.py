"""Define the parts of a failure mode, and the functions by which its rule reads facts that may be unknown.

A rule asks `known(x)` for a value. If x is Unknown, `known` raises Unsure and the rule stops. Inside `every` and `some` a rule may
still get an answer: `every` returns False if one part is known to be false, whatever else is unknown. A rule returns a Hit, or None
if the machine does not have the failure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar, runtime_checkable

from attn_doctor.exchange.traits import TRAITS
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.logs.reader import Seen, Strength, Topic
from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity
from attn_doctor.model.trials import Trials

T = TypeVar("T")

Stops = Literal["build", "gpu", "model", "nothing"]
EVERY_BACKEND = tuple(TRAITS)
GPU_BACKENDS = tuple(name for name, traits in TRAITS.items() if traits.gpu_only)


class Unsure(Exception):
    """Report that a rule needed facts that are unknown: those in `unknowns`."""

    def __init__(self, *unknowns: Unknown) -> None:
        super().__init__("; ".join(dict.fromkeys(u.why for u in unknowns)))
        self.unknowns = unknowns


def known(value: T | Unknown) -> T:
    """Return the value. Raises Unsure if it is Unknown."""
    if isinstance(value, Unknown):
        raise Unsure(value)
    return value


def present(value: T | Unknown | None) -> T:
    """Return the value. Raises Unsure if it is Unknown, and if it is None: the thing does not exist."""
    if value is None:
        raise Unsure(Unknown("there is none"))
    return known(value)


def every(*parts: Callable[[], bool]) -> bool:
    """Return True if all parts are true, False if one is known to be false. Raises Unsure if an unknown part decides."""
    return _decide(parts, settled_by=False)


def some(*parts: Callable[[], bool]) -> bool:
    """Return True if one part is known to be true, False if all are false. Raises Unsure if an unknown part decides."""
    return _decide(parts, settled_by=True)


def _decide(parts: tuple[Callable[[], bool], ...], settled_by: bool) -> bool:
    """Return `settled_by` if a part returns it, else its opposite. Raises Unsure if no part returns it and one is unknown."""
    unknowns: list[Unknown] = []
    for part in parts:
        try:
            if part() is settled_by:
                return settled_by
        except Unsure as unsure:
            unknowns.extend(unsure.unknowns)
    if unknowns:
        raise Unsure(*unknowns)
    return not settled_by


class Sign(Record, frozen=True, kw_only=True):
    """Describe a line that this failure mode leaves in a log.

    `pattern` is a regular expression that is searched for in one line, after colours, prefixes and indentation are removed.
    """

    pattern: str
    literal: str  # a text that every matching line contains, in the same case: a log is searched for it first, because that is faster
    sample: str  # a whole line that matches, for the page and the tests
    strength: Strength = "proof"
    topic: Topic | None = None  # the meaning of the line, for the rules of other failure modes


class FailureMode(Record, frozen=True, kw_only=True):
    """Describe a failure mode: its code, its signs, and its relations to other failure modes.

    `stops` says which work is not possible while the failure lasts. "build": a build of flash-attn, which is not needed if there
    is a finished wheel. "gpu": any use of the GPU, so that the backends that need a GPU are blocked. "model": loading the model
    that the user named, so that no trial of it is possible.
    """

    code: str
    slug: str
    title: str
    train: Severity  # under the goal `train`
    flash_attn: Severity  # under the goal `flash-attn`
    stops: Stops = "nothing"
    blocks: tuple[str, ...] = ()  # backends that do not run; not with stops="gpu", which blocks those that need a GPU
    explains: tuple[str, ...] = ()  # slugs of its consequences
    explains_what_stops: Stops | None = None  # failure modes with this `stops` are consequences too
    signs: tuple[Sign, ...] = ()
    recipe: Recipe | None = None
    says: str | None = None  # the message for a log, if there is no `from_log`: "{file} is not there"
    catch_all: bool = False  # says only that the cause is not known; judged last, and dropped if a cause is known

    @property
    def blocked(self) -> tuple[str, ...]:
        """Return the backends that this failure stops. If a hit names backends, those of the hit count."""
        return GPU_BACKENDS if self.stops == "gpu" else self.blocks

    def severity(self, goal: Goal) -> Severity:
        """Return the severity under this goal. If a hit has a severity, that of the hit counts."""
        return self.train if goal is Goal.TRAIN else self.flash_attn


class Variant(Record, frozen=True, kw_only=True):
    """Hold the cause of a failure mode that was found, and its values. `fixes` chooses by them.

    A failure mode that needs a variant defines a subclass, for example `class Missing(Variant): library: str`. The choice between
    causes is a field of type Literal.
    """


class Hit(Record, frozen=True, kw_only=True):
    """Describe a failure mode that was found. A field that is None is taken from the failure mode's record.

    Only `detect` sets `certainty`: a hit from a log or a trial was observed, and the caller marks it so.
    """

    message: str
    evidence: tuple[Evidence, ...]
    variant: Variant | None = None
    certainty: Certainty = Certainty.PREDICTED
    confidence: Confidence = Confidence.HIGH
    severity: Severity | None = None
    blocks: tuple[str, ...] | None = None
    explains: tuple[str, ...] | None = None  # set if this case has other consequences than MODE names


class Module(Protocol):
    """Define the names that each module of a failure mode has.

    It also has one or more of the functions of the classes below.
    """

    __name__: str
    MODE: FailureMode

    def fixes(self, facts: Facts, hit: Hit) -> tuple[Fix, ...]:
        """Return the fixes for this case on this machine, the best first.

        Raises Unsure if a fact that decides is unknown.
        """


@runtime_checkable
class FromFacts(Protocol):
    """Define a failure mode that facts can show. Without `detect`, only logs or trials show it."""

    def detect(self, facts: Facts) -> Hit | None:
        """Return the hit that the facts show; None if they do not show the failure.

        Raises Unsure if a fact that decides is unknown.
        """


@runtime_checkable
class FromLog(Protocol):
    """Define a failure mode that judges the matches in a log. Without `from_log` every match counts, and the message is `MODE.says`."""

    def from_log(self, facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
        """Return the hit that the logs show; None if the matches do not count.

        `seen`: the matches of the signs of this failure mode, and all logs. `evidence`: the first lines that matched. `facts`: what the log
        states, or the facts of the machine.
        """


@runtime_checkable
class FromTrials(Protocol):
    """Define a failure mode that a run of the backends shows."""

    def observe(self, facts: Facts, trials: Trials) -> Hit | None:
        """Return the hit that the trials show; None if they do not show the failure."""


@runtime_checkable
class Usual(Protocol):
    """Define a failure mode that has fixes even if nothing is known of the machine, for example if there is only a log."""

    def usual(self, facts: Facts) -> tuple[Fix, ...]:
        """Return the fixes for a machine of which too little is known for `fixes`."""
