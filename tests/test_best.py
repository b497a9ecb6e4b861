"""One function names the best backend: what it may never do, how often chance misleads it, and that real gains are found."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from attn_doctor.failure_modes.gpu import backend_fails, eager_fails, torch_cpu_batchnorm_gradient
from attn_doctor.failure_modes.model_code import model_not_built
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.recommend import recommend
from attn_doctor.model.facts import Facts, Fault, Graphics, Interpreter, System, Torch, Yolo
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.trials import Gain, ReferenceCheck, Trial, TrialRun, Trials
from attn_doctor.trials.best import beats, best, training_dtype
from attn_doctor.trials.gains import with_gains
from attn_doctor.trials.statistics import LEVEL, interval

NAMES = ("sdpa", "sdpa-flash", "sdpa-math", "sdpa-efficient", "sdpa-cudnn", "flash-attn-2", "xformers", "flex")
STATUSES = ("ok", "wrong", "other-kernel", "ruled-out", "failed", "timeout", "out-of-memory")
FACTS = Facts(
    system=System(os="linux"),
    graphics=Graphics(gpus=(), amd=()),
    torch=Torch(version="2.14.1+cpu", importable=True, available=False),
    yolo=Yolo(version="8.4.190", kind="mainline"),
    interpreter=Interpreter(python="/venv/bin/python", installers=("pip 26",)),
)


STEADY = (100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8, 100.1, 99.9)


def row(backend: str, *samples: float, **more) -> Trial:
    made = {"status": "ok", "dtype": "float32", "model": "yolo12n.yaml", "imgsz": 640, "batch": 2, **more}
    return Trial(backend=backend, step_ms=interval(samples) if samples else None, step_samples=tuple(samples), **made)


def advice(*rows: Trial, run: TrialRun | None = None, facts: Facts = FACTS) -> Recommendation:
    trials = Trials(rows=with_gains(rows), run=run or TrialRun(), attempted=True)
    return recommend(facts, diagnose(facts, Goal.TRAIN, trials=trials), trials)


def found(*rows: Trial, run: TrialRun | None = None, skipped: str | None = None) -> dict[str, Severity]:
    trials = Trials(rows=with_gains(rows), run=run or TrialRun(), skipped=skipped, attempted=True)
    return {f.slug: f.severity for f in diagnose(FACTS, Goal.TRAIN, trials=trials).findings if f.root_cause}


def simulated(chance: random.Random, backends: int, rounds: int, noise: float, gain: float = 1.0) -> list[Trial]:
    """Rounds that drift together, and backends that take the same time; the first but eager `gain` times as fast."""
    drift = [100 * math.exp(0.2 * math.sin(i)) for i in range(rounds)]
    rows = []
    for place, name in enumerate(("eager", *NAMES)[:backends]):
        true = 1 / gain if place == 1 else 1.0
        rows.append(row(name, *(d * true * math.exp(chance.gauss(0, noise)) for d in drift)))
    return list(with_gains(rows))


def test_eager_is_left_for_nothing_but_a_row_that_says_faster():
    chance = random.Random(1)
    verdicts = ("faster", "slower", "no difference", "undecided", None)
    left = 0
    for _ in range(3000):
        rows = [row("eager", 100.0, status=chance.choice(STATUSES))]
        for name in chance.sample(NAMES, chance.randint(1, len(NAMES))):
            gain = Gain(ratio=chance.uniform(0.5, 3), low=0.5, high=3, n=9, p=0.01, verdict=chance.choice(verdicts))
            with_gain = {"step_gain": gain if gain.verdict or chance.random() < 0.5 else None}
            rows.append(row(name, chance.uniform(10, 200), status=chance.choice(STATUSES), **with_gain))
        named = best(rows, "float32")
        if named.row is not None:
            assert named.row.status == "ok"
        if named.why == "faster":
            left += 1
            assert named.row.step_gain.verdict == "faster"
        elif named.why == "right":
            assert rows[0].status == "wrong"
        elif named.why == "only":
            assert rows[0].status == "ruled-out"
        elif named.why == "kept":
            assert named.row is rows[0]
        else:
            assert named.row is None
        if rows[0].status in ("failed", "timeout", "out-of-memory"):
            assert named.row is None
    assert left > 50


@pytest.mark.parametrize("noise", [0.05, 0.1])
def test_backends_that_are_the_same_are_told_apart_by_chance_in_no_more_than_the_stated_share(noise):
    chance = random.Random(round(1000 * noise))
    trials = 500  # of either noise: 1,000 in all
    left = sum(
        best(simulated(chance, chance.randint(3, 9), chance.randint(6, 30), noise), "float32").why == "faster"
        for _ in range(trials)
    )
    # Three standard deviations of a binomial above the stated share.
    assert left <= LEVEL * trials + 3 * math.sqrt(trials * LEVEL * (1 - LEVEL))


@pytest.mark.parametrize(("gain", "rounds", "least"), [(1.5, 9, 48), (1.2, 15, 45), (1.1, 30, 45)])
def test_a_gain_that_is_there_is_found(gain, rounds, least):
    chance = random.Random(3)
    named = [best(simulated(chance, 5, rounds, 0.05, gain), "float32").row for _ in range(50)]
    assert sum(row is not None and row.backend == NAMES[0] for row in named) >= least


def test_six_rounds_in_which_the_table_is_undecided_keep_eager():
    rows = with_gains([row("eager", *STEADY[:6]), *(row(name, *(t / 1.4 for t in STEADY[:6])) for name in NAMES[:4])])
    assert {r.step_gain.verdict for r in rows[1:4]} <= {"faster", "undecided"}
    undecided = [r for r in rows if r.step_gain and r.step_gain.verdict == "undecided"]
    assert best(rows, "float32").why == ("kept" if undecided else "faster")


def test_rows_of_an_old_report_without_verdicts_keep_eager():
    old = [row("eager", *STEADY), row("sdpa", *(t / 2 for t in STEADY))]
    assert best(old, "float32").why == "kept"
    made = recommend(FACTS, diagnose(FACTS, Goal.TRAIN), Trials(rows=tuple(old)))
    assert made.backend == "eager"


def test_flash_attn_must_beat_every_kernel_of_pytorchs_own_after_correction():
    quick, quicker = (tuple(t * f for t in STEADY) for f in (0.5, 0.4))
    flash = row("flash-attn-2", *quicker)
    assert beats(flash, [row("sdpa", *quick), row("sdpa-flash", *quick)])
    assert not beats(flash, [row("sdpa", *quick), row("sdpa-flash", *quicker)])
    assert not beats(flash, [])
    # Six rounds decide one comparison and not three.
    short = [
        row(n, *(t * f for t in STEADY[:6])) for n, f in (("sdpa", 0.6), ("sdpa-flash", 0.61), ("sdpa-cudnn", 0.62))
    ]
    assert beats(row("flash-attn-2", *quicker[:6]), short[:1])
    assert not beats(row("flash-attn-2", *quicker[:6]), short)


def test_the_dtype_of_training():
    gpu = {"device": "cuda:0"}
    assert training_dtype([row("eager", 1.0, **gpu), row("eager", 2.0, dtype="float16", **gpu)]) == "float16"
    assert training_dtype([row("eager", 2.0), row("eager", 1.0, dtype="bfloat16")]) == "bfloat16"
    assert training_dtype([]) is None


WRONG = {
    "status": "wrong",
    "reason": "gradients are wrong with this backend",
    "wrong_by": 1.4,
    "wrong_module": "BatchNorm2d",
    "batch": 1,
}
CHECK = TrialRun(reference=ReferenceCheck(ok=False, error=1.4, module="BatchNorm2d", note="a gradient of shape (1, 2)"))


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_where_eager_is_wrong_a_right_backend_is_advised_whatever_its_speed(factor):
    slow = row("sdpa-flash", *(t * factor for t in STEADY), batch=1)
    made = advice(row("eager", *STEADY, **WRONG), slow, run=CHECK)
    assert made.backend == "sdpa-flash"
    assert "eager's numbers are 140% off here (torch-cpu-batchnorm-gradient)" in made.summary
    assert "the numbers of sdpa-flash are right" in made.summary
    assert "Keep eager" not in made.summary
    assert found(row("eager", *STEADY, **WRONG), slow, run=CHECK) == {"torch-cpu-batchnorm-gradient": Severity.ERROR}


SDPA = "attn-doctor run --attention sdpa -- yolo detect train model=yolo12n.yaml data=coco8.yaml imgsz=640 batch=1 device=cpu"


def test_the_cure_of_wrong_gradients_names_the_backend_that_is_advised():
    def titles_and_commands(*rows):
        trials = Trials(rows=rows, run=CHECK)
        hit = torch_cpu_batchnorm_gradient.observe(FACTS, trials)
        fixes = torch_cpu_batchnorm_gradient.fixes(FACTS, hit)
        return [fix.title.partition(" ")[0] for fix in fixes], [
            " ".join(s.argv) for f in fixes for s in f.steps if s.argv
        ]

    eager = row("eager", *STEADY, **WRONG)
    fast, slow = (row(name, *(t * by for t in STEADY), batch=1) for name, by in (("sdpa", 0.7), ("sdpa-math", 0.9)))
    assert titles_and_commands(eager, slow, fast)[1] == [SDPA]
    assert advice(eager, slow, fast, run=CHECK).backend == "sdpa"
    assert titles_and_commands(eager, slow)[1] == [SDPA.replace("sdpa", "sdpa-math")]
    assert titles_and_commands(eager, row("sdpa", *STEADY, **WRONG)) == (["Train"], [])


def test_where_none_is_right_none_is_named():
    rows = row("eager", *STEADY, **WRONG), row("sdpa", *STEADY, **WRONG)
    made = advice(*rows, run=CHECK)
    assert (made.backend, made.measured) == (None, False)
    assert "no tried backend" in made.summary


@pytest.mark.parametrize("status", ["failed", "timeout", "out-of-memory"])
def test_where_eager_was_lost_nothing_is_named(status):
    lost = row("eager", status=status, reason="the process died of SIGSEGV", ended="signal")
    made = advice(lost, row("sdpa", *STEADY))
    assert made.backend is None
    assert not made.measured
    assert not any(word in made.summary for word in ("Use ", "Keep "))


def test_where_eager_was_not_asked_for_the_quickest_is_named():
    made = advice(row("eager", status="ruled-out"), row("sdpa", *STEADY), row("sdpa-flash", *(t / 2 for t in STEADY)))
    assert made.backend == "sdpa-flash"
    assert "eager was not tried" in made.summary


@pytest.mark.parametrize(
    ("reason", "status", "ended"),
    [
        ("the process died of SIGSEGV in functional.py:3 in f", "failed", "signal"),
        ("the process exited with code 7", "failed", "exited"),
        ("no answer for 20 s (trial): give it more time with --timeout", "timeout", "timeout"),
        ("its numbers are wrong: output error 0.5", "wrong", None),
        ("RuntimeError: out of order", "failed", "raised"),
    ],
)
def test_sdpa_that_fails_is_an_error_and_nothing_is_advised(reason, status, ended):
    failing = row("sdpa", status=status, reason=reason, ended=ended)
    rows = row("eager", *STEADY), failing, row("sdpa-math", *(t / 2 for t in STEADY))
    assert found(*rows) == {"backend-fails": Severity.ERROR}
    made = advice(*rows)
    assert made.backend is None
    assert made.summary.startswith("First fix backend-fails. No backend can be named before that.")


@pytest.mark.parametrize(
    ("status", "reason", "ended", "severity"),
    [
        ("failed", "the process died of SIGSEGV", "signal", Severity.WARNING),
        ("failed", "the process printed without end, and was ended", "flooded", Severity.WARNING),
        ("wrong", "its numbers are wrong: gradient error 1", None, Severity.WARNING),
        ("failed", "RuntimeError: No available kernel. Aborting execution.", "raised", None),
        ("ruled-out", "needs an NVIDIA or AMD GPU", None, None),
        ("ok", None, None, None),
    ],
)
def test_another_backend_that_fails_is_a_warning_and_one_that_refuses_is_a_row(status, reason, ended, severity):
    rows = row("eager", *STEADY), row("flash-attn-2", status=status, reason=reason, ended=ended)
    assert found(*rows).get("backend-fails") == severity
    assert advice(*rows).backend == "eager"


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_an_eager_that_fails_is_an_error_with_its_reason(status):
    said = "RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"
    lost = row("eager", status=status, reason=said)
    assert found(lost) == {"eager-fails": Severity.ERROR}
    trials = Trials(rows=(lost,), attempted=True)
    assert said in eager_fails.observe(FACTS, trials).message
    assert advice(lost).backend is None


def test_a_pass_that_raises_and_a_torch_that_does_not_come_up():
    raised = Fault(kind="raised", type="RuntimeError", message="could not create a primitive", where="conv.py:3 in f")
    alone = {"scope": "attention", "model": None}
    rows = row("eager", *STEADY, **alone), row("sdpa", *(t / 2 for t in STEADY), **alone)
    run = TrialRun(forward_fault=raised)
    assert found(*rows, run=run) == {"eager-fails": Severity.ERROR}
    assert advice(*rows, run=run).backend is None
    killed = TrialRun(fault=Fault(kind="signal", signal="SIGSEGV"))
    assert found(run=killed, skipped="torch did not start in the trial: SIGSEGV") == {"eager-fails": Severity.ERROR}


@pytest.mark.parametrize(
    ("fault", "said", "cure"),
    [
        (
            Fault(kind="raised", type="FileNotFoundError", message="'yolo12n.yaml' does not exist"),
            "does not exist",
            "/venv/bin/python -m pip install --upgrade ultralytics>=8.3.78",
        ),
        (
            Fault(kind="raised", type="ModuleNotFoundError", message="No module named 'cv2'"),
            "No module named 'cv2'",
            "/venv/bin/python -m pip install opencv-python",
        ),
        (
            Fault(kind="raised", type="ModuleNotFoundError", message="No module named 'ultralytics.nn.modules.conv'"),
            "conv",
            "/venv/bin/python -m pip install --force-reinstall --no-deps ultralytics==8.4.190",
        ),
        (
            Fault(kind="raised", type="ModuleNotFoundError", message="No module named 'my_own_layers'"),
            "my_own_layers",
            "/venv/bin/python -m pip install --force-reinstall --no-deps ultralytics==8.4.190",
        ),
        (
            Fault(kind="signal", signal="SIGSEGV"),
            "killed by SIGSEGV",
            "/venv/bin/python -m pip install --force-reinstall --no-deps ultralytics==8.4.190",
        ),
    ],
)
def test_a_model_that_cannot_be_built_is_an_error_with_the_exception_and_its_cure(fault, said, cure):
    alone = {"scope": "attention", "model": None}
    rows = with_gains([row("eager", *STEADY, **alone), row("sdpa", *(t / 2 for t in STEADY), **alone)])
    trials = Trials(rows=rows, run=TrialRun(model_fault=fault), attempted=True)
    for goal in Goal:
        diagnosis = diagnose(FACTS, goal, trials=trials)
        finding = next(f for f in diagnosis.findings if f.slug == "model-not-built")
        assert (finding.severity, finding.root_cause) == (Severity.ERROR, True)
        assert said in finding.message
        assert " ".join(finding.fixes[0].steps[0].argv) == cure
        made = recommend(FACTS, diagnosis, trials)
        assert made.backend is None
        assert not any(word in made.summary for word in ("Use ", "Keep "))


def test_a_trial_that_went_well_or_tried_no_model_is_no_finding():
    healthy = Trials(rows=with_gains([row("eager", *STEADY), row("sdpa", *STEADY)]), attempted=True)
    alone = msgspec.structs.replace(
        healthy, rows=tuple(msgspec.structs.replace(r, scope="attention", model=None) for r in healthy.rows)
    )
    without = Trials(skipped="yolov8n.yaml has no attention to exchange", attempted=True)
    for trials in (healthy, alone, without):
        assert [m.observe(FACTS, trials) for m in (model_not_built, eager_fails, backend_fails)] == [None] * 3


def test_a_trial_that_measured_nothing_is_no_advice():
    trials = Trials(skipped="yolov8n.yaml has no attention to exchange", attempted=True)
    made = recommend(FACTS, diagnose(FACTS, Goal.TRAIN, trials=trials), trials)
    assert (made.backend, made.measured) == (None, False)
    assert "no attention to exchange" in made.summary
    assert "Use sdpa" not in made.summary
