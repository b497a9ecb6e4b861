"""The second of two conditions in the advice."""

from __future__ import annotations

import pytest
from whole_machines import RTX_4090, changed

from attn_doctor.failure_modes import find
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import AmdGpu, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Diagnosis, Finding, Fix, Severity
from attn_doctor.model.trials import Gain, Trial, Trials
from attn_doctor.trials.statistics import interval

HEALTHY = Diagnosis()
NOT_TRIED = Trials(skipped="left out by --no-trial")
FIX = Fix(title="Put it right", steps=(), verify=())


def error(slug: str = "torchvision-mismatch", code: str | None = None, **values) -> Finding:
    given = {
        "title": "a title",
        "message": "a message",
        "severity": Severity.ERROR,
        "certainty": Certainty.OBSERVED,
        "confidence": Confidence.HIGH,
        "root_cause": True,
        "explained_by": None,
        "blocks": (),
        "fixes": (FIX,),
        "evidence": (),
        "docs": "",
        **values,
    }
    return Finding(code=code or find(slug).MODE.code, slug=slug, **given)


def row(backend: str, ms: float | None = 100.0, *, verdict: str | None = None, **values) -> Trial:
    steps = () if ms is None else tuple(ms + 0.1 * n for n in range(9))
    gain = Gain(ratio=2.0, low=1.9, high=2.1, n=9, p=0.01, verdict=verdict) if verdict else None
    given = {"status": "ok", "dtype": "float16", "model": "yolo12n.yaml", "device": "cuda:0", "batch": 2, "imgsz": 640}
    return Trial(
        backend=backend,
        **{
            **given,
            "step_ms": interval(steps) if steps else None,
            "step_samples": steps,
            "step_gain": gain,
            **values,
        },
    )


def advice(*rows: Trial, findings: tuple[Finding, ...] = (), facts=RTX_4090):
    return recommend(facts, Diagnosis(findings=findings), Trials(rows=rows, attempted=True))


# -- what stands in the way


@pytest.mark.parametrize(
    ("finding", "stops"),
    [
        (error(), True),
        (error(root_cause=False, explained_by="AD101"), False),
        (error(severity=Severity.WARNING), False),
        (error(blocks=("eager",)), False),  # leaving eager cures it
        (error("cuda-home-unset"), False),  # stops a build alone
        (error("zork", "AD999"), True),  # of a newer version, and nobody knows
    ],
)
def test_after_a_trial_an_error_that_stops_training_leaves_no_backend(finding, stops):
    made = advice(row("eager"), findings=(finding,))
    assert (made.backend is None) is stops
    assert made.measured is not stops


@pytest.mark.parametrize(
    ("finding", "stops"),
    [
        (error(), True),
        (error(certainty=Certainty.PREDICTED), False),  # advice from facts holds for the time after the cure
        (error("driver-too-old"), False),
        (error("cuda-home-unset"), False),
        (error("requirements-missing"), True),
    ],
)
def test_without_a_trial_only_what_was_seen_to_fail_in_the_code_leaves_no_backend(finding, stops):
    made = recommend(RTX_4090, Diagnosis(findings=(finding,)), NOT_TRIED)
    assert (made.backend is None) is stops


def test_an_error_that_comes_first_and_prevents_a_backend_is_one_reason():
    made = recommend(RTX_4090, Diagnosis(findings=(error("torch-missing", "AD216"),)), NOT_TRIED)
    assert [reason.text for reason in made.because if reason.refers_to == "AD216"] == [
        "torch-missing comes first: a title"
    ]


def test_the_first_error_that_can_be_cured_is_named_first():
    first, second = error("one", "AD998"), error("two", "AD999")
    made = advice(findings=(first, second))
    assert made.summary.startswith("First fix one. ")
    assert [r.refers_to for r in made.because].count("AD999") == 0
    assert made.because[0].text == "one comes first: a title"
    assert made.do == ("Put it right", "Put it right")


@pytest.mark.parametrize(
    "finding",
    [error(fixes=()), error(root_cause=False), error(severity=Severity.WARNING), error(blocks=("eager",))],
)
def test_what_cannot_be_cured_or_is_no_error_is_not_named_first(finding):
    made = advice(row("eager"), row("sdpa", 50.0, verdict="faster"), findings=(finding,))
    assert "First fix" not in made.summary


def test_an_error_of_eager_comes_first_where_no_backend_is_named():
    made = advice(row("eager", None, status="failed"), findings=(error(blocks=("eager",)),))
    assert made.backend is None
    assert made.summary.startswith("First fix torchvision-mismatch. ")


def test_only_the_first_fix_of_a_root_cause_is_to_do():
    both = error(fixes=(FIX, Fix(title="Another way", steps=(), verify=())))
    effect = error("effect", "AD998", root_cause=False, fixes=(Fix(title="Of an effect", steps=(), verify=()),))
    assert advice(findings=(both, effect)).do == ("Put it right",)


