"""Find the names of users and machines, serial numbers and codes in what programs print as a list.

There a value has no name beside it: the heading of its column, the first line, or the form of the line shows what it is. Examples:
`squeue`, `ps aux`, `who`, `getent group`, `wmic bios get serialnumber`, /etc/hosts, a list of recovery codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attn_doctor.report.redact.names import NOBODY

_Found = tuple[int, int, str]

_HOST = r"[A-Za-z][A-Za-z0-9.-]{1,100}"


class _Form(NamedTuple):
    """Describe a line with names. It is tried only on texts that have one of its hints. `one` is a name, `many` has several."""

    of: str  # user, host, serial or secret
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


_FORMS = (
    # who(1), last(1): the terminal follows the name.
    _Form(
        "user",
        ("pts/", "tty", " :"),
        re.compile(r"(?m)^(?P<one>[A-Za-z_][\w.+-]{1,63})[ \t]{1,40}(?:[+-][ \t]{1,4})?(?:pts/\d|tty\w?\d|:\d)"),
    ),
    # `ls -l`
    _Form(
        "user",
        ("rw",),
        re.compile(
            r"(?m)^[ \t]{0,8}[dlcbsp-](?:[r-][w-][xsStT-]){3}[.+@]?[ \t]{1,8}\d{1,6}[ \t]{1,8}(?P<one>[A-Za-z_][\w.-]{1,63}) "
        ),
    ),
    # group(5) and passwd(5), as `getent` prints them: members, the account of a person (from 1000 on), and the full name.
    _Form(
        "user",
        (":x:", ":*:", ":!:"),
        re.compile(r"(?m)^[\w.-]{1,64}:[x*!]:\d{1,10}:(?P<many>[A-Za-z_][\w.,@+-]{1,2000})[ \t\r]*$"),
    ),
    _Form("user", (":x:", ":*:"), re.compile(r"(?m)^(?P<one>[A-Za-z_][\w.@+-]{1,63}):[x*]:\d{4,10}:\d{1,10}:")),
    _Form(
        "user",
        (":x:", ":*:"),
        re.compile(r"(?m)^[\w.@+-]{1,64}:[x*]:\d{4,10}:\d{1,10}:(?P<one>[^\W\d][^:,\n]{2,80}),{0,5}:/"),
    ),
    # hosts(5): a private address, then names.
    _Form(
        "host",
        ("10.", "192.168.", "172."),
        re.compile(
            r"(?m)^[ \t]{0,8}(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}[ \t]{1,20}(?!nvidia|cuda|lib|torch)(?=[^\n]{0,80}[0-9-])"
            rf"(?P<many>{_HOST}(?:[ \t]{{1,20}}{_HOST}){{0,4}})[ \t\r]*(?:#[^\n]*)?$"
        ),
    ),
    # https://docs.open-mpi.org/en/main/launching-apps/scheduling.html: a file of machines, and the option of mpirun and horovodrun
    _Form(
        "host", ("slots",), re.compile(rf"(?m)^[ \t]{{0,8}}(?P<one>{_HOST})[ \t]{{1,20}}(?:max[_-])?slots[ ]?=[ ]?\d")
    ),
    _Form(
        "host",
        ("mpirun", "mpiexec", "horovodrun"),
        re.compile(
            rf"\b(?:mpirun|mpiexec|horovodrun)\b[^\n]{{0,200}}?\s(?:-H|--?hosts?)[ =](?P<many>{_HOST}(?::\d{{1,4}})?(?:,{_HOST}(?::\d{{1,4}})?){{0,64}})"
        ),
    ),
    # Descriptions of InfiniBand nodes: https://github.com/linux-rdma/rdma-core/tree/master/infiniband-diags
    _Form("host", ("mlx", "HCA", "hfi1"), re.compile(rf"[\"'](?P<one>{_HOST}) (?:mlx\d|HCA-|hfi1_)")),
    _Form("host", ("MF0;",), re.compile(rf"\bMF0;(?P<one>{_HOST}):")),
)
_NAME = re.compile(r"(?<![\w.-])[A-Za-z_][\w.@+-]*")
_NO_PERSON = frozenset("reboot runlevel shutdown local broadcasthost ip6-localhost ip6-loopback".split())

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
    for form in _FORMS:
        for match in form.pattern.finditer(text) if any(hint in text for hint in form.hints) else ():
            places = [match.span("one")] if "one" in form.pattern.groupindex else _parts(text, *match.span("many"))
            yield from ((start, end, form.of) for start, end in places if _is_private(text[start:end]))
    if "\n" not in text:
        return
    lowered = text.lower()
    if any(word in lowered for word in _TABLES):
        yield from _below_headings(text)
    if "code" in lowered:
        yield from _codes(text)


def _parts(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return [match.span() for match in _NAME.finditer(text, start, end)]


def _is_private(name: str) -> bool:
    return name.lower() not in NOBODY and name.lower() not in _NO_PERSON


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
            if cell and form.fullmatch(cell[0]) and _is_private(cell[0]):
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
