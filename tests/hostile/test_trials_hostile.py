"""A torch whose own operators are broken, in real trials: each is a finding, eager is measured, and no backend is advised."""

from __future__ import annotations

from pathlib import Path

import pytest
from trying import ALONE, FACTS, add_script, go, small

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Diagnosis, Goal, Severity
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.trials import Trials

SEGFAULT = "import ctypes; ctypes.string_at(0)"
SDPA = {
    "raises": "raise RuntimeError('out of order')",
    "segfaults": SEGFAULT,
    "exits": "os._exit(0)",
    "hangs": "time.sleep(1000)",
    "aborts": "os.abort()",
    "is wrong": "return 1.01 * _well(*given, **more)",
    "is no number": "return float('nan') * _well(*given, **more)",
}
QUICK = ("raises", "segfaults")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def judged(trials: Trials, facts: Facts = FACTS) -> tuple[Diagnosis, Recommendation]:
    diagnosis = diagnose(facts, Goal.TRAIN, trials=trials)
    return diagnosis, recommend(facts, diagnosis, trials)


def errors(diagnosis: Diagnosis) -> list[str]:
    return [f.slug for f in diagnosis.findings if f.root_cause and f.severity is Severity.ERROR]


def break_sdpa(monkeypatch, tmp_path: Path, does: str) -> None:
    text = f"""
_well = functional.scaled_dot_product_attention
def _ill(*given, **more):
    {does}
functional.scaled_dot_product_attention = _ill
"""
    add_script(monkeypatch, tmp_path, text)


@pytest.mark.parametrize("how", [pytest.param(name, marks=() if name in QUICK else pytest.mark.heavy) for name in SDPA])
def test_an_sdpa_that_fails_costs_its_own_rows(monkeypatch, tmp_path, how):
    break_sdpa(monkeypatch, tmp_path, SDPA[how])
    trials = go(small(backends=("sdpa",), reference=False), facts=ALONE, timeout=15.0)
    rows = {row.backend: row for row in trials.rows}
    assert (rows["eager"].status, rows["eager"].step_ms.n) == ("ok", 2)
    assert rows["sdpa"].status != "ok"
    diagnosis, advice = judged(trials, ALONE)
    assert errors(diagnosis) == ["backend-fails"]
    assert advice.backend is None
    assert not any(word in advice.summary for word in ("Use ", "Keep "))


@pytest.mark.heavy
def test_an_sdpa_that_crashes_does_not_end_a_trial_of_the_model(monkeypatch, tmp_path):
    break_sdpa(monkeypatch, tmp_path, SEGFAULT)
    trials = go(small(backends=("sdpa",)))
    rows = {row.backend: row for row in trials.rows}
    assert (rows["eager"].status, rows["eager"].scope) == ("ok", "model")
    assert errors(judged(trials)[0]) == ["backend-fails"]


EAGER = {
    "softmax raises": "torch.Tensor.softmax = lambda self, *given, **more: (_ for _ in ()).throw(RuntimeError('no softmax'))",
    "softmax crashes": f"def _ill(self, *given, **more):\n    {SEGFAULT}\ntorch.Tensor.softmax = _ill",
}


@pytest.mark.parametrize(
    "how", [EAGER["softmax raises"], pytest.param(EAGER["softmax crashes"], marks=pytest.mark.heavy)]
)
def test_an_eager_that_fails_is_an_error_and_nothing_is_advised(monkeypatch, tmp_path, how):
    add_script(monkeypatch, tmp_path, how)
    trials = go(small(backends=("sdpa-flash",), reference=False), facts=ALONE)
    diagnosis, advice = judged(trials, ALONE)
    assert errors(diagnosis) == ["eager-fails"]
    assert advice.backend is None


@pytest.mark.parametrize(
    ("module", "slug"),
    [
        ("Conv2d", "eager-fails"),
        pytest.param("SiLU", "eager-fails", marks=pytest.mark.heavy),
    ],
)
def test_a_module_of_torch_that_raises_is_an_error_with_the_exception(monkeypatch, tmp_path, module, slug):
    text = f"""
def _ill(self, *given, **more):
    raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED")
torch.nn.{module}.forward = _ill
"""
    add_script(monkeypatch, tmp_path, text)
    trials = go(small(backends=("sdpa-flash",), reference=False))
    diagnosis, advice = judged(trials)
    assert errors(diagnosis) == [slug]
    assert "CUDNN_STATUS_NOT_INITIALIZED" in diagnosis.findings[0].message
    assert advice.backend is None


@pytest.mark.parametrize(
    "text",
    [
        "raise ImportError('zork')",
        pytest.param("import os; os._exit(0)", marks=pytest.mark.heavy),
        pytest.param(SEGFAULT, marks=pytest.mark.heavy),
    ],
)
def test_an_ultralytics_that_does_not_import_is_an_error(monkeypatch, tmp_path, text):
    package = tmp_path / "ultralytics"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    trials = go(small(backends=("sdpa-flash",), reference=False))
    diagnosis, advice = judged(trials)
    assert errors(diagnosis) == ["model-not-built"]
    assert advice.backend is None
