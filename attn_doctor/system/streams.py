"""Standard output and standard error as they may be: closed, full, a pipe that nobody reads, of any encoding.

After `prepare`, writing to them never raises: a character that the encoding lacks is written in ASCII, and what cannot be
written is dropped and remembered. So a report file is written, and the exit code is right, whatever the terminal does.
Imported for `--version` too: nothing beyond what Python itself has loaded.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys

# What is drawn, in ASCII. The rest becomes an escape: "\u65e5".
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
_closed: set[str] = set()  # names of the streams that this process was started without
_lost: dict[str, OSError] = {}  # name of a stream -> the first error in writing it


def prepare() -> None:
    """Put streams that cannot fail in the place of this process's own. A second call changes nothing."""
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


def was_closed(name: str) -> bool:
    """Return whether this process was started without the stream "stdin", "stdout" or "stderr"."""
    return name in _closed


def lost(name: str) -> OSError | None:
    """Return the error because of which a part of "stdout" or "stderr" was not written, if there was one."""
    stream = getattr(sys, name)
    if stream is not None:
        stream.flush()
    return _lost.get(name)


def gone(name: str) -> bool:
    """Return whether the reader of a stream went away: it has had enough, which is no error."""
    error = lost(name)
    return error is not None and error.errno == errno.EPIPE


def _fill() -> None:
    """Open what is closed of the descriptors 0 to 2: the next file that is opened would be taken for a stream."""
    for wanted in (0, 1, 2):
        try:
            os.fstat(wanted)
        except OSError:
            made = os.open(os.devnull, os.O_RDWR)
            if made != wanted:
                os.dup2(made, wanted, inheritable=False)  # what is started from here finds them closed, as we did
                os.close(made)


def _tolerant(name: str, stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    below: io.RawIOBase = getattr(stream.buffer, "raw", stream.buffer)  # type: ignore[arg-type]  # itself under -u
    return io.TextIOWrapper(
        io.BufferedWriter(_Raw(name, below)),
        encoding=stream.encoding,
        errors=_HANDLER,
        line_buffering=stream.line_buffering or name == "stderr",
    )


class _Raw(io.RawIOBase):
    """Writes to another raw stream; what that refuses is dropped, and the error remembered."""

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
            if written is None:  # it does not wait, and is full for now
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
    """Stand in for what an encoding lacks: an error handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    made = []
    for character in error.object[error.start : error.end]:
        code = ord(character)
        if character in _STAND_INS:
            made.append(_STAND_INS[character])
        elif 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, PEP 383
            made.append(f"\\x{code - 0xDC00:02x}")
        else:
            made.append(character.encode("ascii", "backslashreplace").decode("ascii"))
    return "".join(made), error.end
