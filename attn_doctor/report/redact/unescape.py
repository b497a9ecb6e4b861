r"""Undo escapes in a text, and remember the place of each character, so that a secret that is found in the plain text is replaced in the
original one.

Example: in `ImportError('\nghp_...')`, as `repr` writes it, the letter n stands before the token. No rule finds the token there, and every
rule finds it behind a line break. An escape can be escaped again (JSON in JSON), so up to `_DEEPEST` layers are undone, and each is searched:
in `C:\Users\nadia` the first layer has the name, and the second has a line break in its place.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_DEEPEST = 5
_NAMED = {"n": "\n", "r": "\n", "t": "\t", "f": " ", "v": " ", "a": " ", "b": " ", "e": "\x1b", "0": " "}
_COLOUR = re.compile(r"(?P<colour>\x1b\[[0-?]{0,32}[ -/]{0,4}[@-~]?)")
_ESCAPE = re.compile(
    r"\\(?:x(?P<byte>[0-9A-Fa-f]{2})|u(?P<code>[0-9A-Fa-f]{4})|U(?P<long>[0-9A-Fa-f]{8})|(?P<octal>[0-3][0-7]{2})"
    r"|(?P<named>[nrtfvabe0])|(?P<sign>[^\w\s]|[ _]))"
    r"|(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<entity>&(?:#\d{1,6}|#[xX][0-9A-Fa-f]{1,5}|quot|amp|lt|gt|apos|nbsp|commat|colon|equals|sol|bsol);)"
    rf"|{_COLOUR.pattern}"
    r"|(?P<control>[\x00-\x08\x0b-\x1f\x7f-\x9f])"
    r"|(?P<hidden>[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff])"
)


class View(NamedTuple):
    """Hold a text with some layers of escapes undone."""

    text: str
    starts: Sequence[int] | None = None  # of each character, in the original text; None: this is the original
    ends: Sequence[int] | None = None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return the place in the original text of a part of this one."""
        if self.starts is None or self.ends is None or start == end:
            return start, end
        return self.starts[start], self.ends[end - 1]


def views(text: str) -> Iterator[View]:
    """Yield the text itself, then the text with one layer of escapes undone, then with two, and so on.

    Escapes are backslashes, %41, &amp;, colours of a terminal and invisible characters. The last view has no escape, or `_DEEPEST` layers are
    undone. If the text has colours, a view without them comes first, and does not count as a layer.
    """
    view = View(text)
    yield view
    if "\x1b" in text:  # colours first: "\\\\server" behind one begins with two signs, which the next layer makes one
        view = _undone(view, _COLOUR)
        yield view
    for _ in range(_DEEPEST):
        found = _ESCAPE.search(view.text)
        if found is None:
            return
        view = _undone(view)
        yield view


def _undone(view: View, escape: re.Pattern[str] = _ESCAPE) -> View:
    made: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    text, done = view.text, 0

    def keep(start: int, end: int) -> None:
        made.append(text[start:end])
        starts.extend(range(start, end) if view.starts is None else view.starts[start:end])
        ends.extend(range(start + 1, end + 1) if view.ends is None else view.ends[start:end])

    for match in escape.finditer(text):
        keep(done, match.start())
        done = match.end()
        plain = _plain(match)
        begin, end = view.place(match.start(), match.end())
        if match.lastgroup == "percent" and len(plain) * 3 == len(match[0]):  # one character a byte
            made.append(plain)
            places = [view.place(at, at + 3) for at in range(match.start(), match.end(), 3)]
            starts.extend(place[0] for place in places)
            ends.extend(place[1] for place in places)
            continue
        made.append(plain)
        starts.extend([begin] * len(plain))
        ends.extend([end] * len(plain))
    keep(done, len(text))
    return View("".join(made), starts, ends)


def _plain(match: re.Match[str]) -> str:
    """Return the characters for which an escape stands."""
    kind = match.lastgroup
    told = match[kind] if kind else ""
    if kind in ("byte", "code", "long"):
        return _character(int(told, 16))
    if kind == "octal":
        return _character(int(told, 8))
    if kind == "named":
        return _NAMED[told]
    if kind == "sign":
        return told
    if kind == "percent":
        return bytes.fromhex(told.replace("%", "")).decode("utf-8", "replace")
    if kind == "entity":
        return html.unescape(told)
    return "" if kind == "hidden" else " "


def _character(number: int) -> str:
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else " "
