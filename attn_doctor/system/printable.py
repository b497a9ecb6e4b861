r"""Make foreign text harmless for a terminal and for a page: each invisible character becomes an escape, ESC the text "\x1b".

Invisible are terminal codes (C0 and C1, so also CSI and OSC), the marks that change the direction of text
(https://trojansource.codes/) and characters without a width. A tab and a line break stay. The module imports only what Python
itself has loaded, because `failure` and `streams` need it.
"""

from __future__ import annotations

_CODES = (
    *range(0x09),
    *range(0x0B, 0x20),
    *range(0x7F, 0xA0),
    0xAD,
    0x61C,
    0x180E,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
)
_TABLE = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    for code in _CODES
}
# The same as an escape of JSON, which has two for a character beyond FFFF: https://www.rfc-editor.org/rfc/rfc8259#section-7
_IN_A_FILE = {
    code: f"\\u{code:04x}"
    if code < 0x10000
    else f"\\u{0xD800 + ((code - 0x10000) >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    for code in _CODES
    if code != ord("\r")
}


def printable(text: str) -> str:
    """Return the text with an escape for every character that cannot be seen."""
    return text.replace("\r\n", "\n").translate(_TABLE)


def one_line(text: str) -> str:
    """Return the text on one line, with an escape for every character that cannot be seen."""
    return printable(" ".join(text.split())) if not text.isprintable() else text


def in_a_file(text: str) -> str:
    r"""Return the whole content of a file, in JSON or another format, with an escape for every character that cannot be seen.

    The escapes are JSON's ("\u200b"), so that a JSON file stays valid. Tabs and line breaks stay, "\r" included.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_IN_A_FILE)
