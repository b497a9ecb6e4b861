"""Read that pip took the archive of torch 0.1.2, the only one that PyPI has without a wheel, because it found no wheel. Pure.

https://pypi.org/project/torch/0.1.2.post2/ (yanked), https://github.com/pytorch/pytorch/issues/51854, https://github.com/pytorch/pytorch/issues/34612
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

SIGNS = (
    Sign(
        pattern=r"\btorch-(?P<ancient>0\.1(?:\.2(?:\.post\d)?)?)\.tar\.gz",
        literal="torch-0.1",
        sample="  Using cached torch-0.1.2.post2.tar.gz (128 kB)",
    ),
    Sign(
        pattern=r"No module named '?(?P<ancient>tools\.(?:nnwrap|setup_helpers(?:\.\w{1,20})?))'?",
        literal="tools.",
        sample="ModuleNotFoundError: No module named 'tools.nnwrap'",
    ),
)


class Ancient(Variant, frozen=True):
    """Mark the case that pip found no wheel of torch, and took the archive of 2017."""


def told(seen: Seen) -> Hit | None:
    """Return the hit for an installation of torch that took the old archive; None for other logs."""
    found = [m for m in seen.matches if m.groups.get("ancient")]
    if not found:
        return None
    message = (
        "pip found no wheel of torch for that Python and system, and took the archive of torch 0.1.2 of 2017, which nobody can build: the Python is too new, too "
        "old or has 32 bits, or pip is too old to know the wheels."
    )
    return Hit(message=message, evidence=building.lines(found), variant=Ancient())


def fixes(facts: Facts, another: tuple[Step, ...]) -> tuple[Fix, ...]:
    """Return the fixes: a newer pip, which knows today's wheels, and then torch; else another Python. `another`: the steps for that Python."""
    verify = commands.check(facts)
    pip = commands.install(
        "pip",
        upgrade=True,
        why="an old pip does not know the names of today's wheels: those for macOS 11 and newer (arm64), and for today's Linux",
        changes="pip",
    )
    torch = torch_steps.newest_steps(facts, "then takes a wheel, if there is one for this Python")
    look = commands.by_hand(
        (
            *commands.starting(facts),
            "-c",
            "import sys, struct, platform; print(sys.version, platform.machine(), struct.calcsize('P') * 8)",
        ),
        "prints the Python, the processor and the bits: torch has wheels for 64 bits only, and for a new Python some months after its release",
        "nothing",
        "none",
    )
    return (
        Fix(title="Upgrade pip, and install torch again", steps=(pip, *torch), verify=verify),
        Fix(title="If it takes that archive again: use another Python", steps=(look, *another), verify=verify),
    )
