"""Join lines that a terminal, a log collector or an editor broke at a fixed width. Searches nothing.

Nothing in a text shows where a line was broken. So lines are joined at every place where one may have been broken. Only
a sign that crosses a joint is new: a sign inside one line is found without joining. The message of an exception is also joined
where no width shows it: a frame above it may be longer than the terminal of the person who copied the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attn_doctor.logs.literal_search import bare

_NARROWEST, _WIDEST = 40, 250  # columns: no program breaks lines at fewer, and a text with a longer line was not broken
_MOST = 60  # lines that are joined into one at most
_FEW = 3
_BOX = "─▶".encode()  # uv draws it: it breaks each part of a message at its own width, which depends on the indentation
_BEGINNING, _SAME = 80, 8  # bytes that are looked at; bytes after the prefix that are equal in two records of one kind
_TIMED = 18  # bytes, without digits, that are equal in two records of one kind that begin with a date
_SURE = 40  # bytes, with the prefix, that are equal in two records of one kind


class Joined(NamedTuple):
    """Hold several lines that were joined into one."""

    first: int  # index of its first line among the given lines
    text: bytes
    # (end of a line, beginning of the next line): they differ if a blank was inserted.
    joints: tuple[tuple[int, int], ...]

    def before(self, start: int) -> int:
        """Return the number of joined lines that end before this position."""
        return sum(following <= start for _, following in self.joints)

    def spanned(self, start: int, end: int) -> bool:
        """Return whether the text from `start` to `end` crosses the end of a line."""
        return any(start < following and before < end for before, following in self.joints)


def joined(lines: Sequence[bytes], keys: Sequence[bytes], prefix: re.Pattern[bytes]) -> Iterator[Joined]:
    """Yield every run of lines that may be one broken line, joined in each possible way.

    `keys`: the lines without their digits. Two lines with the same beginning are two records of one kind, not two parts of one
    line. `prefix`: the prefixes that other programs put before each part; they are left out of the text.
    """
    yield from _joined(lines, keys, prefix)
    yield from _messages(lines, keys, prefix)
    if any(_BOX in line for line in lines):
        for start, end in _paragraphs(lines):
            for one in _joined(lines[start:end], keys[start:end], prefix, boxed=True):
                yield one._replace(first=one.first + start)


# The last line of a traceback, if it is long enough to have been broken.
_EXCEPTION = re.compile(rb"\s*(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception): .{10}")
# Lines that are no rest of such a message.
_ANOTHER = re.compile(
    rb'\s*(?:$|File "|Traceback|During handling|The above exception|(?:CUDA|HIP) kernel errors|For debugging|(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Warning)\b|[$>#|+\[]|\S+[@:]\S*[$#>] )'
)
# "root@4f1c:/work# python run.py": a prompt begins a line.
_PROMPT = re.compile(rb"(?:\([\w.-]{1,60}\) ?)?[\w.-]{1,60}@[\w.-]{1,60}:[^\s$#]{0,200}[$#](?: |$)")
# A frame of a traceback begins a line, indented.
_FRAME = re.compile(rb'\s{2,12}File "[^"]{1,240}", line \d')
_REST = 3  # lines of a message after its first line
_MESSAGES = 200  # different messages of one block that are joined


def _messages(lines: Sequence[bytes], keys: Sequence[bytes], prefix: re.Pattern[bytes]) -> Iterator[Joined]:
    """Yield each message of an exception with the lines below it, broken at blanks."""
    seen: set[bytes] = set()
    for at in [at for at, line in enumerate(lines[:-1]) if b"Error: " in line or b"Exception: " in line]:
        if keys[at] in seen or not _EXCEPTION.match(prefix.sub(b"", lines[at], count=1)):
            continue
        if len(seen) == _MESSAGES:
            return
        seen.add(keys[at])
        parts = [lines[at][: 4 * _WIDEST]]
        for line in lines[at + 1 : at + 1 + _REST]:
            part = prefix.sub(b"", line, count=1)
            if _ANOTHER.match(part):
                break
            parts.append(part[: 4 * _WIDEST])
        if len(parts) > 1 and len(lines[at]) <= 4 * _WIDEST:
            yield _glued(at, parts, [b" "] * (len(parts) - 1))


def _paragraphs(lines: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each run of lines that are indented at least as much as the first; `end` is the index after the last line."""
    start = 0
    for number in range(1, len(lines) + 1):
        if number == len(lines) or not lines[start].strip() or _indentation(lines[number]) < _indentation(lines[start]):
            if number - start > 1 and lines[start].strip():
                yield start, number
            start = number


