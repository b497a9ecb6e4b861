"""Define the results of judging: findings with evidence, failure modes that could not be judged, and fixes. Values only."""

from __future__ import annotations

import enum
from typing import Any, Literal

import msgspec

from attn_doctor.model.facts import Facts, Record, Unknown, lookup
from attn_doctor.model.steps import Step


class Severity(str, enum.Enum):
    """Name how bad a finding is for the goal."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return the severity as a number that can be compared: 0 for info, 1 for warning, 2 for error."""
        return ("info", "warning", "error").index(self.value)


class Certainty(str, enum.Enum):
    """Name how a finding is known: somebody saw the failure happen, or the facts predict it."""

    OBSERVED = "observed"  # it was seen to happen, in a child or in a log
    PREDICTED = "predicted"  # the facts imply it, and nobody saw it happen


class Confidence(str, enum.Enum):
    """Name how surely a finding is the real cause: high, medium or low."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """Return the confidence as a number that can be compared: 0 for low, 1 for medium, 2 for high."""
        return ("low", "medium", "high").index(self.value)


class Goal(str, enum.Enum):
    """Name what the user wants: to train a model, or to use flash-attn."""

    TRAIN = "train"
    FLASH_ATTN = "flash-attn"


EvidenceKind = Literal["fact", "log", "trial"]


class Evidence(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Describe one reason for a finding: a fact by its path, a line of a log, or a row of the trial."""

    kind: EvidenceKind
    text: str
    path: str | None = None  # path of a fact ("torch.cuda") or of a trial row ("trials.2")
    file: str | None = None
    line: int | None = None


def show(value: object) -> str:
    """Return a fact's value in words: "none" for None, "yes" for True, "unknown (why)", "a, b" for a tuple."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Unknown):
        return f"unknown ({value.why})"
    if isinstance(value, tuple):
        return ", ".join(show(item) for item in value) or "none"
    return str(value)


def fact(facts: Facts, path: str, text: str | None = None) -> Evidence:
    """Return evidence that names a fact by its dotted path, "torch.version".

    `text`: what a reader sees; None: path and value, "torch.version = 2.8.0". Raises LookupError if facts have no such
    path.
    """
    value = lookup(facts, path)
    return Evidence(kind="fact", path=path, text=text or f"{path} = {show(value)}")


class Fix(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Describe one way to remove the cause of a finding: its steps, in order."""

    title: str  # "Install NumPy 1"
    steps: tuple[Step, ...]
    verify: tuple[str, ...]  # argv whose exit code 0 shows that the fix worked


class Finding(Record, frozen=True, kw_only=True):
    """Describe a failure mode that was found on the machine or in a log."""

    code: str  # "AD311"
    slug: str  # "numpy-abi"
    title: str  # of the failure mode
    message: str  # a sentence about this machine
    severity: Severity
    certainty: Certainty
    confidence: Confidence
    root_cause: bool  # no other finding explains it, and it is more than a note
    explained_by: str | None  # code of the root cause; None: no other finding explains it
    blocks: tuple[str, ...]  # names of the backends that cannot run because of it
    evidence: tuple[Evidence, ...]
    fixes: tuple[Fix, ...]  # the best first
    docs: str  # the address of its page; empty as long as attn-doctor is published nowhere (system/published.py)


class Undetermined(Record, frozen=True, kw_only=True):
    """Describe a failure mode of which it is not known whether the machine has it."""

    code: str
    slug: str
    needs: tuple[str, ...]  # paths of the unknown facts that would decide it if they were known
    why: str


class Unrecognised(Record, frozen=True, kw_only=True):
    """Describe an error in a log that no failure mode explains."""

    file: str
    line: int
    text: str


class Diagnosis(Record, frozen=True, kw_only=True):
    """Hold the result of judging facts, logs and trials."""

    findings: tuple[Finding, ...] = ()  # root causes first
    undetermined: tuple[Undetermined, ...] = ()
    unrecognised: tuple[Unrecognised, ...] = ()
    stated: tuple[Evidence, ...] = ()  # if only a log was judged: what it says about its machine

    def worst(self) -> Severity | None:
        """Return the highest severity of the findings; None if there are none."""
        return max((f.severity for f in self.findings), key=lambda s: s.rank, default=None)


def to_builtins(value: object) -> Any:
    """Return a record as the plain data of its JSON: dicts, lists, texts, numbers."""
    return msgspec.to_builtins(value)
