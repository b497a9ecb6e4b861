"""Put private values into the lines of the fourth list, at their marks."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator

_LOWER = string.ascii_lowercase + string.digits
_UPPER = string.ascii_uppercase + string.digits
_LETTERS = {
    "m": string.ascii_letters + string.digits,
    "l": _LOWER,
    "U": _UPPER,
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "d": string.digits,
}
_CHOICES = {
    "p": ("Vq7-mRt92xKz", "tR4wn!ber8", "Kolibri88Zange", "bLau7Wal_31", "hut3-Zebra.Nuss9", "x9$Lampe!tor"),
    "w": ("Wolkenbruch_QrTz", "Ameisen-KvPq", "Sturmvogel!dach"),
    "u": ("ilse.brandvold", "tkowalczyk", "mei_zhang", "rvdberg", "a.okonkwo", "hsuzuki3", "pfeiffer"),
    "H": ("gpu-larch-07", "birch3", "rackb12-n4", "kestrelnode09", "walrus-a2"),
    "F": ("Ilse Brandvold", "Tomasz Kowalczyk", "Mei Zhang"),
}
_CHANCE = random.Random(20261201)


def _of(letters: str, length: int) -> str:
    """Return random letters with a digit and a letter among the first twelve, as nearly all real ones have."""
    while True:
        made = "".join(_CHANCE.choices(letters, k=length))
        if length < 6 or (any(map(str.isdigit, made[:12])) and (letters.isdigit() or any(map(str.isalpha, made[:12])))):
            return made


def _value(mark: str) -> str:
    if mark in _CHOICES:
        return _CHANCE.choice(_CHOICES[mark])
    if mark == "s":
        return _of(_UPPER, 9)
    if mark in ("uu", "UU"):
        return "-".join(_of(_LETTERS["h"], length) for length in (8, 4, 4, 4, 12))
    if mark == "UD":
        return f"{_of(_UPPER, 4)}-{_of(_UPPER, 4)}"
    return _of(_LETTERS[mark[0]], int(mark[1:]))


def filled(lines: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each line with its private values, and these values. One user stands at all places of a line."""
    for line in lines.strip("\n").split("\n"):
        values: dict[str, str] = {}
        private: list[str] = []

        def put(match: re.Match[str], values: dict[str, str] = values, private: list[str] = private) -> str:
            made = values.get(match[1]) or _value(match[1])
            if match[1] == "u":
                values["u"] = made
            private.append(made)
            return made

        text = line.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")
        yield re.sub(r"§(\w+)§", put, text), private


def left(cleaned: str, private: list[str]) -> list[str]:
    """Return what is left of private values, also of a part of a long one."""
    return [
        one
        for one in private
        if one in cleaned or (len(one) >= 16 and any(one[at : at + 8] in cleaned for at in range(len(one) - 7)))
    ]
