"""Real trials in a real interpreter with a real torch and ultralytics, on images small enough to be quick."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from trying import ALONE, CORE, FACTS, add_script, by_backend, go, small

from attn_doctor import child
from attn_doctor.model.trials import Shape, Trials
from attn_doctor.trials import run as runner
from attn_doctor.trials.backends import BY_NAME
from attn_doctor.trials.plan import plan
from attn_doctor.trials.served_by import count, other_kernel


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Threads that wait for each other crawl on a machine that runs other tests beside these."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


class Default(NamedTuple):
    trials: Trials
    home: Path
    said: list[str]


@pytest.fixture(scope="module")
def default(tmp_path_factory) -> Default:
    """A trial of all backends, at home in an empty folder."""
    home = tmp_path_factory.mktemp("home")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
        patch.chdir(home)
        trials = runner.run(plan(FACTS, small()), [sys.executable], timeout=120.0, on_progress=said.append)
    return Default(trials, home, said)


def test_on_a_cpu_every_backend_is_measured_or_says_why_not(default):
    rows = by_backend(default.trials)
    ran = {name: row for name, row in rows.items() if row.status != "ruled-out"}
    assert {name: row.status for name, row in ran.items()} == {
        "eager": "ok",
        "sdpa": "ok",
        "sdpa-math": "ok",
        "sdpa-flash": "ok",
    }
    assert all(row.reason for name, row in rows.items() if name not in ran)
    for row in ran.values():
        assert row.scope == "model"
        assert row.model == "yolo12n.yaml"
        assert row.threads == 1
        assert row.forward_ms.n == row.step_ms.n == 2
        assert row.step_ms.low <= row.step_ms.median <= row.step_ms.high
        assert 0 < row.attention_share < 1
        assert row.output_error < 1e-5
        assert row.gradient_error < 1e-5
        assert row.model_output_error < 1e-4
        assert row.model_gradient_error < 1e-2
        assert row.deterministic is True


def test_all_eight_calls_are_counted(default):
    rows = by_backend(default.trials)
    counts = {name: rows[name].attention_calls for name in ("eager", "sdpa", "sdpa-math", "sdpa-flash")}
    assert {name: (c.fused, c.math, c.eager) for name, c in counts.items()} == {
        "eager": (0, 0, 8),
        "sdpa": (8, 0, 0),
        "sdpa-math": (0, 8, 0),
        "sdpa-flash": (8, 0, 0),
    }
    assert rows["sdpa-flash"].kernels == (
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    )


def test_a_softmax_that_is_written_out_is_eager_too(monkeypatch, tmp_path):
    """As sunsmarterjie's fork has it: largest value, exponential, sum, and no softmax to be seen."""
    text = """
def _by_hand(self, dim):
    powers = (self - self.amax(dim, keepdim=True)).exp()
    return powers / powers.sum(dim, keepdim=True)
torch.Tensor.softmax = _by_hand
"""
    add_script(monkeypatch, tmp_path, text)
    rows = by_backend(go(small(backends=("sdpa-flash",), reference=False)))
    assert (rows["eager"].status, rows["eager"].reason) == ("ok", None)
    assert rows["eager"].attention_calls.eager == 8
    assert rows["sdpa-flash"].attention_calls.fused == 8


def test_what_went_on_around_the_rows(default):
    run = default.trials.run
    assert run.reference.ok is True
    assert run.reference.error < 1e-4
    assert run.torch[0].isdigit()
    assert run.fixed_seconds > 0
    assert run.measured_seconds > 0
    assert run.cpu


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can forget a peak of resident memory")
def test_the_peak_of_a_step_is_known_on_linux(default):
    peaks = [row.peak_bytes for row in default.trials.rows if row.status == "ok"]
    assert all(2**20 < peak < 2**33 for peak in peaks)


def test_nothing_is_written_where_the_user_is(default):
    assert [str(path) for path in default.home.rglob("*")] == []


