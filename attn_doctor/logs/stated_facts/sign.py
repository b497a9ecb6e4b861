"""Define a sign: a kind of line that states facts about a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from attn_doctor.model.stated_facts import How

# A version as pip and torch write it: "2.5.1+cu124", "2.9.0.dev20250701+cu128", "2.1.0a0+41361538.nv23.06".
VERSION = r"\d{1,4}\.\d+(?:\.\d+){0,3}(?:(?:a|b|rc)\d+|\.dev\d+|\.post\d+)*(?:\+\w+(?:\.\w+)*)?"


class Sign(NamedTuple):
    """Describe a kind of line that states facts.

    A named group of the pattern is a fact (`os`, `torch`, ...); the groups `name` and `version` belong to a package. The pattern is
    tried only on lines that contain one of the literals.
    """

    literals: tuple[str, ...]
    pattern: str
    says: Mapping[str, str] = {}  # facts that follow from such a line, whatever it captures: {"os": "linux"}
    how: How = "said"  # "implied": the line does not name the fact, but shows it, as a path of Windows shows the system
    weight: int = 0  # of several signs that are equally sure, the one with the greatest weight counts
