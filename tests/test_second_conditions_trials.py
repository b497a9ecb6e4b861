"""The second of two conditions in the rules that judge the rows of a trial."""

from __future__ import annotations

import pytest
from one_rule import found
from whole_machines import RTX_4090, changed

from attn_doctor.failure_modes import find
from attn_doctor.failure_modes.gpu.backend_fails import Failing
from attn_doctor.failure_modes.gpu.out_of_memory_gpu import Full
from attn_doctor.failure_modes.mode import Hit
from attn_doctor.model.facts import Fault
from attn_doctor.model.findings import Certainty, Goal, Severity
from attn_doctor.model.trials import ReferenceCheck, Trial, TrialRun, Trials

H = RTX_4090


def row(backend: str, status: str = "ok", **values) -> Trial:
    return Trial(**{"backend": backend, "status": status, "dtype": "float16", "device": "cuda:0", **values})


def tried(slug: str, *rows: Trial, run: TrialRun | None = None, **values):
    given = {"rows": rows, "attempted": True, **values} | ({"run": run} if run else {})
    return found(slug, H, Goal.TRAIN, Trials(**given))


@pytest.mark.parametrize(
    ("rows", "severity", "names"),
    [
        ((row("sdpa", "wrong", reason="off."),), Severity.ERROR, ("sdpa",)),
        ((row("flex", "wrong"),), Severity.WARNING, ("flex",)),
        ((row("flex", "wrong"), row("sdpa", "failed")), Severity.ERROR, ("sdpa", "flex")),
        ((row("eager", "wrong"),), Severity.ERROR, ("eager",)),
        (
            (row("eager", "failed", reason="the process died of SIGSEGV", ended="signal"),),
            None,
            (),
        ),  # eager-fails reports it
        ((row("flex", "failed", reason="it raised"),), None, ()),
        ((row("flex", "failed", reason="the process died of SIGSEGV", ended="signal"),), Severity.WARNING, ("flex",)),
        ((row("flex", "timeout", reason="no answer for 60 s", ended="timeout"),), Severity.WARNING, ("flex",)),
        ((row("sdpa", "timeout"),), Severity.ERROR, ("sdpa",)),
        ((row("sdpa", "ruled-out", reason="the process died of SIGSEGV", ended="signal"),), None, ()),
        ((row("sdpa"), row("flex")), None, ()),
    ],
)
def test_a_backend_that_fails_or_is_wrong(rows, severity, names):
    finding = tried("backend-fails", *rows)
    assert (finding and finding.severity) == severity
    assert finding is None or (finding.blocks == names and finding.certainty is Certainty.OBSERVED)


def test_of_three_backends_that_fail_each_is_named_once():
    finding = tried(
        "backend-fails", row("flex", "wrong"), row("xformers", "wrong"), row("sdpa", "wrong", reason="off.\nmore"),
        row("flex", "wrong", dtype="float32"),
    )  # fmt: skip
    assert finding.message.startswith(
        "sdpa computes wrong numbers on cuda:0 in float16: off. The same is true of flex, xformers."
    )
    assert [e.path for e in finding.evidence] == ["trials.2", "trials.0", "trials.1", "trials.3"]
    two = tried("backend-fails", row("sdpa", "failed"), row("flex", "wrong"))
    assert two.message == "sdpa fails on cuda:0 in float16: no reason was given. The same is true of flex."
    assert "So do" not in tried("backend-fails", row("sdpa", "failed")).message


@pytest.mark.parametrize(
    ("check", "module", "met"),
    [
        (ReferenceCheck(ok=False, module="BatchNorm2d"), "BatchNorm2d", False),  # another failure mode reports it
        (ReferenceCheck(ok=True, module="BatchNorm2d"), "BatchNorm2d", True),
        (ReferenceCheck(ok=False, module="BatchNorm2d"), "Conv2d", True),
        (ReferenceCheck(ok=False, module="Conv2d"), "Conv2d", True),
        (None, "BatchNorm2d", True),
    ],
)
def test_a_gradient_that_is_wrong_without_the_backend_is_not_its_fault(check, module, met):
    finding = tried("backend-fails", row("sdpa", "wrong", wrong_module=module), run=TrialRun(reference=check))
    assert (finding is not None) is met


