"""Write the commands of attn-doctor on a screen as they run in its shell, where `attn-doctor` may be on no PATH. Pure.

Only for a screen: files are read elsewhere, and there the plain name is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from attn_doctor.report.blocks import Block, Cure, Notes, Paragraph, Problem, Table

# The first word of a line, after variables that are set for it; and in a sentence behind a colon, a semicolon or a backtick.
_FIRST = re.compile(r"^((?:\w+=\S+ )*)attn-doctor(?= [a-z-])", re.MULTILINE)
_IN_A_SENTENCE = re.compile(r"(?:(?<=[:;] )|(?<=`))attn-doctor(?= [a-z]+\b)(?! itself\b)")


def in_a_sentence(text: str, program: str) -> str:
    """Return a text with `program`, quoted for the shell, in the place of "attn-doctor" where a command begins: after a backtick or a colon."""
    return _IN_A_SENTENCE.sub(lambda _: program, text)


def as_typed(blocks: Iterable[Block], program: str) -> Iterator[Block]:
    """Yield the blocks with `program`, a text that is quoted for the shell, in the place of attn-doctor where a command begins."""

    def line(text: str) -> str:
        return _FIRST.sub(lambda found: found[1] + program, text)

    for block in blocks:
        if isinstance(block, Cure):
            yield _cure(block, line)
        elif isinstance(block, Problem):
            yield block._replace(program=program, cures=tuple(_cure(cure, line) for cure in block.cures))
        elif isinstance(block, Paragraph):
            yield block._replace(text=in_a_sentence(block.text, program))
        elif isinstance(block, Notes):
            yield block._replace(items=tuple(in_a_sentence(item, program) for item in block.items))
        elif isinstance(block, Table):
            yield block._replace(notes=tuple(in_a_sentence(note, program) for note in block.notes))
        else:
            yield block


def _cure(cure: Cure, line: Callable[[str], str]) -> Cure:
    commands = tuple(command._replace(line=command.line and line(command.line)) for command in cure.commands)
    return cure._replace(commands=commands)
