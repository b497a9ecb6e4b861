"""Real trainings of a study: tiny ones, of a YOLO12n on ten images of 64 pixels."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attn_doctor.model.study import Study
from attn_doctor.study.journal import read
from attn_doctor.study.state import study_of
from attn_doctor.target import __file__ as target

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3000)]

WRITE = """
import json, os, sys
exec(compile(open(sys.argv[1]).read(), "study_data.py", "exec"))
write_shapes(sys.argv[2], train=10, val=4, size=64, seed=3)
"""
# What a study must not have changed: the same training by ultralytics alone.
ALONE = """
import csv, json, sys, torch
import ultralytics.utils.torch_utils
sys.modules["albumentations"] = None
ultralytics.utils.torch_utils.NUM_THREADS = 1
from ultralytics import YOLO
YOLO("yolo12n.yaml").train(data=sys.argv[1], epochs=3, imgsz=64, batch=4, device="cpu", seed=0, project=sys.argv[2], name="alone",
    workers=0, deterministic=True, patience=0, plots=False, pretrained=False, optimizer="AdamW", lr0=0.001)
"""
SETTINGS = ("--set", "optimizer=AdamW", "lr0=0.001")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("tiny") / "data"
    script = Path(target).parent / "study_data.py"
    subprocess.run([sys.executable, "-c", WRITE, str(script), str(folder)], check=True)
    return str(folder / "shapes.yaml")


def command(data: str, folder: Path, *more: str) -> list[str]:
    usual = ["--imgsz", "64", "--batch", "4", "--epochs", "3", "--seeds", "0", "--threads", "1", *SETTINGS]
    doctor = [sys.executable, "-m", "attn_doctor", "study", "--data", data, "--folder", str(folder), "--device", "cpu"]
    return [*doctor, *usual, *more]


def results(study: Study) -> list[tuple[object, ...]]:
    return [
        (
            c.arm,
            c.seed,
            c.state,
            c.proven,
            c.weights,
            c.sizes,
            [(e.number, e.losses, e.map50, e.map50_95) for e in c.epochs],
        )
        for c in study.cells
    ]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Study:
    """Return a study that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    subprocess.run(command(data, folder, "--attention", "eager", "sdpa-flash", "as-shipped"), check=True)
    return study_of(read(folder))


def test_each_attention_is_proven_and_sees_the_same_data(whole):
    eager, flash, shipped = whole.cells
    assert [c.state for c in whole.cells] == ["done"] * 3
    assert [c.proven for c in whole.cells] == [True] * 3
    assert [c.layers for c in whole.cells] == [0, 8, 0]
    assert "aten::_softmax" in eager.kernels
    assert "aten::_scaled_dot_product_flash_attention_for_cpu_backward" in flash.kernels
    # Mainline ultralytics ships hand-written attention: the same training, to the last digit.
    assert (shipped.epochs[-1].losses, shipped.weights) == (eager.epochs[-1].losses, eager.weights)
    assert flash.weights != eager.weights
    first = [c.epochs[0].losses["train/cls_loss"] for c in whole.cells]
    assert first[1] == pytest.approx(first[0], rel=1e-2)
    for cell in whole.cells:
        for epoch in cell.epochs:
            assert epoch.peak_memory > 100 << 20
            assert epoch.images_per_second > 0
            assert epoch.joules is None
            assert set(epoch.learning_rates) == {"lr/pg0", "lr/pg1", "lr/pg2"}


def test_a_study_trains_as_ultralytics_alone_does(data, whole, tmp_path):
    environ = {**os.environ, "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", ALONE, data, str(tmp_path)], check=True, env=environ)
    header, *rows = (tmp_path / "alone" / "results.csv").read_text().splitlines()
    names = header.split(",")
    for epoch, row in zip(whole.cells[0].epochs, rows, strict=True):
        values = dict(zip(names, map(float, row.split(",")), strict=True))
        for name, value in epoch.losses.items():
            assert values[name] == pytest.approx(value, abs=6e-6), (epoch.number, name)  # the file has five digits
        assert values["metrics/mAP50-95(B)"] == pytest.approx(epoch.map50_95, rel=1e-4)
        assert values["lr/pg0"] == pytest.approx(epoch.learning_rates["lr/pg0"], rel=1e-4)


# Who is killed, and after which line of the study.
KILLS = [
    ("doctor", "epoch 1 of"),
    ("training", "proven"),
    ("both", "epoch 2 of"),
    ("doctor", "proven"),
    ("training", "goes on"),
]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the trainings in /proc")
def test_a_study_that_is_killed_five_times_has_the_same_table(data, whole, tmp_path):
    """Of the doctor, of the training, or of both, a random part of two seconds after a line of the study."""
    folder = tmp_path / "study"
    drawn = random.Random(20261130)
    argv = command(data, folder, "--attention", "eager", "sdpa-flash")
    killed = 0
    for whom, moment in KILLS:
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for line in process.stderr:
            if moment in line:
                time.sleep(drawn.uniform(0, 2))
                trainings = _trainings(folder)
                killed += bool(trainings)
                if whom != "training":
                    process.send_signal(signal.SIGKILL)
                for number in trainings if whom != "doctor" else ():
                    os.kill(number, signal.SIGKILL)
                break
        process.stderr.read()
        process.stderr.close()
        process.wait(600)
        until = time.monotonic() + 60
        while _trainings(folder) and time.monotonic() < until:
            time.sleep(0.2)
        assert _trainings(folder) == []
    assert killed >= 3  # what remains of three epochs may end within the two seconds
    while subprocess.run(argv, stdout=subprocess.DEVNULL, check=False).returncode == 3:
        pass
    assert results(study_of(read(folder))) == results(whole)[:2]


def _trainings(folder: Path) -> list[int]:
    """Return the processes that hold the lock of one of this study's trainings open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            held = [str(link.readlink()) for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(name.startswith(f"{folder}/cells/") and name.endswith("/lock") for name in held):
            found.append(int(process.name))
    return found


def test_a_training_that_cannot_begin_is_a_row(data, tmp_path):
    """flash-attn-2 is not installed here, and would need a GPU."""
    folder = tmp_path / "study"
    done = subprocess.run(
        [*command(data, folder, "--attention", "flash-attn-2", "eager", "--json", "-"), "--epochs", "1"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    cells = json.loads(done.stdout)["study"]["cells"]
    assert [cell["state"] for cell in cells] == ["failed", "done"]
    assert "flash_attn" in cells[0]["said"]
