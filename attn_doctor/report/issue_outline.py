"""Arrange an outline for an issue or a reply. Verdict, cause, command and trial table are at the top, everything else is folded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attn_doctor.report.blocks import Block, Cure, Details, Fields, Heading, Notes, Problem, Table, Verdict

_MOST_PROBLEMS = 3  # on the first screen
SAVED = "saved report"  # the label of the field that names the file
_EVIDENCE = 4  # lines under a problem
_FEW = 3  # items of a list that stays open


def for_an_issue(blocks: Iterable[Block], folded: Sequence[Details] = ()) -> list[Block]:
    """Return the blocks of an outline in the order for a maintainer, and its folded parts after them.

    First come the verdict, the problems up to the first one that has a command (three at most), and the trial table; then the
    machine in a few lines. Further problems and ways, consequences and notes are folded.
    """
    heads: list[Block] = []
    problems: list[Block] = []
    tables: list[Block] = []
    about: list[Block] = []
    rest: list[Details] = []
    notes: list[Block] = []
    advice: list[Block] = []
    hidden: list[Problem] = []
    ended = False  # the verdict of the report was seen: the next verdict belongs to the heading before it
    for block in blocks:
        if isinstance(block, Verdict) and not ended:
            heads.append(block)
            ended = True
        elif isinstance(block, Problem):
            shown = [p for p in problems if isinstance(p, Problem)]
            if len(shown) < _MOST_PROBLEMS and not any(p.cures for p in shown):
                first, more = apart(block)
                problems.append(first)
                rest += more
            else:
                hidden.append(block)
        elif isinstance(block, Table):
            tables.append(block._replace(notes=block.notes[:1] if len(block.notes) <= 1 else ()))
            if len(block.notes) > 1:
                rest.append(Details(f"Notes on the table “{block.caption}”", (Notes("", block.notes),)))
        elif isinstance(block, Fields):
            source, machine = _source_apart(block)
            heads += source
            about += machine
        elif isinstance(block, Heading):
            (advice if ended else heads).append(block)
        elif isinstance(block, Notes) and (len(block.items) > _FEW or block.title in _FOLDED):
            rest.append(Details(f"{block.title} ({len(block.items)})", (Notes("", block.items),)))
        elif isinstance(block, Cure) or (isinstance(block, Notes) and block.title in IN_FRONT):
            problems.append(block)
        elif isinstance(block, Details):
            rest.append(block)
        elif isinstance(block, Verdict):
            advice.append(block)
        else:
            notes.append(block)
    rest[:0] = [Details(f"{block.mark} {block.slug} ({block.code})", (block,)) for block in hidden]
    heads.sort(key=lambda block: (isinstance(block, Verdict), not isinstance(block, Heading)))
    return [*heads, *problems, *tables, *about, *_without_empty_headings(advice), *notes, *rest, *folded]


def is_source(block: Block) -> bool:
    """Return whether a block says that the page is from a saved report. Such a block must be the first one."""
    return isinstance(block, Fields) and any(field.label == SAVED for field in block.items)


def _source_apart(block: Fields) -> tuple[list[Block], list[Block]]:
    """Return the fields of a block as two lists: the field that names a saved report, and all other fields."""
    source = tuple(field for field in block.items if field.label == SAVED)
    rest = tuple(field for field in block.items if field.label != SAVED)
    return [Fields(source)] if source else [], [Fields(rest)] if rest else []


IN_FRONT = frozenset({"Not recognised", "Root causes"})
_FOLDED = frozenset({"Because", "Good to know", "Could not be judged"})


def _without_empty_headings(blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks without headings that have no content any more."""
    return [
        block
        for number, block in enumerate(blocks)
        if not isinstance(block, Heading) or (number + 1 < len(blocks) and not isinstance(blocks[number + 1], Heading))
    ]


def apart(problem: Problem) -> tuple[Problem, list[Details]]:
    """Return a problem with its first fix and four lines of evidence, and the rest of it as folded parts.

    The rest: other fixes, consequences, more evidence.
    """
    rest: list[Details] = []
    if len(problem.cures) > 1:
        count = len(problem.cures) - 1
        title = f"{problem.code}: {'another way' if count == 1 else f'{count} other ways'}"
        rest.append(Details(title, problem.cures[1:]))
    if problem.consequences:
        rest.append(Details(f"{problem.code}: what follows from it", (Notes("", problem.consequences),)))
    if len(problem.evidence) > _EVIDENCE:
        rest.append(Details(f"{problem.code}: more of the evidence", (Notes("", problem.evidence[_EVIDENCE:]),)))
    first = problem._replace(cures=problem.cures[:1], consequences=(), evidence=problem.evidence[:_EVIDENCE])
    return first, rest
