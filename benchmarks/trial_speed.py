"""What the exchange of attention is worth on this machine, how honest the trial's clock is, and how many calls are fused.

    python benchmarks/trial_speed.py --target PYTHON [--imgsz 640 1280] [--batch 2] [--rounds 9] [--pairs 30]

Runs in the target, one process, interleaved: eager, sdpa-flash, and an attention that costs nothing (it hands back its
value), which is the most that any backend could gain. `--pairs` holds the trial's step time against a loop as anybody would
write it. The load of the machine is printed before and after: on a busy one the figures mean little.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from attn_doctor import child
from attn_doctor.trials.run import SCRIPTS, environment
from attn_doctor.trials.statistics import compare, interval

HERE = Path(__file__).parent
BACKENDS = ("eager", "sdpa-flash", "nothing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=sys.executable)
    parser.add_argument("--model", default="yolo12n.yaml")
    parser.add_argument("--imgsz", type=int, nargs="+", default=[640, 1280])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=30)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    config = {
        "device": "cpu",
        "model": options.model,
        "sizes": options.imgsz,
        "batch": options.batch,
        "rounds": options.rounds,
        "pairs": options.pairs,
        "backends": BACKENDS,
        "seed": 0,
    }
    with tempfile.TemporaryDirectory() as folder:
        outcome = child.run(
            [options.target],
            (*SCRIPTS[:-1], str(HERE / "trial_speed_target.py")),
            config=config,
            deadline=7200.0,
            environment=environment(folder),
            on_message=lambda m: sys.stderr.write(".") if m.at == "fact" else None,
        )
    sys.stderr.write("\n")
    if outcome.fault:
        sys.exit(f"the target ended with {outcome.fault}\n{outcome.chatter[-2000:]}")
    for section in [m.section for m in outcome.messages if m.at == "raised"]:
        print("raised:", outcome.raised(section))
    show(outcome)
    print(f"load {os.getloadavg()[0]:.2f}")


def show(outcome: child.Outcome) -> None:
    for fact in outcome.facts("torch"):
        print(f"torch {fact['version']}, {fact['threads']} threads")
    for fact in outcome.facts("fused"):
        print(f"batch {fact['batch']}, {fact['layout']:13}: {fact['fused']} of {fact['calls']} calls fused")
    samples = outcome.facts("sample")
    for size in dict.fromkeys(s["imgsz"] for s in samples):
        for what in ("forward", "step"):
            times = {b: [s[what] for s in samples if s["imgsz"] == size and s["backend"] == b] for b in BACKENDS}
            for backend in BACKENDS:
                took = interval(times[backend])
                line = f"{size} {what:8} {backend:11} {took.median:9.1f} ms ({took.low:.1f} to {took.high:.1f}, n = {took.n})"
                if backend != "eager":
                    gain = compare(times["eager"], times[backend])
                    line += f"   {gain.ratio:.2f} times eager ({gain.low:.2f} to {gain.high:.2f}, p = {gain.p:.4f})"
                print(line)
    for fact in outcome.facts("memory"):
        print(f"{fact['imgsz']} peak of a step, {fact['backend']:11} {fact['bytes'] / 2**20:7.0f} MiB")
    pairs = outcome.facts("pair")
    if pairs:
        ratio = compare([p["trial"] for p in pairs], [p["hand"] for p in pairs])
        print(
            f"the trial's step over a hand-written one: {ratio.ratio:.3f} ({ratio.low:.3f} to {ratio.high:.3f}, n = {ratio.n})"
        )


if __name__ == "__main__":
    main()
