"""Run one step of a plan: as argv, never through a shell, in a process group of its own, with its output in a file.

The child waits until its process number is in the journal, so that an undo after a kill can end the child first.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attn_doctor import child
from attn_doctor.model.facts import Record
from attn_doctor.system import current_folder, leftovers, processes

# The child waits for one byte on standard input, then becomes the installer. At end of input (attn-doctor has died) it exits.
_GATE = """
import os, sys
if not os.read(0, 1):
    sys.exit(1)
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.close(null)
try:
    os.execvp(sys.argv[1], sys.argv[1:])
except OSError as error:
    sys.stderr.write("%s cannot be started: %s\\n" % (sys.argv[1], error.strerror))
    sys.exit(127)
"""
_TAIL = 64 << 10  # only so many bytes at the end of the output are read
# Variables that change the place of an installation, ask a question, or change the meaning of a shown command.
_TAKEN_OUT = (
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_USER",
    "PIP_DRY_RUN",
    "PIP_REPORT",
    "PYTHONINSPECT",
    "PIP_QUIET",
)
_PUT_IN = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off", "NO_COLOR": "1"}


class Ran(Record, frozen=True, kw_only=True):
    """Hold the outcome of a step of a plan: how its command ended, and what it printed."""

    code: int | None  # None: ended at its deadline
    seconds: float
    output: str  # the end of its output

    @property
    def ok(self) -> bool:
        """Return whether the step ended with exit code 0, before its deadline."""
        return self.code == 0


def environment(
    environ: Mapping[str, str], prefix: str, scripts: str, changes: Mapping[str, str | None], *, conda: bool = False
) -> dict[str, str]:
    """Return the variables of a step: those of the user, as after activating the target, with the changes of the plan.

    Variables with which pip would install elsewhere or only pretend to (PIP_TARGET, PIP_DRY_RUN) are left out, and pip
    asks no questions. `prefix`, `scripts`: folders of the target. `changes`: name -> value; None removes the variable.
    `conda`: the target is a conda environment.
    """
    made = {name: value for name, value in environ.items() if name not in _TAKEN_OUT}
    made.update(_PUT_IN)
    made["PATH"] = os.pathsep.join([scripts, made.get("PATH", os.defpath)])
    made["CONDA_PREFIX" if conda else "VIRTUAL_ENV"] = prefix
    return changed(made, changes)


def changed(environ: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the environment with these variables set; a value of None removes one."""
    kept = {name: value for name, value in environ.items() if name not in changes}
    return {**kept, **{name: value for name, value in changes.items() if value is not None}}


def run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    log: Path,
    *,
    deadline: float,
    cwd: str | None = None,
    lock: int | None = None,
    on_start: Callable[[int], None] = lambda _: None,
    on_line: Callable[[str], None] = lambda _: None,
) -> Ran:
    """Run a step to its end, or for `deadline` seconds. `lock`: a descriptor that stays open as long as the step runs.

    `on_start` gets the process number before the step does anything; `on_line` gets the last line of output from time to time.
    """
    began = time.monotonic()
    argv, cwd = current_folder.guarded(argv, cwd)
    leftovers.folder()  # starts the guard, which ends the step if attn-doctor is killed
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GATE, *argv],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=leftovers.marked(current_folder.cleaned(environ), leftovers.token()),
            cwd=cwd,
            start_new_session=processes.NEW_SESSION,
            creationflags=processes.CREATION_FLAGS,
            pass_fds=() if lock is None else (lock,),
        )
        try:
            on_start(process.pid)
            _open_gate(process)
            code = _wait(process, began + deadline, log, on_line)
        except BaseException:
            child.kill(process)
            raise
    if code is None:
        child.kill(process)
    return Ran(code=code, seconds=round(time.monotonic() - began, 1), output=_tail(log))


def _open_gate(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as gate:
        gate.write(b"g")


def _wait(process: subprocess.Popen[bytes], until: float, log: Path, on_line: Callable[[str], None]) -> int | None:
    pause, shown, said = 0.01, 0.0, ""
    while process.poll() is None:
        now = time.monotonic()
        if now > until:
            return None
        if now - shown > 2.0:
            shown = now
            lines = _tail(log, 4096).strip().splitlines()
            if lines and lines[-1] != said:
                said = lines[-1]
                on_line(said.strip()[:150])
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
    return process.returncode


def _tail(log: Path, size: int = _TAIL) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - size))
        return file.read().decode("utf-8", "replace")
