"""Copy the output of a program to the place where it belongs, and keep its beginning and end.

Linux and macOS; imported by `posix` only.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence

from attn_doctor.system.relay.kept import Kept

assert sys.platform != "win32"

_BLOCK = 1 << 17  # bytes
_MOST_REST = 16 << 20  # bytes; a process that the program left running may write without end
AT_ONCE = (
    1 << 18
)  # bytes that are copied before the keyboard is looked at again; a pseudo-terminal gives 4 KB at a time


class Nobody(Exception):
    """Report that nobody reads what is written: `head` has ended, the terminal was closed."""


class Copy:
    """Copy from one descriptor to another, and add all that is copied to `kept`."""

    def __init__(self, source: int, target: int, kept: Kept) -> None:
        os.set_blocking(source, False)
        self.source, self.target, self.open = source, target, True
        self._kept = kept

    def move(self) -> int:
        """Copy one block of the bytes that are there now (at most 128 KiB), and return its size. Closes the source when it has ended.

        Raises Nobody if nobody reads the target any more. The source is closed then, so that the program gets the same error as
        without attn-doctor in between.
        """
        try:
            block = os.read(self.source, _BLOCK)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: all other ends of the pseudo-terminal are closed
            block = b""
        if not block:
            self.close()
            return 0
        self._kept.add(block, self.target)
        try:
            write(self.target, block)
        except OSError as error:
            self.close()
            raise Nobody from error
        return len(block)

    def rest(self, most: int = _MOST_REST) -> None:
        """Copy the bytes that are there now, without waiting for more.

        The limit is `most` bytes; the last block may exceed it.
        """
        try:
            while most > 0 and self.open and (size := self.move()):
                most -= size
        except Nobody:
            return

    def close(self) -> None:
        if self.open:
            self.open = False
            os.close(self.source)


def write(target: int, block: bytes) -> None:
    """Write a whole block, even to a non-blocking descriptor. Raises OSError if that is not possible: nobody reads the target."""
    left = memoryview(block)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:
            select.select([], [target], [])


def leave_behind(copies: Sequence[Copy]) -> None:
    """Leave a process behind that goes on copying, if processes that the program started still hold its output.

    Without that process SIGPIPE would end them. This process cannot wait for them, because the user's shell would wait too.
    """
    left = [copy for copy in copies if copy.open]
    if not left:
        return
    try:
        child = os.fork()
    except OSError:  # `ulimit -u`
        child = 1
    if child == 0:
        try:
            _go_on(left)
        finally:
            os._exit(0)
    for copy in left:
        copy.close()


def _go_on(left: list[Copy]) -> None:
    os.setpgid(0, 0)  # out of the way of Ctrl-C, and of what the shell does with its job
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in {0, 1, 2} - {copy.target for copy in left}:
        os.dup2(nothing, number)
    while left := [copy for copy in left if copy.open]:
        ready, _, _ = select.select([copy.source for copy in left], [], [])
        for copy in left:
            if copy.source in ready:
                try:
                    copy.move()
                except Nobody:
                    continue
