"""Measure how `attn-doctor study --on ray` spreads trainings: cells that only wait, on clusters of several raylets of one core each.

    python benchmarks/study_scaling.py [--raylets 1 2 4 8] [--cells 8 32 64] [--seconds 1] [--json FILE]

Each cell has three epochs of so many seconds in which it sleeps, so the ideal is rounds × epochs × seconds, where rounds is the number of cells divided by that of
raylets, rounded up. The measured time is that from the first begin to the last end of a cell, which leaves out the start of the cluster; the time of the whole
call stands beside it. A cell runs a Python of its own (start, the trial's protocol, journal), as a real one does: that is the overhead that is measured.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from study_kit import environment, fake_python, looked_at, small_design

from attn_doctor.model.study import Event, Study
from attn_doctor.study.conduct import Wanted, conduct
from attn_doctor.study.on_ray import OnRay

EPOCHS = 3


class Clock:
    """Take the times of begins and ends."""

    def __init__(self) -> None:
        self.begins: list[float] = []
        self.ends: list[float] = []
        self.places: set[str] = set()
        self._lock = threading.Lock()

    def happened(self, event: Event, _: Study) -> None:
        with self._lock:
            if event.at == "begin":
                self.begins.append(time.monotonic())
                self.places.add(event.where or "")
            elif event.at == "end":
                self.ends.append(time.monotonic())

    def alive(self, sign: object) -> None:
        pass


def measure(cells: int, raylets: int, folder: Path) -> dict[str, Any]:
    """Run one study on the cluster that this process is connected to, and return its times in seconds."""
    clock = Clock()
    wanted = Wanted(python=fake_python(folder), environ=environment(), folder=folder / "study")
    design = small_design(seeds=tuple(range(cells // 2)), epochs=EPOCHS)
    began = time.monotonic()
    study = conduct(design, looked_at(), wanted, clock, OnRay(None, None))
    return {
        "cells": cells,
        "raylets": raylets,
        "done": sum(cell.state == "done" for cell in study.cells),
        "used": len(clock.places),
        "first_begin": clock.begins[0] - began,
        "seconds": max(clock.ends) - clock.begins[0],
        "whole": time.monotonic() - began,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raylets", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--cells", type=int, nargs="+", default=[8, 32, 64])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each of the three epochs of a cell")
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    os.environ["RAY_raylet_start_wait_time_s"] = "300"  # noqa: SIM112 - Ray spells it so; the machine may be busy
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    waits = f"slow:{given.seconds:g}"
    os.environ["FAKE"] = json.dumps({"eager": waits, "sdpa-flash": waits})
    import ray
    from ray.cluster_utils import Cluster

    rows = []
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    there = 0
    try:
        for raylets in sorted(given.raylets):
            for _ in range(raylets - there):
                cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
            there = raylets
            cluster.wait_for_nodes(300)
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
            with tempfile.TemporaryDirectory() as folder:  # each raylet has started its first worker then
                measure(2 * raylets, raylets, Path(folder))
            for cells in given.cells:
                with tempfile.TemporaryDirectory() as folder:
                    row = measure(cells, raylets, Path(folder))
                row["ideal"] = math.ceil(cells / raylets) * EPOCHS * given.seconds
                rows.append(row)
                print(
                    f"{raylets} raylets, {cells} cells: {row['seconds']:.1f} s of {row['ideal']:.0f} s ideal, ratio "
                    f"{row['seconds'] / row['ideal']:.2f}; on {row['used']} raylets, {row['done']} done; load {os.getloadavg()[0]:.0f}",
                    flush=True,
                )
            ray.shutdown()
    finally:
        cluster.shutdown()
    if given.json:
        Path(given.json).write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
