"""Define the records of a fleet: what each machine answered, and how it differs from the others."""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor.model.facts import Record

# "answered": a report came · "died": the machine or the check ended while it ran · "silent": nothing came until the deadline
# "refused": no check could be started there (drained, no login, no Python) · "unreadable": something came that is no report
NodeEnd = Literal["answered", "died", "silent", "refused", "unreadable"]


class Node(Record, frozen=True, kw_only=True):
    """Name a machine as its scheduler does ("gpu-17"), or as the file of its report is called."""

    name: str
    labels: dict[str, str] = msgspec.field(default_factory=dict)  # what the scheduler says of it: "partition": "a100"


class NodeAnswer(Record, frozen=True, kw_only=True):
    """Hold what came back from one machine, not yet read."""

    node: Node
    end: NodeEnd
    report: bytes | None = None  # the JSON that `attn-doctor check --json -` wrote there; None: there is none
    said: str = ""  # how it ended, in one sentence, if `end` is not "answered"
    seconds: float | None = None  # from the start of the check to its end there
