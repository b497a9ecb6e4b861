"""Read the output of a child: the records of the channel, and everything else that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from attn_doctor.child.starting import GRACE, alive
from attn_doctor.model.facts import Fault

_KEEP = 64 * 1024  # bytes of the child's other output that are kept, half from its start and half from its end
_SEPARATOR = b"\x1e"


class Message(NamedTuple):
    """Describe one line of the channel. `at` is hello, begin, fact, raised, end or done."""

    at: str
    section: str
    data: Any


def _message(line: bytes) -> Message | None:
    """Return the record in a line; None if the line is no record.

    A program that reads the nonce in the target's memory can forge one.
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
    """Read both pipes of a child in threads, so that no pipe can fill up and stop the child."""

    def __init__(
        self, process: subprocess.Popen[bytes], nonce: bytes | None, on_message: Callable[[Message], None] | None
    ) -> None:
        self.process = process
        self.mark = _SEPARATOR + nonce + b" " if nonce else None
        self.on_message = on_message
        self.messages: list[Message] = []
        self.open_sections: list[str] = []
        self.done = False
        self.trouble: Exception | None = (
            None  # the error of a malformed record, which only the target's own code can cause
        )
        self.ended = threading.Event()  # "done" was received, or standard output was closed
        self.heard = time.monotonic()
        self._out = bytearray()
        self._err = bytearray()
        self._threads = [
            threading.Thread(target=self._read, args=(stream, take), daemon=True)
            for stream, take in ((process.stdout, self._take_out), (process.stderr, self._take_err))
        ]
        for thread in self._threads:
            thread.start()

    def feed(self, program: bytes) -> None:
        def write() -> None:
            try:
                with self.process.stdin as pipe:  # type: ignore[union-attr]
                    pipe.write(program)
            except (BrokenPipeError, OSError):
                pass  # the child ended while it was reading its program: its exit code gives the reason

        threading.Thread(target=write, daemon=True).start()

    def _read(self, stream: Any, take: Callable[[bytes], None]) -> None:
        with stream:  # closed here, because a grandchild may keep the other end open long after the child has ended
            while block := self._block(stream.fileno()):
                take(block)
        if take == self._take_out:
            self.ended.set()

    @staticmethod
    def _block(descriptor: int) -> bytes:
        try:
            return os.read(descriptor, 65536)
        except OSError:
            return b""

    def _take_out(self, block: bytes) -> None:
        self._out += block
        if self.mark is None:
            return
        *lines, rest = bytes(self._out).split(b"\n")
        self._out = bytearray(rest)
        for line in lines:
            place = line.find(self.mark)
            if place < 0:
                self._take_err(line + b"\n")  # written before the channel was set up: sitecustomize, a wrapper script
                continue
            if place:
                self._take_err(line[:place] + b"\n")
            message = _message(line[place + len(self.mark) :])
            if message is None:
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
        if self.on_message and self.trouble is None:
            try:
                self.on_message(message)
            except Exception as error:  # noqa: BLE001 - this is a thread: `run` ends the child, and says why
                self.trouble = error

    def _take_err(self, block: bytes) -> None:
        self._err += block
        if len(self._err) > 2 * _KEEP:
            half = _KEEP // 2
            self._err = self._err[:half] + b"\n[...]\n" + self._err[-half:]

    def finish(self) -> None:
        alive.discard(self.process)
        until = time.monotonic() + GRACE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self.process.poll()

    @property
    def output(self) -> str:
        return self._out.decode("utf-8", "replace")

    @property
    def chatter(self) -> str:
        return self._err.decode("utf-8", "replace")
