"""Cure a Mac with an Intel processor whose user asks for a torch after 2.2.2, the last one with wheels for it. Pure.

https://github.com/pytorch/pytorch/issues/114602
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building, torch_install, torch_steps
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import pair

_LAST = "2.2.2"


class Intel(Variant, frozen=True):
    """Mark the case that the Mac has an Intel processor."""


def told(facts: Facts, wanted: tuple[Match, ...], versions: str | None) -> Hit | None:
    """Return the hit for an Intel Mac: the log states its processor, or the newest torch of pip's list is 2.2.2; None for all others."""
    if facts.system.os != "darwin" or not wanted:
        return None
    asked = re.match(r"torch(?:==|>=|~=)(\d[\d.]*)", wanted[0].groups["requirement"])
    newest = re.split(r",\s*", versions.strip())[-1] if versions else ""
    intel = facts.system.machine == "x86_64" or (facts.system.machine != "arm64" and newest == _LAST)
    if not intel or asked is None or (pair(asked[1]) or (0, 0)) <= (pair(_LAST) or (0, 0)):
        return None
    return Hit(
        message=f"There is no torch {asked[1]} for a Mac with an Intel processor (x86_64): {_LAST} is the last torch with wheels for it. Another Python does not change that.",
        evidence=building.lines(wanted),
        variant=Intel(),
    )


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes: the last torch for this processor, and conda-forge, which builds newer ones."""
    system = msgspec.structs.replace(facts.system, machine="x86_64")
    made = torch_steps.newest(msgspec.structs.replace(facts, system=system), f"Take torch {_LAST}")
    forge = commands.by_hand(
        torch_install.of_conda_forge(),
        "if the program needs a newer torch: conda-forge builds it for Intel Macs (osx-64) itself; in an environment of conda",
        "the packages of the conda environment",
        "medium",
    )
    return (*made, Fix(title="Take a newer torch from conda-forge", steps=(forge,), verify=commands.check(facts)))
