"""`attn-doctor run` with ultralytics' own commands: a training, and an export."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from launched import run


@pytest.fixture(autouse=True)
def _proofs_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make_dataset(folder: Path) -> Path:
    """Four images of a box each."""
    import cv2
    import numpy as np

    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number in range(4):
        image = chance.integers(0, 60, (64, 64, 3), dtype=np.uint8)
        image[16:48, 10:40] = 200
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        (folder / "labels" / f"{number}.txt").write_text("0 0.39 0.5 0.47 0.5\n")
    (folder / "data.yaml").write_text(f"path: {folder}\ntrain: images\nval: images\nnames: {{0: box}}\n")
    return folder / "data.yaml"


@pytest.mark.heavy
def test_a_real_training_with_and_without(tmp_path, monkeypatch):
    """Two epochs of YOLO12n by ultralytics' own command: the same losses, and weights that load without it."""
    import torch

    yolo = Path(sysconfig.get_path("scripts")) / "yolo"
    arguments = f"detect train model=yolo12n.yaml data={make_dataset(tmp_path / 'data')} epochs=2 batch=2 imgsz=64 device=cpu workers=0"
    arguments += f" plots=False seed=0 amp=False pretrained=False project={tmp_path / 'runs'}"
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    for name in ("YOLO_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / "config"))
    said = {}
    for name in ("eager", "sdpa-flash"):
        done = run("--attention", name, "--", yolo, *arguments.split(), f"name={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        said[name] = [line for line in done.stderr.splitlines() if line.startswith("attn-doctor")]
    assert said == {"eager": [], "sdpa-flash": ["attn-doctor: the attention is computed by sdpa-flash on cpu, float32"]}
    losses, weights = {}, {}
    for name in said:
        with (tmp_path / "runs" / name / "results.csv").open() as file:
            losses[name] = [float(v) for row in csv.DictReader(file) for k, v in row.items() if "loss" in k]
        checkpoint = tmp_path / "runs" / name / "weights" / "last.pt"
        assert b"attn_doctor" not in checkpoint.read_bytes()
        weights[name] = torch.load(checkpoint, map_location="cpu", weights_only=False)["model"].float().state_dict()
    assert losses["sdpa-flash"] == pytest.approx(losses["eager"], rel=1e-3)
    assert list(weights["eager"]) == list(weights["sdpa-flash"])
    for key, value in weights["eager"].items():
        torch.testing.assert_close(weights["sdpa-flash"][key], value, rtol=1e-2, atol=1e-3)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_an_exported_file_holds_the_models_own_attention(tmp_path, kind):
    """The same file with and without, operator by operator; onnx is downloaded."""
    library = tmp_path / "library"
    if kind == "onnx":
        packages = ["onnx", "onnxscript", "onnx-ir", "ml_dtypes", "protobuf", "onnxslim", "onnxruntime", "flatbuffers"]
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(library), *packages]
        subprocess.run(pip, check=True, capture_output=True)
    environ = {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(tmp_path / "config"),
        "MPLCONFIGDIR": str(tmp_path / "config"),
        "PYTHONPATH": str(library),
    }
    make = "from ultralytics import YOLO; import torch; torch.manual_seed(0); YOLO('yolo12n.yaml').save('m.pt')"
    subprocess.run(
        [sys.executable, "-c", make], cwd=tmp_path, check=True, capture_output=True, env={**os.environ, **environ}
    )
    yolo = Path(sysconfig.get_path("scripts")) / "yolo"
    kinds = []
    for name in ("eager", "sdpa-flash"):
        done = run(
            "--attention",
            name,
            "--",
            yolo,
            "export",
            "model=m.pt",
            f"format={kind}",
            "imgsz=64",
            cwd=tmp_path,
            **environ,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        listed = (
            f"import onnx; print([n.op_type for n in onnx.load('m.{kind}').graph.node])"
            if kind == "onnx"
            else f"import torch; print([n.kind() for n in torch.jit.load('m.{kind}').inlined_graph.nodes()])"
        )
        shown = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", listed],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **environ},
        )
        kinds.append(shown.stdout)
    assert kinds[0] == kinds[1]
    assert "oftmax" in kinds[0]
