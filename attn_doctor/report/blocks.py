"""Define the parts of an outline: plain texts with a tone. Each renderer decides how they look."""

from __future__ import annotations

from typing import Literal, NamedTuple

Tone = Literal["", "good", "bad", "warn", "dim", "strong"]


class Field(NamedTuple):
    label: str
    text: str
    tone: Tone = ""


class Fields(NamedTuple):
    """Describe a short list of labelled lines, such as the machine's summary."""

    items: tuple[Field, ...]


class Heading(NamedTuple):
    text: str


class Paragraph(NamedTuple):
    text: str
    tone: Tone = ""


class Verdict(NamedTuple):
    """Hold the one sentence that sums up the report."""

    text: str
    tone: Tone


class Command(NamedTuple):
    """Hold a line to copy: never truncated, never wrapped."""

    line: str | None
    note: str  # who runs it, and why
    by_hand: bool = False


class Cure(NamedTuple):
    title: str
    commands: tuple[Command, ...]


class Problem(NamedTuple):
    """Describe a finding: its mark, name, evidence, consequences and fixes."""

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
