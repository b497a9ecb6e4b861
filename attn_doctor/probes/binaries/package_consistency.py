"""Compare the extensions of one package with each other, because all were compiled together, for one torch. Pure.

A file that uses few symbols of torch can find all of them in a torch for which it was not compiled. It then crashes in its first
statement, because a structure behind an inline function has changed. The other files of its package show the right torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from attn_doctor.knowledge.cxx_names import torch_symbols
from attn_doctor.model.facts import Binary, Unknown


class Judged(NamedTuple):
    """Describe one extension: its record, the torch minors that fit its symbols, and whether it uses torch's C++ API."""

    record: Binary
    fits: tuple[str, ...] | None = None
    uses_cxx: bool = False


def settle(package: Sequence[Judged], minor: str | None) -> list[Binary]:
    """Return the records of one package. `minor`: the version of the target's torch, "2.8".

    If the files of the package were compiled for another torch, a verdict "loads" becomes unknown for those that use torch's C++ API.
    """
    fits = [set(judged.fits) for judged in package if judged.fits is not None]
    common = set.intersection(*fits) if fits else set()
    if not common or minor is None or minor not in torch_symbols.minors() or minor in common:
        return [judged.record for judged in package]
    compiled_for = built_for([m for m in torch_symbols.minors() if m in common])
    doubt = Unknown(
        f"all symbols that it needs are here, but its package was compiled for {compiled_for} and this is torch {minor}: "
        "C++ code of another minor may fail at its first step"
    )
    return [
        msgspec.structs.replace(judged.record, verdict=doubt, built_for_torch=compiled_for)
        if judged.record.verdict == "loads" and judged.uses_cxx
        else judged.record
        for judged in package
    ]


def built_for(fits: Sequence[str]) -> str | None:
    """Return torch versions in words: "torch 2.8", "torch 2.3 to 2.7", "torch 2.10 or newer"; None for no versions."""
    if not fits:
        return None
    known = torch_symbols.minors()
    if fits[0] == fits[-1] and fits[0] not in (known[0], known[-1]):
        return f"torch {fits[0]}"
    if fits[-1] == known[-1]:
        return f"torch {fits[0]} or newer"
    return f"torch {fits[-1]} or older" if fits[0] == known[0] else f"torch {fits[0]} to {fits[-1]}"