def _indentation(line: bytes) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else -1


def _joined(
    lines: Sequence[bytes], keys: Sequence[bytes], prefix: re.Pattern[bytes], *, boxed: bool = False
) -> Iterator[Joined]:
    """Yield the joined text of each run of lines that may be one broken line."""
    run: list[_Break] = []
    for found in _breaks(lines, keys, prefix, boxed=boxed):
        if run and (run[-1].line != found.line - 1 or len(run) == _MOST):
            yield from _ways(run, lines, prefix)
            run = []
        run.append(found)
    if run:
        yield from _ways(run, lines, prefix)


class _Break(NamedTuple):
    """Describe a line that may have been broken, because the next word did not fit."""

    line: int
    full: bool  # it fills the last column: the break may be inside a word


def _breaks(
    lines: Sequence[bytes], keys: Sequence[bytes], prefix: re.Pattern[bytes], *, boxed: bool
) -> Iterator[_Break]:
    """Yield the lines that may have been broken: about as long as the longest, and unlike the line below."""
    if max(map(len, lines), default=0) > 4 * _WIDEST:
        return
    lengths = [len(line) if line.isascii() else len(line.decode("utf-8", "replace")) for line in lines]
    # uv does not break a path in its box: a path is alone in its line, and may be longer than the width.
    width = max((n for n, line in zip(lengths, lines, strict=True) if not boxed or b" " in line.strip()), default=0)
    if not _NARROWEST <= width <= _WIDEST:
        return
    known: tuple[int, bytes] = -1, b""  # index and beginning of the line that was examined last
    for number in range(len(lines) - 1):
        length = lengths[number]
        if (
            # The short end of a broken line was broken again only if a very long word follows, such as a mangled C++ name.
            (4 * length > width or (known[0] == number and 4 * len(lines[number + 1].split(b" ", 1)[0]) > 3 * width))
            and length + lengths[number + 1] > width
            and keys[number][:_SURE] != keys[number + 1][:_SURE]
            and not _PROMPT.match(lines[number + 1])
            and not _FRAME.match(lines[number + 1])
            and (keys[number][:2] != b"--" or keys[number][:_TIMED] != keys[number + 1][:_TIMED])
        ):
            words = lines[number + 1].split(None, 1)
            full = length == width
            fits = not full and length + len(words[0] if words else b"") + (lines[number][-1:] != b" ") <= width
            if words and not fits:
                begun = known[1] if known[0] == number else _beginning(lines[number], prefix)
                known = number + 1, _beginning(lines[number + 1], prefix)
                if len(begun) != _SAME or begun != known[1]:  # else both begin like records of one kind
                    yield _Break(number, full)


def _beginning(line: bytes, prefix: re.Pattern[bytes]) -> bytes:
    """Return the first 8 bytes of a line after its prefix, without digits. Records of one kind have the same beginning."""
    text = line[:_BEGINNING]
    found = prefix.match(text)
    return bare(text[found.end() :] if found else text)[:_SAME]


def _ways(run: list[_Break], lines: Sequence[bytes], prefix: re.Pattern[bytes]) -> Iterator[Joined]:
    """Yield the lines joined in three ways: broken at the last column; at blanks; at blanks, but inside long words."""
    first = run[0].line
    parts = [lines[first], *(prefix.sub(b"", lines[one.line + 1], count=1) for one in run)]
    at_column, at_blanks = [b""] * len(run), [b" "] * len(run)
    mixed = [b"" if one.full else b" " for one in run]
    yield _glued(first, parts, mixed)
    broken_words = len(run) > _FEW and mixed == at_column  # many full lines in a row
    for glue in (at_column,) if broken_words else (at_column, at_blanks):
        if glue != mixed:
            yield _glued(first, parts, glue)


def _glued(first: int, parts: list[bytes], glue: list[bytes]) -> Joined:
    """Return the parts as one line, with `glue` between them. `first`: the number of the first part's line."""
    text, joints = parts[0], []
    for between, part in zip(glue, parts[1:], strict=True):
        before = len(text)
        text += between
        joints.append((before, len(text)))
        text += part.lstrip() if between else part
    return Joined(first, text, tuple(joints))
