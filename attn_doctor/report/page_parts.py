"""Put the blocks of an outline in the order of a page: verdict, problems with their commands, advice, the rest, folded details. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from attn_doctor.failure_modes import ALL
from attn_doctor.report import pages
from attn_doctor.report.blocks import Block, Cure, Details, Field, Fields, Heading, Notes, Problem, Table, Verdict
from attn_doctor.report.issue_outline import IN_FRONT, SAVED

_OF_ADVICE = ("Because", "To do", "The report says to do")  # the notes that stand below an advice


class Page(NamedTuple):
    """Hold the parts of a page, in their order. A section has a title, which may be empty."""

    brand: str  # "attn-doctor 0.1.0"
    source: str  # that all is what a saved report says; empty for a report of this machine
    verdict: Verdict | None
    front: tuple[Block, ...]  # what stands even before the problems
    first: str  # the title above the problems
    problems: tuple[Problem, ...]
    advice: tuple[tuple[str, tuple[Block, ...]], ...]
    sections: tuple[tuple[str, tuple[Block, ...]], ...]
    folded: tuple[Block, ...]

    def about(self, code: str) -> tuple[Block, ...]:
        """Return the page of a failure mode; empty if this attn-doctor has no such code."""
        return about(code)


def about(code: str) -> tuple[Block, ...]:
    """Return the page that `attn-doctor explain CODE` shows, without its title; empty if there is no such code."""
    module = next((module for module in ALL if code == module.MODE.code), None)
    return tuple(pages.blocks(module))[1:] if module else ()


def arranged(blocks: Iterable[Block]) -> Page:
    """Return the parts of a page, from the blocks of an outline. Within a part, blocks keep their order.

    The first verdict is that of the page; a later verdict directly below a heading begins an advice. The fields at the
    top become the last section, "The machine".
    """
    rest = list(blocks)
    brand = "attn-doctor"
    if rest and isinstance(rest[0], Heading):
        brand = rest[0].text
        del rest[0]
    fields: tuple[Field, ...] = ()
    if rest and isinstance(rest[0], Fields):
        fields = rest[0].items
        del rest[0]
    source = next((f"{field.label}: {field.text}" for field in fields if field.label == SAVED), "")
    summary: list[Block] = [Fields(kept)] if (kept := tuple(f for f in fields if f.label != SAVED)) else []
    verdict = next((block for block in rest if isinstance(block, Verdict)), None)
    if verdict is not None:
        rest.remove(verdict)
    front = tuple(block for block in rest if isinstance(block, Notes) and block.title in IN_FRONT)
    problems = tuple(block for block in rest if isinstance(block, Problem))
    folded = tuple(block for block in rest if isinstance(block, Details))
    advice: list[tuple[str, list[Block]]] = []
    sections: list[tuple[str, list[Block]]] = [("", [])]
    machine = [("The machine", summary)] if summary else []
    in_advice = False
    for block in rest:
        if isinstance(block, Problem | Details) or block in front:
            continue
        if isinstance(block, Heading):
            sections.append((block.text, []))
            in_advice = False
        elif isinstance(block, Verdict) and sections[-1][0] and not sections[-1][1]:
            advice.append((sections.pop()[0], [block]))  # a heading and its sentence
            sections.append(("", []))
            in_advice = True
        elif in_advice and (isinstance(block, Cure) or (isinstance(block, Notes) and block.title in _OF_ADVICE)):
            advice[-1][1].append(block)
        else:
            in_advice = False
            if isinstance(block, Table) and sections[-1][0] == "" and sections[-1][1]:
                sections.append(("", []))
            sections[-1][1].append(block)
    return Page(
        brand=brand,
        source=source,
        verdict=verdict,
        front=front,
        first="What is wrong, and what to do" if any(p.tone == "bad" for p in problems) else "What to know",
        problems=problems,
        advice=tuple((title, tuple(parts)) for title, parts in advice),
        sections=tuple((title, tuple(parts)) for title, parts in [*sections, *machine] if parts or title),
        folded=folded,
    )
