"""Run attn-doctor on a pseudo terminal, as a person sees it: what is on the screen when, and a Ctrl-C in the middle."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_LONGEST = 90.0  # seconds


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
    import fcntl
    import pty
    import struct
    import termios

    given: Mapping[str, str] = {"TERM": "xterm-256color", **os.environ, "PYTHONUTF8": "1", **environ}
    given = {
        k: v for k, v in given.items() if k not in ("COLUMNS", "LINES") and not (k == "NO_COLOR" and not environ.get(k))
    }
    child, master = pty.fork()
    if not child:  # pragma: no cover - another process
        os.chdir(cwd)
        os.execve(sys.executable, [sys.executable, "-m", "attn_doctor", *argv], dict(given))
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    data, end = b"", time.monotonic() + _LONGEST
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not piece:
            break
        data += piece
        if stop_at and stop_at.encode() in data:
            os.write(master, b"\x03")
            stop_at = ""
    os.close(master)
    _, status = os.waitpid(child, 0)
    return Seen(data.decode("utf-8", "replace"), os.waitstatus_to_exitcode(status))
