"""Find the names of users and machines, serial numbers and codes in what programs print as a list.

There a value has no name beside it: the heading of its column or the first line shows what it is. Examples:
`squeue`, `ps aux`, `wmic bios get serialnumber`, a list of recovery codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attn_doctor.report.redact import program_lines

_Found = tuple[int, int, str]

_TABLES = ("serial", "user", "owner", "login", "host", "node")
_OF_A_TABLE = re.compile(r"[A-Z%][A-Z0-9%@_+:()/#-]{0,24}")
_OF_WMIC = re.compile(r"(?:[A-Z][a-z]{1,20}){1,4}")
# The heading of a column, and its cells.
_COLUMNS = (
    ("serial", re.compile(r"(?i)serial(?:[-_]?(?:number|no|nr))?"), re.compile(r"(?=\S{0,60}\d)[^\s<]\S{4,60}")),
    ("user", re.compile("(?i)user(?:name)?|owner|login"), re.compile(r"[A-Za-z_][\w.+@-]{1,63}")),
    (
        "host",
        re.compile(r"(?i)node|hostname|nodelist(?:\(reason\))?|(?:exec|from)_host"),
        re.compile(r"(?=[a-z.-]{0,60}[\d[-])[a-z][a-z0-9.-]{2,100}(?:\[[\d,-]{1,60}\])?"),
    ),
)
_CODES_ABOVE = re.compile(r"(?i)(?:recovery|backup|scratch|emergency)[-_ ]?codes?")
_CODE = re.compile(r"(?:[*•-]|\d{1,2}[.)])|(?P<code>[A-Za-z0-9]{4,10}(?:-[A-Za-z0-9]{4,6}){0,4}),?")


def found(text: str) -> Iterator[_Found]:
    """Yield (start, end, kind) of each such value. The kinds are user, host, serial and secret."""
    yield from program_lines.found(text)
    if "\n" not in text:
        return
    lowered = text.lower()
    if any(word in lowered for word in _TABLES):
        yield from _below_headings(text)
    if "code" in lowered:
        yield from _codes(text)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.split("\n"):
        yield at, line
        at += len(line) + 1


def _below_headings(text: str) -> Iterator[_Found]:
    """Yield the cells below private headings of tables whose columns stand below each other, as `lsblk`, `squeue` and `wmic` print them."""
    columns: Sequence[tuple[str, re.Pattern[str], int, int]] = ()
    begun = False
    for at, line in _lines(text):
        headings = _headings(line)
        if headings:
            columns, begun = headings, False
            continue
        if not columns:
            continue
        if not line.strip():
            if begun:  # wmic writes empty lines, also behind the heading
                columns = ()
            continue
        begun = True
        cells = list(re.finditer(r"\S+", line[:2000]))
        for kind, form, start, end in columns:
            cell = next((one for one in cells if one.start() < end and one.end() > start), None)
            if cell and form.fullmatch(cell[0]) and program_lines.is_private(cell[0]):
                yield at + cell.start(), at + cell.end(), kind


def _headings(line: str) -> list[tuple[str, re.Pattern[str], int, int]]:
    """Return (kind, form of a cell, start, end) of the private columns, if the line is the heading of a table."""
    words = list(re.finditer(r"\S+", line)) if len(line) < 400 else []
    wmic = all(_OF_WMIC.fullmatch(word[0]) for word in words)
    if not wmic and not all(_OF_A_TABLE.fullmatch(word[0]) for word in words):
        return []
    clear = (
        len(words) > 2 and not wmic
    )  # a word alone, as "USER", is a heading only if no other meaning is left: "SerialNumber"
    return [
        (kind, cell, *word.span())
        for word in words
        for kind, heading, cell in _COLUMNS
        if heading.fullmatch(word[0]) and (clear or (kind == "serial" and len(word[0]) > 6))
    ]


def _codes(text: str) -> Iterator[_Found]:
    """Yield the codes below a line that announces them; up to two other lines may stand between."""
    other = 3
    for at, line in _lines(text):
        words = list(re.finditer(r"\S+", line[:400]))
        codes = [_CODE.fullmatch(word[0]) for word in words]
        if other < 3 and words and all(codes) and any(map(str.isdigit, line)):
            other = 2
            yield from (
                (at + word.start(), at + word.start() + len(code["code"]), "secret")
                for word, code in zip(words, codes, strict=True)
                if code and code["code"]
            )
        else:
            other = 0 if _CODES_ABOVE.search(line) else other + bool(words)


def across(lines: Sequence[str]) -> dict[int, list[_Found]]:
    """Return, by the number of a line, the places in it that the lines before it show to be private, the last place first."""
    made: dict[int, list[_Found]] = {}
    starts = [at for at, _ in _lines("\n".join(lines))]
    number = 0
    for start, end, kind in sorted(set(found("\n".join(lines)))):
        while number + 1 < len(starts) and starts[number + 1] <= start:
            number += 1
        made.setdefault(number, []).insert(0, (start - starts[number], end - starts[number], kind))
    return made
