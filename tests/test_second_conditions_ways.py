"""Conditions of plans and of the redaction that decide much and are the second of two: a case for each that only it decides."""

from __future__ import annotations

import msgspec
import pytest
from packaging.requirements import Requirement
from plan_reading import installs, places, variable
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed

from attn_doctor import commands
from attn_doctor.commands.installers import context
from attn_doctor.fixes import pins, step_effects
from attn_doctor.fixes.after_fix_verdict import verdict
from attn_doctor.fixes.alternatives import drafts
from attn_doctor.fixes.build_forecast import build_in, building_finds_wheel
from attn_doctor.fixes.plan import RIGHT, WORK, Change, Draft, PlannedStep, Way
from attn_doctor.model.facts import Facts, Pin
from attn_doctor.model.findings import Certainty, Confidence, Finding, Fix, Goal, Severity, fact
from attn_doctor.report.redact import Own, redact

# -- plans


def fix(title: str, *steps) -> Fix:
    return Fix(title=title, steps=steps, verify=())


def put_in(*requirements: str):
    return commands.install(*requirements, why="w", changes="c")


def drafted(*findings: Finding):
    made, _ = drafts(RTX_4090, findings, Goal.TRAIN)
    return made[0].steps


def test_torch_comes_before_what_is_built_on_it():
    """A fix that brings torch and torchvision belongs to torch: the fix of torchvision alone, or of numpy, comes after it."""
    torch = error("torch-cpu-build", "AD402", fix("torch", put_in("torch==2.8.0", "numpy==2.2.6")))
    vision = error("torchvision-mismatch", "AD309", fix("vision", put_in("torchvision==0.23.0")))
    for findings in ((torch, vision), (vision, torch)):
        steps = drafted(*findings)
        assert list(places(steps, installs, "torch")) == [0]
        assert list(places(steps, installs, "torchvision")) == [1]


def test_a_step_whose_packages_another_step_installs_too_is_left_out():
    whole = error("torch-cpu-build", "AD402", fix("both", put_in("torch==2.8.0", "torchvision==0.23.0")))
    part = error("torchvision-mismatch", "AD309", fix("one", put_in("torchvision==0.23.0")))
    assert [installs(step) for step in drafted(part, whole)] == [("torch", "torchvision")]


def test_two_causes_that_ask_for_the_same_command_get_it_once_in_the_words_of_the_first():
    """A torch without CUDA that was also built for the other NumPy has one cure."""
    command = ("torch==2.8.0", "torchvision==0.23.0")
    first = commands.install(*command, why="it is built for NumPy 2", changes="torch", takes="3 GB")
    second = commands.install(*command, why="it has CUDA", changes="a build of torch")
    other = commands.install("torch==2.8.0", "torchvision==0.23.0", why="w", changes="c", reinstall=True)
    numpy = error("numpy-abi", "AD303", fix("numpy", first))
    cuda = error("torch-cpu-build", "AD402", fix("cuda", second))
    assert drafted(numpy, cuda) == (first,)
    made, _ = drafts(RTX_4090, (numpy, cuda), Goal.TRAIN)
    assert (made[0].title, made[0].cures) == ("numpy; cuda", ("AD303", "AD402"))
    again = error("torchvision-mismatch", "AD309", fix("again", other))
    assert drafted(numpy, again) == (first, other)


def test_no_variable_is_set_for_a_build_that_never_comes():
    """setup.py fetches the wheel that fits; for torch 2.15 there is none, and the compilers must fit into memory."""
    asks = commands.install("flash-attn", why="w", changes="c", no_build_isolation=True)
    draft = Draft(title="t", intent=WORK, goal=Goal.FLASH_ATTN, cures=(), steps=(asks,), verify=())
    fits = read(next(folder for folder in MACHINES if folder.name == "rtx-4080-uv-without-wheel"))[0]
    assert building_finds_wheel(fits)
    whole = build_in(fits, draft)
    assert isinstance(whole, Draft)
    assert [variable(step) for step in whole.steps] == [None, None]  # what setup.py imports, and flash-attn
    built = build_in(read(next(folder for folder in MACHINES if folder.name == "gb10-dgx-spark"))[0], draft)
    assert isinstance(built, Draft)
    assert [named[0] for step in built.steps if (named := variable(step))] == [
        "MAX_JOBS",
        "NVCC_THREADS",
        "FLASH_ATTN_CUDA_ARCHS",
    ]


def test_a_step_with_other_packages_is_kept():
    one = error("torch-cpu-build", "AD402", fix("one", put_in("torch==2.8.0", "numpy==2.2.6")))
    other = error("torchvision-mismatch", "AD309", fix("other", put_in("torchvision==0.23.0", "numpy==2.2.6")))
    assert [installs(step) for step in drafted(one, other)] == [("torch", "numpy"), ("torchvision", "numpy")]


