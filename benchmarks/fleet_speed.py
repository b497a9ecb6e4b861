"""Measure how `attn-doctor fleet` grows with the number of reports: time and peak memory of whole processes.

    python benchmarks/fleet_speed.py [--report REPORT] [--nodes 100 1000 10000] [--rounds 3] [--other-rules] [--json FILE]

The reports are varied from one real report of full size (default: `attn-doctor check --no-trial` of this Python): in every node the times,
the free memory and the free disk differ, one node in fifty has another version of a package, one in a hundred an old driver with its
finding, one in two hundred has no report but a cut file. `--other-rules`: all reports are of another version of attn-doctor, so each is judged again.
Beside each time stands the time of a bare reading: all files opened, and decoded to plain data by msgspec.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

DOCTOR = [sys.executable, "-m", "attn_doctor"]
_READING = (
    "import sys, msgspec\nfrom pathlib import Path\nfor file in sorted(Path(sys.argv[1]).glob('*.json')):\n"
    "    try:\n        msgspec.json.decode(file.read_bytes())\n    except msgspec.DecodeError:\n        pass\n"
)


def base_report(path: str | None) -> dict[str, Any]:
    """Return the plain data of the report that all nodes are varied from."""
    if path:
        return json.loads(Path(path).read_text("utf-8"))  # type: ignore[no-any-return]
    done = subprocess.run([*DOCTOR, "check", "--no-trial", "--json", "-"], capture_output=True, check=False)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def varied(base: bytes, number: int, *, other_rules: bool) -> bytes:
    """Return the JSON of one node, varied from that of `base`. The same number gives the same report."""
    chance = random.Random(number)
    made = msgspec.json.decode(base)
    facts = made["facts"]
    facts["system"]["available_bytes"] = 400 * 2**30 + chance.randrange(2**30)
    facts["system"]["memory_bytes"] = 512 * 2**30 + chance.randrange(2**20)
    for disk in facts["system"]["disks"]:
        disk["free_bytes"] = 700 * 2**30 + chance.randrange(2**35)
    for one in (*facts["imports"], *facts["probes"]):
        one["seconds"] = chance.random()
    facts["graphics"]["gpus"] = [
        {
            "index": i,
            "name": "NVIDIA A100-SXM4-80GB",
            "compute_capability": "8.0",
            "uuid": f"GPU-{chance.getrandbits(64):x}",
        }
        for i in range(8)
    ]
    facts["graphics"]["driver"] = "580.95.05"
    if number % 50 == 7:
        facts["packages"]["distributions"][0]["version"] = f"0.{chance.randrange(9)}"
    if number % 100 == 3:
        facts["graphics"]["driver"] = "470.57.02"
        made["outcome"] = "sick"
        made["findings"] = [FINDING, *made["findings"]]
    if other_rules:
        made["tool"]["knowledge_date"] = "2026-01-01"
    data = msgspec.json.format(msgspec.json.encode(made), indent=2)
    return data[: len(data) // 2] if number % 200 == 11 else data


FINDING = {
    "code": "AD401",
    "slug": "driver-too-old",
    "title": "The NVIDIA driver is too old for this torch",
    "message": "Driver 470.57.02 is too old for torch built for CUDA 13.2.",
    "severity": "error",
    "certainty": "observed",
    "confidence": "high",
    "root_cause": True,
    "explained_by": None,
    "blocks": [],
    "evidence": [{"kind": "fact", "path": "graphics.driver", "text": "graphics.driver = 470.57.02"}],
    "fixes": [],
    "docs": "",
}


def measured(argv: list[str]) -> tuple[float, float, float]:
    """Return (seconds, seconds of processor time, peak MiB) of a process. Its exit code does not matter."""
    started = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):7.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report")
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 300, 1000, 3000, 10000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--other-rules", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    base = msgspec.json.encode(base_report(options.report))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.rounds} rounds")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    samples = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as files:
        there = 0
        for nodes in sorted(options.nodes):
            for number in range(there, nodes):
                Path(folder, f"gpu-{number:05d}.json").write_bytes(
                    varied(base, number, other_rules=options.other_rules)
                )
            there = nodes
            size = sum(file.stat().st_size for file in Path(folder).iterdir()) / nodes / 1000
            runs = {"reading": [sys.executable, "-c", _READING, folder], "fleet": [*DOCTOR, "fleet", folder]}
            runs["fleet, files"] = [
                *runs["fleet"],
                *(f"--{kind}={files}/fleet.{kind}" for kind in ("json", "markdown", "html")),
            ]
            taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in runs}
            for _ in range(options.rounds):
                for name, argv in runs.items():
                    taken[name].append(measured(argv))
            for name, values in taken.items():
                seconds, cpu, peaks = ([value[i] for value in values] for i in range(3))
                print(
                    f"{nodes:6} reports of {size:.0f} kB  {name:13} {_spread(seconds)} s   processor {_spread(cpu)} s   "
                    f"{max(peaks):5.0f} MiB",
                    flush=True,
                )
                samples.append({"nodes": nodes, "run": name, "seconds": seconds, "cpu": cpu, "peak_mib": peaks})
    if options.json:
        Path(options.json).write_text(json.dumps(samples, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
