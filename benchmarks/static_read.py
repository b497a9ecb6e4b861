"""Measure how long the static read of a target takes: its torch, and extensions. Files are in the page cache.

    python benchmarks/static_read.py PYTHON [EXTENSION...] [--rounds 15]

Without an EXTENSION argument the extensions installed beside torch are read.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from attn_doctor.probes.binaries import installed, read, torch_static
from attn_doctor.probes.binaries.inspection import ask


def timed(rounds, function):
    """Return median, lowest and highest of wall clock and processor time; children count, the first call does not."""
    walls, processors = [], []
    for _ in range(rounds + 1):
        started, worked = time.perf_counter(), sum(os.times()[:4])
        function()
        walls.append(time.perf_counter() - started)
        processors.append(sum(os.times()[:4]) - worked)
    return f"wall clock {shown(walls[1:])}, processor {shown(processors[1:])}"


def shown(taken):
    return f"{statistics.median(taken):.3f} s ({min(taken):.3f} to {max(taken):.3f})"


def size(*folders):
    """Return the bytes of all shared libraries below these folders."""
    files = (p for folder in folders for p in Path(folder).rglob("*.so*") if not p.is_symlink())
    return sum(p.stat().st_size for p in files)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python")
    parser.add_argument("extensions", nargs="*")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    place = ask(arguments.python)
    if place.torch is None:
        raise SystemExit("no torch in that target")
    suffix = place.interpreter.extension_suffix
    found = {Path(e).name.partition(".")[0]: e for e in arguments.extensions}
    found = found or installed.installed(place.path, suffix if isinstance(suffix, str) else None)
    libraries = size(place.torch, Path(place.torch).parent / "nvidia")
    print(
        f"torch in {place.torch} ({libraries / 1e9:.1f} GB of libraries, NVIDIA's included); extensions: {', '.join(found)}"
    )
    print("flavour and architectures:", timed(arguments.rounds, lambda: torch_static(place.torch)))
    print("torch alone:", timed(arguments.rounds, lambda: judged(place, {})))
    print("torch and extensions:", timed(arguments.rounds, lambda: judged(place, found)))
    print("a whole process with both:", timed(max(3, arguments.rounds // 3), lambda: whole(arguments.python, found)))


def judged(place, extensions):
    core = {"torch._C": next(map(str, Path(place.torch).glob("_C.*.so")))}
    return read(place.interpreter, place.torch, place.path, {**core, **extensions}, os.environ)


def whole(python, extensions):
    """Run a fresh process that asks the target and judges: the time that a user waits."""
    code = "import sys; from attn_doctor.probes.binaries.inspection import *; list(inspect(sys.argv[2:], ask(sys.argv[1])))"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    subprocess.run([sys.executable, "-c", code, python, *extensions.values()], check=True, env=environ)


if __name__ == "__main__":
    main()
