"""Backends, torches and layouts that are ill: each is a row or a reason, and never a dead trial."""

from __future__ import annotations

import pytest
from targets import broken_torch
from trying import ALONE, CORE, add_script, by_backend, go, ill, small


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Threads that wait for each other crawl on a machine that runs other tests beside these."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_layout_that_flash_refuses_is_found_out(monkeypatch, tmp_path):
    """As the obvious exchange would do it: query, key and value with a last stride of other than 1."""
    text = """
_flash = _MAKERS["sdpa-flash"]
def _scattered():
    kernel = _flash()
    def odd(query, key, value, scale):
        query, key, value = (t.transpose(-2, -1).contiguous().transpose(-2, -1) for t in (query, key, value))
        return kernel(query, key, value, scale)
    return odd
_MAKERS["sdpa-flash"] = _scattered
_says = pytorch_says
def pytorch_says(backend, calls):
    return _says(backend, [tuple(t.transpose(-2, -1).contiguous().transpose(-2, -1) for t in c[:3]) + c[3:] for c in calls])
"""
    add_script(monkeypatch, tmp_path, text)
    row = by_backend(go(small(backends=("sdpa-flash",))))["sdpa-flash"]
    assert row.status == "other-kernel"
    assert row.reason.startswith("8 of 8 calls fell back to math. PyTorch says: ")
    assert "stride 1" in row.reason
    assert (row.attention_calls.fused, row.attention_calls.math) == (0, 8)


def test_bits_that_differ_from_run_to_run_are_told_and_accuse_nobody(monkeypatch, tmp_path):
    """As kernels do that add up in another order each time."""
    text = """
_flash = _MAKERS["sdpa-flash"]
def _shaken():
    kernel = _flash()
    return lambda query, key, value, scale: kernel(query, key, value, scale) * (1 + 1e-7 * torch.rand(()))
_MAKERS["sdpa-flash"] = _shaken
"""
    add_script(monkeypatch, tmp_path, text)
    rows = by_backend(go(small(backends=("sdpa-flash",))))
    assert (rows["eager"].deterministic, rows["sdpa-flash"].deterministic) == (True, False)
    assert rows["sdpa-flash"].status == "ok"


def test_half_of_the_calls_in_math_is_found_out(monkeypatch, tmp_path):
    text = """
_flash = _MAKERS["sdpa-flash"]
def _some():
    kernel = _flash()
    def odd(query, key, value, scale):
        if query.shape[1] == 4:
            query = query.transpose(-2, -1).contiguous().transpose(-2, -1)
        return kernel(query, key, value, scale)
    return odd
_MAKERS["sdpa-flash"] = _some
"""
    add_script(monkeypatch, tmp_path, text)
    row = by_backend(go(small(backends=("sdpa-flash",))))["sdpa-flash"]
    assert row.status == "other-kernel"
    assert (row.attention_calls.fused, row.attention_calls.math) == (4, 4)


def test_backends_that_raise_are_rows_and_the_others_are_measured(monkeypatch, tmp_path):
    text = ill(
        sdpa="return kernel(query, key, value, 1.01 * scale)",
        sdpa_math="raise RuntimeError('this kernel is out of order')",
        sdpa_flash="torch.empty(2**60)",
    )
    add_script(monkeypatch, tmp_path, text)
    trials = go(small(), facts=ALONE)
    rows = by_backend(trials)
    assert rows["sdpa"].status == "wrong"
    assert rows["sdpa"].reason.startswith("its numbers are wrong: output error")
    assert (rows["sdpa-math"].status, rows["sdpa-math"].reason) == (
        "failed",
        "RuntimeError: this kernel is out of order",
    )
    assert rows["sdpa-flash"].status == "out-of-memory"
    assert "allocate memory" in rows["sdpa-flash"].reason
    assert (rows["eager"].status, rows["eager"].step_ms.n) == ("ok", 2)
    assert not any("started again" in note for note in trials.run.notes)


