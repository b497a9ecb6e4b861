"""Find the names of users and machines, serial numbers and codes in what programs print as a list.

There a value has no name beside it: the heading of its column or the first line shows what it is. Examples:
`squeue`, `ps aux`, `wmic bios get serialnumber`, `nvme list`, a table of psql, CSV, a list of recovery codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attn_doctor.report.redact import program_lines

_Found = tuple[int, int, str]

_TABLES = ("serial", "sn", "user", "owner", "login", "host", "node", "passw", "token", "secret", "key")
_OF_A_TABLE = re.compile(r"[A-Z%][A-Z0-9%@_+:()/#-]{0,24}")
_OF_A_TITLE = re.compile(r"[A-Za-z][A-Za-z0-9/()%#_.-]{0,24}")
_OF_WMIC = re.compile(r"(?:[A-Z][a-z]{1,20}){1,4}")
# The heading of a column, and its cells.
_COLUMNS = (
    (
        "serial",
        re.compile(r"(?i)serial(?:[-_]?(?:number|num|no|nr))?|s/?n"),
        re.compile(r"(?=\S{0,60}\d)[^\s<]\S{4,60}"),
    ),
    ("user", re.compile("(?i)user(?:name)?|owner|login"), re.compile(r"[A-Za-z_][\w.+@-]{1,63}")),
    (
        "host",
        re.compile(r"(?i)node|hostname|nodelist(?:\(reason\))?|(?:exec|from)_host"),
        re.compile(r"(?:\d{1,4}\*)?(?=[a-z.-]{0,60}[\d[-])[a-z][a-z0-9.-]{2,100}(?:\[[\d,-]{1,60}\])?"),
    ),
    (
        "secret",
        re.compile(r"(?i)passw(?:or)?d|token|secret|(?:api|access|secret)[-_]?key"),
        re.compile(r"(?=\S{0,200}[A-Za-z])(?=\S{0,200}[\d!@#$%^&*])\S{8,400}"),
    ),
)
# Tables with signs between their columns: CSV, psql, `mysql -t`, Markdown, Rich
_SIGNS = ("│", "|", ",", "\t", ";")
_RULE = re.compile(r"[-=+|:_│┃├┼┤─━═╇╪┡┩┏┓┳╔╗╠╣\s]+")
_COLUMN = re.compile(
    r"(?i)(?:\w{1,12}[._ ])?(?:(?P<serial>serial|uuid|s/n|sn|mac|ip|service[-_ ]tag|asset[-_ ]tag)|(?P<host>hostname|host|node)|(?P<user>user|use(?:r)?name|login|owner|e-?mail)|(?P<secret>password|passwd|authentication_string|token|secret|(?:api|access|secret)[-_ ]?key))"
    r"(?:[-_ .]?(?:numbers?|no|num|addr(?:ess)?|id|name|tag|key|string))?"
)
# Between strokes also sentences stand, so the cell must look like a value.
_CELLS = {
    "serial": re.compile(r"(?=\S{0,60}\d)[^\s`]{4,80}"),
    "host": re.compile(r"(?=[A-Za-z.-]{0,60}\d)[A-Za-z][\w.-]{2,100}"),
    "user": re.compile(r"[A-Za-z_][\w.+@-]{2,63}"),
    "secret": re.compile(r"(?=[^\s`]{0,80}[\d!@#$%^&*])[^\s`]{6,400}"),
}
_CODES_ABOVE = re.compile(r"(?i)(?:recovery|backup|scratch|emergency)[-_ ]?codes?")
_CODE = re.compile(r"(?:[*•-]|\d{1,2}[.)])|(?P<code>[A-Za-z0-9]{4,10}(?:-[A-Za-z0-9]{4,6}){0,4}),?")


def found(text: str) -> Iterator[_Found]:
    """Yield (start, end, kind) of each private value in the lists, tables and program lines of a text.

    The kinds are user, host, serial and secret.
    """
    yield from program_lines.found(text)
    if "\n" not in text:
        return
    lowered = text.lower()
    if any(word in lowered for word in _TABLES):
        yield from _below_headings(text)
        if any(sign in text for sign in _SIGNS):
            yield from _in_columns(text)
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
    titled = not all(_OF_A_TABLE.fullmatch(word[0]) for word in words)
    wmic = titled and all(_OF_WMIC.fullmatch(word[0]) for word in words)
    if titled and not wmic and not _is_title(line, words):
        return []
    # A word alone, as "USER", is a heading only if no other meaning is left: "SerialNumber".
    clear = len(words) > 2 and (not wmic or _is_title(line, words))
    return [
        (kind, cell, *word.span())
        for word in words
        for kind, heading, cell in _COLUMNS
        if heading.fullmatch(word[0])
        and (clear or (kind == "serial" and len(word[0]) > 6))
        and not (titled and word[0] == "Node")  # of `nvme list`: a file
    ]


def _is_title(line: str, words: Sequence[re.Match[str]]) -> bool:
    """Return whether a line is a heading in ordinary spelling: "Node  SN  Model". Most words begin with a capital, and columns are apart."""
    return (
        len(words) > 2
        and words[0][0][0].isupper()
        and all(_OF_A_TITLE.fullmatch(word[0]) for word in words)
        and 3 * sum(word[0][0].isupper() for word in words) > 2 * len(words)
        and len(re.findall(r"\S {2,}(?=\S)", line)) > 1
    )


def _in_columns(text: str) -> Iterator[_Found]:
    """Yield the values below private headings of a table that has signs between its columns.

    Example: `nvidia-smi --query-gpu=name,serial --format=csv`.
    """
    wanted: dict[int, str] = {}
    width, sign = 0, ","
    for at, whole in _lines(text):
        line = whole.replace("┃", "│")
        if not line or _RULE.fullmatch(line):
            continue
        cells = line.split(sign)
        if not wanted or len(cells) != width:
            sign = next((one for one in _SIGNS if one in line), ",")
            cells = line.split(sign)
            width = len(cells)
            wanted = _wanted(cells) if width > 1 else {}
            continue
        place = at
        for number, cell in enumerate(cells):
            value = cell.strip().strip("\"'")
            kind = wanted.get(number)
            form = _CELLS[kind] if kind and sign in "|│" else None
            if kind == "user" and form and not (set(wanted.values()) - {"user"} and program_lines.is_private(value)):
                continue
            if kind and len(value) > 3 and not value.startswith(("<", "[")) and (form is None or form.fullmatch(value)):
                start = place + cell.index(value)
                yield start, start + len(value), kind
            place += len(cell) + 1


def _wanted(cells: Sequence[str]) -> dict[int, str]:
    """Return the numbers of the private columns and their kinds, from the cells of a heading."""
    found = ((number, _COLUMN.fullmatch(cell.strip(" \t\r\"'"))) for number, cell in enumerate(cells) if len(cell) < 60)
    return {number: match.lastgroup for number, match in found if match and match.lastgroup}


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
    """Return the private values in lines that are read together, by the number of the line.

    Example: the heading USER shows that the words below it are names.
    A value is (start, end, kind) in its line; the last value of a line comes first.
    """
    made: dict[int, list[_Found]] = {}
    starts = [at for at, _ in _lines("\n".join(lines))]
    number = 0
    for start, end, kind in sorted(set(found("\n".join(lines)))):
        while number + 1 < len(starts) and starts[number + 1] <= start:
            number += 1
        made.setdefault(number, []).insert(0, (start - starts[number], end - starts[number], kind))
    return made
