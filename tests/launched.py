"""Run `attn-doctor run` as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*argv: str | Path, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    # The doctor itself is found by its own path, which is put in front of it, not of the program.
    start = f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; runpy.run_module('attn_doctor', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", start, "run", *[str(a) for a in argv]]
    base = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**base, "OMP_NUM_THREADS": "1", **environ}
    )
