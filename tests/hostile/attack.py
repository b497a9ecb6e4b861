"""What the tests of this folder share: the doctor as a process, with its streams as they may be, and twins of devices."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCTOR = [sys.executable, "-m", "attn_doctor"]
NODES = {"null": (1, 3), "full": (1, 7), "zero": (1, 5)}  # major and minor numbers of Linux' memory devices


def doctor(*argv, stdin=b"", cwd=None, environ=None, limit=60, before=(), **how):
    """Run the doctor to its end; `environ` is added to ours, a value None takes a variable away. Output stays bytes."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}
    env = {name: value for name, value in env.items() if value is not None}
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.run([*before, *DOCTOR, *argv], input=stdin, cwd=cwd or ROOT, env=env, timeout=limit, **how)


def shell(line, cwd, environ=None, limit=60):
    """A line for bash, with $D for the doctor."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "D": " ".join(DOCTOR), **(environ or {})}
    env = {name: value for name, value in env.items() if value is not None}
    return subprocess.run(["bash", "-c", line], cwd=cwd, env=env, capture_output=True, timeout=limit)


def ordinary():
    """What `subprocess` takes to start a process that file permissions hold for, though root runs the tests: root without the
    capabilities that pass over them (1: CAP_DAC_OVERRIDE, 2: CAP_DAC_READ_SEARCH). An interpreter below /root can be started so."""

    def drop():
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        for capability in (1, 2):
            if prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
                raise OSError(ctypes.get_errno(), "the bounding set cannot be made smaller here")

    return {"preexec_fn": drop} if os.geteuid() == 0 else {}


# A user that no password database knows, who may read the interpreter wherever it lies.
STRANGER = (
    "setpriv --reuid=54321 --regid=54321 --clear-groups --inh-caps=+dac_override,+dac_read_search "
    "--ambient-caps=+dac_override,+dac_read_search"
).split()


def device(folder: Path, name: str) -> Path:
    """A device of a folder of ours, the same for the kernel as /dev/NAME. A machine that makes none fails the test: it is not run
    there, and nobody should believe that it was."""
    path = folder / name
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(*NODES[name]))
    try:
        path.open("wb").close()
    except PermissionError as error:
        raise AssertionError(f"{folder} is mounted nodev: run these tests where device nodes work") from error
    return path


def some(cases, *quick):
    """The names of all cases, for parametrize; those that are not `quick` to run, or much like another, are heavy."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.heavy) for name in cases]


def one_sentence(done) -> str:
    """What was said on standard error, without progress: no traceback, one line."""
    said = done.stderr.decode()
    assert "Traceback" not in said, said
    lines = [line for line in said.splitlines() if not line.startswith("attn-doctor: examining ")]
    assert len(lines) == 1, said
    return lines[0]
