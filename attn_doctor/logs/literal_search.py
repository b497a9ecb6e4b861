"""Find the lines of a large text that contain one of many short texts (needles), quickly.

Two methods make it fast. First, lines are compared without their digits. The thousands of lines of a progress bar or a build that
differ only in numbers are then equal, and are searched once. Second, hundreds of needles are searched for together, by three
bytes of each (its anchor). The anchors are chosen so that all begin with one of a few rare bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_DIGITS = b"0123456789"
_ANCHOR = 3  # first only so many bytes of a needle (literal) are searched for
_SHORTEST = 2  # a needle has at least so many bytes, digits not counted
_REMEMBERED = 8 << 20  # the cache holds lines of at most so many bytes
_LONG = 4096  # a longer line is not cached: it does not occur twice

# Bytes by their frequency in logs of builds and programs, the most common first; all others are rare.
_COMMON = b" etaoinsrhcl/_pdum-.,gbf\"'()=:kxyvw[]jqzI{}<>T|CDSAEUNMLPRFOHB*+#@^~$&%;\\`!?GKVWXYJQZ"
_RANKS = [max(0, len(_COMMON) - _COMMON.find(byte)) if byte in _COMMON else 0 for byte in range(256)]
_rank = _RANKS.__getitem__


def bare(text: bytes) -> bytes:
    """Return a text without its digits: b"sm_" for b"sm_90". Needles and lines are compared in this form."""
    return text.translate(None, _DIGITS)


class Needles:
    """Search lines for needles (short texts).

    Raises ValueError if a needle has fewer than two bytes that are not digits.
    """

    def __init__(self, needles: Sequence[bytes]) -> None:
        numbers: dict[bytes, list[int]] = {}
        for number, needle in enumerate(needles):
            rest = bare(needle)
            if len(rest) < _SHORTEST:
                raise ValueError(f"{needle!r} is too short to search for")
            numbers.setdefault(rest, []).append(number)
        firsts = _few_and_rare(list(numbers))
        self._by_anchor: dict[bytes, list[_Needle]] = {}
        for rest, same in numbers.items():
            place = _anchored_at(rest, firsts)
            self._by_anchor.setdefault(rest[place : place + _ANCHOR], []).append(_Needle(rest, place, tuple(same)))
        self._finders = _finders(self._by_anchor)
        self._known: dict[bytes, tuple[int, ...]] = {}
        self._size = 0

    def among(self, lines: Iterable[bytes]) -> dict[bytes, tuple[int, ...]]:
        """Return the lines that may contain a needle, each with the numbers of its possible needles.

        `lines`: without their digits, see `bare`. No line with a needle is left out. Digits are ignored in lines and needles, so
        the caller must check the digits.
        """
        distinct = set(lines)
        if self._size > _REMEMBERED:
            self._known.clear()
            self._size = 0
        known = self._known
        fresh = [line for line in distinct if line not in known]
        found = self._search(fresh) if fresh else {}
        for line in fresh:
            if len(line) <= _LONG:
                known[line] = found.get(line, ())
                self._size += len(line) + 100
        return {**{line: known[line] for line in distinct if known.get(line)}, **found}

    def _search(self, lines: list[bytes]) -> dict[bytes, tuple[int, ...]]:
        text = b"\n".join(lines)
        hits: dict[bytes, set[int]] = {}
        for finder in self._finders:
            end, held = -1, set[int]()
            for match in finder.finditer(text):
                place = match.start()
                at = text[place : place + _ANCHOR]
                anchored = self._by_anchor.get(at, [])
                if at[:_SHORTEST] in self._by_anchor:
                    anchored = anchored + self._by_anchor[at[:_SHORTEST]]
                for needle, offset, numbers in anchored:
                    if place >= offset and text.startswith(needle, place - offset):
                        if place >= end:
                            start = text.rfind(b"\n", 0, place) + 1
                            end = text.find(b"\n", place)
                            end = len(text) if end < 0 else end
                            held = hits.setdefault(text[start:end], set())
                        held.update(numbers)
        return {line: tuple(sorted(numbers)) for line, numbers in hits.items()}


class _Needle(NamedTuple):
    text: bytes  # without its digits
    anchor: int  # the position of its anchor
    numbers: tuple[int, ...]  # the numbers of the needles that are equal without their digits


def _starts(needle: bytes) -> range:
    """Return the positions at which an anchor may begin in a needle."""
    return range(max(1, len(needle) - _ANCHOR + 1))


def _few_and_rare(needles: Sequence[bytes]) -> frozenset[int]:
    """Return a set of bytes such that every needle has an anchor (three bytes) that begins with one of them.

    The set is small, because each byte needs its own search. Its bytes are rare, because the search stops at each occurrence.
    """
    possible = [{needle[start] for start in _starts(needle)} for needle in needles]
    having: dict[int, list[int]] = {}  # byte -> the numbers of the needles that can begin an anchor with it
    for number, bytes_ in enumerate(possible):
        for byte in bytes_:
            having.setdefault(byte, []).append(number)
    chosen, left = set(having), [len(bytes_) for bytes_ in possible]  # left: the number of chosen bytes of each needle
    for byte in sorted(sorted(having), key=_rank, reverse=True):
        if all(left[number] > 1 for number in having[byte]):
            chosen.discard(byte)
            for number in having[byte]:
                left[number] -= 1
    return frozenset(chosen)


def _anchored_at(needle: bytes, firsts: frozenset[int]) -> int:
    """Return the position of the rarest anchor of a needle, among the anchors that begin with one of these bytes."""
    return min(
        (start for start in _starts(needle) if needle[start] in firsts),
        key=lambda start: (sum(map(_rank, needle[start : start + _ANCHOR])), start),
    )


def _finders(anchors: Iterable[bytes]) -> tuple[re.Pattern[bytes], ...]:
    """Return one pattern for each first byte: the regular expression engine finds a fixed first byte fast (memchr).

    The rest of an anchor is a lookahead, so that all overlapping anchors are found.
    """
    tails: dict[bytes, dict[bytes, set[bytes]]] = {}
    for anchor in anchors:
        tails.setdefault(anchor[:1], {}).setdefault(anchor[1:2], set()).add(anchor[2:])
    made = []
    for first, seconds in sorted(tails.items()):
        rest = b"|".join(re.escape(second) + _one_of(thirds) for second, thirds in sorted(seconds.items()))
        made.append(re.compile(re.escape(first) + b"(?=" + rest + b")", re.DOTALL))
    return tuple(made)


def _one_of(single: set[bytes]) -> bytes:
    """Return a pattern for one of these bytes; an empty pattern if one of them is empty."""
    return b"" if b"" in single else b"[" + b"".join(re.escape(byte) for byte in sorted(single)) + b"]"
