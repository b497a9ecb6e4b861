"""Find a wheel in a project file whose name is of another operating system than the file itself, and cure it. Pure."""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building, wheel_fixes
from attn_doctor.failure_modes.shared.subject import FLASH_ATTN
from attn_doctor.model.facts import Facts, OsName
from attn_doctor.model.findings import Fix, Severity, fact

_WHEEL = re.compile(r"flash_attn[\w.]*-[\w.+%]+-cp\d+-\w+-(?P<platform>[\w.]+)\.whl")
_SYSTEM_OF: dict[str, OsName] = {"linux": "linux", "manylinux": "linux", "win": "windows", "macosx": "darwin"}
_NAMES: dict[OsName, str] = {"windows": "Windows", "linux": "Linux", "darwin": "macOS"}


class OfAnotherSystem(Variant, frozen=True):
    """Mark the case that the wheel is for another operating system."""


def found(facts: Facts) -> Hit | None:
    """Return the hit for the first flash-attn wheel in a project file that is for another system than this one ("win_amd64" on Linux).

    None if there is none, or if the system or the project files are not known.
    """
    system = facts.system.os
    if not isinstance(system, str) or not isinstance(facts.project.pins, tuple):
        return None
    for index, pin in enumerate(facts.project.pins):
        named = _WHEEL.search(pin.requirement.replace("%2B", "+"))
        wheel_system = next(
            (os for start, os in _SYSTEM_OF.items() if named and named["platform"].startswith(start)), None
        )
        if named is not None and wheel_system is not None and wheel_system != system:
            return Hit(
                message=f"{pin.file} line {pin.line} asks for a wheel for {_NAMES[wheel_system]} ({named['platform']}), and the environment is one of {_NAMES[system]}: "
                "the installer refuses that wheel there.",
                evidence=(
                    fact(facts, f"project.pins.{index}.requirement"),
                    fact(facts, "system.os", f"the environment is one of {_NAMES[system]}"),
                ),
                variant=OfAnotherSystem(),
                severity=Severity.ERROR,
            )
    return None


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes: a wheel of flash-attn for this system, if one is known, or the file without the line."""
    facts = msgspec.structs.replace(facts, subject=msgspec.structs.replace(facts.subject, package=FLASH_ATTN))
    verify = commands.check(facts)
    out = commands.by_hand(
        (),
        "take the line with that wheel out of the file: the rest then installs, and PyTorch's own attention (SDPA) does the same",
        "the file",
        "none",
    )
    made = building.without_compiling(facts) if facts.system.os == "linux" else ()
    other = wheel_fixes.of_others(facts) if facts.system.os == "windows" else None
    return (*((other,) if other else ()), *made, Fix(title="Do without that wheel", steps=(out,), verify=verify))


_TORCH = re.compile(r"\+cu(?P<cuda>\d+)torch(?P<torch>\d+\.\d+)")


def with_torch_of(facts: Facts, wheel: str) -> Facts:
    """Return the facts with the torch in the name of a wheel of flash-attn, if the log names no torch.

    Who asked for the wheel of another system chose it by the torch that is there.
    """
    named = _TORCH.search(wheel)
    if named is None or isinstance(facts.torch.version, str):
        return facts
    return msgspec.structs.replace(facts, torch=msgspec.structs.replace(facts.torch, version=f"{named['torch']}.0"))
