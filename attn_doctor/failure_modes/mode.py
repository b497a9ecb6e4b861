"""What a failure mode is made of, and the three-valued reading of facts that its rule is written in.

A rule asks `known(x)` for a value: where x is Unknown, the rule stops there, and whether that leaves the failure mode
undetermined is decided by `every` and `some`: a part that is known to be false settles a conjunction, whatever else is
unknown. A rule returns a Hit, or None for health.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.logs.reader import Strength
from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity

T = TypeVar("T")


class Unsure(Exception):
    """A rule needed facts that are unknown. `unknowns` are those very objects."""

    def __init__(self, *unknowns: Unknown) -> None:
        super().__init__("; ".join(dict.fromkeys(u.why for u in unknowns)))
        self.unknowns = unknowns


def known(value: T | Unknown) -> T:
    """The value; raises Unsure where it is not known."""
    if isinstance(value, Unknown):
        raise Unsure(value)
    return value


def every(*parts: Callable[[], bool]) -> bool:
    """True if all parts are; False as soon as one is known to be; raises Unsure if only unknowns stand between."""
    return _decide(parts, settled_by=False)


def some(*parts: Callable[[], bool]) -> bool:
    """True as soon as one part is known to be; False if all are; raises Unsure if only unknowns stand between."""
    return _decide(parts, settled_by=True)


def _decide(parts: tuple[Callable[[], bool], ...], settled_by: bool) -> bool:
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
    """A mark that this failure mode leaves in a log.

    `pattern` is a regular expression for one line (after colours, prefixes and indentation are taken off); `literal` is
    a piece of text that every matching line holds, so that a large log can be searched for it first.
    """

    pattern: str
    literal: str
    sample: str
    strength: Strength = "proof"


class FailureMode(Record, frozen=True, kw_only=True):
    code: str
    slug: str
    title: str
    train: Severity  # under the goal `train`
    flash_attn: Severity  # under the goal `flash-attn`
    blocks: tuple[str, ...] = ()  # backends
    explains: tuple[str, ...] = ()  # slugs of its consequences
    signs: tuple[Sign, ...] = ()
    recipe: Recipe | None = None
    catch_all: bool = False  # says that a cause is not known: judged last, and never beneath a cause that is

    def severity(self, goal: Goal) -> Severity:
        return self.train if goal is Goal.TRAIN else self.flash_attn


class Hit(Record, frozen=True, kw_only=True):
    """A failure mode met. What is None is taken from the failure mode's record."""

    message: str
    evidence: tuple[Evidence, ...]
    certainty: Certainty = Certainty.PREDICTED
    confidence: Confidence = Confidence.HIGH
    severity: Severity | None = None
    blocks: tuple[str, ...] | None = None
    explains: tuple[str, ...] | None = None  # where this case has other consequences than the failure mode in general


class Module(Protocol):
    """The module of a failure mode.

    It may also have `from_log(facts, seen, evidence) -> Hit | None`, its own wording of what logs showed, and
    `observe(facts, trials) -> Hit | None`, what trials showed, and `usual(facts) -> tuple[Fix, ...]`, what puts it right where
    too little is known of the machine for `fixes`.
    """

    __name__: str
    MODE: FailureMode

    def detect(self, facts: Facts) -> Hit | None:
        """What facts imply. Raises Unsure."""

    def fixes(self, facts: Facts, hit: Hit) -> tuple[Fix, ...]:
        """Return what puts this case right on this machine, the best first. Raises Unsure."""
