"""Render a report on a terminal, with Rich.

Foreign text is passed as Text, never as markup: a log may contain "[/home/x]", which is wrong markup.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from attn_doctor.report import tables
from attn_doctor.report.blocks import (
    Block,
    Cure,
    Details,
    Fields,
    Heading,
    Listing,
    Notes,
    Paragraph,
    Problem,
    Table,
    Verdict,
    neutral,
)

STYLES = {"": "", "good": "green", "bad": "bold red", "warn": "yellow", "dim": "dim", "strong": "bold"}
MARKS = {"good": "✓", "bad": "×", "warn": "!"}


def render(blocks: Iterable[Block], console: Console) -> None:
    """Print the blocks on a terminal. Folded parts (Details) are left out."""
    for block in neutral(blocks):
        if isinstance(block, Heading):
            console.print(Text(block.text, style="bold"))
        elif isinstance(block, Fields):
            _fields(block, console)
        elif isinstance(block, Verdict):
            mark = MARKS.get(block.tone, " ")
            console.print(Text.assemble((f"{mark} ", STYLES[block.tone]), (block.text, STYLES[block.tone] or "bold")))
            console.print()
        elif isinstance(block, Paragraph):
            console.print(Padding(Text(block.text, style=STYLES[block.tone]), (0, 0, 1, 2)))
        elif isinstance(block, Problem):
            _problem(block, console)
        elif isinstance(block, Cure):
            _cure(block, console, "", "do", last=True)
            console.print()
        elif isinstance(block, Table):
            _table(block, console)
        elif isinstance(block, Listing):
            console.print(Text("\n".join(f"    {line}" for line in block.lines)), soft_wrap=True)
            console.print()
        elif isinstance(block, Details):
            continue  # a terminal cannot fold: the files have it
        else:
            _notes(block, console)


def _fields(block: Fields, console: Console) -> None:
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for field in block.items:
        grid.add_row(field.label, Text(field.text, style=STYLES[field.tone]))
    console.print(Padding(grid, (0, 0, 1, 2)))


def _problem(block: Problem, console: Console) -> None:
    style = STYLES[block.tone]
    console.print(Text.assemble((f"{block.mark} {block.slug} ", style), (f"{block.code}, {block.qualifiers}", "dim")))
    _framed(console, style, [Text(block.message, style="bold")])
    _framed(console, style, [Text(f"because  {text}", style="dim") for text in block.evidence])
    _framed(console, style, [Text(f"with it  {text}") for text in block.consequences])
    for index, cure in enumerate(block.cures):
        _cure(cure, console, style, "do" if index == 0 else "or", last=index == len(block.cures) - 1)
    if block.explained:
        console.print(Text.assemble(("    " if block.cures else "╰─> ", style), (block.explained, "dim")))
    console.print()


def _framed(console: Console, style: str, texts: Iterable[Text]) -> None:
    width = max(20, console.width - 2)
    for text in texts:
        for line in text.wrap(console, width):
            console.print(Text.assemble(("│ ", style), line), no_wrap=True, overflow="ignore", crop=False)


def _cure(cure: Cure, console: Console, style: str, word: str, *, last: bool) -> None:
    word = "the report says" if cure.said else word
    console.print(Text.assemble(("╰─> " if last else "├─> ", style), (f"{word}: ", "dim"), (cure.title, "")))
    bar = "    " if last else "│   "
    for command in cure.commands:
        note = ("you: " if command.by_hand else "") + command.note
        for line in Text(note, style="dim").wrap(console, max(20, console.width - 8)) if note else ():
            console.print(
                Text.assemble((bar, style), ("  # ", "dim"), line), no_wrap=True, overflow="ignore", crop=False
            )
        if command.doubt:
            console.print(Text.assemble((bar, style), (f"  ! {command.doubt}", "yellow")), soft_wrap=True)
            for part in (command.line or "").splitlines():
                console.print(Text.assemble((bar, style), (f"  # {part}", "dim")), soft_wrap=True)
        elif command.line is not None:
            # Outside any frame and never wrapped, so that it can be copied as a whole.
            console.print(Text(textwrap.indent(command.line, "      "), style="cyan"), soft_wrap=True)


def _table(block: Table, console: Console) -> None:
    console.print(Text(block.caption, style="bold"))
    tables.show(block, console, STYLES)
    for note in block.notes:
        console.print(Padding(Text(note, style="dim"), (0, 0, 0, 2)))
    console.print()


def _notes(block: Notes, console: Console) -> None:
    console.print(Text(block.title, style="dim"))
    grid = RichTable.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for item in block.items:
        grid.add_row("·", Text(item))
    console.print(Padding(grid, (0, 0, 1, 2)))
