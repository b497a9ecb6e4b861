"""Measure the time of attn-doctor relative to the imports that it checks: wall time of whole processes, as ratios.

    python benchmarks/cost_of_check.py --target PYTHON [--rounds 9]

`check --no-trial` is compared with `import torch; import ultralytics` in the target, the imports that it tries there,
`check --static` with `import torch`, `--version` with `python -c pass`. Each round runs all of them once, so that a machine that slows down slows all alike; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time

DOCTOR = [sys.executable, "-m", "attn_doctor"]


def seconds(argv: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    runs = {
        "import torch": [options.target, "-c", "import torch"],
        "import ultralytics": [options.target, "-c", "import torch; import ultralytics"],
        "check --no-trial": [*DOCTOR, "check", "--no-trial", "--target", options.target],
        "check --static": [*DOCTOR, "check", "--static", "--target", options.target],
        "python -c pass": [sys.executable, "-c", "pass"],
        "--version": [*DOCTOR, "--version"],
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for argv in runs.values():
        seconds(argv)  # warm the disk cache
    for _ in range(options.rounds):
        for name, argv in runs.items():
            taken[name].append(seconds(argv))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.rounds} rounds")
    for name, values in taken.items():
        print(f"{name:18} median {statistics.median(values):7.3f} s   {min(values):7.3f} to {max(values):7.3f}")
    for name, base in (
        ("import ultralytics", "import torch"),
        ("check --no-trial", "import ultralytics"),
        ("check --static", "import torch"),
        ("--version", "python -c pass"),
    ):
        ratios = [a / b for a, b in zip(taken[name], taken[base], strict=True)]
        print(f"{name} / {base}: median {statistics.median(ratios):.2f}   {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
