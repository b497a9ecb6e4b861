"""Define the parts of an outline: plain texts with a tone. Each renderer decides how to show them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeVar

from attn_doctor.model import foreign_text
from attn_doctor.system import published
from attn_doctor.system.printable import one_line, printable

Tone = Literal["", "good", "bad", "warn", "dim", "strong"]


class Field(NamedTuple):
    """Hold one labelled line."""

    label: str
    text: str
    tone: Tone = ""


class Fields(NamedTuple):
    """Describe a short list of labelled lines, such as the machine's summary."""

    items: tuple[Field, ...]


class Heading(NamedTuple):
    """Hold the heading of the blocks that follow."""

    text: str


class Paragraph(NamedTuple):
    """Hold a paragraph of text."""

    text: str
    tone: Tone = ""


class Verdict(NamedTuple):
    """Hold a sentence that sums up a report, or one of its parts."""

    text: str
    tone: Tone


class Command(NamedTuple):
    """Hold a line to copy: never truncated, never wrapped. If `line` is None, there is only the note."""

    line: str | None
    note: str  # who runs it, and why
    by_hand: bool = False
    doubt: str = ""  # why attn-doctor's own rules would not print it: then it is shown as a comment


class Cure(NamedTuple):
    """Hold one fix with its commands."""

    title: str
    commands: tuple[Command, ...]
    said: bool = False  # it is only quoted from a saved report, and is no advice of this attn-doctor


class Problem(NamedTuple):
    """Describe a finding, or a way of a plan: its mark, name, evidence, consequences and fixes."""

    mark: str  # "×", "!", "i", "✓"; for a way of a plan its letter, "A"
    tone: Tone
    code: str
    slug: str
    qualifiers: str  # "error, observed, low confidence"
    message: str
    evidence: tuple[str, ...]
    consequences: tuple[str, ...]
    cures: tuple[Cure, ...]
    docs: str  # the address of the finding's page; empty: it has none
    program: str = "attn-doctor"  # as it is typed in the reader's shell

    @property
    def explained(self) -> str | None:
        """Return the command that explains the finding; None for a block that is no failure mode, such as a way of a plan."""
        return f"{self.program} explain {self.code}" if _CODE.fullmatch(self.code) else None


class Cell(NamedTuple):
    """Hold one cell of a table."""

    text: str
    tone: Tone = ""


class Table(NamedTuple):
    """Hold a table with the notes below it."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


class Notes(NamedTuple):
    """Hold a list of sentences under a title. The title may be empty."""

    title: str
    items: tuple[str, ...]


class Listing(NamedTuple):
    """Hold lines that are shown unchanged, in a font of one width: a traceback, a list of packages."""

    lines: tuple[str, ...]


class Details(NamedTuple):
    """Hold a folded part: the reader sees its title, and opens it to see its blocks. The terminal leaves it out."""

    title: str
    blocks: tuple[Block, ...]
    open: bool = False


Block = Fields | Heading | Paragraph | Verdict | Problem | Cure | Table | Notes | Listing | Details

T = TypeVar("T")
_CODE = re.compile(r"[A-Z]{2}[0-9]{1,4}")
_SLUG = re.compile(r"[a-z0-9-]{1,80}")


def neutral(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the blocks with foreign text made harmless: no terminal codes, no marks of text direction, no links but to our pages.

    A heading or a verdict is put on one line: after a line break, foreign text could look like our own next line.
    """
    for block in blocks:
        made: Block = block
        if isinstance(made, Heading | Verdict):
            made = made._replace(text=one_line(made.text))
        elif isinstance(made, Table):
            made = made._replace(caption=one_line(made.caption))
        elif isinstance(made, Notes):
            made = made._replace(title=one_line(made.title))
        elif isinstance(made, Problem):
            made = made._replace(
                mark=one_line(made.mark),
                code=one_line(made.code),
                slug=one_line(made.slug),
                qualifiers=one_line(made.qualifiers),
                cures=tuple(map(_on_one_line, made.cures)),
                docs=made.docs if _is_our_page(made.docs) else "",
            )
        elif isinstance(made, Cure):
            made = _on_one_line(made)
        elif isinstance(made, Listing):
            made = Listing(tuple(line for text in made.lines for line in text.splitlines() or [""]))
        elif isinstance(made, Details):
            yield Details(_plain(one_line(made.title)), tuple(neutral(made.blocks)), made.open)
            continue
        yield each_text(made, _plain)


def _is_our_page(address: str) -> bool:
    """Return whether an address is that of one of our own pages about a failure mode."""
    slug = address.rpartition("/")[2].removesuffix(".md")
    return bool(_SLUG.fullmatch(slug)) and address == published.page(slug)


def _on_one_line(cure: Cure) -> Cure:
    commands = tuple(command._replace(doubt=one_line(command.doubt)) for command in cure.commands)
    return cure._replace(title=one_line(cure.title), commands=commands)


def each_text(value: T, clean: Callable[[str], str]) -> T:
    """Return a block, a picture or a part of one, in which `clean` has been applied to every text."""
    made: Any = value
    if isinstance(value, str):
        made = clean(value)
    elif isinstance(value, tuple):
        parts = [each_text(item, clean) for item in value]
        made = type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return made  # type: ignore[no-any-return]


def _plain(text: str) -> str:
    return printable(foreign_text.text(text))
