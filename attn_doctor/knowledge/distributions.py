"""Answer questions about Linux distribution releases: their glibc, and whether they have libtinfo5."""

from __future__ import annotations

from attn_doctor.knowledge.rows import Distribution
from attn_doctor.knowledge.tables import load, unlisted
from attn_doctor.knowledge.yes_no_unknown import Judgement, no, yes
from attn_doctor.model.facts import Unknown


def distribution(id: str, version: str) -> Distribution | Unknown:  # noqa: A002 - as os-release calls it
    """Return the row for an os-release ID ("ubuntu") and VERSION_ID; "9.4" is found under "9".

    Unknown if the table lacks the release.
    """
    major = version.partition(".")[0]
    rows = [row for row in load(Distribution) if row.id == id.lower()]
    for candidate in (version, major):
        for row in rows:
            if row.version == candidate:
                return row
    return unlisted(f"{id} {version}")


def has_libtinfo5(id: str, version: str) -> Judgement:  # noqa: A002 - as os-release calls it
    """Return whether the package libtinfo5, which older Nsight tools need, can be installed on this distribution."""
    row = distribution(id, version)
    if isinstance(row, Unknown):
        return row
    if row.libtinfo5 is None:
        return unlisted(f"libtinfo5 on {id} {version}")
    return yes(f"{id} {row.version} has libtinfo5") if row.libtinfo5 else no(f"{id} {row.version} has no libtinfo5")


def glibc(id: str, version: str) -> str | Unknown:  # noqa: A002 - as os-release calls it
    """Return the glibc of a distribution release: "2.35" for "ubuntu" and "22.04"; Unknown if the table lacks it."""
    row = distribution(id, version)
    if isinstance(row, Unknown):
        return row
    return row.glibc or unlisted(f"the glibc of {id} {version}")
