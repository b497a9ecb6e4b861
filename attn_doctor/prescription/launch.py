"""Run a program with the prescription in its environment.

This process becomes the program, so that its exit code and the signals sent to it are its own. Only the environment is
changed: a folder on PYTHONPATH whose sitecustomize exchanges the attention when the program imports ultralytics
(target/startup). No file is written.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from attn_doctor.errors import Refused

VARIABLE = "ATTN_DOCTOR_ATTENTION"
STARTUP = Path(__file__).parents[1] / "target" / "startup"


class NothingToRun(Refused):
    """The request cannot be met; the text is one sentence."""


def names() -> tuple[str, ...]:
    """Return the backends that can be put into a program."""
    from attn_doctor.trials.backends import BY_NAME

    return ("auto", *(name for name in BY_NAME if name != "compile"))


def environment(backend: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` with the prescription added. Raises NothingToRun for an unknown backend."""
    if backend not in names():
        also = " (with ultralytics: yolo train ... compile=True)" if backend == "compile" else ""
        raise NothingToRun(f"{backend!r} is no attention to exchange{also}: use {', '.join(names())}")
    # Only the startup folder is added: were the doctor's own packages on the path, they would hide those of the program.
    path = [str(STARTUP), *([base["PYTHONPATH"]] if base.get("PYTHONPATH") else [])]
    return {**base, VARIABLE: backend, "PYTHONPATH": os.pathsep.join(path)}


def replace(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Become the program. Returns its exit code on Windows, where processes cannot do that. Raises OSError."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":
        return subprocess.call(argv, env=environ)
    # Python ignores SIGPIPE, and the program would inherit that: `yolo ... | head` would not end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    return os.execvpe(argv[0], list(argv), dict(environ))  # noqa: S606 - no shell is what is wanted
