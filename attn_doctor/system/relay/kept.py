"""Keep the beginning and the end of a program's output, within a limit. Pure."""

from __future__ import annotations

from collections import deque

HEAD, TAIL = 1 << 20, 3 << 20  # bytes of the beginning and of the end that are kept
_LONGEST = 1 << 16  # bytes of a line without an end, after which the line is kept as it is
_MOST_BLANK = (
    100_000  # lines that are counted in the part that is left out: a reader needs a microsecond or two for each
)


class Kept:
    """Hold the output of one program, from one or several streams. A line never mixes the text of two streams."""

    def __init__(self, head: int = HEAD, tail: int = TAIL) -> None:
        self._head, self._tail = bytearray(), deque[bytes]()
        self._most_head, self._most_tail = head, tail
        self._in_tail = 0
        self._lines_left_out = 0
        self._begun: dict[int, bytes] = {}  # stream -> the beginning of a line whose end has not come yet
        self._streams = 1

    def several(self) -> None:
        """Prepare for more than one stream: a line is kept when it is whole, or at the end."""
        self._streams = 2

    def add(self, data: bytes, stream: int = 1) -> None:
        """Add bytes that a stream gave."""
        if self._streams > 1:
            data = self._begun.pop(stream, b"") + data
            end = data.rfind(b"\n") + 1
            if len(data) - end > _LONGEST:
                end = len(data)
            if end < len(data):
                self._begun[stream] = data[end:]
                data = data[:end]
        self._keep(data)

    def _keep(self, data: bytes) -> None:
        room = self._most_head - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail.append(data)
        self._in_tail += len(data)
        while self._in_tail - len(self._tail[0]) >= self._most_tail:
            oldest = self._tail.popleft()
            self._in_tail -= len(oldest)
            self._lines_left_out += oldest.count(b"\n")

    def text(self) -> bytes:
        """Return the beginning, an empty line for each line that was left out, and the end.

        So line numbers stay right, unless more than 100,000 lines were left out.
        """
        for stream in sorted(self._begun):
            self._keep(self._begun[stream])
        self._begun.clear()
        return bytes(self._head) + b"\n" * min(self._lines_left_out, _MOST_BLANK) + b"".join(self._tail)
