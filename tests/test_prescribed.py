"""The prescription in real programs: `run --prescribed`, `attention("prescribed")`, and the whole way from `trial --tune` on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import attn_doctor
from attn_doctor.prescription import prescription_file as kept
from attn_doctor.prescription.changes.apply import structure_of

ROOT = Path(__file__).parent.parent
tasks = pytest.importorskip("ultralytics.nn.tasks")

# A program that trains for one step, and says how.
PROGRAM = """
import json, os, sys
import torch
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import select_device

select_device("cpu", verbose=False)
torch.set_num_threads(1)  # whatever it has chosen on this machine
model = DetectionModel(sys.argv[1], verbose=False).train()
seen = []
model.model[1].conv.register_forward_hook(
    lambda _, given, out: seen.append([str(out.dtype), given[0].is_contiguous(memory_format=torch.channels_last)])
)
model(torch.rand(2, 3, 64, 64))
print(json.dumps({"threads": torch.get_num_threads(), "seen": seen, "heap": os.environ.get("MALLOC_TRIM_THRESHOLD_")}))
"""


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}.items():
        monkeypatch.setenv(name, value)
    for name in ("YOLO_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / "config"))


@pytest.fixture(scope="module")
def model():
    return tasks.DetectionModel("yolo12n.yaml", verbose=False)


@pytest.fixture
def prescription(model):
    made = {
        "version": kept.VERSION,
        "machine": kept.here(),
        "torch": str(torch.__version__),
        "torch_file": torch.__file__,
        "model": {"name": "yolo12n.yaml", "structure": structure_of(model)},
        "training": {"attention": "sdpa-flash", "threads": 2, "heap": True, "channels-last": True},
        "predicting": {"attention": "sdpa-flash"},
    }
    kept.write(made)
    return made


def doctor(*argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attn_doctor", *argv]
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"},
        check=False,
    )


def test_run_applies_all_of_it_to_a_program_and_a_change_can_be_switched_off(prescription, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    program = [sys.executable, str(tmp_path / "program.py"), "yolo12n.yaml"]
    done = doctor("run", "--prescribed", "--without", "channels-last", "--", *program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "threads": 2,
        "seen": [["torch.float32", False]],
        "heap": str(4 * 2**30),
    }
    assert "attn-doctor: the prescription for yolo12n.yaml is in force" in done.stderr
    assert "the attention is computed by sdpa-flash on cpu, float32" in done.stderr


def test_what_cannot_be_applied_is_said_before_the_program_starts():
    done = doctor("run", "--prescribed", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no prescription at" in done.stderr
    done = doctor("run", "--without", "heap", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (2, "")
    assert "add --prescribed" in done.stderr


def test_attention_prescribed_applies_what_a_process_can_change_and_puts_it_back(prescription, model):
    default, forward = torch.get_num_threads(), tasks.BaseModel.forward
    torch.set_num_threads(1)  # as ultralytics does
    with attn_doctor.attention("prescribed") as active:
        model.train()(torch.rand(2, 3, 64, 64))
        assert torch.get_num_threads() == 2
        assert active.backend == "sdpa-flash"
        assert active.changes == {"training": {"threads": 2, "channels-last": True}, "predicting": {}}
        assert set(active.left_out) == {"heap"}
        assert "run --prescribed" in active.left_out["heap"]
    assert torch.get_num_threads() == 1
    torch.set_num_threads(default)
    assert tasks.BaseModel.forward is forward


def test_attention_prescribed_is_refused_for_another_torch_and_nothing_is_exchanged(prescription):
    kept.write({**prescription, "torch": "1.0"})
    forward = tasks.BaseModel.forward
    with pytest.raises(kept.Refused, match=r"measured with torch 1\.0"):
        attn_doctor.attention("prescribed")
    assert tasks.BaseModel.forward is forward


@pytest.mark.heavy
def test_the_whole_way(tmp_path):
    """From `trial --tune` to a training with what it found, on images of 64 pixels."""
    report = tmp_path / "t.json"
    done = doctor(
        "trial",
        "--target",
        sys.executable,
        "--tune",
        "--imgsz",
        "64",
        "--backend",
        "sdpa-flash",
        "--seconds",
        "20",
        "--json",
        str(report),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())["tuning"]
    for what in ("training", "predicting"):
        rows = found[what]["rows"]
        assert rows[0]["changes"] == []
        assert sum(row["applied"] for row in rows) == 1
        assert all(row["ms"] or row["checked"]["status"] != "ok" for row in rows)
        applied = next(row for row in rows if row["applied"])
        assert applied["checked"]["status"] == "ok"
        assert applied["checked"]["output_error"] < 1e-4
        assert set(kept.read()[what]) == set(applied["changes"])
    assert {row["name"] for row in found["runtimes"]} >= {"ONNX Runtime", "OpenVINO"}
    assert "yolo train model=yolo12n.yaml imgsz=64 device=cpu batch=" in done.stdout
    assert "yolo predict model=yolo12n.yaml imgsz=64 device=cpu source=YOUR.jpg" in done.stdout
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = doctor("run", "--prescribed", "--", sys.executable, str(tmp_path / "program.py"), "yolo12n.yaml")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.heavy
def test_torchscript_is_exported_and_compared_without_a_trace_in_the_environment(tmp_path):
    from attn_doctor.trials.tuning.runtimes import measure

    packages = sorted(p.name for p in Path(torch.__file__).parent.parent.iterdir())
    rows = measure(
        [sys.executable],
        model="yolo12n.yaml",
        device="cpu",
        imgsz=64,
        level="rounding",
        changes={},
        timeout=120,
        say=lambda _: None,
    )
    by_name = {row.name: row for row in rows}
    assert by_name["torch as shipped"].checked.status == "ok"
    script = by_name["TorchScript"]
    assert script.checked.status == "ok"
    assert script.checked.box_overlap is not None
    assert script.checked.box_overlap > 0.99
    assert script.export_seconds is not None
    assert sorted(p.name for p in Path(torch.__file__).parent.parent.iterdir()) == packages
