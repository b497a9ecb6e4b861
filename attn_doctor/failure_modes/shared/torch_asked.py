"""Make the two steps for a machine of which nobody knows the torch: look which one is there, then the line for it. Pure.

The line is written out for one torch, and its reason says what changes with another. A program that puts the values into the line
by itself would be as long as the line, and nobody runs what he cannot read.
"""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.failure_modes.shared.torch_install import choice
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.torch_choice import Choice
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.steps import Install, RunByHand, Step
from attn_doctor.model.versions import dotted, pair

# Where nothing can be chosen: the torch that most finished wheels of other packages are for.
_USUAL = ("2.6.0", "12.4")


class Example(NamedTuple):
    """The torch for which a line is written out."""

    torch: str  # "2.6.0"
    cuda: str  # "12.4"

    @property
    def flavour(self) -> str:
        """The end of the version and of the index: "cu124"."""
        return pytorch.flavour(self.cuda)

    @property
    def minor(self) -> str:
        return dotted(pair(self.torch) or (0, 0))

    @property
    def build(self) -> str:
        return f"{self.torch}+{self.flavour}"


def example(facts: Facts) -> Example:
    """Return the torch for the line: the newest that this machine runs with CUDA, else a usual one."""
    found = choice(facts)
    known = isinstance(found, Choice) and found.torch is not None and found.cuda is not None
    return Example(str(found.torch), str(found.cuda)) if known and isinstance(found, Choice) else Example(*_USUAL)


def example_up_to(minor: str | None) -> Example:
    """Return the torch for the line of a package whose wheels end with this minor of torch; a usual one where that is not known."""
    row = pytorch.release(minor) if minor else Unknown("")
    cuda = None if isinstance(row, Unknown) else pytorch.pypi_cuda(row.latest)
    return Example(*_USUAL) if isinstance(row, Unknown) or not isinstance(cuda, str) else Example(row.latest, cuda)


def look(facts: Facts) -> Step:
    """Return the step that prints the torch that is there, and its CUDA."""
    return commands.by_hand(
        (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.version.cuda)"),
        "prints the torch that is there and its CUDA: 2.6.0+cu124 12.4, for example",
        "nothing",
        "none",
    )


def steps(facts: Facts, line: Install, of: Example, other: str) -> tuple[Step, Step]:
    """Return the look, and the line for the torch `of`. `other`: what changes in the line with another torch."""
    made = commands.by_own_tool(facts, line)
    why = f"for torch {of.build}; {other}"
    return look(facts), RunByHand(argv=made.argv, why=why, changes=line.changes, risk=line.risk, takes=line.takes)
