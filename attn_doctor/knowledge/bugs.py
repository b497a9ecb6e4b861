"""Answer whether a version of torch has a bug that makes results wrong.

A version that nobody tested is unknown, not healthy.
"""

from __future__ import annotations

from attn_doctor.knowledge.rows import KnownBug
from attn_doctor.knowledge.tables import load, unlisted
from attn_doctor.knowledge.yes_no_unknown import Judgement, no, yes
from attn_doctor.model.facts import Unknown
from attn_doctor.model.versions import parse

CPU_BATCHNORM_GRADIENT = "cpu-batchnorm-gradient"


def bug(name: str) -> KnownBug | Unknown:
    return next((row for row in load(KnownBug) if row.name == name), None) or unlisted(name)


def has(name: str, torch: str) -> Judgement:
    """Return whether this torch has the bug: yes or no for a tested version, else Unknown."""
    row, version = bug(name), parse(torch)
    if isinstance(row, Unknown):
        return row
    if version is None:
        return Unknown(f"cannot read the torch version {torch!r}")
    if version.base_version in row.seen:
        return yes(f"torch {version.base_version}: {row.what}")
    if version.base_version in row.not_seen:
        return no(f"torch {version.base_version} was tried and does not show it: {row.what}")
    return unlisted(f"whether torch {version.base_version} has this bug ({row.name})")
