"""Measure what `attn-doctor run` costs a program that computes and has a progress bar, as `yolo train` has: per second, and once at its start.

    python benchmarks/run_slowdown.py [--seconds 30 60] [--pairs 3] [--pipe] [--json FILE]

The program multiplies matrices with NumPy on one thread, a fixed number of times that takes about so many seconds of processor time, renews a bar on standard error
ten times a second, and prints a line every 5 seconds. It measures its own loop, and what its writes cost it. Each pair runs it once as it is and once under
`attn-doctor run`, in turns, on a pseudo-terminal (--pipe: into one pipe). Needs numpy.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

PROGRAM = r"""
import json, os, sys, time
import numpy as np

count, place = int(sys.argv[1]), sys.argv[2]
a = np.random.default_rng(0).standard_normal((384, 384), dtype=np.float32)
writes = writing = 0
began, spent = time.perf_counter(), time.process_time()
last = line = began
for step in range(count):
    a @ a
    now = time.perf_counter()
    if now - last >= 0.1:
        last, before = now, time.process_time()
        bar = "#" * (40 * step // count)
        os.write(2, f"\r      1/100      2.31G      1.234      2.345      1.456         42        640: {bar:<40} {step}/{count} [{now - began:.1f}s]".encode())
        writing += time.process_time() - before
        writes += 1
    if now - line >= 5:
        line = now
        os.write(1, b"\n                   all        128        929      0.640      0.537      0.605      0.446\n")
told = {"wall": time.perf_counter() - began, "loop": time.process_time() - spent, "own": time.process_time(), "writes": writes, "writing": writing}
with open(place, "w") as file:
    json.dump(told, file)
"""
_CALIBRATION = 2000  # multiplications


def run(argv: list[str], count: int, folder: Path, *, pipe: bool) -> dict[str, Any]:
    """Run the program once, and return its own figures and those of the whole command, in seconds."""
    place = folder / "told.json"
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ours, theirs = os.pipe() if pipe else pty.openpty()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(
        [*argv, sys.executable, str(folder / "program.py"), str(count), str(place)],
        stdin=None if pipe else theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ,
    )
    os.close(theirs)
    reader = threading.Thread(target=_read, args=(ours,), daemon=True)
    reader.start()
    if process.wait(1800) != 0:
        raise SystemExit(f"the program ended with {process.returncode}")
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    reader.join(5)
    os.close(ours)
    told: dict[str, Any] = json.loads(place.read_text())
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**told, "outside": wall - told["wall"], "beside": whole - told["own"]}


def _read(descriptor: int) -> None:
    try:
        while os.read(descriptor, 1 << 16):
            pass
    except OSError:  # the end of a pseudo-terminal
        return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0, 60.0], help="of processor time")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--pipe", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    kept = [sys.executable, "-m", "attn_doctor", "run", "--"]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "program.py").write_text(PROGRAM)
        once = statistics.median(run([], _CALIBRATION, folder, pipe=True)["loop"] for _ in range(3)) / _CALIBRATION
        for pair in range(given.pairs):
            for seconds in given.seconds:
                count = round(seconds / once)
                order = (("plain", []), ("kept", kept))
                both = {arm: run(argv, count, folder, pipe=given.pipe) for arm, argv in order[:: 1 if pair % 2 else -1]}
                rows.append({"seconds": seconds, **both})
                plain, under = both["plain"], both["kept"]
                print(
                    f"{seconds:g} s: loop {plain['loop']:.2f} and {under['loop']:.2f} s of processor ({under['loop'] / plain['loop']:.3f}), "
                    f"wall {plain['wall']:.1f} and {under['wall']:.1f} s ({under['wall'] / plain['wall']:.3f}); {under['writes']} writes cost "
                    f"{1e6 * plain['writing'] / plain['writes']:.0f} and {1e6 * under['writing'] / under['writes']:.0f} us; beside the program "
                    f"{under['beside']:.3f} s of processor; before and after the loop {plain['outside']:.2f} and {under['outside']:.2f} s; "
                    f"load {os.getloadavg()[0]:.0f}",
                    flush=True,
                )
    if given.json:
        Path(given.json).write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