def test_a_gpu_on_which_nothing_runs_is_said_with_its_own_words():
    made = advice(row("eager", None, status="failed", reason="CUDA error: zork\nmore", device="cuda:0"))
    assert made.backend is None
    assert "nothing runs on cuda:0" in made.summary
    assert made.because[0].text == "eager on cuda:0: CUDA error: zork"
    assert made.because[0].refers_to == "trials.0"


def test_a_trial_that_gave_no_numbers_says_why():
    none = recommend(RTX_4090, HEALTHY, Trials(attempted=True, skipped="the model has no attention"))
    assert none.backend is None
    assert "nothing was measured (the model has no attention)" in none.summary
    assert "nothing was measured (it gave no numbers)" in recommend(RTX_4090, HEALTHY, Trials(attempted=True)).summary


# -- measured


def test_no_row_that_ended_well_names_the_first_three_results():
    lost = [
        row(name, None, status="failed", reason=f"{name}\nmore") for name in ("sdpa", "sdpa-math", "flex", "xformers")
    ]
    made = advice(row("eager", None, status="ruled-out"), *lost)
    assert made.backend is None
    assert "no tried backend" in made.summary
    assert [r.text for r in made.because[:3]] == [
        "sdpa: failed, sdpa",
        "sdpa-math: failed, sdpa-math",
        "flex: failed, flex",
    ]
    assert [r.refers_to for r in made.because[:3]] == ["trials.1", "trials.2", "trials.3"]
    assert not any(r.text.startswith("xformers") for r in made.because)


def test_eager_without_numbers_leaves_nothing_to_hold_others_against():
    made = advice(row("eager", None, status="out-of-memory"), row("sdpa"))
    assert made.backend is None
    assert "eager, with which all others are compared" in made.summary


def test_the_quickest_of_those_that_were_asked_for():
    made = advice(row("sdpa", 90.0), row("flex", 80.0))
    assert (made.backend, made.measured) == ("flex", True)
    assert "eager was not tried" in made.summary
    assert made.because[0].refers_to == "trials.1"


def test_rows_of_another_dtype_are_left_out():
    made = advice(row("eager", dtype="float32"), row("sdpa", 1.0, dtype="float32", verdict="faster"), row("eager"))
    assert made.backend == "eager"
    assert made.because[0].refers_to == "trials.2"


def test_numbers_of_eager_that_are_wrong_are_left_for_right_ones():
    wrong = row("eager", status="wrong", wrong_by=0.25)
    made = advice(wrong, row("sdpa", 120.0))
    assert (made.backend, made.measured) == ("sdpa", True)
    assert "eager's numbers are 25% off here, the numbers of sdpa are right" in made.summary
    assert [r.refers_to for r in made.because[:2]] == ["trials.0", "trials.1"]
    named = advice(wrong, row("sdpa", 120.0), findings=(error("torch-cpu-zork", "AD998", blocks=("eager",)),))
    assert "25% off here (torch-cpu-zork)" in named.summary
    other = advice(wrong, row("sdpa", 120.0), findings=(error("zork", "AD998", severity=Severity.INFO),))
    assert "(zork)" not in other.summary
    effect = error("torch-cpu-zork", "AD998", blocks=("eager",), root_cause=False)
    assert "(torch-cpu-zork)" not in advice(wrong, row("sdpa", 120.0), findings=(effect,)).summary
    assert "wrong here" in advice(row("eager", status="wrong"), row("sdpa", 120.0)).summary


def test_why_eager_is_kept():
    base = row("eager")
    assert "no other backend finished" in advice(base).summary
    assert "no other backend finished" in advice(base, row("sdpa", None)).summary
    assert "no other backend finished" in advice(base, row("sdpa", status="wrong")).summary
    assert "no other backend is measurably faster" in advice(base, row("sdpa", verdict="slower")).summary
    few = advice(base, row("sdpa", verdict="undecided"))
    assert "sdpa was 2.00 times as fast, but the 9 rounds contradict each other" in few.summary
    assert advice(base, row("sdpa", verdict="slower")).measured


def test_two_others_are_shown_beside_eager():
    others = [row(name, 110.0 + n, verdict="slower") for n, name in enumerate(("sdpa", "flex", "xformers"))]
    made = advice(row("eager"), *others)
    assert [r.refers_to for r in made.because[:3]] == ["trials.0", "trials.1", "trials.2"]
    assert not any(r.refers_to == "trials.3" for r in made.because)


@pytest.mark.parametrize(
    ("base", "other", "said"),
    [
        (1000, 849, True),
        (1000, 851, False),
        (1000, None, False),
        (None, 100, False),
        (1000, 0, False),
    ],
)
def test_less_memory_is_worth_a_word_from_15_percent(base, other, said):
    made = advice(row("eager", peak_bytes=base), row("sdpa", verdict="slower", peak_bytes=other))
    assert any("if memory is short: sdpa" in r.text for r in made.because) is said


