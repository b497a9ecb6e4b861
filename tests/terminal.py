"""A terminal for tests: a pseudo-terminal, a program in its foreground, what both would see, and a Ctrl-C in the middle."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
RUN = [sys.executable, "-m", "attn_doctor", "run"]
_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_LONGEST = 90.0  # seconds


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
                os.execvpe(argv[0], argv, _variables(environ))
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


class Seen(NamedTuple):
    """What a terminal showed: every byte as text, and the exit code."""

    raw: str
    code: int

    @property
    def lines(self) -> list[str]:
        """The lines without codes; of a line that was drawn again in its place, the last state."""
        plain = _CODES.sub("", self.raw).replace("\r\n", "\n")
        return [line.split("\r")[-1].rstrip() for line in plain.split("\n")]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def on_a_terminal(*argv: str, cwd: Path, columns: int = 80, stop_at: str = "", **environ: str) -> Seen:
    """Run `attn-doctor ARGV` on a terminal of this width. `stop_at`: press Ctrl-C when this text has appeared."""
    # Found by its name, as after `activate`: else its commands would be shown with the path.
    environ = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONUTF8": "1", **environ}
    terminal = Terminal(sys.executable, "-m", "attn_doctor", *argv, rows=50, columns=columns, cwd=cwd, **environ)
    before = b""
    if stop_at:
        before = terminal.until(stop_at, _LONGEST)
        terminal.type(b"\x03")
    code, rest = terminal.end(_LONGEST)
    return Seen((before + rest).decode("utf-8", "replace"), code)


def _variables(more: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of this process without those that say how wide a terminal is, or that it has no colour."""
    own = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**own, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **more}


def python(code: str) -> list[str]:
    return [*RUN, "--", sys.executable, "-c", code]
