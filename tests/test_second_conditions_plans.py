"""The second of two conditions in plans: what a resolver's answer means, which words a step may hold, which ways there are."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from little_plans import fix
from plan_reading import installs
from recorded_machines import MACHINES, read
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor import commands
from attn_doctor.fixes import pins, step_safety
from attn_doctor.fixes.alternatives import drafts
from attn_doctor.fixes.build_forecast import build_in, compiles
from attn_doctor.fixes.joining import _rank, intent_of
from attn_doctor.fixes.plan import RIGHT, WITHOUT, WORK, Change, Draft
from attn_doctor.fixes.plan_builder import make
from attn_doctor.fixes.resolve import resolve
from attn_doctor.model.facts import Pin
from attn_doctor.model.findings import Certainty, Confidence, Finding, Fix, Goal, Severity
from attn_doctor.model.steps import AddPip, Install, Remove, Run, SetVariable, Uninstall

H = RTX_4090
# A machine for which flash-attn can be built: most others are refused, because flash-attn does not compile with a new torch.
BUILDS = read(next(folder for folder in MACHINES if folder.name == "rtx-4080-uv-without-wheel"))[0]
RETRIED = "WARNING: Retrying (Retry(total=0)) after connection broken by 'x: Connection refused'\n"
WORDS = {"why": "w", "changes": "c"}

# -- what a resolver answers


def asked(
    tmp_path: Path, *, says: str = "", prints: str = "", code: int = 1, uv: bool = False, waits: float = 0, pip="25.3"
):
    """Ask a script that stands for pip or uv what installing a package would change."""
    tool = tmp_path / ("uv" if uv else "pip")
    tool.write_text(
        f"#!{sys.executable}\nimport sys, time\ntime.sleep({waits})\nsys.stderr.write({says!r})\nprint({prints!r})\nsys.exit({code})\n"
    )
    tool.chmod(0o755)
    step = Install(requirements=("zork",), argv=("uv" if uv else str(tool), "install", "zork"), **WORDS)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    return resolve(step, {"zork": "1.0"}, pip=pip, deadline=1.0 if waits else 30.0, environment=environment)


@pytest.mark.parametrize(
    ("says", "why", "impossible"),
    [
        ("ERROR: No matching distribution found for zork\n", "pip says: ERROR: No matching distribution found", True),
        ("ERROR: it is broken\nmore words\n", "pip says: ERROR: it is broken", False),
        ("first\nlast words\n", "pip says: last words", False),
        ("", "pip ended with exit code 1", False),
        (
            f"{RETRIED}ERROR: No matching distribution found for zork\n",
            "pip does not reach its index: the connection is refused",
            False,
        ),
        ("Could not fetch URL x: certificate verify failed\n", "pip does not reach its index: its certificate", False),
        (
            "Could not fetch URL x: Cannot connect to proxy. timed out\n",
            "pip does not reach its index: the proxy",
            False,
        ),
        ("Could not fetch URL x: odd\n", "pip does not reach its index: Could not fetch URL x: odd", False),
    ],
)
def test_why_pip_gave_no_plan(tmp_path, says, why, impossible):
    answer = asked(tmp_path, says=says)
    assert answer.changes is None
    assert answer.why.startswith(why)
    assert answer.impossible is impossible
    assert answer.output.splitlines() == says.splitlines()


def test_words_of_an_index_that_is_not_reached_are_cut():
    from attn_doctor.fixes.resolve import _reason

    assert _reason("z" * 300) == "z" * 200


def test_a_pip_that_says_no_json_is_no_plan(tmp_path):
    answer = asked(tmp_path, prints="not json", code=0)
    assert answer.changes is None
    assert "cannot be read" in answer.why
    assert answer.output == "not json\n"


def test_a_pip_that_says_nothing_in_time_or_is_not_there(tmp_path):
    assert asked(tmp_path, waits=30).why == "pip gave no answer in 1 s"
    step = Install(requirements=("zork",), argv=(str(tmp_path / "nothing"),), **WORDS)
    answer = resolve(step, {}, pip="25.3", deadline=30.0, environment={})
    assert answer.why.startswith("pip cannot be started")


def test_uv_is_asked_in_its_own_way(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    answer = asked(tmp_path, says=" - zork==1.0\n + zork==2.0\n ~ frob==3.0\n", code=0, uv=True)
    assert answer.changes == (
        Change(package="zork", before="1.0", after="2.0"),
        Change(package="frob", before="3.0", after="3.0"),
    )
    assert asked(tmp_path, says="error: odd\n", uv=True).why == "uv says: error: odd"


@pytest.mark.parametrize(
    ("pip", "requirement", "downloads", "refused"),
    [
        (None, "numpy", False, True),
        ("20.0", "numpy", False, True),
        ("22.3", "numpy", False, False),
        ("22.3", "torch", False, True),
        ("22.3", "torch", True, False),
        ("25.3", "torch", False, False),
    ],
)
def test_an_old_pip_is_not_asked_about_large_wheels(tmp_path, pip, requirement, downloads, refused):
    step = Install(requirements=(requirement,), argv=(str(tmp_path / "nothing"),), **WORDS)
    answer = resolve(step, {}, pip=pip, deadline=30.0, environment={}, downloads=downloads)
    assert ("cannot be started" not in answer.why) is refused


def test_a_removal_needs_no_resolver():
    answer = resolve(
        Uninstall(requirements=("zork", "frob"), why="w", changes="c"),
        {"zork": "1.0"},
        pip=None,
        deadline=1.0,
        environment={},
    )
    assert answer.changes == (Change(package="zork", before="1.0", after=None),)


# -- words that a step may hold


@pytest.mark.parametrize(
    ("step", "allowed"),
    [
        (Install(requirements=("torch==2.8.0", "numpy<2"), **WORDS), True),
        (Install(requirements=("torch", "--evil"), **WORDS), False),
        (Install(requirements=("numpy\n",), **WORDS), False),
        (Install(requirements=("torch",), index_url="https://download.pytorch.org/whl/cu128", **WORDS), True),
        (Install(requirements=("torch",), index_url="https://evil.example/whl/cu128", **WORDS), False),
        (Install(requirements=("torch",), from_folder="wheels", **WORDS), True),
        (Install(requirements=("torch",), from_folder="/tmp", **WORDS), False),
        (Uninstall(requirements=("torch",), **WORDS), True),
        (Uninstall(requirements=("-r x",), **WORDS), False),
        (SetVariable(name="A", value="b", **WORDS), True),
        (SetVariable(name="A", value="b\x1b", **WORDS), False),
        (SetVariable(name="A", value=None, **WORDS), True),
        (AddPip(**WORDS), True),
        (Run(argv=("uv", "cache", "clean"), **WORDS), True),
        (Run(argv=("/venv/bin/python", "-m", "pip", "cache", "purge"), **WORDS), True),
        (Run(argv=("rm", "-r", "/"), **WORDS), False),
        (Run(argv=("uv", "cache", "clean\x07"), **WORDS), False),
        (Remove(paths=("/venv/lib/python3.12/site-packages/~orch\x00",), **WORDS), False),
        (Remove(paths=("/etc",), **WORDS), False),
    ],
)
def test_words_that_a_step_may_hold(step, allowed):
    assert (step_safety.fault(step, H) is None) is allowed


# -- pins


@pytest.mark.parametrize(
    ("pin", "step", "breaks"),
    [
        ("torch==2.6.0", Uninstall(requirements=("torch",), **WORDS), "this removes it"),
        ("torch", Install(requirements=("torch==2.8.0",), **WORDS), None),
        ("zork==1", Install(requirements=("torch==2.8.0",), **WORDS), None),
        ("torch==2.6.0", Install(requirements=("torch==2.8.0",), **WORDS), "this asks for torch==2.8.0"),
        ("./torch-2.6.0-cp312-cp312-linux_x86_64.whl", Uninstall(requirements=("torch",), **WORDS), "this removes it"),
        ("./torch-2.6.0-cp312-cp312-linux_x86_64.whl", Install(requirements=("torch==2.8.0",), **WORDS), None),
        ("torch==2.6.0", SetVariable(name="torch", value="1", **WORDS), None),
    ],
)
def test_a_pin_that_a_step_breaks(pin, step, breaks):
    facts = changed(H, project__pins=(Pin(file="r.txt", line=3, requirement=pin),))
    said = pins.broken(facts, [(None, step)])
    assert len(said) == (breaks is not None)
    assert breaks is None or (said[0].startswith("r.txt line 3") and breaks in said[0])


def test_what_the_resolver_says_counts_more_than_what_was_asked():
    facts = changed(H, project__pins=(Pin(file="r.txt", line=3, requirement="numpy<2"),))
    step = Install(requirements=("zork",), **WORDS)
    brings = (Change(package="numpy", before="1.26", after="2.2.6"),)
    keeps = (Change(package="numpy", before="1.26", after="1.26.4"),)
    assert [("installs 2.2.6" in text) for text in pins.broken(facts, [(brings, step)])] == [True]
    assert not pins.broken(facts, [(keeps, step)])


# -- ways


def install(*requirements: str, **options) -> Install:
    return commands.install(*requirements, **WORDS, **options)


def cause(slug: str, code: str, *fixes: Fix, **values) -> Finding:
    given = {
        "severity": Severity.ERROR,
        "certainty": Certainty.OBSERVED,
        "confidence": Confidence.HIGH,
        "root_cause": True,
        "explained_by": None,
        **values,
    }
    return Finding(
        code=code,
        slug=slug,
        title=slug,
        message=f"{slug} is met",
        blocks=(),
        fixes=fixes,
        evidence=(),
        docs="",
        **given,
    )


WHEEL = "https://host/flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"


@pytest.mark.parametrize(
    ("steps", "intent"),
    [
        ((install("numpy"),), RIGHT),
        ((install("flash-attn"),), WORK),
        ((install(WHEEL),), WORK),
        ((commands.uninstall("flash-attn", why="w"),), WITHOUT),
        ((commands.uninstall("flash-attn", why="w"), install("flash-attn")), WORK),
        ((commands.uninstall("numpy", why="w"),), RIGHT),
        ((commands.variable("A", "b", "w"),), RIGHT),
    ],
)
def test_the_intent_of_a_fix(steps, intent):
    assert intent_of(steps) == intent


def test_the_place_of_a_fix():
    """By hand first, then torch, then torchvision, then any other package, and flash-attn last."""
    by_hand, other = fix("a", commands.variable("A", "b", "w")), fix("b", install("zork"))
    torch, vision, flash = fix("c", install("torch")), fix("d", install("torchvision")), fix("e", install("flash-attn"))
    ranks = [_rank(one) for one in (by_hand, torch, vision, other, flash)]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 5
    assert _rank(fix("f", install("zork", "torchvision"))) == _rank(vision)


def test_a_pip_that_is_missing_is_added_once_and_first():
    add = AddPip(**WORDS)
    one = cause("one", "AD901", fix("one", install("numpy"), add))
    two = cause("two", "AD902", fix("two", add, install("zork")))
    made, _ = drafts(H, (one, two), Goal.TRAIN)
    assert isinstance(made[0].steps[0], AddPip)
    assert [installs(step) for step in made[0].steps[1:]] == [("numpy",), ("zork",)]


def test_a_variable_that_two_fixes_set_is_set_once_and_flash_attn_is_built_once_at_the_end():
    first = cause("one", "AD901", fix("one", commands.variable("MAX_JOBS", "1", "w"), install("flash-attn")))
    second = cause(
        "two",
        "AD902",
        fix("two", commands.variable("MAX_JOBS", "4", "w"), install("flash-attn==2.8.3"), install("zork")),
    )
    made, _ = drafts(BUILDS, (first, second), Goal.FLASH_ATTN)
    steps = made[0].steps
    assert [step.value for step in steps if isinstance(step, SetVariable) and step.name == "MAX_JOBS"] == ["1"]
    assert sum(compiles(step) for step in steps) == 1
    assert compiles(steps[-1])


def test_each_further_fix_of_a_cause_is_a_way_of_its_own():
    one = cause("one", "AD901", fix("a", install("a")), fix("b", install("b")))
    two = cause("two", "AD902", fix("c", install("c")))
    made, _ = drafts(H, (one, two), Goal.TRAIN)
    assert [tuple(name for step in draft.steps for name in installs(step)) for draft in made[:2]] == [
        ("a", "c"),
        ("b", "c"),
    ]
    assert {draft.cures for draft in made[:2]} == {("AD901", "AD902")}


def test_a_consequence_is_put_right_with_its_cause_and_a_note_is_not():
    root = cause("one", "AD901", fix("a", install("a")))
    effect = cause("two", "AD902", fix("b", install("b")), root_cause=False, explained_by="AD901")
    note = msgspec.structs.replace(effect, severity=Severity.INFO)
    assert len(drafts(H, (root, effect), Goal.TRAIN)[0]) == 2
    assert len(drafts(H, (root, note), Goal.TRAIN)[0]) == 1


def test_an_error_without_a_cure_leaves_no_way_to_flash_attn():
    hopeless = cause("one", "AD901")
    made, notes = drafts(H, (hopeless,), Goal.FLASH_ATTN)
    assert all(draft.intent != WORK for draft in made)
    assert "flash-attn cannot be made to work here: one is met" in notes
    warned = msgspec.structs.replace(hopeless, severity=Severity.WARNING)
    assert any(draft.intent == WORK for draft in drafts(H, (warned,), Goal.FLASH_ATTN)[0])


def test_a_flash_attn_that_works_is_not_installed_again():
    other = cause("one", "AD901", fix("a", install("a")))
    made, _ = drafts(with_flash_attn(H), (other,), Goal.FLASH_ATTN)
    assert all(not compiles(step) for draft in made for step in draft.steps)
    missing, _ = drafts(BUILDS, (other,), Goal.FLASH_ATTN)
    assert compiles(missing[0].steps[-1])


def test_a_broken_flash_attn_is_removed_where_it_is_given_up():
    broken = with_flash_attn(H, error="ImportError: undefined symbol: x")
    made, _ = drafts(broken, (cause("one", "AD901", fix("a", install("a"))),), Goal.FLASH_ATTN)
    without = [draft for draft in made if draft.intent == WITHOUT]
    assert without
    assert all(any(isinstance(step, Uninstall) for step in draft.steps) for draft in without)


@pytest.mark.parametrize(
    ("step", "builds"),
    [
        (install("flash-attn"), True),
        (install("flash-attn==2.8.3", "numpy"), True),
        (install(WHEEL), False),
        (install("numpy"), False),
        (commands.uninstall("flash-attn", why="w"), False),
    ],
)
def test_a_step_that_may_compile(step, builds):
    assert compiles(step) is builds


def test_a_variable_that_the_way_sets_already_is_kept():
    facts = read(next(folder for folder in MACHINES if folder.name == "gb10-dgx-spark"))[0]
    steps = commands.variable("MAX_JOBS", "7", "w"), install("flash-attn")
    draft = Draft(title="t", intent=WORK, goal=Goal.FLASH_ATTN, cures=(), steps=steps, verify=())
    made = build_in(facts, draft)
    assert [step.value for step in made.steps if isinstance(step, SetVariable) and step.name == "MAX_JOBS"] == ["7"]
    nothing = msgspec.structs.replace(draft, steps=(install("numpy"),))
    assert build_in(facts, nothing) is nothing


def test_a_plan_names_its_goal_and_its_causes():
    root = cause("one", "AD901", fix("a", install("a")))
    effect = cause("two", "AD902", root_cause=False, explained_by="AD901")
    plan = make(H, (root, effect), Goal.FLASH_ATTN)
    assert plan.goal is Goal.FLASH_ATTN
    assert [(made.code, made.severity) for made in plan.causes] == [("AD901", "error")]
    assert [way.name for way in plan.ways] == [chr(ord("A") + n) for n in range(len(plan.ways))]
    assert not any("uv.lock" in note for note in plan.notes)
    locked = changed(H, project__locks=("uv.lock",))
    assert any("uv.lock" in note for note in make(locked, (root,), Goal.TRAIN, installer="pip").notes)