def test_the_leanest_of_all_is_named_with_its_row():
    rows = [row(n, verdict="slower", peak_bytes=m) for n, m in (("sdpa", 700), ("flex", 400), ("xformers", 600))]
    made = advice(row("eager", peak_bytes=1000), *rows)
    said = next(r for r in made.because if "memory is short" in r.text)
    assert (said.text, said.refers_to) == (
        "if memory is short: flex needs 60% less memory for a step than eager",
        "trials.2",
    )


@pytest.mark.parametrize(
    ("kind", "told"), [("mainline", True), ("fork", True), ("other", False), (Unknown("?"), False)]
)
def test_how_to_train_with_it_is_said_of_a_known_kind_of_ultralytics(kind, told):
    made = advice(row("eager"), row("sdpa", 50.0, verdict="faster"), facts=changed(RTX_4090, yolo__kind=kind))
    assert any("attn-doctor run --attention sdpa" in step for step in made.do) is told
    assert not any(
        "attn-doctor run" in step for step in advice(row("eager"), facts=changed(RTX_4090, yolo__kind=kind)).do
    )


# -- not measured


@pytest.mark.parametrize(
    ("facts", "backend"),
    [
        (RTX_4090, "sdpa-flash"),
        (changed(RTX_4090, torch__flash_compiled=False), "sdpa-efficient"),
        (changed(RTX_4090, torch__flash_compiled=Unknown("?")), "sdpa-flash"),
        (changed(RTX_4090, torch__cuda=None), "sdpa"),
        (changed(RTX_4090, torch__available=Unknown("not asked")), "sdpa-flash"),
        (changed(RTX_4090, graphics__gpus=()), "sdpa"),
        (changed(RTX_4090, torch__version=None), None),
        (changed(RTX_4090, torch__importable=False), None),
        (changed(RTX_4090, torch__importable=Unknown("--static")), "sdpa-flash"),
    ],
)
def test_the_kernel_that_facts_alone_name(facts, backend):
    assert recommend(facts, HEALTHY, NOT_TRIED).backend == backend


@pytest.mark.parametrize(
    ("blocks", "severity", "backend"),
    [
        ("all", Severity.ERROR, "sdpa"),
        ("all", Severity.WARNING, "sdpa-flash"),
        ("some", Severity.ERROR, "sdpa-flash"),
    ],
)
def test_an_error_that_stops_all_kernels_of_the_gpu_leaves_pytorchs_own_choice(blocks, severity, backend):
    stopped = (
        "sdpa-efficient",
        "sdpa-cudnn",
        "sdpa-flash-3",
        "sdpa-flash-4",
        "sdpa-flash",
        "flex",
        "xformers",
        "flash-attn-2",
    )
    finding = error(
        "driver-too-old", "AD405", severity=severity, blocks=stopped if blocks == "all" else ("sdpa-cudnn",)
    )
    assert recommend(RTX_4090, Diagnosis(findings=(finding,)), NOT_TRIED).backend == backend


# -- flash-attn


@pytest.mark.parametrize(
    ("facts", "install", "refers_to"),
    [
        (RTX_4090, "no", "yolo.calls"),
        (changed(RTX_4090, yolo__kind="fork"), "no", "torch.version"),
        (changed(RTX_4090, system__os="darwin"), "not-here", "system.os"),
        (changed(RTX_4090, graphics__gpus=()), "not-here", "graphics.gpus"),
        (changed(RTX_4090, graphics__gpus=Unknown("?")), "no", "yolo.calls"),
    ],
)
def test_whether_flash_attn_is_worth_installing(facts, install, refers_to):
    made = recommend(facts, HEALTHY, NOT_TRIED)
    assert made.install_flash_attn == install
    assert made.because[-1].refers_to == refers_to


FORK = changed(RTX_4090, yolo__kind="fork")
AMD = (AmdGpu(name="MI300X", gfx="gfx942"),)


@pytest.mark.parametrize(
    ("fused", "install"),
    [
        ((row("sdpa-flash", 60.0),), "yes"),
        ((row("sdpa-flash", 60.0), row("sdpa-efficient", 39.0)), "no"),
        ((row("sdpa-flash", 30.0, status="wrong"), row("sdpa", 60.0)), "yes"),  # a wrong one is no rival
        ((row("sdpa-flash", 30.0, dtype="float32"), row("sdpa", 60.0)), "yes"),  # nor one in another dtype
        ((), "no"),  # nothing to hold it against
    ],
)
def test_flash_attn_must_beat_each_fused_kernel_of_pytorch(fused, install):
    best = row("flash-attn-2", 40.0, verdict="faster")
    assert advice(row("eager"), best, *fused, facts=FORK).install_flash_attn == install


def test_flash_attn_is_held_against_the_quickest_kernel():
    made = advice(
        row("eager"),
        row("sdpa-efficient", 70.0),
        row("sdpa-flash", 60.0),
        row("flash-attn-2", 40.0, verdict="faster"),
        facts=FORK,
    )
    assert made.because[-1].text.endswith("against 60.4 ms")
    assert made.because[-1].refers_to == "trials.3"
