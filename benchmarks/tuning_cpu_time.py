"""Measure what changes beyond attention cost in processor time, in one thread: figures that hold on a busy machine too.

python benchmarks/tuning_cpu_time.py step 640 2 --rounds 5 --json out.json   (needs torch and ultralytics in this Python)

The program as shipped and each combination take turns in one process. Wall clock and page faults stand beside. For an allocator, start it
with the variables of `attn_doctor/prescription/changes/table.py`. Several threads cannot be judged so: their gain is in wall clock alone.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import resource
import statistics
import time
from pathlib import Path

import torch
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel

from attn_doctor.exchange import kernels, layers
from attn_doctor.prescription.changes.apply import Applied

COMBINATIONS = {
    "as shipped": (),
    "attention": ("attention",),
    "attention + channels-last": ("attention", "channels-last"),
    "attention + bf16": ("attention", "bf16"),
    "attention + bf16 + channels-last": ("attention", "channels-last", "bf16"),
}


class Subject:
    def __init__(self, what: str, size: int, batch: int) -> None:
        torch.manual_seed(0)
        self.what = what
        self.model = DetectionModel("yolo12n.yaml", verbose=False)
        self.model.args = get_cfg()
        self.images = torch.rand(batch, 3, size, size)
        with torch.no_grad():
            self.model.train()(self.images)
        self.labels = {
            "batch_idx": torch.arange(batch).repeat_interleave(2).float(),
            "cls": torch.zeros(2 * batch, 1),
            "bboxes": torch.rand(2 * batch, 4) * 0.3 + 0.3,
        }
        self.fused = copy.deepcopy(self.model).eval()
        self.fused.fuse(verbose=False)

    def run(self) -> None:
        if self.what == "predict":
            with torch.inference_mode():
                self.fused(self.images)
            return
        self.model.zero_grad(set_to_none=True)
        self.model(dict(self.labels, img=self.images))[0].sum().backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("predict", "step"))
    parser.add_argument("imgsz", type=int)
    parser.add_argument("batch", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    subject = Subject(asked.what, asked.imgsz, asked.batch)
    found = {name: {"cpu_ms": [], "wall_ms": [], "faults": []} for name in COMBINATIONS}
    for number in range(asked.rounds + 1):
        for name, changes in COMBINATIONS.items():
            settings = {change: True for change in changes if change != "attention"}
            exchange = layers.Exchange(kernels.kernel("sdpa-flash")) if changes else contextlib.nullcontext()
            with exchange, Applied({**settings, "threads": 1}, {**settings, "threads": 1}):
                faults, cpu, wall = resource.getrusage(0).ru_minflt, time.process_time(), time.perf_counter()
                subject.run()
            if number:  # the first round warms up
                found[name]["cpu_ms"].append(round(1e3 * (time.process_time() - cpu), 2))
                found[name]["wall_ms"].append(round(1e3 * (time.perf_counter() - wall), 2))
                found[name]["faults"].append(resource.getrusage(0).ru_minflt - faults)
    base = found["as shipped"]["cpu_ms"]
    for name, taken in found.items():
        ratio = statistics.median(b / t for b, t in zip(base, taken["cpu_ms"], strict=True))
        medians = {key: statistics.median(values) for key, values in taken.items()}
        print(f"{name}: {medians['cpu_ms']:.0f} ms, {ratio:.2f} times as fast, {medians['faults']:.0f} page faults")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
