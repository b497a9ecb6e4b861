"""Measure the gain of the exchange of attention: eager, the exchange, and an attention that takes no time.

    python benchmarks/attention_speed.py --target PYTHON [--imgsz 640 1280] [--batch 1 2 4] [--layout NCHW channels_last]
                                         [--passes forward step] [--threads 1] [--rounds 9] [--json FILE]

Runs in the target, interleaved (eager, sdpa-flash, nothing, eager, ...), with a process for each size, batch, layout and pass: memory that a
training step or a larger batch has left behind saves eager the page faults of its attention matrix, and makes its inference
up to twice as fast as in a program that only predicts. "nothing" returns its value input: its gain is the upper limit
for any attention. Wall clock and processor time of the process are both measured: on a machine that others use too,
trust the ratios of processor times with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from attn_doctor import child  # noqa: E402
from attn_doctor.trials.process import COMMON, environment  # noqa: E402
from attn_doctor.trials.statistics import compare, interval  # noqa: E402

BACKENDS = ("eager", "sdpa-flash", "nothing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=sys.executable)
    parser.add_argument("--model", default="yolo12n.yaml")
    parser.add_argument("--imgsz", type=int, nargs="+", default=[640, 1280])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--layout", nargs="+", choices=("NCHW", "channels_last"), default=["NCHW", "channels_last"])
    parser.add_argument("--passes", nargs="+", choices=("forward", "step"), default=["forward", "step"])
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", help="raw samples")
    parser.add_argument("--show", metavar="FILE", nargs="+", help="show the raw samples of earlier runs; run nothing")
    options = parser.parse_args()
    if options.show:
        show([fact for path in options.show for fact in json.loads(Path(path).read_text("utf-8"))["samples"]])
        return
    config = {name: getattr(options, name) for name in ("model", "imgsz", "batch", "layout", "threads", "rounds")}
    samples: list[dict[str, Any]] = []
    torch: dict[str, Any] = {}
    for size, batch, layout, what in product(options.imgsz, options.batch, options.layout, options.passes):
        alone = {**config, "imgsz": [size], "batch": [batch], "layout": [layout], "pass": what}
        torch = measure(options, alone, samples)
    sys.stderr.write("\n")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.get('version')}, {torch.get('threads')} threads, load {os.getloadavg()[0]:.1f}"
    )
    if options.json:
        record = {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "torch": torch,
            "options": config,
            "samples": samples,
        }
        Path(options.json).write_text(json.dumps(record).replace('{"kind"', '\n{"kind"') + "\n", "utf-8")
    show(samples)


def measure(options: argparse.Namespace, config: dict[str, Any], samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Run one process, append its measurements to `samples`, and return its description."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = child.run(
            [options.target],
            (*COMMON, HERE / "attention_speed_target.py"),
            config={**config, "backends": BACKENDS, "seed": 0},
            deadline=4 * 3600.0,
            environment={
                **environment(folder),
                **({"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}),
            },
            on_message=lambda m: sys.stderr.write(".") if m.at == "fact" else None,
        )
    samples += [
        {"kind": section, **fact} for section in ("fused", "sample", "memory") for fact in outcome.facts(section)
    ]
    for message in outcome.messages:
        if message.at == "raised":
            print("raised:", message.section, message.data)
    if outcome.fault:
        sys.exit(f"the target ended with {outcome.fault}\n{outcome.chatter[-2000:]}")
    return dict((outcome.facts("torch") or [{}])[0])


def show(samples: list[dict[str, Any]]) -> None:
    for fact in samples:
        if fact["kind"] == "fused":
            print(f"batch {fact['batch']}, {fact['layout']}: {fact['fused']} of {fact['calls']} attention calls fused")
    taken = [s for s in samples if s["kind"] == "sample"]
    print(
        "| image | batch | layout | threads | pass | clock | eager ms | sdpa-flash ms | times as fast | nothing: times as fast | n |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for key in dict.fromkeys((s["imgsz"], s["batch"], s["layout"], s["threads"]) for s in taken):
        mine = [s for s in taken if (s["imgsz"], s["batch"], s["layout"], s["threads"]) == key]
        for what in dict.fromkeys(s["what"] for s in mine):
            for clock in ("cpu", "wall"):
                times = {b: [s[clock] for s in mine if (s["backend"], s["what"]) == (b, what)] for b in BACKENDS}
                eager, flash = interval(times["eager"]), interval(times["sdpa-flash"])
                gain, most = compare(times["eager"], times["sdpa-flash"]), compare(times["eager"], times["nothing"])
                cells = (
                    *key,
                    what,
                    clock,
                    f"{eager.median:.0f} ({eager.low:.0f}–{eager.high:.0f})",
                    f"{flash.median:.0f} ({flash.low:.0f}–{flash.high:.0f})",
                )
                ratios = [f"{g.ratio:.2f} ({g.low:.2f}–{g.high:.2f})" for g in (gain, most)]
                print("| " + " | ".join(str(c) for c in (*cells, *ratios, gain.n)) + " |")
    for fact in samples:
        if fact["kind"] == "memory":
            print(
                f"peak of a training step, {fact['imgsz']}, batch {fact['batch']}, {fact['layout']}, {fact['backend']}: {fact['bytes'] / 2**20:.0f} MiB"
            )


if __name__ == "__main__":
    main()