def test_backends_that_take_the_process_down_are_rows_and_the_others_are_measured(monkeypatch, tmp_path):
    text = ill(
        sdpa="import ctypes; ctypes.string_at(0)",
        sdpa_math="os._exit(7)",
        sdpa_flash="os.kill(os.getpid(), 9)",
    )
    add_script(monkeypatch, tmp_path, text)
    rows = by_backend(go(small(reference=False), facts=ALONE))
    assert rows["sdpa"].status == "failed"
    assert "died of SIGSEGV" in rows["sdpa"].reason
    assert rows["sdpa-math"].status == "failed"
    assert "exited with code 7" in rows["sdpa-math"].reason
    assert rows["sdpa-flash"].status == "out-of-memory"
    assert "SIGKILL" in rows["sdpa-flash"].reason
    assert (rows["eager"].status, rows["eager"].step_ms.n) == ("ok", 2)


def test_a_poisoned_context_and_a_package_that_is_not_there(monkeypatch, tmp_path):
    text = ill(
        sdpa="raise RuntimeError('CUDA error: an illegal memory access was encountered')",
        sdpa_flash="raise Unavailable('libflash.so: undefined symbol')",
    )
    add_script(monkeypatch, tmp_path, text)
    trials = go(small(reference=False), facts=ALONE)
    rows = by_backend(trials)
    assert rows["sdpa"].status == "failed"
    assert "illegal memory access" in rows["sdpa"].reason
    assert (rows["sdpa-flash"].status, rows["sdpa-flash"].reason) == (
        "ruled-out",
        "libflash.so: undefined symbol",
    )
    assert rows["sdpa-math"].step_ms.n == 2
    assert any(note.startswith("started again without sdpa float32") for note in trials.run.notes)


def test_a_backend_that_hangs_is_a_row(monkeypatch, tmp_path):
    add_script(monkeypatch, tmp_path, ill(sdpa_flash="time.sleep(1000)"))
    trials = go(small(backends=CORE, reference=False), facts=ALONE, timeout=15.0)
    rows = by_backend(trials)
    assert rows["sdpa-flash"].status == "timeout"
    assert "no answer for 15 s" in rows["sdpa-flash"].reason
    assert rows["sdpa-math"].step_ms.n == 2
    assert any(note.startswith("started again without sdpa-flash float32") for note in trials.run.notes)


def test_a_backend_that_takes_the_model_down_is_a_row(monkeypatch, tmp_path):
    add_script(monkeypatch, tmp_path, ill(sdpa_flash="os.abort()"))
    trials = go(small(backends=CORE))
    rows = by_backend(trials)
    assert (rows["sdpa-flash"].status, rows["sdpa-flash"].scope) == ("failed", "model")
    assert rows["sdpa-math"].step_ms.n == 2
    assert rows["sdpa-math"].model_gradient_error < 1e-2
    assert trials.run.reference.ok is True


def test_a_backend_that_dies_while_measured_is_a_row(monkeypatch, tmp_path):
    text = """
_done = [0]
_well = _MAKERS["sdpa-flash"]
def _later():
    kernel = _well()
    def ill(query, key, value, scale):
        _done[0] += 1
        if _done[0] > 100:
            os.abort()
        return kernel(query, key, value, scale)
    return ill
_MAKERS["sdpa-flash"] = _later
"""
    add_script(monkeypatch, tmp_path, text)
    rows = by_backend(go(small(backends=CORE, reference=False, rounds=9, seconds=60.0), facts=ALONE))
    assert rows["sdpa-flash"].status == "failed"
    assert "SIGABRT" in rows["sdpa-flash"].reason
    assert rows["sdpa-flash"].attention_calls.fused == 8
    assert rows["eager"].step_ms.n == rows["sdpa-math"].step_ms.n == 9


def test_a_damaged_source_file_is_named_by_its_error(tmp_path, monkeypatch):
    text = """
def _damaged():
    compile("def f():\\nx = 1\\n", "/v/damaged.py", "exec")
_MAKERS["sdpa-flash"] = _damaged
"""
    add_script(monkeypatch, tmp_path, text)
    rows = by_backend(go(small(backends=CORE, reference=False), facts=ALONE))
    assert rows["sdpa-flash"].status == "failed"
    assert rows["sdpa-flash"].reason.startswith("IndentationError: expected an indented block")
    assert "(damaged.py, line 2)" in rows["sdpa-flash"].reason


@pytest.mark.parametrize("how", ["raises", "segfaults", "exits quietly"])
def test_a_torch_that_breaks_between_facts_and_trial_ends_it_with_a_reason(tmp_path, how):
    python = broken_torch(tmp_path / "target", how)
    trials = go(small(), python=str(python), timeout=20.0)
    assert trials.rows == ()
    assert trials.skipped.startswith("torch did not start in the trial: ")
