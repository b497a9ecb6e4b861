"""Read the output of a child: the records of the channel, and everything else that it prints."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from attn_doctor.child.starting import GRACE, Started, end_group, reaped
from attn_doctor.model.facts import Fault
from attn_doctor.system import threads

# Other output of the child is shortened to these bytes as soon as it has twice as many: half from its start, half from its end.
_KEEP = 64 * 1024
_SEPARATOR = b"\x1e"
MOST_OUTPUT = 1 << 20  # bytes: `nvcc --version` prints 200, `rocminfo` of eight GPUs about 50,000
_MOST_RECORD = 4 << 20  # bytes of one record: the distributions of an environment with 50,000 of them have 3 million
_MOST_RECORDS = 48 << 20  # about the memory, in bytes, that all records of a child take
# Bytes of other output of a script. A program that prints 100 MB while it imports torch is noisy, and not broken: only _KEEP is stored.
_MOST_NOISE = 1 << 30
_SOON = 0.3  # seconds in which the pipes of an ended group are closed


class Message(NamedTuple):
    """Hold one record that a child sent on the channel. `at`: its kind.

    The kinds: "hello" (the first record), "begin" and "end" of a section, "fact" (a result), "raised" (an exception ended the
    section), "done" (the last record), "too-old" (the Python cannot run the scripts), and "alive" (the child still works; it is not
    stored).
    """

    at: str
    section: str  # the part of the script that sent it: "torch"; "" outside of all parts
    data: Any  # of "fact": the value; of "raised": the fields of a Fault; of "too-old": the version, "2.7"


def _message(line: bytes) -> Message | None:
    """Return the record in a line; None if the line is not a record.

    A foreign program can forge a record only by reading the nonce from the memory of the target.
    """
    try:
        said = json.loads(line)
        at, section, data = said["at"], said["section"], said.get("data")
        if at == "raised":
            data = msgspec.to_builtins(msgspec.convert(data, Fault))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
    return Message(at, section, data) if isinstance(at, str) and isinstance(section, str) else None


class Reader:
    """Read standard output and standard error of a child in threads, so that no pipe can become full and stop the child.

    `nonce`: the mark before each record of the channel. With a nonce, at most `_MOST_RECORDS` bytes of records are stored;
    without one, the first `most` bytes of standard output. Of all other output only the beginning and the end are stored (`_KEEP`).
    `flooded` is set, and the caller must end the child, if there are more records or more standard output than that, one record of
    more than `_MOST_RECORD` bytes, or more other output than `_MOST_NOISE` bytes (without a nonce: `most` bytes). `on_message` is
    called for each record, in a thread; if it raises, the error is stored in `trouble`, and it is not called again.
    """

    def __init__(
        self,
        started: Started,
        nonce: bytes | None,
        on_message: Callable[[Message], None] | None,
        most: int = MOST_OUTPUT,
    ) -> None:
        self.set_up(started, nonce, on_message, most)
        self._threads = [
            threads.start(functools.partial(self._read, stream, take))
            for stream, take in ((self.process.stdout, self._take_out), (self.process.stderr, self._take_err))
        ]

    def set_up(
        self,
        started: Started,
        nonce: bytes | None,
        on_message: Callable[[Message], None] | None,
        most: int = MOST_OUTPUT,
    ) -> None:
        """Prepare the reader for one child. Nothing is read yet."""
        self.started = started
        self.process = started.process
        self.mark = _SEPARATOR + nonce + b" " if nonce else None
        self.on_message = on_message
        self.messages: list[Message] = []
        self.open_sections: list[str] = []
        self.done = False
        # The error that `on_message` raised for a malformed record. Only the target's own code can send such a record.
        self.trouble: Exception | None = None
        self.flooded = False
        self.ended = threading.Event()  # "done" was received, standard output was closed, or there was too much of it
        self.heard = time.monotonic()  # when the last record came
        self._most = most
        self._seen = 0  # bytes of all output but the records
        self._weight = 0  # of all records
        self._out = bytearray()  # with a nonce: the beginning of a line whose end has not come yet
        self._err = bytearray()

    def feed(self, program: bytes) -> None:
        """Write a program to the child's standard input, in a thread, and close it."""

        def write() -> None:
            try:
                with self.process.stdin as pipe:  # type: ignore[union-attr]
                    pipe.write(program)
            except (BrokenPipeError, OSError):
                pass  # the child ended while it was reading its program: its exit code gives the reason

        threads.start(write)

    def _read(self, stream: Any, take: Callable[[bytes], None]) -> None:
        try:
            with stream:  # closed here, because a grandchild may keep the other end open long after the child has ended
                while not self.flooded and (block := self._block(stream.fileno())):
                    take(block)
        finally:
            if take == self._take_out:
                self.ended.set()

    @staticmethod
    def _block(descriptor: int) -> bytes:
        try:
            return os.read(descriptor, 65536)
        except OSError:
            return b""

    def _take_out(self, block: bytes) -> None:
        if self.mark is None:
            self._out += block
            if len(self._out) > self._most:
                del self._out[self._most :]
                self._too_much()
            return
        first, *lines = block.split(b"\n")
        self._out += first
        if lines:
            *whole, rest = lines
            for line in (bytes(self._out), *whole):
                self._take_line(line)
            self._out = bytearray(rest)
        if len(self._out) > _MOST_RECORD:
            if self.mark in self._out:
                self._too_much()
            self._take_err(bytes(self._out))
            self._out.clear()

    def _take_line(self, line: bytes) -> None:
        assert self.mark is not None
        place = line.find(self.mark)
        if place < 0:
            self._take_err(line + b"\n")  # written before the channel was set up: sitecustomize, a wrapper script
            return
        if place:
            self._take_err(line[:place] + b"\n")
        record = line[place + len(self.mark) :]
        if len(record) > _MOST_RECORD:
            self._too_much()
            return
        message = _message(record)
        if message is not None and message.at == "alive":  # a training of days sends one each second: none is kept
            self.heard = time.monotonic()
            self._pass_on(message)
            return
        # A value of JSON becomes an object of about 64 bytes, however short its text is.
        self._weight += len(record) + 64 * sum(record.count(sign) for sign in (b",", b"[", b"{"))
        if self._weight > _MOST_RECORDS:
            self._too_much()
        elif message is None:
            self._take_err(b"attn-doctor: a record that cannot be understood\n")
        else:
            self._take_message(message)

    def _take_message(self, message: Message) -> None:
        self.heard = time.monotonic()
        if message.at == "begin":
            self.open_sections.append(message.section)
        elif message.at == "end" and message.section in self.open_sections:
            self.open_sections.remove(message.section)
        elif message.at in ("done", "too-old"):
            self.done = True
            self.ended.set()
        self.messages.append(message)
        self._pass_on(message)

    def _pass_on(self, message: Message) -> None:
        if self.on_message and self.trouble is None:
            try:
                self.on_message(message)
            except Exception as error:  # noqa: BLE001 - this is a thread: `run` ends the child, and says why
                self.trouble = error

    def _take_err(self, block: bytes) -> None:
        self._seen += len(block)
        self._err += block
        if len(self._err) > 2 * _KEEP:
            half = _KEEP // 2
            self._err = self._err[:half] + b"\n[...]\n" + self._err[-half:]
        if self._seen > (self._most if self.mark is None else _MOST_NOISE):
            self._too_much()

    def _too_much(self) -> None:
        self.flooded = True
        self.ended.set()

    def finish(self) -> None:
        """End all processes that the child left running, wait for their last output, and remove its temporary files.

        Raises what a thread of this reader raised, such as MemoryError.
        """
        end_group(self.started)
        reaped(self.process, GRACE)
        self._join(_SOON)
        if any(thread.is_alive() for thread in self._threads):  # a process outside of the group holds a pipe open
            self.started.end_the_rest()
            self._join(GRACE)
        self.started.forget()
        if self.started.orphaned:
            self._take_err(b"attn-doctor: this program ended the process that started it\n")
        for thread in self._threads:
            if thread.error is not None:
                raise thread.error

    def _join(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def output(self) -> str:
        """Return the standard output of a child without a nonce."""
        return self._out.decode("utf-8", "replace")

    @property
    def chatter(self) -> str:
        """Return standard error, and with a nonce also the standard output that is no record.

        The middle of a long text is left out.
        """
        return self._err.decode("utf-8", "replace")
