"""Run the doctor as a process of its own, and see whether a process has ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def doctor(*argv: str, stdin: bytes = b"", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; `environ` is added to ours. Line ends stay as they were written."""
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", *argv],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        env={**os.environ, **environ},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def gone(pid: int) -> bool:
    """Whether a process has ended, within ten seconds. A zombie has."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False
