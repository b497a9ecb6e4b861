"""Check the trial's clock: its step against a hand-written loop, and eager against itself.

    python benchmarks/trial_speed.py --target PYTHON [--imgsz 640] [--batch 2] [--threads 1] [--pairs 30] [--json FILE]

Runs in the target, one process, in turns: the trial's step, the hand-written one, the trial's step again. Wall clock and the
processor time of the process are both taken: on a machine that others use too, trust the latter (with one thread).
attention_speed.py measures the gain of the exchange.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from attn_doctor import child  # noqa: E402
from attn_doctor.trials.process import COMMON, environment  # noqa: E402
from attn_doctor.trials.statistics import compare, decide  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default=sys.executable)
    parser.add_argument("--model", default="yolo12n.yaml")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--json", help="raw samples")
    options = parser.parse_args()
    config = {name: getattr(options, name) for name in ("model", "imgsz", "batch", "threads", "pairs")}
    with tempfile.TemporaryDirectory() as folder:
        outcome = child.run(
            [options.target],
            (*COMMON, HERE / "trial_speed_target.py"),
            config={**config, "device": "cpu", "seed": 0},
            deadline=7200.0,
            environment={
                **environment(folder),
                **({"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}),
            },
            on_message=lambda m: sys.stderr.write(".") if m.at == "fact" else None,
        )
    sys.stderr.write("\n")
    pairs, torch = outcome.facts("pair"), (outcome.facts("torch") or [{}])[0]
    if not pairs:
        sys.exit(f"nothing was measured: {outcome.fault} {[m.data for m in outcome.messages if m.at == 'raised']}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch['version']}, {torch['threads']} threads, load {os.getloadavg()[0]:.1f}"
    )
    if options.json:
        record = {"cores": os.cpu_count(), "torch": torch, "options": config, "samples": pairs}
        Path(options.json).write_text(json.dumps(record).replace('{"trial', '\n{"trial') + "\n", "utf-8")
    for clock in ("cpu", "wall"):
        trial, hand, again = ([p[f"{what}_{clock}"] for p in pairs] for what in ("trial", "hand", "again"))
        gain = compare(trial, hand)
        print(
            f"{clock}: the trial's step takes {gain.ratio:.3f} ({gain.low:.3f} to {gain.high:.3f}, n = {gain.n}) of a hand-written one"
        )
        gain = decide([compare(trial, again)])[0]
        print(f"{clock}: eager against itself: {gain.ratio:.3f} ({gain.low:.3f} to {gain.high:.3f}), {gain.verdict}")


if __name__ == "__main__":
    main()
