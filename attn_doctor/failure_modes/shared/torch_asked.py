"""Make the two steps for a machine whose torch is not known: print the version of torch, then run the command for it. Pure.

In a shell of Linux the first step keeps the version in a variable, which the address of the second contains. Elsewhere the second step is an example
for one version of torch, and its reason says what to change for another version.
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

# The torch in the command if no torch can be chosen: most finished wheels of other packages are for this torch.
_USUAL = ("2.6.0", "12.4")


class Example(NamedTuple):
    """Hold the torch for which the example command is written."""

    torch: str  # "2.6.0"
    cuda: str  # "12.4"

    @property
    def flavour(self) -> str:
        """Return the build, with which the version and the index address end: "cu124"."""
        return pytorch.flavour(self.cuda)

    @property
    def minor(self) -> str:
        """Return the minor release: "2.6"."""
        return dotted(pair(self.torch) or (0, 0))

    @property
    def build(self) -> str:
        """Return the version with its build: "2.6.0+cu124"."""
        return f"{self.torch}+{self.flavour}"


def example(facts: Facts) -> Example:
    """Return the torch for the example command: the newest with CUDA that this machine can run, else a usual one."""
    found = choice(facts)
    known = isinstance(found, Choice) and found.torch is not None and found.cuda is not None
    return Example(str(found.torch), str(found.cuda)) if known and isinstance(found, Choice) else Example(*_USUAL)


def example_up_to(minor: str | None) -> Example:
    """Return the torch for the example command of a package whose newest wheels are for this minor release; a usual one if it is not known."""
    row = pytorch.release(minor) if minor else Unknown("")
    cuda = None if isinstance(row, Unknown) else pytorch.pypi_cuda(row.latest)
    return Example(*_USUAL) if isinstance(row, Unknown) or not isinstance(cuda, str) else Example(row.latest, cuda)


def look(facts: Facts) -> Step:
    """Return the step that prints the version of the installed torch and its CUDA."""
    return commands.by_hand(
        (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.version.cuda)"),
        "prints the version of torch and its CUDA, for example 2.6.0+cu124 12.4",
        "nothing",
        "none",
    )


def filled_in(facts: Facts, line: Install, of: Example) -> tuple[Step, Step] | None:
    """Return two steps: keep torch's version with its CUDA ("2.6.0+cu124") in the variable V; then `line`, whose page has V in the place of `of`.

    None where the shell is none of Linux, or if the page does not contain the version.
    """
    if commands.shell_of(facts) != "bash" or facts.system.os == "windows" or of.build not in (line.find_links or ""):
        return None
    asked = (
        "import torch; c = torch.version.cuda; "
        "print(torch.__version__.partition('+')[0] + ('+cu' + c.replace('.', '') if c else '+cpu'))"
    )
    ask = commands.by_hand(
        ("sh", "-c", f"V=$({commands.quoted((*commands.starting(facts), '-c', asked))}); echo $V"),
        f"keeps the version of torch and its CUDA, as {of.build}, for the next line, and prints it",
        "nothing",
        "none",
    )
    made = commands.by_own_tool(facts, line)
    words = commands.quoted(made.argv).replace(of.build, "$V")
    step = RunByHand(argv=("sh", "-c", words), why=line.why, changes=line.changes, risk=line.risk, takes=line.takes)
    return ask, step


def steps(facts: Facts, line: Install, of: Example, other: str) -> tuple[Step, Step]:
    """Return two steps: print torch's version; then the command `line`, which is written for the torch `of`.

    `other`: what the reader has to change in the command for another torch.
    """
    made = commands.by_own_tool(facts, line)
    why = f"for torch {of.build}; {other}"
    return look(facts), RunByHand(argv=made.argv, why=why, changes=line.changes, risk=line.risk, takes=line.takes)
