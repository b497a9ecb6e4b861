"""Cure a 32-bit Python: torch has wheels only for 64 bits. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import dotted, pair


class Narrow(Variant, frozen=True):
    """Mark the case that the Python is a 32-bit Python."""


def hit(lines: Sequence[Match]) -> Hit:
    """Return the hit for a 32-bit Python. `lines`: those that say that there is no such release."""
    return Hit(
        message="The Python in the log is a 32-bit Python, and torch has wheels only for 64 bits.",
        evidence=building.lines(list(lines)),
        variant=Narrow(),
    )


def fix(facts: Facts) -> Fix:
    """Return the fix for a 32-bit Python: install the same release with 64 bits, and create the environment again with it.

    https://docs.python.org/3/using/windows.html#python-launcher-for-windows (-3.10-64),
    https://learn.microsoft.com/en-us/windows/package-manager/winget/install (--architecture)
    """
    title, version = (
        "Use a 64-bit Python",
        pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None,
    )
    if facts.system.os != "windows":
        words = "PyTorch has no wheels for 32 bits: install the 64-bit release of this operating system (aarch64 or x86-64), and its Python"
        return Fix(title=title, steps=(commands.by_hand((), words, "the system"),), verify=commands.check(facts))
    label = dotted(version) if version else "3.12"
    prefix = facts.interpreter.prefix
    folder = prefix if isinstance(prefix, str) and facts.interpreter.kind == "venv" else ".venv"
    steps = (
        commands.by_hand(
            ("winget", "install", "--id", f"Python.Python.{label}", "-e", "--architecture", "x64"),
            f"installs Python {label} with 64 bits beside the old Python; then open a new prompt",
            "adds a Python",
        ),
        commands.by_hand(
            ("py", f"-{label}-64", "-m", "venv", "--clear", folder),
            "creates the environment again with this Python: --clear empties the folder first. Then repeat the installation in it",
            "all packages of this environment",
            "medium",
            risk_text="all packages in this folder are removed",
        ),
    )
    return Fix(title=title, steps=steps, verify=commands.check(facts))
