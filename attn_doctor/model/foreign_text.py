r"""Make foreign text (names of files, variables, exceptions, reports) fit to be written as UTF-8.

Python stores a byte that is not UTF-8 as a lone surrogate (PEP 383), which neither JSON nor a terminal accepts. Here such a byte
becomes an escape: "caf" and the byte E9 become "caf\xe9". The original text is remembered, so that a
file can still be opened or started by its real name.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

MOST = 20_000  # characters of a text in a report: a terminal takes a minute for ten million
_LONG = re.compile(rb'"[^"]{%d,}"' % MOST)  # at least as long: an escape has more bytes than the character
_LARGE = 4 << 20  # bytes of a record, above which its texts are looked at one by one
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE = re.compile("[\udc80-\udcff]")
_raw: dict[str, str] = {}  # text with escapes -> the original text


def text(given: str) -> str:
    """Return the text with an escape for every character that UTF-8 cannot hold."""
    if given.isascii() or not _SURROGATE.search(given):
        return given
    shown = _SURROGATE.sub(_escape, given)
    _raw[shown] = given
    return shown


def raw(shown: str) -> str:
    """Return the original text from which `text` made this one in this process; the same text if it did not make it.

    A file can be opened or started only by its original name.
    """
    return _raw.get(shown, shown)


def plain(value: Any) -> Any:
    """Return plain data (dicts, lists, texts) in which UTF-8 can hold every text."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def record(given: T) -> T:
    """Return the record with each text made fit for UTF-8 and cut to `MOST` characters.

    If nothing has to be changed, the result is the same object.
    """
    try:
        written = msgspec.json.encode(given)
    except UnicodeEncodeError:
        written = msgspec.json.encode(plain(msgspec.to_builtins(given)))
    else:
        if len(written) < _LARGE and not _LONG.search(written):
            return given
    return msgspec.convert(_cut(msgspec.json.decode(written)), type(given))


def _cut(value: Any) -> Any:
    """Return plain data with every text cut to `MOST` characters."""
    if isinstance(value, str):
        return value if len(value) <= MOST else f"{value[:MOST]} [{len(value) - MOST} more characters]"
    if isinstance(value, dict):
        return {_cut(key): _cut(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item) for item in value]
    return value


def json_bytes(data: bytes) -> bytes:
    r"""Return JSON as UTF-8. Bytes that are not UTF-8 become escapes: the Latin-1 byte E9 becomes the four characters \xe9."""
    decoded = data.decode("utf-8", "surrogateescape")
    return _BYTE.sub(lambda match: "\\" + _escape(match), decoded).encode()


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
