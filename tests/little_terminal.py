"""A terminal for tests: a pseudo-terminal, a program in its foreground, and what both would see."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN = [sys.executable, "-m", "attn_doctor", "run"]


class Terminal:
    """A program with this terminal as its controlling one, as a shell would start it."""

    def __init__(self, *argv: str, rows: int = 30, columns: int = 90, cwd: Path | None = None, **environ: str) -> None:
        self.master, slave = os.openpty()
        self.resize(rows, columns, slave)
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                for number in (0, 1, 2):
                    os.dup2(slave, number)
                os.chdir(cwd or ROOT)
                os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT), **environ})
            finally:
                os._exit(99)
        self.slave = slave
        self.seen = b""

    def resize(self, rows: int, columns: int, end: int | None = None) -> None:
        fcntl.ioctl(self.master if end is None else end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str | bytes) -> None:
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                return False
        return bool(ready)

    def until(self, text: str, seconds: float = 30.0) -> bytes:
        """Wait for a text; return all that came before its end since the last call."""
        wanted, limit = text.encode(), time.monotonic() + seconds
        while wanted not in self.seen:
            assert time.monotonic() < limit, f"{text!r} did not come: {self.seen[-2000:]!r}"
            self._read(0.2)
        end = self.seen.index(wanted) + len(wanted)
        found, self.seen = self.seen[:end], self.seen[end:]
        return found

    def end(self, seconds: float = 30.0) -> tuple[int, bytes]:
        """Wait for the end of the program; return its exit code (negative: a signal) and the rest of what was printed."""
        limit = time.monotonic() + seconds
        while True:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                break
            assert time.monotonic() < limit, f"no end: {self.seen[-2000:]!r}"
            self._read(0.05)
        while self._read(0.1):
            pass
        after = termios.tcgetattr(self.slave)
        os.close(self.slave)
        os.close(self.master)
        assert after == self.before, "the modes of the terminal were changed"
        return os.waitstatus_to_exitcode(status), self.seen

    def modes(self) -> int:
        """The local modes of the real terminal, such as ECHO."""
        return termios.tcgetattr(self.slave)[3]

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid, number)


def python(code: str) -> list[str]:
    return [*RUN, "--", sys.executable, "-c", code]