@pytest.mark.parametrize(
    ("backends", "attention"), [(("eager",), "auto"), (("sdpa",), "eager"), (("eager", "sdpa"), "eager")]
)
def test_the_attention_that_is_taken_instead(backends, attention):
    hit = Hit(message="m", evidence=(), variant=Failing(backends=backends))
    (fix,) = find("backend-fails").fixes(H, hit)
    assert fix.steps[0].argv[3] == attention


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            (row("eager", "failed", reason="it raised.\nmore"),),
            "A training step of the model as installed fails on cuda:0 in float16: it raised.",
        ),
        (
            (row("eager", "timeout", scope="attention"),),
            "The model's own attention fails on cuda:0 in float16: no reason was given.",
        ),
        ((row("eager", "failed", reason="not all finite", ended="not-finite"),), None),
        ((row("sdpa", "failed"),), None),
        ((row("eager", "wrong"),), None),
        ((row("eager"), row("eager", "failed", dtype="float32", reason="x")), "fails on cuda:0 in float32: x."),
        (
            (row("eager", "failed", reason="not all finite", ended="not-finite"), row("eager", "failed", reason="x")),
            "float16: x.",
        ),
    ],
)
def test_eager_that_fails(rows, says):
    finding = tried("eager-fails", *rows)
    assert (finding is None) is (says is None)
    assert finding is None or says in finding.message


def test_a_fault_of_the_trial_itself_comes_before_its_rows():
    fault = Fault(kind="raised", type="E", message="x", where="a.py:3")
    lost = row("eager", "failed", reason="y")
    forward = tried("eager-fails", lost, run=TrialRun(forward_fault=fault, fault=fault))
    assert forward.message == "A pass through the model fails: E: x."
    assert [(e.path, e.text) for e in forward.evidence] == [("trial_run.forward_fault", "E: x (a.py:3)")]
    ended = tried("eager-fails", run=TrialRun(fault=fault), skipped="the process died")
    assert (ended.message, ended.evidence[0].path) == ("The process died.", "trial_run.fault")
    assert tried("eager-fails", run=TrialRun(fault=fault)).message == "The trial fails: E: x."


@pytest.mark.parametrize(
    ("rows", "severity"),
    [
        ((row("eager", "out-of-memory"),), Severity.ERROR),
        ((row("eager", "out-of-memory"), row("sdpa")), Severity.WARNING),
        ((row("eager", "failed"), row("sdpa")), None),
    ],
)
def test_a_backend_for_which_the_memory_is_too_small(rows, severity):
    finding = tried("out-of-memory-gpu", *rows)
    assert (finding and finding.severity) == severity


def test_the_row_that_needed_too_much_memory_is_the_evidence():
    rows = row("sdpa"), row("flex", "out-of-memory", batch=8, imgsz=640), row("eager", "out-of-memory", reason="y")
    finding = tried("out-of-memory-gpu", *rows)
    assert finding.message == (
        "The memory of cuda:0 was too small for eager, flex at 640 pixels, batch 8; sdpa did the same work."
    )
    assert [(e.path, e.text) for e in finding.evidence] == [("trials.1", "out of memory")]


@pytest.mark.parametrize(
    ("by_attention", "calls", "fixes"),
    [(True, ("sdpa",), 2), (False, ("eager",), 2), (False, ("sdpa",), 1), (False, ("eager", "sdpa"), 1)],
)
def test_fused_attention_helps_where_attention_filled_the_memory(by_attention, calls, fixes):
    hit = Hit(message="m", evidence=(), variant=Full(by_attention=by_attention))
    made = find("out-of-memory-gpu").fixes(changed(H, yolo__calls=calls), hit)
    assert len(made) == fixes
    assert made[-1].title == "Use less GPU memory"
