"""What the kit of attacks shares: run a command of the doctor and say what it left behind, how much memory it took, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from attack import DOCTOR, ROOT

MOST_MEMORY = 150 << 20  # bytes of private memory of the doctor's own process
MARK = "ATTN_DOCTOR_KIT"
_LOOK = 0.02  # seconds


class Attacked(NamedTuple):
    """Say what one attack showed."""

    code: int
    seconds: float
    memory: int  # the most private memory that was seen, in bytes
    out: str
    err: str
    processes: tuple[str, ...]  # command lines that were still there afterwards
    files: tuple[str, ...]  # in the temporary folder

    def faults(self, *, limit: float, codes: Sequence[int] = (0, 1, 3)) -> list[str]:
        """Return what breaks the promises of docs/security.md, a sentence each."""
        found = []
        if "Traceback" in self.err or "itself failed" in self.err:
            found.append(f"a traceback: {self.err[-300:]}")
        if self.code not in codes:
            found.append(f"exit code {self.code}: {self.err[-200:]}")
        if self.seconds > limit:
            found.append(f"{self.seconds:.0f} s")
        if self.memory > MOST_MEMORY:
            found.append(f"{self.memory >> 20} MB")
        if self.processes:
            found.append(f"processes left: {self.processes}")
        if self.files:
            found.append(f"files left: {self.files[:5]}")
        if "\x1b" in self.out or "\x1b" in self.err:
            found.append("an escape of a terminal on the screen")
        return found


def attack(
    argv: Sequence[str],
    temporary: Path,
    *,
    limit: float,
    environ: Mapping[str, str | None] | None = None,
    stdin: bytes = b"",
    signals: Sequence[tuple[float, int]] = (),
    ready: bool = False,
    before: Sequence[str] = (),
) -> Attacked:
    """Run the doctor with a mark and a temporary folder of its own. A run beyond `limit` seconds is ended, and counts as one that hangs.

    `environ`: None takes a variable away. `signals`: (seconds after the start, number), in order. `ready`: their clock, and that
    of `limit`, begins when the doctor handles SIGTERM, which a busy machine can delay by seconds. `before`: words before the command.
    """
    mark = uuid.uuid4().hex
    temporary.mkdir(parents=True, exist_ok=True)
    wished = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), MARK: mark, **(environ or {})}
    env = {name: value for name, value in wished.items() if value is not None}
    waiting = list(signals)
    out, err = temporary.with_name(temporary.name + ".out"), temporary.with_name(temporary.name + ".err")
    began, most = time.monotonic(), 0
    with out.open("wb") as to, err.open("wb") as told:
        running = subprocess.Popen(
            [*before, *DOCTOR, *argv], stdin=subprocess.PIPE, stdout=to, stderr=told, cwd=temporary.parent, env=env
        )
        assert running.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            running.stdin.write(stdin)
            running.stdin.close()
        while ready and running.poll() is None and time.monotonic() - began < 60 and not _handles(running.pid):
            time.sleep(_LOOK)
        began = time.monotonic() if ready else began
        while running.poll() is None and time.monotonic() - began < limit + 10:
            most = max(most, _private(running.pid))
            if waiting and time.monotonic() - began >= waiting[0][0]:
                running.send_signal(waiting.pop(0)[1])
            time.sleep(_LOOK)
        took = time.monotonic() - began
        if running.poll() is None:
            running.kill()
            running.wait()
    return Attacked(
        running.returncode,
        took,
        most,
        _text(out),
        _text(err),
        _left(mark),
        tuple(sorted(path.name for path in temporary.iterdir())),
    )


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(1 << 20).decode("utf-8", "replace")


def _private(number: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{number}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    return 0


def _handles(number: int) -> bool:
    """Return whether a process has a handler for SIGTERM."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{number}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _left(mark: str) -> tuple[str, ...]:
    """Return the processes with our mark that are there three seconds later, and end them."""
    wanted = f"{MARK}={mark}".encode()
    for _ in range(30):
        found = dict(_marked(wanted))
        if not found:
            return ()
        time.sleep(0.1)
    for number in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return tuple(found.values())


def _marked(wanted: bytes):
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")[:120]
                if state not in "ZX":
                    yield int(entry.name), words.decode("utf-8", "replace")
