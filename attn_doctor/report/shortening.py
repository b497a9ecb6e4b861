"""Shorten an outline to a length.

The longest folded parts are cut first, and the last line names all that was left out. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attn_doctor.report.blocks import Block, Details, Fields, Listing, Notes, Paragraph, Problem, Table, Verdict

T = TypeVar("T")
Length = Callable[[Block], int]
_NOTE = 200  # characters for the note about what was left out
_LONGEST_LINE = 500  # characters of one line of a listing, when it has to be cut
_FEWEST = 300  # characters: a folded part is not cut below this


def shortened(blocks: Sequence[Block], most: int, length: Length) -> list[Block]:
    """Return the blocks; if they have more than `most` characters in all, they are shortened to about that many.

    If something was left out, the last block names it. Folded parts are cut first, the longest first, down to one
    length for all of them. Other blocks are cut only if they alone are too long, the longest first.
    """
    sizes = [length(block) for block in blocks]
    if sum(sizes) <= most:
        return list(blocks)
    is_folded = [isinstance(block, Details) for block in blocks]
    left_out: list[str] = []
    open_size = sum(size for size, folded in zip(sizes, is_folded, strict=True) if not folded)
    room = most - 2 * _NOTE
    folded_room = max(room - open_size, 0)
    limits = _limits([size for size, folded in zip(sizes, is_folded, strict=True) if folded], folded_room)
    open_limits = _limits([size for size, folded in zip(sizes, is_folded, strict=True) if not folded], room)
    made: list[Block] = []
    for block, size, folded in zip(blocks, sizes, is_folded, strict=True):
        limit = limits if folded else open_limits
        if size <= limit:
            made.append(block)
        elif folded and limit < _FEWEST:
            left_out.append(_title(block))
        else:
            made.append(cut(block, limit, length))
            left_out.append(f"a part of “{_title(block)}”")
    note = f"Left out, because an issue has a greatest length: {'; '.join(left_out)}"
    if len(note) > 2 * _NOTE - 60:
        note = f"{note[: 2 * _NOTE - 90]} …"
    return [*made, Paragraph(f"{note}. The JSON of the report has all.")]


def _limits(sizes: Sequence[int], room: int) -> int:
    """Return the greatest allowed length of a part, so that all parts together fit into `room`. Shorter parts are not cut."""
    limit = max(sizes, default=0)
    if sum(sizes) <= room:
        return limit
    rest, left = room, sorted(sizes)
    while left:
        share = rest // len(left)
        if left[0] > share:
            return share
        rest -= left.pop(0)
    return limit


def _title(block: Block) -> str:
    if isinstance(block, Details | Notes):
        return block.title
    if isinstance(block, Table):
        return block.caption or "a table"
    return block.slug if isinstance(block, Problem) else "a text"


def cut(block: Block, most: int, length: Length) -> Block:
    """Return a block with at most about `most` characters: its last lines, rows, items or inner blocks are left out."""
    if isinstance(block, Details):
        inner: list[Block] = []
        room = most - length(Details(block.title, ()))
        for one in block.blocks:
            size = length(one)
            if size <= room:
                inner.append(one)
                room -= size
                continue
            if room > _FEWEST:
                inner.append(cut(one, room, length))
            break
        return block._replace(blocks=tuple(inner))
    if isinstance(block, Listing):
        lines = tuple(_line(line) for line in block.lines)
        return Listing((*_fitting(lines, most - 100, lambda some: length(Listing(tuple(some)))), "[cut here]"))
    if isinstance(block, Table):
        return block._replace(
            rows=tuple(_fitting(block.rows, most, lambda some: length(block._replace(rows=tuple(some))))), notes=()
        )
    if isinstance(block, Notes | Fields):
        kept = _fitting(block.items, most, lambda some: length(_with_items(block, some)))
        return _with_items(block, kept)
    if isinstance(block, Problem):
        bare = block._replace(evidence=block.evidence[:3], consequences=(), cures=block.cures[:1])
        return bare if length(bare) <= most else bare._replace(message=_line(bare.message), evidence=(), cures=())
    if isinstance(block, Paragraph | Verdict):
        return block._replace(text=block.text[: max(most // 2, 1)] + " …")
    return Paragraph("[left out]")


def _with_items(block: Notes | Fields, items: Sequence[Any]) -> Notes | Fields:
    return block._replace(items=tuple(items))


def _line(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + " …"


def _fitting(items: Sequence[T], most: int, length: Callable[[Sequence[T]], int]) -> Sequence[T]:
    """Return as many of the first items as fit. `length`: of a block with these items."""
    low, high = 0, len(items)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(items[:middle]) <= most else (low, middle - 1)
    return items[:low]
