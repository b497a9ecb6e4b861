"""Read the log of any tool, and return the lines that contain a sign of a failure mode. Judges nothing.

A log may have a gigabyte: it is read in blocks, and only lines that contain the literal of a sign are examined. Memory is
limited by the block size and by a maximum of matches for each sign.
"""

from __future__ import annotations

import functools
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, Literal, NamedTuple

import msgspec

from attn_doctor.logs.decode import BLOCK, as_text, blocks  # noqa: F401 - the size of a block is a part of this interface
from attn_doctor.logs.literal_search import Needles, bare
from attn_doctor.logs.prefixes import PREFIX_BYTES, clean, excerpt
from attn_doctor.logs.unwrap import Joined, joined
from attn_doctor.model.facts import Record

_LONGEST = 8192  # characters of a line that are examined around a literal; no pattern matches more
_MOST = 40  # matches kept of each sign, half from the beginning and half from the end of the log
_ENOUGH = 60  # matches of a sign from the beginning of a block; after so many, the block is searched from its end
_REMEMBERED = 8 << 20  # the cache holds lines of at most so many bytes
_TAIL = 12  # so many of the last lines are kept
_END = 1 << 16  # if `keeps_end` is set, so many bytes of the end are kept

# A pattern that is anchored at the start of a line is also tried on the line without such prefixes.
_ANCHORED = re.compile(r"(?<!\[)(?<!\\)\^")


# "proof": the line alone shows the failure · "hint": the line is not enough · "context": not a sign, but rules read the line
Strength = Literal["proof", "hint", "context"]
# What a line says, if the rules of several failure modes ask for it.
Topic = Literal["installation ended well", "an exception", "a frame", "a fact of the machine"]


class Pattern(NamedTuple):
    """Hold a pattern to search for in each line of a log."""

    slug: str  # its failure mode; or a name for its matches, such as "mark error", for a pattern of no failure mode
    literal: bytes  # a text that each matching line contains
    pattern: str  # a regular expression, compiled when a line has the literal
    strength: Strength
    topic: Topic | None = None


class Match(Record, frozen=True, kw_only=True):
    """Describe a line of a log that contains a sign."""

    slug: str
    file: str
    line: int  # from 1
    text: str  # the line without colours, prefixes and indentation, cut to a readable length
    strength: Strength
    topic: Topic | None = None
    groups: dict[str, str] = msgspec.field(default_factory=dict)  # named groups of the sign's pattern


class Log(Record, frozen=True, kw_only=True):
    """Hold the signs found in one log."""

    file: str
    lines: int  # their number
    size: int  # bytes
    matches: tuple[Match, ...] = ()  # in the order of their lines
    tail: tuple[str, ...] = ()  # the last 12 lines that are not empty, without prefixes
    end: tuple[
        tuple[int, str], ...
    ] = ()  # number and text of the last lines (64 KiB); empty unless the Reader keeps the end

    def of(self, slug: str) -> tuple[Match, ...]:
        return tuple(m for m in self.matches if m.slug == slug)

    def about(self, topic: Topic) -> tuple[Match, ...]:
        """Return the matches with this topic, of all failure modes."""
        return tuple(m for m in self.matches if m.topic == topic)


class Seen(NamedTuple):
    """Hold the input of a failure mode's `from_log`: the matches of its own signs, and all logs."""

    matches: tuple[Match, ...]
    logs: tuple[Log, ...]

    def before(self, slug: str, match: Match) -> bool:
        """Return whether a sign of the failure mode `slug` stands before this match in the same log."""
        return any(m.line < match.line for log in self.logs if log.file == match.file for m in log.of(slug))

    def after(self, slug: str, match: Match) -> bool:
        """Return whether a sign of the failure mode `slug` stands after this match in the same log."""
        return any(m.line > match.line for log in self.logs if log.file == match.file for m in log.of(slug))

    def group(self, name: str) -> str | None:
        """Return the first value that a sign captured under this name; None if no sign did."""
        return self.captured().get(name)

    def captured(self) -> dict[str, str]:
        """Return {name of a group: the first value that a sign captured under this name}. A name without a value is left out."""
        found: dict[str, str] = {}
        for match in self.matches:
            for name, value in match.groups.items():
                if value:
                    found.setdefault(name, value)
        return found


