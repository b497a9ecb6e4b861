"""Define what one line of a log states: a claim. Several claims about one fact may disagree."""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor.model.stated_facts import How, Place


class Claim(NamedTuple):
    """Hold one fact from one line of a log.

    `fact`: the field of StatedFacts that it is for; "gpu" for `gpus`. `weight`: of several equally sure claims, the one
    with the greatest weight counts. `doing`: for a package, the action that failed ("building").
    """

    fact: str
    value: str
    place: Place
    how: How
    weight: int = 0
    doing: str = ""
    of: str = ""  # the package whose version was requested; empty: the line does not name it
