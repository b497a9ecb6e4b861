"""Turn the output of any tool, in UTF-16 or a superset of ASCII, into blocks of whole lines without colours.

Reads a stream once; searches nothing.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

BLOCK = 1 << 18  # bytes

# CSI and OSC sequences (colours, cursor movement, links), https://ecma-international.org/publications-and-standards/standards/ecma-48/
_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[@-Z\\-_])")


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield blocks of whole lines without colours, as UTF-8 or another ASCII-compatible encoding.

    A carriage return inside a line (a progress bar) becomes a vertical tab: the parts stay separate, and line numbers
    stay right. A last line without a line feed comes in one block with the lines before it: it may be the rest of a broken line. A
    line of more than 1 MiB is cut.
    """
    rest, held = b"", b""
    for raw in _utf8(stream):
        block = rest + raw
        end = block.rfind(b"\n") + 1
        if not end:
            if len(block) < 4 * BLOCK:
                rest = block
                continue
            end = len(block)  # one line of more than a MiB is cut: every sign is shorter than a block
        rest = block[end:]
        if held:
            yield held
        held = _plain(block[:end])
    if held or rest:
        yield held + _plain(rest)


def _plain(block: bytes) -> bytes:
    """Return the block without escape sequences; a carriage return that does not end a line becomes a vertical tab."""
    if b"\x1b" in block:
        block = _ANSI.sub(b"", block)
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\x0b")
    return block


def _utf8(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the stream's bytes; UTF-16 (a PowerShell redirection) is converted to UTF-8."""
    first = stream.read(BLOCK)
    encoding = _wide(first)
    if encoding is None:
        yield first.removeprefix(codecs.BOM_UTF8)
        while block := stream.read(BLOCK):
            yield block
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    yield decoder.decode(first).lstrip("\ufeff").encode()
    while block := stream.read(BLOCK):
        yield decoder.decode(block).encode()


_ONE_SIDE = 20  # times as many zero bytes at even places as at odd ones, or the reverse: UTF-16


def is_wide(first: bytes) -> bool:
    """Return whether a text with this beginning is UTF-16."""
    return _wide(first) is not None


def _wide(first: bytes) -> str | None:
    """Return "utf-16-le" or "utf-16-be" if a file that begins with these bytes is UTF-16, else None."""
    if first.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if first.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    sample = first[:4096]
    # In UTF-16 an ASCII character has one zero byte, always at even or always at odd places. A Korean log has few; UTF-8 has none.
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd > max(3, len(sample) // 10) and odd > _ONE_SIDE * even:
        return "utf-16-le"
    if even > max(3, len(sample) // 10) and even > _ONE_SIDE * odd:
        return "utf-16-be"
    return None


def as_text(line: bytes) -> str:
    """Return a line as text: decoded from UTF-8, else from GB 18030 (Chinese) if its byte pairs fit, else from Latin-1.

    Never raises.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        pairs = re.findall(rb"(?:[\x81-\xfe][\x40-\xfe])+", line)
        high = sum(byte > 0x7F for byte in line)
        if pairs and sum(map(len, pairs)) >= high > 2:
            try:
                return line.decode("gb18030")
            except UnicodeDecodeError:
                pass
        return line.decode("latin-1")
