"""The parts that an outline is made of. Plain texts with a tone; how they look is each renderer's business."""

from __future__ import annotations

from typing import Literal, NamedTuple

Tone = Literal["", "good", "bad", "warn", "dim", "strong"]


class Field(NamedTuple):
    label: str
    text: str
    tone: Tone = ""


class Fields(NamedTuple):
    """A short list of labelled lines: the machine at a glance."""

    items: tuple[Field, ...]


class Heading(NamedTuple):
    text: str


class Paragraph(NamedTuple):
    text: str
    tone: Tone = ""


class Verdict(NamedTuple):
    """The one sentence that everything comes to."""

    text: str
    tone: Tone


class Command(NamedTuple):
    """A line to paste: never truncated, never wrapped."""

    line: str | None
    note: str  # who and why
    by_hand: bool = False


class Cure(NamedTuple):
    title: str
    commands: tuple[Command, ...]


class Problem(NamedTuple):
    """A finding: a mark, what it is, why that is believed, what follows from it, what puts it right."""

    mark: str  # "×", "!", "i", "✓", or the letter of a way
    tone: Tone
    code: str
    slug: str
    qualifiers: str
    message: str
    evidence: tuple[str, ...]
    consequences: tuple[str, ...]
    cures: tuple[Cure, ...]
    docs: str


class Cell(NamedTuple):
    text: str
    tone: Tone = ""


class Table(NamedTuple):
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


class Notes(NamedTuple):
    title: str
    items: tuple[str, ...]


Block = Fields | Heading | Paragraph | Verdict | Problem | Cure | Table | Notes
