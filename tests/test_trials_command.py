"""`attn-doctor trial` as a user meets it: real processes, a real torch, small images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from targets import make_target

ROOT = Path(__file__).parent.parent


def trial(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attn_doctor", "trial", "--target", sys.executable, *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_attention_alone_on_a_grid():
    done = trial(
        "--attention-only",
        "--batch",
        "1",
        "2",
        "--heads",
        "2",
        "--seq-len",
        "64",
        "--head-dim",
        "32",
        "--repeats",
        "2",
        "--backend",
        "sdpa-flash",
        "--json",
        "-",
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["trials"]
    assert [(r["backend"], r["shape"], r["status"]) for r in rows] == [
        ("eager", "1x2x64x32", "ok"),
        ("sdpa-flash", "1x2x64x32", "ok"),
        ("eager", "2x2x64x32", "ok"),
        ("sdpa-flash", "2x2x64x32", "ok"),
    ]
    assert all(r["step_ms"]["n"] == 2 for r in rows)


@pytest.mark.heavy
def test_two_sizes_and_settings_for_training(tmp_path):
    done = trial(
        "--imgsz",
        "64",
        "96",
        "--repeats",
        "2",
        "--backend",
        "sdpa-flash",
        "--backend",
        "sdpa",
        "--tune",
        "--images",
        "100",
        "--json",
        str(tmp_path / "t.json"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "t.json").read_text())
    names = ["eager", "sdpa-flash", "sdpa"]
    assert [(r["backend"], r["imgsz"]) for r in found["trials"]] == [(n, size) for size in (64, 96) for n in names]
    assert [(run["imgsz"], [s["backend"] for s in run["stages"]]) for run in found["runs"]] == [
        (64, names),
        (96, names),
    ]
    for row in found["trials"]:
        shares = {share["name"]: share["share"] for share in row["kernel_shares"]}
        assert all(0 < share < 1 for share in shares.values())
        own = "flash_attention_for_cpu" if row["backend"] in ("sdpa", "sdpa-flash") else "softmax"
        assert sum(own in name for name in shares) >= 2  # forward and backward
    assert "Attention's operators, and their share of a training step" in done.stdout
    assert all(s["optimised_ms"]["n"] == 2 for run in found["runs"] for s in run["optimised"])
    assert {g["cost"] for g in found["growth"]} >= {"forward", "step"}
    assert [c["imgsz"] for c in found["ceilings"]] == [64, 96]
    measured = found["loader"]["measured"]["points"]
    assert [p["batch"] for p in measured if p["backend"] == "eager"] == [1, 2, 4]
    # `sdpa` is served by the operators of `sdpa-flash`, and so one of them stands for both.
    fitted = {g["backend"] for g in found["loader"]["growth"]}
    assert "eager" in fitted
    assert len(fitted & {"sdpa", "sdpa-flash"}) == 1
    assert [s["name"] for s in found["loader"]["settings"]] == ["batch", "workers", "cache", "amp"]
    assert "data=YOUR.yaml" in done.stdout
    assert "yolo train model=yolo12n.yaml imgsz=96 device=cpu batch=" in done.stdout


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--imgsz", "640", "650"], "650 is not a multiple of 32"),
        (["--batch", "1", "2"], "several batches need --attention-only"),
        (["--attention-only", "--tune"], "leave --attention-only out"),
        (["--backend", "flash"], "there is no backend 'flash'"),
        (["--json", "/nowhere/t.json"], "the folder /nowhere does not exist"),
    ],
)
def test_bad_requests_are_one_line(argv, text):
    done = trial(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_without_torch_there_is_nothing_to_measure(tmp_path):
    done = trial("--target", str(make_target(tmp_path / "env")))
    assert done.returncode == 3
    assert "there is no torch in the target" in done.stdout
