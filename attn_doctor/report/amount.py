"""Decide how much of an answer a screen shows. Pure.

-q: the verdict, the root causes and the command. -v: also the folded parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from attn_doctor.report.blocks import Block, Cure, Details, Heading, Problem, Verdict

Amount = Literal["little", "usual", "all"]


def as_much_as(amount: Amount, blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks that a screen shows.

    If -q would leave nothing of an answer, for example of the table of `list`, all of it is shown.
    """
    blocks = list(blocks)
    if amount == "little":
        return little(blocks) or blocks
    return blocks if amount == "usual" else unfolded(blocks)


def unfolded(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks in which each folded part is replaced by its title and its content."""
    made: list[Block] = []
    for block in blocks:
        made += [Heading(block.title), *unfolded(block.blocks)] if isinstance(block, Details) else [block]
    return made


def little(blocks: Iterable[Block]) -> list[Block]:
    """Return what -q shows: the verdict, each problem with its first fix alone, and each fix that belongs to no problem.

    Problems lose evidence and consequences, commands their notes; all other blocks are left out.
    """
    return list(_little(blocks))


def _little(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Problem):
            cures = tuple(_commands(cure) for cure in block.cures[:1])
            yield block._replace(evidence=(), consequences=(), cures=cures)
        elif isinstance(block, Cure):
            yield _commands(block)
        elif isinstance(block, Verdict):
            yield block


def _commands(cure: Cure) -> Cure:
    """Return a cure without the notes of its commands.

    A step without a command keeps its note, because the note is all that it has.
    """
    return cure._replace(
        commands=tuple(c if c.line is None else c._replace(note="", by_hand=False) for c in cure.commands)
    )
