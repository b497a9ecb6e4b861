"""Name the gfx number of an AMD GPU, and the override that makes it run the code of a similar GPU. Pure."""

from __future__ import annotations

import functools
import re
from typing import ClassVar

from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load


class AmdOverride(Row, frozen=True, kw_only=True):
    """Describe a gfx number and the cards that have it.

    If there are builds of torch without code for it, the row also has the value of HSA_OVERRIDE_GFX_VERSION.
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
    """Return the row of a GPU ("gfx1031"); None if the table lacks it, or if all present ROCm wheels have code for it."""
    row = _by_gfx().get(gfx)
    return row if row and (row.as_version or row.note or row.dropped) else None


def gfx_of(card: str) -> str | None:
    """Return the gfx number of a card by its name ("AMD Radeon RX 6700 XT"); None if the table does not name the card."""
    for row in load(AmdOverride):
        if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", card, re.IGNORECASE) for name in row.cards.split(", ")):
            return row.gfx
    return None


def overrides() -> str:
    """Return all overrides as a part of a sentence: "gfx1031, gfx1032: 10.3.0; gfx90c: 9.0.0"."""
    of: dict[str, list[str]] = {}
    for row in load(AmdOverride):
        if row.as_version:
            of.setdefault(row.as_version, []).append(row.gfx)
    return "; ".join(f"{', '.join(names)}: {version}" for version, names in of.items())
