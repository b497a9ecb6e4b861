"""Run the check on a node, and write its answer on standard output. `begin` becomes this program, under a Python from 3.10 on.

Nothing of the node is changed: the parcel is in one temporary folder, which is removed, even if this process is killed. The check
runs in a process group of its own. It ends when the time is over, when nobody waits any more, or when the scheduler stops this
process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from attn_doctor.fleet.engines.begin import frame
from attn_doctor.system import leftovers, processes

_RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from attn_doctor.__main__ import main; sys.exit(main())"
_MOST_REPORT = 64 << 20  # bytes: a report has about 100,000
_MOST_SAID = 300  # characters of the last words on standard error
_REPORTED = (0, 1, 3)  # the exit codes of a check that wrote a report


class _Ended(NamedTuple):
    code: int | None  # None: the check was ended here
    why: str  # "time", "nobody", "stopped", or empty: it ended by itself
    seconds: float


def main(arguments: list[str]) -> int:
    """Check this node, and return the exit code. `arguments`: the folder of the parcel, then the arguments of `begin`."""
    folder, word, seconds, hold, target, *check = arguments
    leftovers.watch(folder)
    try:
        argv = ["check", "--json", "-", *(("--target", target) if target else ()), *check]
        end, said, took, report = _answer(folder, argv, float(seconds), hold == "hold")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(frame(word, end, said, took, report).decode("ascii"))
    sys.stdout.flush()
    leftovers.sweep()
    return 0


def _answer(folder: str, argv: list[str], seconds: float, hold: bool) -> tuple[str, str, float, bytes]:
    out, err = Path(folder, "out"), Path(folder, "err")
    options = ["-S"] if sys.flags.no_site else []
    for option, value in (
        ("--timeout", min(120.0, seconds / 4)),
        ("--total-timeout", max(seconds / 2, seconds - 10.0)),
    ):
        if option not in argv:  # so that a torch that hangs is a finding of the check, and not its end
            argv = [*argv, option, f"{value:.3g}"]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        child = subprocess.Popen(
            [sys.executable, "-I", "-B", *options, "-c", _RUN, folder, *argv],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=leftovers.marked(os.environ, leftovers.token()),
            start_new_session=processes.NEW_SESSION,
            creationflags=processes.CREATION_FLAGS,
        )
        processes.limit_file_size(child, 4 << 30)
        ended = _watched(child, seconds, hold)
    with out.open("rb") as file:
        report = file.read(_MOST_REPORT + 1)
    words = err.read_bytes()[-4096:].decode("utf-8", "replace").strip().splitlines()
    return _judged(ended, report, words[-1][-_MOST_SAID:] if words else "", seconds)


def _watched(child: subprocess.Popen[bytes], seconds: float, hold: bool) -> _Ended:
    """Wait for the check; end it when its time is over or nobody waits for it."""
    asked_to_stop = threading.Event()
    for number in processes.STOPS:
        signal.signal(number, lambda *_: asked_to_stop.set())
    started = time.monotonic()
    why = ""
    while child.poll() is None and not why:
        if time.monotonic() - started > seconds:
            why = "time"
        elif asked_to_stop.is_set():
            why = "stopped"
        elif hold and _nobody_waits():
            why = "nobody"
        else:
            time.sleep(0.05)
    if why:
        processes.end_group(child)
        processes.end_marked(leftovers.MARK, leftovers.token())
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(2.0)
    return _Ended(None if why else child.returncode, why, round(time.monotonic() - started, 1))


def _nobody_waits() -> bool:
    """Return whether the other end of the standard input was closed: the connection broke, or the caller has ended."""
    ready, _, _ = select.select([0], [], [], 0)
    return bool(ready) and not os.read(0, 4096)


def _judged(ended: _Ended, report: bytes, words: str, seconds: float) -> tuple[str, str, float, bytes]:
    """Return (end of the node, sentence about it, seconds, report). The end is a `model.fleet.NodeEnd`."""
    if ended.why == "time":
        return "silent", f"the check was ended there after {seconds:g} s, and had written nothing", ended.seconds, b""
    if ended.why:
        return "died", "the check was ended there before it had an answer", ended.seconds, b""
    if ended.code is not None and ended.code < 0:
        number = -ended.code
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return "died", f"the check was ended there by {name}", ended.seconds, b""
    if not report.strip():
        late = "--total-timeout" in words
        end = "silent" if late else "refused" if ended.code in (2, 3) else "died"
        return end, words or f"the check ended with exit code {ended.code} and wrote nothing", ended.seconds, b""
    try:
        whole = ended.code in _REPORTED and len(report) <= _MOST_REPORT and isinstance(json.loads(report), dict)
    except ValueError:
        whole = False
    if not whole:
        return "unreadable", f"what the check wrote is no report (exit code {ended.code}): {words}", ended.seconds, b""
    return "answered", "", ended.seconds, report
