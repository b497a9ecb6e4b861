"""Advice: which backend, whether flash-attn is worth installing, and that it says what it was measured on. Expectations by hand."""

from __future__ import annotations

import msgspec
import pytest

from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import Facts, Gpu, Graphics, System, Torch, Unknown, Yolo
from attn_doctor.model.findings import Diagnosis
from attn_doctor.model.trials import Gain, Trial, Trials
from attn_doctor.trials.gains import with_gains
from attn_doctor.trials.statistics import interval

NOTHING = Diagnosis(findings=())
TORCH = Torch(version="2.8.0+cu128", cuda="12.8", importable=True, available=True)


def machine(capability: str | None, *, kind: str = "mainline", torch: Torch = TORCH, os: str = "linux") -> Facts:
    gpus = (Gpu(index=0, name="a card", compute_capability=capability, visible=True),) if capability else ()
    return Facts(
        system=System(os=os),
        graphics=Graphics(gpus=gpus, amd=()),
        torch=torch,
        yolo=Yolo(kind=kind, version="8.4.190"),
    )


def row(backend: str, *times: float, memory: int | None = None, dtype: str = "float16", status: str = "ok") -> Trial:
    return Trial(
        backend=backend,
        status=status,
        dtype=dtype,
        model="yolo12n.yaml",
        device="cuda:0",
        batch=2,
        imgsz=640,
        step_ms=interval(times) if times else None,
        step_samples=times,
        peak_bytes=memory,
    )


STEADY = (100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8, 100.1, 99.9)


def times(factor: float) -> tuple[float, ...]:
    return tuple(time * factor for time in STEADY)


def advice(facts: Facts, *rows: Trial):
    """With the verdicts of the rows as a trial makes them, unless they bring one of their own."""
    made = with_gains(rows)
    made = tuple(row if row.step_gain else other for row, other in zip(rows, made, strict=True))
    return recommend(facts, NOTHING, Trials(rows=made, attempted=True))


def test_the_quickest_is_named_with_its_gain_and_what_it_was_measured_on():
    made = advice(machine("8.9"), row("eager", *times(1)), row("sdpa-flash", *times(0.5)), row("sdpa", *times(0.8)))
    assert (made.backend, made.measured, made.install_flash_attn) == ("sdpa-flash", True, "no")
    assert "2.00 times as fast as with eager (yolo12n.yaml at 640, batch 2, cuda:0, float16)" in made.summary
    assert [reason.refers_to for reason in made.because] == ["trials.1", "trials.0", "yolo.calls"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (times(0.985), "no other backend is measurably faster"),  # surely quicker, and by too little to be called so
        # The median is lower, and the rounds do not agree.
        ((50.0, 150.0, 60.0, 140.0, 101.0, 99.0, 40.0, 160.0, 89.0), "no other backend is measurably faster"),
        (times(1.2), "no other backend is measurably faster"),
    ],
)
def test_eager_is_kept_where_nothing_is_clearly_quicker(other, said):
    made = advice(machine("8.9"), row("eager", *times(1)), row("sdpa", *other))
    assert made.backend == "eager"
    assert made.measured
    assert said in made.summary


def test_pairs_decide_where_the_medians_tell_another_story():
    """A machine that sped up half-way: every round says 1.06, the medians of the rounds say less."""
    base = (100.0, 100.2, 100.4, 100.1, 100.3, 80.0, 80.1, 80.2, 80.3)
    quicker = tuple(time / 1.06 for time in base)
    assert advice(machine("8.9"), row("eager", *base), row("sdpa", *quicker)).backend == "sdpa"


def test_three_percent_that_the_table_calls_faster_are_faster_in_the_advice_too():
    made = advice(machine("8.9"), row("eager", *times(1)), row("sdpa", *times(0.97)))
    assert made.backend == "sdpa"
    assert "1.03 times as fast" in made.summary


def test_the_gain_is_that_of_the_pairs_as_in_the_table():
    paired = Gain(ratio=2.2, low=2.1, high=2.3, n=9, p=0.01, verdict="faster")
    quick = msgspec.structs.replace(row("sdpa", *times(0.5)), step_gain=paired)
    assert "2.20 times as fast" in advice(machine("8.9"), row("eager", *times(1)), quick).summary


def test_too_few_rounds_are_called_so():
    undecided = Gain(ratio=1.5, low=0.5, high=3.0, n=3, p=1.0, verdict="undecided")
    busy = msgspec.structs.replace(row("sdpa", 100.0, 300.0, 50.0), step_gain=undecided)
    made = advice(machine("8.9"), row("eager", 200.0, 90.0, 400.0), busy)
    assert made.backend == "eager"
    assert "sdpa was 1.50 times as fast, but the 3 rounds contradict each other" in made.summary


