"""Failure modes AD6xx: which case is met on a machine or in a log, and the cure for that case."""

from __future__ import annotations

import io

import pytest
from ailing_machines import H
from one_rule import found
from recorded_logs import reader
from whole_machines import changed

from attn_doctor.failure_modes import find
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Distribution, Facts, Unknown, Variable
from attn_doctor.model.findings import Fix, Goal
from attn_doctor.model.steps import Install, SetVariable

SLUG = "torch-load-weights-only"
FORCE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
REFUSED = "Unsupported global: GLOBAL {} was not an allowed global by default."
FRAME = '  File "/v/lib/python3.12/site-packages/ultralytics/nn/tasks.py", line 732, in torch_safe_load\n'


def beside(torch: str, ultralytics: str | None, **more: object) -> Facts:
    return changed(H, torch__version=torch, yolo__version=ultralytics, **more)


def cures(text: str, facts: Facts) -> tuple[Fix, ...]:
    log = reader().read(io.BytesIO(text.encode()), "run.log")
    said = diagnose(facts, Goal.TRAIN, logs=[log], modules=[find(SLUG)]).findings
    assert [f.slug for f in said] == [SLUG]
    return said[0].fixes


@pytest.mark.parametrize(
    ("torch", "ultralytics", "met"),
    [
        ("2.6.0+cu124", "8.2.63", True),
        ("2.15.0+cu130", "8.0.0", True),
        ("2.5.1+cu124", "8.2.63", False),  # the default was False
        ("2.6.0+cu124", "8.2.64", False),  # the first that replaces torch.load
        ("2.6.0+cu124", "8.3.63", False),  # the yolov12 fork
        ("2.6.0+cu124", None, False),
    ],
)
def test_the_versions_tell(torch, ultralytics, met):
    assert (found(SLUG, beside(torch, ultralytics)) is not None) is met


def test_who_has_set_the_variable_is_not_told_to_set_it():
    assert found(SLUG, beside("2.6.0", "8.2.63", environment=(Variable(name=FORCE, value="1"),))) is None
    assert found(SLUG, beside("2.6.0", "8.2.63", environment=(Variable(name=FORCE, value="0"),))) is not None


def test_a_release_is_upgraded_and_a_checkout_is_kept():
    release = found(SLUG, beside("2.6.0", "8.2.63")).fixes[0].steps[0]
    assert (release.requirements, release.upgrade) == (("ultralytics>=8.3.162",), True)
    own = Distribution(name="ultralytics", version="8.1.34", direct_url="file:///home/user/yolov10")
    kept = found(SLUG, beside("2.6.0", "8.1.34", packages__distributions=(own,))).fixes[0].steps[0]
    assert isinstance(kept, SetVariable)
    assert (kept.name, kept.value) == (FORCE, "1")


@pytest.mark.parametrize(
    ("text", "ultralytics", "first"),
    [
        (FRAME + REFUSED.format("ultralytics.nn.tasks.DetectionModel"), Unknown("a log alone"), Install),
        (FRAME + REFUSED.format("numpy._core.multiarray._reconstruct"), Unknown("a log alone"), Install),
        (REFUSED.format("ultralytics.nn.tasks.SegmentationModel"), Unknown("a log alone"), Install),
        (REFUSED.format("ultralytics.nn.tasks.SegmentationModel"), "8.3.100", Install),  # another program took it back
        (REFUSED.format("ultralytics.nn.tasks.SegmentationModel"), "8.3.162", SetVariable),  # not a call of ultralytics
        (REFUSED.format("ultralytics.nn.tasks.SegmentationModel"), None, SetVariable),
        (REFUSED.format("numpy._core.multiarray._reconstruct"), Unknown("a log alone"), SetVariable),
        (REFUSED.format("models.yolo.Model"), "8.2.63", SetVariable),
    ],
)
def test_the_cure_is_for_whose_call_it_was(text, ultralytics, first):
    # torch 2.5 on this machine, so that the log alone speaks
    assert isinstance(cures(text, beside("2.5.1", ultralytics))[0].steps[0], first)


def test_nobody_is_told_to_load_a_file_that_wants_to_run_commands():
    told = cures(
        "Trying to load unsupported GLOBAL posix.system whose module posix is blocked.", beside("2.6.0", "8.4.1")
    )
    assert [fix.title for fix in told] == ["Do not load this file"]
