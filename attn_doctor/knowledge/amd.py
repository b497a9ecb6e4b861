"""Name the gfx number of an AMD GPU, and the override that makes it run the code of a similar GPU. Pure."""

from __future__ import annotations

import functools
import re
from typing import ClassVar

from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load


class AmdOverride(Row, frozen=True, kw_only=True):
    """Describe a gfx number and the cards that have it.

    `as_version`: the HSA_OVERRIDE_GFX_VERSION with which the cards run the code of a similar GPU: "10.3.0" for
    "gfx1031".
    """

    TABLE: ClassVar[str] = "amd_overrides"

    gfx: str  # "gfx1031"
    as_version: str | None  # None: no override is needed, or none is safe
    cards: str  # some of them: "RX 6700, RX 6750"
    dropped: str | None = None  # the ROCm since which neither AMD's nor PyTorch's builds serve it: "4.0"


@functools.cache
def _by_gfx() -> dict[str, AmdOverride]:
    return {row.gfx: row for row in load(AmdOverride)}


def override(gfx: str) -> AmdOverride | None:
    """Return the row of a GPU ("gfx1031"); None if the table lacks it, or if the GPU needs no advice.

    A GPU needs advice if its row has an override, a note, or the ROCm since which no builds serve it.
    """
    row = _by_gfx().get(gfx)
    return row if row and (row.as_version or row.note or row.dropped) else None


def gfx_of(card: str) -> str | None:
    """Return the gfx number of a card by its name ("AMD Radeon RX 6700 XT"); None if the table does not name the card."""
    for row in load(AmdOverride):
        if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", card, re.IGNORECASE) for name in row.cards.split(", ")):
            return row.gfx
    return None


# AMD's own indexes of torch, one for a family of GPUs, for Linux and for Windows: the beginning of a gfx number -> the last part of the address.
# https://rocm.docs.amd.com/en/latest/compatibility/compatibility-matrix.html, https://github.com/ROCm/TheRock/blob/main/RELEASES.md
_FAMILIES = {
    "gfx103": "gfx103X-all", "gfx110": "gfx110X-all", "gfx1150": "gfx1150", "gfx1151": "gfx1151", "gfx1152": "gfx1152", "gfx120": "gfx120X-all",
}  # fmt: skip
OWN_PYTHONS = ("3.11", "3.12", "3.13")  # for which these indexes have torch on both systems


def own_index(gfx: str) -> str | None:
    """Return the address of AMD's own index of torch for this GPU ("gfx1031"); None if AMD has none."""
    family = next((last for first, last in _FAMILIES.items() if gfx.startswith(first)), None)
    return f"https://repo.amd.com/rocm/whl/{family}/" if family else None


# The graphics in Ryzen processors, by the last digits of the name. 2000 and 3000: Raven Ridge, Picasso; 5000: Lucienne, Cezanne, Barcelo; 7035: Rembrandt; 7040 and 8040: Phoenix.
# https://en.wikipedia.org/wiki/List_of_AMD_processors_with_3D_graphics
_RYZEN = (
    (
        re.compile(
            r"Ryzen (?:\w+ ){0,3}?(?:2[2-8]\d{2}|3[4-7]\d{2})(?:U|H|G|GE)\b|Ryzen Embedded V1\d{3}B\b", re.IGNORECASE
        ),
        "gfx902",
    ),
    (re.compile(r"Ryzen (?:\w+ ){0,3}?[45]\d{3}(?:U|H|HS|HX|G|GE|C)\b", re.IGNORECASE), "gfx90c"),
    (re.compile(r"Ryzen (?:\w+ ){0,3}?7\d30(?:U|H|HS|C)\b", re.IGNORECASE), "gfx90c"),
    (re.compile(r"Ryzen (?:\w+ ){0,3}?(?:6\d{3}|7\d35)(?:U|H|HS|HX|C)\b", re.IGNORECASE), "gfx1035"),
    (re.compile(r"Ryzen (?:\w+ ){0,3}?[78]\d4\d(?:U|H|HS)\b", re.IGNORECASE), "gfx1103"),
    (re.compile(r"Ryzen (?:\w+ ){0,3}?8[67]\d{2}G\b", re.IGNORECASE), "gfx1103"),
)


def gfx_of_processor(name: str) -> str | None:
    """Return the gfx number of the graphics in a processor ("AMD Ryzen 7 PRO 5850U"); None if the processor is not known, or has none."""
    return next((gfx for pattern, gfx in _RYZEN if pattern.search(name)), None)


def overrides() -> str:
    """Return all overrides as a part of a sentence: "gfx1031, gfx1032: 10.3.0; gfx90c: 9.0.0"."""
    of: dict[str, list[str]] = {}
    for row in load(AmdOverride):
        if row.as_version:
            of.setdefault(row.as_version, []).append(row.gfx)
    return "; ".join(f"{', '.join(names)}: {version}" for version, names in of.items())
