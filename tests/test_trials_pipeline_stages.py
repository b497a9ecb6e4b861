"""What is measured around the model: real processes, a real ultralytics, images small enough to be quick."""

from __future__ import annotations

import sys

import pytest

from attn_doctor.model.trials import Interval, OptimisedStep, Stages, Trial, TrialOptions, TrialRun
from attn_doctor.report.blocks import Table
from attn_doctor.report.trial_outline import outline
from attn_doctor.trials import process
from attn_doctor.trials.long_trial import Study
from attn_doctor.trials.pipeline_stages import PipelineTimes, measure

OPTIONS = TrialOptions(imgsz=64, batch=2, rounds=3, device="cpu")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Threads that wait for each other crawl on a machine that runs other tests beside these."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def row(backend: str, status: str = "ok", **more) -> Trial:
    return Trial(**{"backend": backend, "status": status, "dtype": "float32", "imgsz": 64, "batch": 2, **more})


def go(*rows: Trial, options: TrialOptions = OPTIONS) -> PipelineTimes:
    return measure([sys.executable], rows, options, timeout=120.0, say=lambda _: None)


def with_patient(monkeypatch, tmp_path, text: str) -> None:
    """Return a few lines of ours, run in the target just before the measuring begins."""
    path = tmp_path / "patient.py"
    path.write_text(text)
    monkeypatch.setattr(process, "COMMON", (*process.COMMON, str(path)))


def test_what_is_proven_is_measured_and_nothing_else():
    found = go(row("eager"), row("sdpa-flash"), row("sdpa-math", "failed"), row("flex", "ruled-out"))
    assert found.notes == ()
    assert [(s.backend, s.dtype, s.n) for s in found.stages] == [
        ("eager", "float32", 3),
        ("sdpa-flash", "float32", 3),
    ]
    for stages in found.stages:
        assert 0 < stages.preprocess_ms < stages.model_ms
        assert stages.postprocess_ms > 0
    assert [(s.backend, s.dtype, s.optimiser) for s in found.optimised] == [
        ("eager", "float32", "AdamW"),
        ("sdpa-flash", "float32", "AdamW"),
    ]
    for step in found.optimised:
        assert step.step_ms.n == step.optimised_ms.n == 3
        assert step.step_ms.median > 0


def test_nothing_is_started_where_no_model_was_tried(tmp_path):
    missing = str(tmp_path / "no-python")
    for rows in ((), (row("eager", "failed"),), (row("eager", scope="attention"),), (row("eager", shape="1x2x64x32"),)):
        found = measure([missing], rows, OPTIONS, timeout=5.0, say=lambda _: None)
        assert (found.stages, found.notes) == ((), ())


def test_the_predictor_runs_the_exchanged_attention(monkeypatch, tmp_path):
    text = """
def _ill():
    def kernel(query, key, value, scale):
        raise RuntimeError("the exchanged attention was called")
    return kernel
_MAKERS["sdpa-flash"] = _ill
"""
    with_patient(monkeypatch, tmp_path, text)
    found = go(row("eager"), row("sdpa-flash"))
    assert [s.backend for s in found.stages] == [s.backend for s in found.optimised] == ["eager"]
    assert "sdpa-flash float32: RuntimeError: the exchanged attention was called" in " ".join(found.notes)


def test_a_process_that_dies_leaves_a_note_and_what_was_measured(monkeypatch, tmp_path):
    text = """
_well, _calls = MeasuredCell.attempt, []
def _dies(self, what, work):
    _calls.append(what)
    return os.abort() if len(_calls) == 5 else _well(self, what, work)
MeasuredCell.attempt = _dies
"""
    with_patient(monkeypatch, tmp_path, text)
    found = go(row("eager"), row("sdpa-flash"))
    assert [(s.backend, s.n) for s in found.stages] == [("eager", 1), ("sdpa-flash", 1)]
    assert len(found.notes) == 1
    assert "SIGABRT" in found.notes[0]


def test_an_ultralytics_without_such_a_predictor_is_a_note(monkeypatch, tmp_path):
    with_patient(monkeypatch, tmp_path, "import ultralytics\nultralytics.YOLO = None\n")
    found = go(row("eager"))
    assert found.stages == ()
    assert [s.optimised_ms.n for s in found.optimised] == [3]
    assert found.notes[0].startswith("stages float32: TypeError: 'NoneType' object is not callable")


def test_bfloat16_has_no_stages_but_an_optimiser():
    found = go(row("eager"), row("eager", dtype="bfloat16"))
    assert [(s.backend, s.dtype) for s in found.stages] == [("eager", "float32")]
    assert [(s.backend, s.dtype) for s in found.optimised] == [("eager", "float32"), ("eager", "bfloat16")]
    assert found.notes == ()


def test_the_optimiser_steps_once_a_round_on_weights_that_stay_as_they_are(monkeypatch, tmp_path):
    """Gradients are there when it steps, of that step alone, and what they are multiplied by changes nothing."""
    text = """
_well = torch.optim.AdamW.step
def _watched(self, *given):
    parameters = self.param_groups[0]["params"]
    before = [p.detach().clone() for p in parameters]
    _well(self, *given)
    pairs = [(p.detach(), old) for p, old in zip(parameters, before)]
    tell("stepped", [p.grad.norm().item() for p in parameters if p.grad is not None][:1]
         + [max((new - old).abs().max().item() for new, old in pairs)])
torch.optim.AdamW.step = _watched
"""
    with_patient(monkeypatch, tmp_path, text)
    seen = []
    run = process.child.run

    def listening(*given, **more):
        outcome = run(*given, **more)
        seen.extend(outcome.facts("stepped"))
        return outcome

    monkeypatch.setattr(process.child, "run", listening)
    go(row("eager"))
    norms, moved = zip(*seen, strict=True)
    assert len(seen) == 1 + 3  # the warm-up and three rounds
    assert max(norms) == pytest.approx(min(norms), rel=1e-2)
    assert max(moved) < 1e-6


def test_each_image_size_has_its_table():
    stages = (
        Stages(backend="eager", dtype="float32", preprocess_ms=0.5, model_ms=20.25, postprocess_ms=1.125, n=9),
        Stages(backend="sdpa", dtype="float32", preprocess_ms=0.5, model_ms=10.0, postprocess_ms=1.0, n=9),
    )
    study = Study(trials=(row("eager"),), runs=(TrialRun(imgsz=64, stages=stages), TrialRun(imgsz=96)))
    tables = [b for b in outline(study, "yolo12n.yaml") if isinstance(b, Table) and "predictor" in b.caption]
    assert [table.caption for table in tables] == ["Inference by ultralytics' predictor, an image, image size 64"]
    took = Interval(median=100.0, low=98.0, high=103.0, n=9)
    step = OptimisedStep(backend="eager", dtype="float32", optimiser="AdamW", step_ms=took, optimised_ms=took)
    (table,) = [b for b in outline(Study(runs=(TrialRun(imgsz=64, optimised=(step,)),)), "x") if isinstance(b, Table)]
    assert table.caption == "Training step with its optimiser (AdamW), image size 64"
    assert [cell.text for cell in table.rows[0]][2:] == ["100.0 (98.0–103.0)", "100.0 (98.0–103.0)", "9"]
    assert [cell.text for cell in tables[0].rows[0]] == ["eager", "float32", "0.50", "20.25", "1.12", "9"]