def test_progress_is_told(default):
    assert "building the model" in default.said
    assert "proving sdpa float32" in default.said
    assert default.said.count("measuring inference, round 2 of 2") == 1
    assert default.said.count("measuring training steps, round 2 of 2") == 1
    steps = [
        "computing the float64 reference",
        "building the model again, to measure it",
        "measuring inference, round 1 of 2",
        "measuring training steps, round 1 of 2",
    ]
    assert sorted(steps, key=default.said.index) == steps


def _batch_norm_is_wrong_here() -> bool:
    """Asks this torch itself, past everything of ours: the same gradient, once with the strides in question."""
    text = """
import torch
torch.manual_seed(0)
norm = torch.nn.BatchNorm2d(8).double().train()
x = torch.randn(1, 8, 5, 6, dtype=torch.float64, requires_grad=True)
g = torch.randn(1, 8, 5, 6, dtype=torch.float64)
odd = torch.empty_strided((1, 8, 5, 6), (8, 1, 48, 8), dtype=torch.float64).copy_(g)
good, = torch.autograd.grad(norm(x), x, g)
bad, = torch.autograd.grad(norm(x), x, odd)
print(int(not torch.allclose(good, bad)))
"""
    answer = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return answer.stdout.strip() == "1"


def test_at_batch_1_a_framework_that_is_wrong_is_caught():
    wrong = _batch_norm_is_wrong_here()
    trials = go(small(batch=1, backends=("sdpa-flash",)))
    rows = by_backend(trials)
    assert trials.run.reference.ok is not wrong
    if wrong:
        assert trials.run.reference.module == "BatchNorm2d"
        assert trials.run.reference.error > 0.1
        assert "strides" in trials.run.reference.note
        # The model's own attention meets it; the exchange hands on another layout and does not.
        assert rows["eager"].model_gradient_error > 0.1
    assert rows["sdpa-flash"].model_gradient_error < 1e-2
    assert rows["sdpa-flash"].attention_calls.fused == 8


def test_yolo11_on_pytorchs_own_choice_gets_math_and_pytorch_says_why():
    rows = by_backend(go(small(model="yolo11n.yaml", backends=("sdpa", "sdpa-flash"))))
    assert rows["sdpa"].status == "other-kernel"
    assert "PyTorch says: Flash attention requires q,k,v to have the same last dimension" in rows["sdpa"].reason
    assert rows["sdpa-flash"].status == "ok"  # its narrow query and key are filled up with zeros
    assert rows["sdpa-flash"].attention_calls.fused == 1


@pytest.mark.parametrize("model", ["yolo26n.yaml", "yolov12n.yaml"])
def test_other_models(model):
    rows = by_backend(go(small(model=model, backends=("sdpa-flash",), reference=False)))
    assert rows["sdpa-flash"].status == "ok"
    assert rows["sdpa-flash"].attention_calls.fused > 0
    assert rows["sdpa-flash"].model_gradient_error is None


def test_without_ultralytics_the_attention_shapes_are_tried():
    trials = go(small(), facts=ALONE)
    rows = by_backend(trials)
    for name, calls in (("eager", "eager"), ("sdpa", "fused"), ("sdpa-math", "math"), ("sdpa-flash", "fused")):
        assert rows[name].status == "ok"
        assert rows[name].scope == "attention"
        assert rows[name].model is None
        assert getattr(rows[name].attention_calls, calls) == 8
        assert rows[name].step_ms.n == 2
    assert "no ultralytics" in trials.run.notes[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file')", "libGL.so.1"),
        ("import os; os.abort()", "SIGABRT"),
        ("import sys; sys.exit('no licence')", "no licence"),
    ],
)
def test_an_ultralytics_that_does_not_import_is_why_the_model_was_not_built(monkeypatch, tmp_path, text, said):
    package = tmp_path / "ultralytics"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    trials = go(small(backends=("sdpa-flash",)))
    row = by_backend(trials)["sdpa-flash"]
    assert (row.status, row.scope) == ("ok", "attention")
    fault = trials.run.model_fault
    assert said in f"{fault.signal} {fault.message}"


