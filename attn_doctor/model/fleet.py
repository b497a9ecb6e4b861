"""Define the records of a fleet (many machines): the answer of each machine, and its differences from the others."""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor.model.facts import Record
from attn_doctor.model.findings import Fix
from attn_doctor.model.report import Tool

# "answered": a report came · "died": the machine or the check ended while it ran · "silent": nothing came until the deadline
# "refused": no check could be started there (drained, no login, no Python) · "unreadable": something came that is no report
NodeEnd = Literal["answered", "died", "silent", "refused", "unreadable"]


class Node(Record, frozen=True, kw_only=True):
    """Name a machine: as its scheduler names it ("gpu-17"), or by the file name of its report."""

    name: str
    labels: dict[str, str] = msgspec.field(default_factory=dict)  # what the scheduler says of it: "partition": "a100"


class NodeAnswer(Record, frozen=True, kw_only=True):
    """Hold the answer of one machine as bytes that are not decoded yet."""

    node: Node
    end: NodeEnd
    report: bytes | None = None  # the JSON that `attn-doctor check --json -` wrote there; None: there is none
    said: str = ""  # how it ended, in one sentence, if `end` is not "answered"
    seconds: float | None = None  # from the start of the check to its end there


# "sick": an error was found, or it has fewer GPUs than most · "unknown": something that was asked for could not be examined
# "warned": a warning was found · "differs": nothing was found, and a fact is not as in most · "healthy": as most, and nothing was found
Standing = Literal["sick", "died", "silent", "refused", "unreadable", "unknown", "warned", "differs", "healthy"]
# "explains": it stands in the evidence of a finding that most nodes do not have · "beside": it is in the same section of the facts as such
# evidence · "other": no finding is near it
Weight = Literal["explains", "beside", "other"]


class Cause(Record, frozen=True, kw_only=True):
    """Describe a root cause in the report of a machine: a finding that no other finding explains."""

    code: str
    slug: str
    severity: Literal["error", "warning", "info"]
    message: str
    usual: bool = False  # most nodes of this kind have it too


class Outlier(Record, frozen=True, kw_only=True):
    """Describe a fact whose value differs from the value on most nodes of the same kind."""

    path: str  # "packages.distributions.torch"
    here: str | None  # None: an item of a list that these nodes do not have
    usual: str | None  # None with `of_most` above 0: most do not have the item
    of_most: int  # so many nodes of the kind have the usual value; 0: no value is that of more than half of them
    weight: Weight
    behind: tuple[str, ...] = ()  # slugs of findings that have this fact as evidence


class Row(Record, frozen=True, kw_only=True):
    """Hold a group of nodes with equal results: "gpu-01" to "gpu-31"."""

    nodes: tuple[str, ...]
    standing: Standing
    kind_name: str  # of the `Kind` that they belong to; empty for nodes without a report
    said: str = ""  # how the examination ended, if it gave no report
    causes: tuple[Cause, ...] = ()
    outliers: tuple[Outlier, ...] = ()


class Kind(Record, frozen=True, kw_only=True):
    """Describe a group of machines that are compared with each other: same GPU model, same architecture, same partition."""

    name: str
    nodes: int
    compared: bool  # False: it is one node alone


class Undecided(Record, frozen=True, kw_only=True):
    """Describe a fact without a majority: no value is on more than half of the nodes of a kind, so no node is an outlier."""

    path: str
    kind_name: str
    values: tuple[tuple[str, tuple[str, ...]], ...]  # (value, nodes that have it), the commonest first; at most eight
    different: int  # so many values there are in all


class Cured(Record, frozen=True, kw_only=True):
    """Hold the first fix of a root cause, and all nodes whose reports have this fix."""

    code: str
    slug: str
    nodes: tuple[str, ...]
    fix: Fix


class Fleet(Record, frozen=True, kw_only=True):
    """Hold the answer of `attn-doctor fleet`."""

    tool: Tool
    nodes: int
    answered: int
    healthy: int
    trained: int  # reports in which a training step of the model was seen; the others have --no-trial, or failed before
    fail_on: Literal["error", "warning", "never"]
    exit_code: int
    kinds: tuple[Kind, ...]
    rows: tuple[Row, ...]  # those that need attention first
    undecided: tuple[Undecided, ...]
    cures: tuple[Cured, ...]
    notes: tuple[str, ...] = ()  # what a reader must know: names that occur twice, reports that were judged again