class Reader:
    """Search logs for patterns.

    One Reader can read any number of logs. `keeps_end`: the last 64 KiB of each log are kept in `Log.end`.
    """

    def __init__(self, patterns: Sequence[Pattern], *, keeps_end: bool = False) -> None:
        self.patterns = patterns
        self._keeps_end = keeps_end
        self._needles = Needles([pattern.literal for pattern in patterns])
        self._anchored = frozenset(i for i, p in enumerate(patterns) if _ANCHORED.search(p.pattern))
        self._seen: dict[bytes, tuple[tuple[int, _Found], ...]] = {}
        self._seen_size = 0

    def read(self, stream: BinaryIO, name: str) -> Log:
        """Read one log to its end. Raises OSError if the stream cannot be read."""
        kept: dict[int, _Kept] = {}
        number, size, tail = 0, 0, b""
        for block in blocks(stream):
            size += len(block)
            self._search(block, number, kept)
            number += block.count(b"\n")
            tail = (tail + block)[-_END:]
        if tail and not tail.endswith(b"\n"):
            number += 1
        matches = [self._match(index, place, name) for index, held in kept.items() for place in held.all()]
        matches.sort(key=lambda m: m.line)
        last_lines = [clean(as_text(_left_standing(line))) for line in tail[-_LONGEST:].split(b"\n")[-2 * _TAIL :]]
        return Log(
            file=name,
            lines=number,
            size=size,
            matches=tuple(matches),
            tail=tuple(line[:400] for line in last_lines if line)[-_TAIL:],
            end=_numbered(tail, number) if self._keeps_end else (),
        )

    def _match(self, index: int, place: _Place, name: str) -> Match:
        pattern = self.patterns[index]
        return Match(
            slug=pattern.slug,
            file=name,
            line=place.line,
            text=place.text,
            strength=pattern.strength,
            groups=place.groups,
            topic=pattern.topic,
        )

    def _search(self, block: bytes, number: int, kept: dict[int, _Kept]) -> None:
        """Keep the signs in one block of whole lines. `number`: the number of lines before the block."""
        flat = block.replace(b"\x0b", b"\n")
        parts, keys = flat.split(b"\n"), bare(flat).split(b"\n")
        numbers = _numbers(block, number)

        def line_of(at: int) -> int:
            return numbers[at] if numbers else number + at + 1

        self._scan(parts, keys, line_of, kept)
        whole = {w: bare(w.text) for w in joined(parts, keys, PREFIX_BYTES)}
        hot = self._needles.among(whole.values()) if whole else {}
        for one, key in whole.items():
            for index, found in self._held(one.text, hot.get(key, ()), one):
                at = one.first + one.before(found.start)
                kept.setdefault(index, _Kept()).put(_Place(line_of(at), found.text, found.groups))

    def _scan(
        self, lines: list[bytes], keys: list[bytes], line_of: Callable[[int], int], kept: dict[int, _Kept]
    ) -> None:
        """Keep the signs in these lines. `keys`: the same lines without their digits."""
        hot = self._needles.among(keys)
        if not hot:
            return
        rows = {lines[at]: at for at in range(len(keys) - 1, -1, -1) if keys[at] in hot}  # the first of equal lines
        counts: Counter[int] = Counter()
        rest: dict[int, int] = {}  # a sign that matched often enough -> the last line in which it was searched
        for line, at in reversed(rows.items()):
            for index, found in self._held_by(line, hot[keys[at]], rest):
                kept.setdefault(index, _Kept()).add(_Place(line_of(at), found.text, found.groups))
                counts[index] += 1
                if counts[index] == _ENOUGH:
                    rest[index] = at
        last: dict[int, list[_Place]] = {index: [] for index in rest}
        for line, at in rows.items():
            sought = [i for i in hot[keys[at]] if i in last and at > rest[i] and len(last[i]) < _MOST // 2]
            for index, found in self._held(line, sought):
                last[index].append(_Place(line_of(at), found.text, found.groups))
        for index, places in last.items():
            for place in reversed(places):
                kept[index].add(place)

    def _held_by(self, line: bytes, indexes: tuple[int, ...], done: Mapping[int, int]) -> Iterable[tuple[int, _Found]]:
        """Return the signs in a line as (index of the pattern, what was found), without the signs in `done`."""
        held = self._seen.get(line)
        if held is None:
            if done and any(index in done for index in indexes):
                return self._held(line, (index for index in indexes if index not in done))
            held = tuple(self._held(line, indexes))
            self._remember(line, held)
        return [one for one in held if one[0] not in done] if done else held

    def _remember(self, line: bytes, held: tuple[tuple[int, _Found], ...]) -> None:
        """Keep the signs of a line in a cache, so that a repeated line is not searched again."""
        if self._seen_size > _REMEMBERED:
            self._seen.clear()
            self._seen_size = 0
        if len(line) <= _LONGEST:
            self._seen[line] = held
            self._seen_size += len(line) + 200 + 600 * len(held)

    def _held(self, line: bytes, indexes: Iterable[int], whole: Joined | None = None) -> Iterator[tuple[int, _Found]]:
        """Yield the signs in a line as (index of the pattern, what was found), each at its first place.

        For joined lines (`whole`) only the signs that cross a joint are yielded.
        """
        for index in indexes:
            pattern = self.patterns[index]
            start = line.find(pattern.literal)
            while start >= 0:
                begin, window = _around(line, start)
                found = self._find(index, as_text(window), begin, whole)
                if found is not None:
                    yield index, found
                    break
                start = line.find(pattern.literal, begin + len(window))

    def _find(self, index: int, text: str, begin: int, whole: Joined | None) -> _Found | None:
        regex = _compiled(self.patterns[index].pattern)
        found = regex.search(text)
        if found is None and index in self._anchored:
            text = clean(text)
            found = regex.search(text)
        if found is None or (whole is not None and not _spans(found, text, begin, whole)):
            return None
        groups = {k: v for k, v in found.groupdict().items() if v is not None}
        if any(_NO_NUMBER.search(value) for value in groups.values()):
            return None
        start = 0 if whole is None else begin + _bytes(text[: found.start()])
        return _Found(excerpt(text, found.start(), found.end()), groups, start)


# One for each pattern, however many Readers there are. The cache of `re` has only 512 places.
_compiled = functools.cache(re.compile)

# int() raises ValueError for more than 4,300 digits: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
_NO_NUMBER = re.compile(r"\d{1000}")


class _Found(NamedTuple):
    """Hold a sign that was found in a line: the shown text, the named groups, and, in joined lines, the position of the sign."""

    text: str
    groups: dict[str, str]
    start: int


class _Place(NamedTuple):
    """Hold the place of a sign: the line number, the shown text, the named groups."""

    line: int
    text: str
    groups: dict[str, str]


class _Kept:
    """Collect the first and the last few places of one sign."""

    def __init__(self) -> None:
        self._first: list[_Place] = []
        self._last: list[_Place] = []

    def add(self, place: _Place) -> None:
        if len(self._first) < _MOST // 2:
            self._first.append(place)
        else:
            self._last.append(place)
            del self._last[: -(_MOST // 2)]

    def put(self, place: _Place) -> None:
        """Add the sign of a joined line. It replaces a sign that was found in the first of the joined lines."""
        for held in (self._first, self._last):
            held[:] = [other for other in held if other.line != place.line]
        self.add(place)

    def all(self) -> tuple[_Place, ...]:
        return (*self._first, *self._last)


def read_bytes(data: bytes, name: str, patterns: Sequence[Pattern]) -> Log:
    return Reader(patterns).read(io.BytesIO(data), name)


def _numbered(end: bytes, number: int) -> tuple[tuple[int, str], ...]:
    """Return the last lines of a log of `number` lines, with their numbers."""
    lines = end.removesuffix(b"\n").split(b"\n")
    if len(lines) > 1 and len(end) >= _END:
        lines = lines[1:]  # the first line is cut
    return tuple(
        (number - len(lines) + at + 1, as_text(_left_standing(line))[:_LONGEST]) for at, line in enumerate(lines)
    )


def _left_standing(line: bytes) -> bytes:
    """Return the text that a terminal shows at last for a line that was overwritten several times (a progress bar)."""
    return next((part for part in reversed(line.split(b"\x0b")) if part.strip()), b"")


def _numbers(block: bytes, number: int) -> list[int]:
    """Return the line number of each part of a block: a carriage return divides a line into parts, which have the same number.

    Empty if the block has no carriage return. `number`: the number of lines before the block.
    """
    if b"\x0b" not in block:
        return []
    ends = re.findall(rb"[\n\x0b]", block)
    return list(itertools.accumulate((end == b"\n" for end in ends), initial=number + 1))


def _spans(found: re.Match[str], text: str, begin: int, whole: Joined) -> bool:
    """Return whether a match crosses a place where two lines were joined."""
    return whole.spanned(begin + _bytes(text[: found.start()]), begin + _bytes(text[: found.end()]))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _around(line: bytes, place: int) -> tuple[int, bytes]:
    """Return at most _LONGEST bytes of a line around a position, and the position of the first of them."""
    if len(line) <= _LONGEST:
        return 0, line
    begin = max(0, place - _LONGEST // 2)
    return begin, line[begin : place + _LONGEST // 2]
