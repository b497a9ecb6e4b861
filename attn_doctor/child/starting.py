"""Start children, each in a process group of its own, and end them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from attn_doctor.model.foreign_text import raw
from attn_doctor.system import current_folder, processes

GRACE = 2.0  # seconds to wait for a killed process, and for pipes that grandchildren keep open
alive: set[subprocess.Popen[bytes]] = set()


def start(
    argv: Sequence[str],
    environ: Mapping[str, str] | None,
    changes: Mapping[str, str | None] | None,
    stdin: int = subprocess.PIPE,
    cwd: str | None = None,
) -> subprocess.Popen[bytes]:
    whole = {**(os.environ if environ is None else environ), **(changes or {})}
    merged = {name: value for name, value in whole.items() if value is not None}
    env = current_folder.cleaned(merged)
    env.pop("PYTHONINSPECT", None)  # it would keep `python -` waiting for input
    process = subprocess.Popen(
        [raw(word) for word in current_folder.program(argv)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd or current_folder.empty(),
        start_new_session=processes.NEW_SESSION,
        creationflags=processes.CREATION_FLAGS,
    )
    alive.add(process)
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a child and all its descendants. Gives up after two seconds, because a process that waits in the kernel does not end."""
    processes.end_group(process)
    reaped(process, GRACE)


def reaped(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(max(0.05, min(seconds, GRACE)))
    except subprocess.TimeoutExpired:
        return False
    return True


def end_all() -> None:
    """End every child that still runs, after Ctrl-C.

    Children have their own sessions, so Ctrl-C does not reach them.
    """
    for process in list(alive):
        kill(process)