def test_the_likely_winner_is_named_with_the_rounds_that_would_settle_it():
    """1280 pixels: three rounds with one winner. Seven are needed for one comparison at half the level: 2 / 2**6 < 0.05."""
    slow = [msgspec.structs.replace(row(name), model="yolo12n.yaml", imgsz=1280, batch=1) for name in ("eager", "sdpa")]
    made = [
        msgspec.structs.replace(r, step_ms=interval(t), step_samples=t)
        for r, t in zip(slow, ((2000.0, 2100.0, 2050.0), (1000.0, 1000.0, 1025.0)), strict=True)
    ]
    said = advice(machine("8.9"), *made).summary
    assert "sdpa is likely 2.00 times as fast, but 3 rounds do not prove it; about 3 more (9 s) would decide it" in said
    assert "attn-doctor trial --model yolo12n.yaml --imgsz 1280 --batch 1 --backend sdpa --repeats 6" in said


def test_how_to_take_it_is_said_where_there_is_something_to_exchange():
    rows = row("eager", *times(1)), row("sdpa-flash", *times(0.5))
    (said,) = advice(machine("8.9"), *rows).do
    assert said.startswith("Train with it: attn-doctor run --attention sdpa-flash -- yolo")
    assert advice(machine("8.9", kind="none"), *rows).do == ()
    assert advice(machine("8.9"), rows[0]).do == ()


def test_what_was_slow_for_all_alike_is_no_obstacle():
    """A machine that slows down in the middle: intervals overlap, the pairs do not."""
    slowing = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]
    base = tuple(100 * f for f in slowing)
    made = advice(machine("8.9"), row("eager", *base), row("sdpa", *(0.8 * time for time in base)))
    assert made.backend == "sdpa"


def test_a_backend_that_is_quick_and_not_right_is_never_named():
    made = advice(machine("8.9"), row("eager", *times(1)), row("sdpa-flash", *times(0.1), status="failed"))
    assert made.backend == "eager"


def test_the_dtype_that_training_would_take():
    made = advice(
        machine("8.9"),
        row("eager", *times(2), dtype="float32"),
        row("sdpa", *times(1), dtype="float32"),
        row("eager", *times(0.5)),
        row("sdpa-flash", *times(0.4)),
    )
    assert made.backend == "sdpa-flash"
    assert made.because[0].refers_to == "trials.3"


def test_a_small_model_that_is_quicker_in_float32_is_trained_in_float16_all_the_same():
    """`yolo train` has amp=True unless told otherwise: what holds in float32 is no advice for it."""
    made = advice(
        machine("8.9"),
        row("eager", *times(0.5), dtype="float32"),
        row("sdpa-efficient", *times(0.1), dtype="float32"),
        row("eager", *times(2)),
        row("sdpa-flash", *times(1)),
    )
    assert made.backend == "sdpa-flash"


def test_the_same_speed_with_less_memory_is_said_and_not_urged():
    made = advice(machine("8.9"), row("eager", *times(1), memory=1000), row("sdpa", *times(1), memory=700))
    assert made.backend == "eager"
    assert any("sdpa needs 30% less memory" in reason.text for reason in made.because)
    close = advice(machine("8.9"), row("eager", *times(1), memory=1000), row("sdpa", *times(1), memory=900))
    assert not any("less memory" in reason.text for reason in close.because)


def test_flash_attn_is_worth_installing_only_where_it_beats_pytorchs_own_kernels():
    base, fused = row("eager", *times(1)), row("sdpa-flash", *times(0.5))
    fork = machine("8.9", kind="fork")
    assert advice(fork, base, fused, row("flash-attn-2", *times(0.4))).install_flash_attn == "yes"
    assert advice(fork, base, fused, row("flash-attn-2", *times(0.5))).install_flash_attn == "no"


@pytest.mark.parametrize(
    ("facts", "refers_to"),
    [
        (machine(None), "graphics.gpus"),
        (machine("7.5"), "graphics.gpus.0.compute_capability"),
        (machine(None, os="darwin"), "system.os"),
    ],
)
def test_where_flash_attn_cannot_run(facts, refers_to):
    made = advice(facts)
    assert made.install_flash_attn == "not-here"
    assert refers_to in [reason.refers_to for reason in made.because]


@pytest.mark.parametrize(("capability", "backend"), [("8.9", "sdpa-flash"), ("7.5", "sdpa-efficient"), (None, "sdpa")])
def test_without_a_trial_the_advice_says_so(capability, backend):
    made = recommend(machine(capability), NOTHING, Trials(skipped="left out by --no-trial"))
    assert (made.backend, made.measured) == (backend, False)
    assert "Not measured: left out by --no-trial" in made.summary


@pytest.mark.parametrize(
    ("torch", "refers_to"),
    [
        (Torch(version=None), "torch.version"),
        (Torch(version="2.8.0", importable=False), "torch.importable"),
        (Torch(version=Unknown("nobody knows")), "torch.version"),
    ],
)
def test_without_a_torch_no_backend_is_named(torch, refers_to):
    made = recommend(machine("8.9", torch=torch), NOTHING, Trials(skipped="there is no torch in the target"))
    assert made.backend is None
    assert made.because[0].refers_to == refers_to