@pytest.mark.parametrize(
    ("pinned", "asked", "against"),
    [
        ("torch==2.6.0", "torch>=2.8", True),  # the pin is exact
        ("torch<2.7", "torch==2.8.0", True),  # the step is exact
        ("torch==2.8.0", "torch==2.8.0", False),
        ("torch>=2.6", "torch==2.8.0", False),
        ("torch==2.*", "torch>=2.8", False),
    ],
)
def test_a_pin_and_a_request_exclude_each_other_whichever_is_exact(pinned, asked, against):
    pin = Pin(file="requirements.txt", line=3, requirement=pinned)
    facts = changed(RTX_4090, project__pins=(pin,))
    found = pins._exclude(Requirement(pinned), Requirement(asked))
    assert found is against
    assert bool(pins.broken(facts, [(None, put_in(asked))])) is against


def error(slug: str, code: str, *fixes: Fix, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(
        code=code,
        slug=slug,
        title=slug,
        message=f"{slug} is met",
        severity=severity,
        certainty=Certainty.OBSERVED,
        confidence=Confidence.HIGH,
        root_cause=True,
        explained_by=None,
        blocks=(),
        fixes=fixes,
        evidence=(fact(RTX_4090, "torch.version"),),
        docs="",
    )


class Afterwards(msgspec.Struct):
    """What a verdict reads of a report."""

    findings: tuple[Finding, ...]
    facts: Facts = RTX_4090


@pytest.mark.parametrize(
    ("before", "after", "holds"),
    [
        ("error", "error", True),  # a driver, say, that this way had nothing to do with
        ("warning", "error", False),  # what only warned before, and stops everything now
        (None, "error", False),
        (None, "warning", True),
    ],
)
def test_an_error_that_only_warned_before_is_a_new_error(before, after, holds):
    way = Way(name="A", title="t", intent=RIGHT, goal=Goal.TRAIN, cures=("AD101",), steps=())
    earlier = [error("driver-too-old", "AD405", severity=Severity(before))] if before else []
    now = Afterwards(findings=(error("driver-too-old", "AD405", severity=Severity(after)),))
    said = verdict(way, earlier, now)
    assert (said is None) is holds, said
    assert holds or "driver-too-old appears" in said


def test_a_package_that_is_put_in_again_is_shown_as_a_change():
    """Else a repair by --force-reinstall looks like a step that does nothing."""
    again = Change(package="numpy", before="2.2.6", after="2.2.6")

    def shown(*, reinstall: bool) -> tuple[Change, ...] | None:
        step = commands.install("numpy==2.2.6", why="w", changes="c", reinstall=reinstall)
        planned = PlannedStep(step=step, changes=(again,))
        return step_effects.changes_in_order((planned,), {"numpy": ["2.2.6"]}, context(RTX_4090, "pip"))[0].changes

    assert shown(reinstall=True) == (again,)
    assert shown(reinstall=False) == ()


def test_a_package_that_was_removed_before_is_added_though_the_resolver_saw_it_there():
    gone = PlannedStep(step=commands.uninstall("numpy", why="w"), changes=())
    back = PlannedStep(step=put_in("numpy==2.2.6"), changes=())
    taken, added = step_effects.changes_in_order((gone, back), {"numpy": ["2.2.6"]}, context(RTX_4090, "pip"))
    assert taken.changes == (Change(package="numpy", before="2.2.6", after=None),)
    assert added.changes == (Change(package="numpy", before=None, after="2.2.6"),)
    alone, twice = step_effects.changes_in_order((back, back), {}, context(RTX_4090, "pip"))
    assert (alone.changes, twice.changes) == ((Change(package="numpy", before=None, after="2.2.6"),), ())


# -- redaction

OWN = Own(home="/home/zork", user="zork", host="frobnitz")


def test_why_a_fact_is_not_known_is_redacted_too():
    data = {
        "facts": {"torch": {"unknown": "/home/zork/venv/bin/python did not answer"}},
        "target": {"python": "python", "why": "VIRTUAL_ENV is /home/zork/venv"},
    }
    said = repr(redact(data, OWN))
    assert "zork" not in said
    assert said.count("<home>/venv") == 2


def test_a_mac_is_named_as_one():
    cleaned = redact({"text": "link/ether 52:54:00:ab:cd:ef brd"}, OWN)
    assert cleaned["text"] == "link/ether <mac-1> brd"
    assert cleaned["redacted"] == {"mac": 1}