def test_a_model_without_attention_is_told(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text(
        "nc: 2\nbackbone:\n- [-1, 1, Conv, [16, 3, 2]]\n- [-1, 1, Conv, [32, 3, 2]]\nhead:\n- [[0, 1], 1, Detect, [nc]]\n"
    )
    trials = go(small(model=str(path)))
    assert trials.rows == ()
    assert "no attention to exchange" in trials.skipped


def test_a_weights_file(tmp_path):
    path = tmp_path / "mine.pt"
    text = f"""
import torch
from ultralytics.nn.tasks import DetectionModel
model = DetectionModel("yolo12n.yaml", ch=3, nc=2, verbose=False)
torch.save({{"model": model.half(), "train_args": {{}}}}, {str(path)!r})
"""
    environment = {**os.environ, **child.harmless(str(tmp_path))}
    subprocess.run([sys.executable, "-c", text], check=True, env=environment, capture_output=True)
    row = by_backend(go(small(model=str(path), backends=("sdpa-flash",), reference=False)))["sdpa-flash"]
    assert row.status == "ok"
    assert row.attention_calls.fused == 8


def test_bfloat16_autocast_has_its_own_eager():
    rows = by_backend(go(small(dtypes=("bfloat16",), backends=CORE, reference=False)))
    assert {row.dtype for row in rows.values()} == {"bfloat16"}
    assert {row.status for row in rows.values()} == {"ok"}
    assert 1e-4 < rows["eager"].output_error < 1e-1


def test_a_grid_of_shapes():
    shapes = (Shape(batch=1, heads=2, tokens=64, width=32), Shape(batch=2, heads=1, tokens=128, width=64))
    trials = go(small(shapes=shapes, backends=CORE))
    assert [(row.backend, row.shape, row.batch, row.status) for row in trials.rows] == [
        (backend, shape, batch, "ok")
        for shape, batch in (("1x2x64x32", 1), ("2x1x128x64", 2))
        for backend in ("eager", *CORE)
    ]
    for row in trials.rows:
        assert (row.scope, row.model, row.imgsz) == ("attention", None, None)
        assert row.step_ms.n == 2
        assert (row.step_gain is None) == (row.backend == "eager")
    assert [row.attention_calls.fused for row in trials.rows] == [0, 0, 1, 0, 0, 1]


def test_every_call_of_yolo12n_is_fused_at_every_batch_and_in_both_layouts(tmp_path):
    """Where the obvious exchange gets eight, four or no calls into math: batch 1 and NCHW above all."""
    text = """
for batch in (1, 2, 4):
    for layout in (torch.contiguous_format, torch.channels_last):
        subject = ModelSubject({"device": "cpu", "model": "yolo12n.yaml", "imgsz": 64, "batch": batch, "seed": 0})
        subject.model = subject.model.to(memory_format=layout)
        subject.images = subject.images.contiguous(memory_format=layout)
        watch = Watch()
        with subject.using("sdpa-flash"):
            hooks = watch.hook(subject.layers)
            subject.probe("sdpa-flash", "float32", watch=watch)
            for hook in hooks:
                hook.remove()
        tell("calls", [batch, watch.calls])
"""
    (tmp_path / "count.py").write_text(text)
    outcome = child.run(
        [sys.executable],
        (*runner.SCRIPTS[:-1], str(tmp_path / "count.py")),
        config={},
        changes=child.harmless(str(tmp_path)),
    )
    assert outcome.fault is None
    found = outcome.facts("calls")
    assert [batch for batch, _ in found] == [1, 1, 2, 2, 4, 4]
    for _, calls in found:
        counted, _ = count(BY_NAME["sdpa-flash"], calls)
        assert (counted.fused, counted.math) == (8, 0)
        assert other_kernel(BY_NAME["sdpa-flash"], calls, ()) is None


def test_a_maximum_of_equal_values_accuses_nobody():
    """YOLO11 pools maxima of equal values: there is no gradient there that finite differences could agree with."""
    trials = go(small(model="yolo11n.yaml", batch=1, rounds=1, backends=("eager",)))
    assert by_backend(trials)["eager"].status == "ok"
    assert trials.run.reference.ok is True
