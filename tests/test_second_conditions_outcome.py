"""The second of two conditions in the outcome, the goal, and the errors of a log that no finding explains."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor.examination.inputs import log_reader
from attn_doctor.failure_modes.mode import FailureMode, Hit
from attn_doctor.judging import goals
from attn_doctor.judging.outcome import Asked, look
from attn_doctor.judging.unrecognised import unrecognised
from attn_doctor.model.facts import Fault, Import, Pin, Unknown
from attn_doctor.model.findings import (
    Certainty,
    Confidence,
    Diagnosis,
    Evidence,
    Finding,
    Goal,
    Severity,
    Unrecognised,
)
from attn_doctor.model.machine import implied_goal
from attn_doctor.model.trials import Trial, Trials
from attn_doctor.trials.statistics import interval

WHOLE = log_reader()
STEPS = interval((100.0, 101.0, 99.0))


def of(text: str, name: str = "log"):
    return WHOLE.read(io.BytesIO(text.encode()), name)


# -- the errors of a log

FIRST, SECOND, VAGUE = "ERROR: frobnicator exploded", "ERROR: zork is gone", "error: subprocess-exited-with-error"


def met(line: int | None, *, file: str = "log", severity: Severity = Severity.ERROR, hit=None, slug="odd-01", **mode):
    """A failure mode that was met in one line of a log, as `diagnose` holds it."""
    given = {"train": Severity.ERROR, "flash_attn": Severity.ERROR, **mode}
    record = FailureMode(code="AD901", slug=slug, title="t", **given)
    lines = () if line is None else (Evidence(kind="log", file=file, line=line, text="t"),)
    shown = Hit(message="m", evidence=lines, severity=hit)
    return {slug: SimpleNamespace(module=SimpleNamespace(MODE=record), hit=shown, severity=severity)}


def left(text: str, met=None) -> list[int]:
    return [error.line for error in unrecognised([of(text)], met or {})]


FAR = "step\n" * 20
TWO = f"step\n{FIRST}\n{FAR}{SECOND}\n"  # lines 2 and 23


def test_errors_that_nothing_explains_are_quoted():
    assert unrecognised([of(TWO)], {}) == (
        Unrecognised(file="log", line=2, text=FIRST),
        Unrecognised(file="log", line=23, text=SECOND),
    )


def test_what_follows_a_grave_cause_is_its_consequence_and_what_follows_a_note_is_not():
    grave, note = {"severity": Severity.ERROR}, {"severity": Severity.INFO}
    assert left(TWO, met(2, **grave)) == []
    assert left(TWO, met(1, **grave)) == []
    for mild in (met(2, hit=Severity.INFO, **note), met(2, train=Severity.INFO, flash_attn=Severity.WARNING, **note)):
        assert left(TWO, mild) == [23]


def test_a_cause_that_ends_a_build_counts_under_each_goal():
    """An info under the goal of training is an error under the other one: it ended the build all the same."""
    assert left(TWO, met(2, severity=Severity.INFO, train=Severity.INFO)) == []
    assert left(TWO, met(2, severity=Severity.INFO, flash_attn=Severity.INFO)) == []


def test_a_cause_in_another_log_explains_nothing_here():
    assert left(TWO, met(2, file="other log")) == [2, 23]


def test_a_cause_of_which_no_line_is_known_explains_no_error():
    assert left(TWO, met(None)) == [2, 23]


def test_an_error_after_a_success_that_followed_the_cause_is_one_of_its_own():
    """pip installed something in between, and then another command failed: only that one is told."""
    text = f"step\nstep\n{FAR}Successfully installed zork-1.0\n{FAR}{SECOND}\n"
    assert left(text) == [44]
    assert left(text, met(2)) == [44]
    assert left(text, met(23)) == []  # in the line of the success itself: it ends nothing that came before
    assert left(text, met(30)) == []


def test_a_catch_all_accounts_for_its_own_line_and_not_for_what_follows():
    catch_all = met(2, catch_all=True)
    assert left(TWO, catch_all) == [23]
    assert left(TWO, met(2, catch_all=True, severity=Severity.INFO)) == [2, 23]
    assert left(TWO, met(2, severity=Severity.INFO, train=Severity.INFO, flash_attn=Severity.INFO)) == [23]


@pytest.mark.parametrize(("away", "told"), [(4, False), (5, True)])
@pytest.mark.parametrize("before", [True, False])
def test_an_error_within_four_lines_of_a_warning_is_the_same_matter(away, told, before):
    lines = ["step"] * 30
    lines[14] = FIRST
    warned = met(
        15 - away if before else 15 + away,
        severity=Severity.WARNING,
        train=Severity.WARNING,
        flash_attn=Severity.WARNING,
    )
    assert left("\n".join(lines) + "\n", warned) == ([15] if told else [])


def test_an_error_that_names_no_cause_is_left_out_where_a_warning_stands_in_the_log():
    text = f"step\n{FAR}{VAGUE}\n"
    mild = {"train": Severity.WARNING, "flash_attn": Severity.WARNING}
    assert left(text) == [22]
    assert left(text, met(1, severity=Severity.WARNING, **mild)) == []
    assert left(text, met(1, severity=Severity.INFO, train=Severity.INFO, flash_attn=Severity.INFO)) == [22]
    clear = f"step\n{FAR}{FIRST}\n"
    assert left(clear, met(1, severity=Severity.WARNING, **mild)) == [22]


def test_a_line_within_the_traceback_accounts_for_its_error():
    text = 'a\nTraceback (most recent call last):\n  File "a.py", line 3, in f\n    x()\nZorkError: bad\n'
    mild = {"severity": Severity.INFO, "train": Severity.INFO, "flash_attn": Severity.INFO}
    assert left(text) == [5]
    assert [left(text, met(line, **mild)) for line in (1, 2, 3, 5)] == [[5], [], [], []]


# -- the outcome


def imported(module: str, ok: bool = True) -> Import:
    return Import(module=module, ok=ok, fault=None if ok else Fault(kind="raised", type="ImportError", message="x"))


def trial(backend: str = "eager", **values) -> Trial:
    return Trial(**{"backend": backend, "status": "ok", "dtype": "float32", "step_ms": STEPS, **values})


WELL = changed(RTX_4090, imports=(imported("torchvision"), imported("ultralytics")))
FILES_ONLY, NOTHING = Asked(trial=False), Diagnosis()


def seen(facts=WELL, goal=Goal.TRAIN, *rows, diagnosis=NOTHING, asked=FILES_ONLY, trials=None):
    return look(facts, goal, diagnosis, Trials(rows=rows) if trials is None else trials, asked)


def test_it_is_healthy_where_all_that_was_asked_for_was_seen():
    assert seen().outcome == "healthy"
    assert seen().seen == ("torch imported", "ultralytics imported")
    assert seen(asked=Asked(imports=False, trial=False)).outcome == "unknown"
    assert seen(asked=Asked(trial=False, elsewhere=True)).outcome == "unknown"


def test_flash_attn_must_import_under_its_goal_alone():
    assert seen(goal=Goal.FLASH_ATTN).outcome == "unknown"
    good = with_flash_attn(WELL)
    assert seen(good, Goal.FLASH_ATTN).outcome == "healthy"
    assert "flash-attn imported" in seen(good).seen
    other = changed(WELL, imports=(*WELL.imports, imported("flash_attn_interface")))
    assert seen(other, Goal.FLASH_ATTN).outcome == "healthy"
    assert (
        seen(changed(WELL, imports=(*WELL.imports, imported("flash_attn", ok=False))), Goal.FLASH_ATTN).outcome
        == "unknown"
    )


def test_without_ultralytics_nothing_of_it_is_wanted():
    bare = changed(WELL, yolo__version=None, imports=(imported("torchvision"),))
    assert seen(bare).outcome == "healthy"
    assert seen(bare, Goal.TRAIN, trial(scope="attention"), asked=Asked()).outcome == "healthy"


def test_in_a_trial_the_model_must_be_built_and_eager_must_train():
    asked = Asked()
    assert seen(WELL, Goal.TRAIN, trial(), asked=asked).outcome == "healthy"
    assert seen(WELL, Goal.TRAIN, trial(), asked=asked).seen[-2:] == ("model built", "eager trained")
    assert seen(WELL, Goal.TRAIN, trial(status="failed"), asked=asked).outcome == "unknown"
    assert seen(WELL, Goal.TRAIN, trial(step_ms=None), asked=asked).outcome == "unknown"
    assert seen(WELL, Goal.TRAIN, trial(status="other-kernel"), asked=asked).outcome == "healthy"
    assert seen(WELL, Goal.TRAIN, trial(scope="attention"), asked=asked).outcome == "unknown"


def test_eager_is_wanted_where_it_was_tried_or_nothing_was():
    asked = Asked()
    assert seen(WELL, Goal.TRAIN, trial("sdpa"), asked=asked).outcome == "healthy"
    assert seen(WELL, Goal.TRAIN, trial("sdpa"), trial(status="failed"), asked=asked).outcome == "unknown"
    assert seen(WELL, asked=asked).outcome == "unknown"


def test_a_model_without_attention_leaves_nothing_to_try():
    nothing = Trials(attempted=True, skipped="the model has no attention")
    assert seen(trials=nothing, asked=Asked()).outcome == "healthy"
    assert seen(trials=nothing, asked=Asked()).unexamined == ()
    left_out = Trials(attempted=False, skipped="left out")
    assert seen(trials=left_out, asked=Asked()).outcome == "unknown"
    assert seen(trials=left_out, asked=Asked()).unexamined == ("whether the model trains: left out",)
    assert seen(trials=Trials(), asked=Asked()).unexamined == ("whether the model trains: the trial gave no answer",)
    assert seen(trials=left_out).unexamined == ()


def test_what_could_not_be_found_out_is_named():
    dark = changed(WELL, torch__importable=Unknown("the child was killed"))
    assert seen(dark).unexamined == ("whether torch imports: the child was killed",)
    assert seen(changed(dark, torch__version=None)).unexamined == ()
    assert seen(dark, asked=Asked(imports=False)).unexamined == ()
    silent = changed(WELL, imports=())
    assert seen(silent).unexamined == ("whether ultralytics imports: the target gave no answer",)
    assert seen(changed(silent, yolo__version=None)).unexamined == ()
    assert seen(changed(silent, torch__importable=False)).unexamined == ()
    failing = changed(WELL, imports=(imported("ultralytics", ok=False),))
    assert seen(failing).unexamined == ()
    assert seen(failing).outcome == "unknown"


def finding(slug: str, severity: Severity) -> Finding:
    return Finding(
        code="AD901",
        slug=slug,
        title=slug,
        message="m",
        severity=severity,
        certainty=Certainty.OBSERVED,
        confidence=Confidence.HIGH,
        root_cause=True,
        explained_by=None,
        blocks=(),
        fixes=(),
        evidence=(),
        docs="",
    )


@pytest.mark.parametrize(
    ("slug", "severity", "said"),
    [
        ("environment-pollution", Severity.ERROR, "sick"),
        ("environment-pollution", Severity.WARNING, "unknown"),
        ("environment-pollution", Severity.INFO, "healthy"),
        ("requirements-missing", Severity.WARNING, "unknown"),
        ("libtinfo5-unavailable", Severity.WARNING, "healthy"),
    ],
)
def test_a_finding_that_may_stop_training_later_leaves_the_outcome_open(slug, severity, said):
    assert seen(diagnosis=Diagnosis(findings=(finding(slug, severity),))).outcome == said


def test_an_error_that_nothing_knows_leaves_the_outcome_open():
    odd = Unrecognised(file="log", line=1, text="zork")
    assert seen(diagnosis=Diagnosis(unrecognised=(odd,))).outcome == "unknown"


# -- the goal

BUILD = "CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n"  # stops a build alone
RUN = "Ultralytics 8.3.78 Python-3.11.7 torch-2.6.0+cu124 CUDA:0 (NVIDIA A100)\n"


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("pip install flash-attn\n", Goal.FLASH_ATTN),
        (f"{RUN}pip install flash-attn\n", Goal.TRAIN),
        (BUILD, Goal.FLASH_ATTN),
        (f"{RUN}{BUILD}", Goal.TRAIN),
        ("nothing at all\n", Goal.TRAIN),
        ("error: subprocess-exited-with-error\n", Goal.FLASH_ATTN),
        ("ERROR: Failed building wheel for zork\n", Goal.FLASH_ATTN),
    ],
)
def test_the_goal_of_who_wrote_a_log(text, goal):
    reader = log_reader()
    assert goals.implied_by([reader.read(io.BytesIO(text.encode()), "log")]) is goal


def test_any_log_may_tell_the_goal():
    quiet, named = of("nothing\n"), of("pip install flash-attn\n")
    assert goals.implied_by([quiet, named]) is Goal.FLASH_ATTN
    assert goals.implied_by([of(RUN), named]) is Goal.FLASH_ATTN
    assert goals.implied_by([]) is Goal.TRAIN


@pytest.mark.parametrize(
    ("facts", "goal", "said"),
    [
        (WELL, Goal.TRAIN, "train and predict"),
        (with_flash_attn(WELL), Goal.TRAIN, "train and predict"),
        (
            with_flash_attn(WELL, error="ImportError: x"),
            Goal.FLASH_ATTN,
            "flash-attn is installed, but importing it fails",
        ),
        (
            changed(with_flash_attn(WELL, error="ImportError: x"), flash_attention__version=None),
            Goal.FLASH_ATTN,
            "a module flash_attn_2_cuda is there, but importing it fails",
        ),
        (changed(WELL, yolo__kind="fork"), Goal.FLASH_ATTN, "a fork that uses flash-attn"),
        (changed(WELL, project__pins=Unknown("not read")), Goal.TRAIN, "train and predict"),
    ],
)
def test_the_goal_that_a_machine_implies(facts, goal, said):
    implied, why = implied_goal(facts)
    assert implied is goal
    assert said in why


@pytest.mark.parametrize(
    ("required", "goal"),
    [
        ("flash-attn==2.8.3", Goal.FLASH_ATTN),
        ("Flash_Attn", Goal.FLASH_ATTN),
        ("https://host/flash_attn-2.8.3-cp312.whl", Goal.FLASH_ATTN),
        ("flash-attention-zork", Goal.TRAIN),
        ("my-flash-attn", Goal.TRAIN),
    ],
)
def test_a_requirement_of_the_project_tells_the_goal(required, goal):
    pins = (
        Pin(file="requirements.txt", line=1, requirement="torch"),
        Pin(file="requirements.txt", line=2, requirement=required),
    )
    implied, why = implied_goal(changed(WELL, project__pins=pins))
    assert implied is goal
    assert goal is Goal.TRAIN or why == f"requirements.txt line 2 requires {required}"
