"""Make writing to standard output and standard error safe: they may be closed, full, without a reader, or of another encoding.

After `prepare`, writing to them never raises. A character that the encoding lacks is written in ASCII. Text that cannot be
written is dropped, and the error is recorded. So the report file is written and the exit code is right, even if the terminal
fails. This module uses only modules that Python itself has loaded, because `--version` imports it too.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys

from attn_doctor.system.printable import printable

# Drawing characters in ASCII. All others become an escape: "\u65e5".
_STAND_INS = {
    "✓": "OK",
    "×": "x",
    "│": "|",
    "├": "|",
    "╰": "`",
    "─": "-",
    "·": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "µ": "u",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}
_HANDLER = "attn-doctor"
_closed: set[str] = set()  # names of the streams that were closed when this process started
_lost: dict[str, OSError] = {}  # name of a stream -> the first error in writing it


def prepare() -> None:
    """Replace the streams of this process by streams that cannot fail. A second call changes nothing."""
    codecs.register_error(_HANDLER, _in_ascii)
    _fill()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            _closed.add(name)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8", errors=_HANDLER))  # noqa: SIM115, PTH123
        elif stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _tolerant(name, stream))
    if sys.stdin is None:
        _closed.add("stdin")
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123
    elif isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")


def tell(line: str) -> None:
    """Write a line on standard error, with an escape for every character of foreign text that cannot be seen."""
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()


def was_closed(name: str) -> bool:
    """Return whether this process was started without the stream "stdin", "stdout" or "stderr"."""
    return name in _closed


def lost(name: str) -> OSError | None:
    """Return the error by which a part of "stdout" or "stderr" was lost; None if nothing was lost."""
    stream = getattr(sys, name)
    if stream is not None:
        stream.flush()
    return _lost.get(name)


def gone(name: str) -> bool:
    """Return whether the reader of a stream closed it. `head` does so; this is not an error."""
    error = lost(name)
    return error is not None and error.errno == errno.EPIPE


def _fill() -> None:
    """Open those of the descriptors 0 to 2 that are closed. Otherwise the next file that is opened would be used as a standard stream."""
    for wanted in (0, 1, 2):
        try:
            os.fstat(wanted)
        except OSError:
            made = os.open(os.devnull, os.O_RDWR)
            if made != wanted:
                os.dup2(made, wanted, inheritable=False)  # children get these descriptors closed, as this process did
                os.close(made)


def _tolerant(name: str, stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    below: io.RawIOBase = getattr(stream.buffer, "raw", stream.buffer)  # type: ignore[arg-type]  # with -u the buffer is the raw stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Raw(name, below)),
        encoding=stream.encoding,
        errors=_HANDLER,
        line_buffering=stream.line_buffering or name == "stderr",
    )


class _Raw(io.RawIOBase):
    """Write to another raw stream. Data that the other stream refuses is dropped, and the error is recorded."""

    def __init__(self, name: str, below: io.RawIOBase) -> None:
        self.name = f"<{name}>"
        self._key = name
        self._below = below

    def write(self, block: object) -> int:
        data = bytes(block)  # type: ignore[call-overload]
        left = memoryview(data)
        while left and self._key not in _lost:
            try:
                written = self._below.write(left)
            except OSError as error:
                _lost[self._key] = error
                break
            if written is None:  # a non-blocking stream that is full
                import select

                select.select([], [self.fileno()], [])
            else:
                left = left[written:]
        return len(data)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._below.fileno()

    def isatty(self) -> bool:
        return self._below.isatty()


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Return the replacement of a character that an encoding lacks. This is an error handler for `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    made = []
    for character in error.object[error.start : error.end]:
        code = ord(character)
        if character in _STAND_INS:
            made.append(_STAND_INS[character])
        elif 0xDC80 <= code <= 0xDCFF:  # a byte that was not valid UTF-8, PEP 383
            made.append(f"\\x{code - 0xDC00:02x}")
        else:
            made.append(character.encode("ascii", "backslashreplace").decode("ascii"))
    return "".join(made), error.end
