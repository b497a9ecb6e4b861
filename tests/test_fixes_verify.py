"""Trying a way in a throw-away copy, in this process: what runs in it, and what is said of the result."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest
from little_plans import WORDS, Said, bare, cause, install_numpy_1, python, report, way
from patients import Patient
from snapshots import snapshot
from whole_machines import RTX_4090, with_flash_attn

from attn_doctor.commands.installers import Context
from attn_doctor.fixes import after_fix_verdict, verify
from attn_doctor.fixes.plan import RIGHT, WITHOUT, Change, Draft, Plan
from attn_doctor.fixes.target_paths import ask
from attn_doctor.fixes.throwaway_copy import Mirror
from attn_doctor.fixes.verify import Trying, attempt, difference
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.steps import Install, Run, RunByHand

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the patients are Linux, with stub drivers")


# -- the verdict


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ([], [], None),
        (["AD1"], ["AD1"], "slug-AD1 is still there: AD1 is met"),
        (["AD1"], ["AD2"], "slug-AD2 appears: AD2 is met"),
        (["AD1", "AD2"], ["AD2"], None),  # not this plan's to change
        ([], [("AD2", Severity.WARNING)], None),
        ([("AD2", Severity.WARNING)], ["AD2"], "slug-AD2 appears: AD2 is met"),
        ([("AD2", Severity.ERROR, False)], ["AD2"], "slug-AD2 appears: AD2 is met"),
        ([], [("AD2", Severity.ERROR, False)], None),
        ([], [("AD1", Severity.WARNING)], "slug-AD1 is still there: AD1 is met"),
    ],
)
def test_a_way_worked_if_its_causes_are_gone_and_no_new_error_came(before, after, why):
    def made(listed):
        given = [one if isinstance(one, tuple) else (one,) for one in listed]
        return [cause(one[0], *one[1:2], root=one[2] if len(one) > 2 else True) for one in given]

    assert after_fix_verdict.verdict(way(), made(before), report(*made(after))) == why


def test_doing_without_flash_attn_leaves_none_that_fails():
    broken = _with_failing_flash_attn()
    without = way(intent=WITHOUT)
    assert (
        after_fix_verdict.verdict(without, (), report(facts=broken))
        == "flash-attn is still installed, and importing it fails"
    )
    assert after_fix_verdict.verdict(way(), (), report(facts=broken)) is None
    assert after_fix_verdict.verdict(without, (), report()) is None


def _with_failing_flash_attn() -> Facts:
    whole = with_flash_attn(RTX_4090)
    assert isinstance(whole.imports, tuple)
    imports = tuple(
        msgspec.structs.replace(one, ok=False) if one.module.startswith("flash_attn") else one for one in whole.imports
    )
    return msgspec.structs.replace(whole, imports=imports)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it printed nothing"),
        ("first\nlast\n\n", "last"),
        ("first\n  ERROR: it is broken  \nlast\n", "ERROR: it is broken"),
        ("× one\nfatal: two\nthree\n", "fatal: two"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "…"),
        ("  Killed\nc++: fatal error: Killed signal terminated program cc1plus\nlast", "out-of-memory-build: "),
    ],
)
def test_the_words_of_a_step_that_failed(tmp_path, text, words):
    log = tmp_path / "step.log"
    log.write_text(text)
    said = after_fix_verdict.explain(log, Goal.TRAIN)
    if words.endswith(": "):
        assert said.startswith(words)
        assert said.endswith(f"({text.splitlines()[-1]})")
    else:
        assert said == words


def test_packages_that_differ():
    before, after = {"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1"}
    assert difference(before, after) == (
        Change(package="a", before="1", after=None),
        Change(package="b", before="1", after="2"),
        Change(package="d", before=None, after="1"),
    )


@pytest.mark.parametrize(
    ("left", "ran", "summary"),
    [
        ([], (), "after this plan 0 findings"),
        ([cause("AD2", Severity.WARNING)], (), "after this plan 1 finding"),
        (
            [cause("AD2", Severity.WARNING), cause("AD3")],
            ("eager",),
            "after this plan 2 findings, slug-AD3 is still there, and this plan does not treat it, eager runs",
        ),
        ([], ("eager", "sdpa-flash"), "after this plan 0 findings, sdpa-flash runs"),
        ([], ("sdpa-flash", "flash-attn-2"), "after this plan 0 findings, sdpa-flash and flash-attn-2 run"),
    ],
)
def test_what_is_said_of_a_way_that_holds(left, ran, summary):
    made = verify._succeeded(report(*left), ran, {"a": "1"})
    assert (made.verified, made.summary, made.ran) == (True, summary, ran)
    assert made.left == tuple(f"{f.code} {f.slug}: {f.message}" for f in left)
    assert made.changes == (Change(package="a", before="1", after=None),)


# -- trying


def trying(patient: Patient, **values) -> Trying:
    given = {
        "goal": Goal.TRAIN,
        "here": Context(installer="pip", python=str(patient.python), prefix=str(patient.prefix)),
        "timeout": 60.0,
        "say": Said(),
        "environ": patient.whole_environ(),
        **values,
    }
    return Trying(places=ask(str(patient.python), os.environ), **given)


def test_a_way_that_holds_and_one_that_does_not(patient, monkeypatch):
    before = snapshot(patient.prefix)
    this = trying(patient)
    monkeypatch.setattr(verify, "drafts", lambda *_: ((), ()))  # nothing else is known to help
    nothing = way(python("pass", str(patient.python)), RunByHand(why="w", changes=""), cures=("AD311",))
    cures = way(python(install_numpy_1(patient), str(patient.python)), cures=("AD311",))
    never = way(python("pass", str(patient.python)), cures=("AD311",))
    plan = Plan(target="", goal=Goal.TRAIN, installer="pip", installer_why="", causes=(),
                ways=tuple(msgspec.structs.replace(one, name=name) for one, name in ((nothing, "A"), (cures, "B"), (never, "C"))))  # fmt: skip
    made = verify.verify(plan, this)
    assert [one.name for one in made.ways] == ["B", "A", "C"]
    assert [one.attempt and one.attempt.verified for one in made.ways] == [True, False, None]
    good, bad, _ = (one.attempt for one in made.ways)
    assert good.summary == "after this plan 0 findings"
    assert good.changes == (Change(package="numpy", before="2.2.6", after="1.26.4"),)
    assert good.seconds > 0
    assert bad.summary.startswith("after this plan numpy-abi is still there: ")
    assert bad.summary.endswith(" (tried without the steps that only you can do)")
    assert [text.split(":")[0] for text in bad.left] == ["AD311 numpy-abi"]
    assert bad.changes == ()
    assert this.say[:2] == ["trying A in a copy: the title", "in the copy: the changes"]
    assert snapshot(patient.prefix) == before


def test_ways_that_cannot_be_tried(patient):
    this = trying(patient)
    by_hand = attempt(way(RunByHand(why="reboot", changes="")), this).attempt
    assert by_hand.summary == "only you can do these steps: none of them can be tried in a copy"
    other = attempt(way(python("pass", str(patient.python)), cures=("AD999", "AD998")), this).attempt
    assert other.summary == "could not be tried: a copy of this environment does not show AD998, AD999"
    fails = attempt(way(python("raise SystemExit('error: no')", str(patient.python)), cures=("AD311", "AD999")), this)
    assert fails.attempt.summary == "a step fails (the changes): error: no"
    assert [one.attempt.verified for one in (fails,)] == [False]
    broken = attempt(
        way(python("import os, sys; os.unlink(sys.executable)", str(patient.python)), cures=("AD311",)), this
    )
    assert broken.attempt.summary.startswith("could not be tried: ")


def test_the_next_finding_extends_a_way_and_not_for_ever(patient, monkeypatch):
    """The examination after the first step suggests a second one, with the paths of the copy: it is tried, and shown with the target's."""
    this = trying(patient)
    asked = []

    def further(facts, findings, goal):
        asked.append(facts.interpreter.python)
        code = install_numpy_1(patient) if len(asked) == 1 else f"pass # {len(asked)}"
        steps = (RunByHand(why="words", changes=""), python("pass", asked[-1]), python(code, asked[-1]))
        verified = (asked[-1], "-V")
        return (Draft(title="", intent=RIGHT, goal=Goal.TRAIN, cures=(), steps=steps, verify=verified),), ()

    monkeypatch.setattr(verify, "drafts", further)
    made = attempt(way(python("pass", str(patient.python)), cures=("AD311",)), this)
    assert made.attempt.verified
    assert [one.step.argv[0] for one in made.steps] == [str(patient.python)] * 2
    assert made.steps[1].step.argv[2] == install_numpy_1(patient)
    assert made.steps[1].verify == (str(patient.python), "-V")
    assert len(asked) == 1
    assert asked[0] != str(patient.python)

    asked.append("")  # none of the further steps cures
    failed = attempt(way(python("pass", str(patient.python)), cures=("AD311",)), this)
    assert not failed.attempt.verified
    assert len(failed.steps) == 1
    assert len(asked) == 2 + verify.MORE_ROUNDS


@pytest.mark.parametrize(
    ("installer", "lock", "folder", "copied"),
    [
        ("uv", "uv.lock", True, ["pyproject.toml", "uv.lock"]),
        ("pdm", "pdm.lock", True, ["pyproject.toml", "uv.lock"]),  # what is there, but not .pdm-python
        ("pixi", "pixi.lock", True, None),
        ("pip", "uv.lock", True, None),
        ("uv", "uv.lock", False, None),
    ],
)
def test_the_files_of_a_project_are_copied_for_the_tool_that_writes_them(tmp_path, installer, lock, folder, copied):
    project, logs = tmp_path / "project", tmp_path / "logs"
    project.mkdir()
    logs.mkdir()
    for name in ("pyproject.toml", "uv.lock", ".pdm-python", "mine.py"):
        (project / name).write_text(name)
    here = Context(installer=installer, python="", folder=str(project) if folder else "", locks=(lock,))
    copy = verify._project(here, logs)
    assert (copy and sorted(path.name for path in copy.iterdir())) == copied
    if copy:
        (copy / "uv.lock").write_text("of the first step")
        assert verify._project(here, logs) == copy
        assert (copy / "uv.lock").read_text() == "of the first step"


def test_commands_for_the_copy(tmp_path):
    mirror = Mirror(python="/copy/bin/python", prefix="/copy", scripts="/copy/bin", moved=(("/env", "/copy"),))
    steps = (
        Install(requirements=("numpy<2",), argv=("x",), **WORDS),
        Run(argv=("uv", "lock", "--project", "/env/tool"), **WORDS),
        # The caches are the user's own: a try leaves them as they are.
        Run(argv=("/env/bin/python", "-m", "pip", "cache", "purge"), **WORDS),
        Run(argv=("pixi", "clean", "cache"), **WORDS),
    )

    def commands(context: Context, project: Path | None) -> list[tuple[str, ...]]:
        this = Trying(places=bare(tmp_path / str(len(list(tmp_path.iterdir())))), goal=Goal.TRAIN, here=context,
                      timeout=1.0, say=Said(), environ={})  # fmt: skip
        return [step.argv for step in verify._for_copy(steps, this, mirror, project)]

    pip = Context(installer="pip", python="/env/bin/python", prefix="/env")
    made = commands(pip, None)
    assert made[0][:4] == ("/copy/bin/python", "-m", "pip", "install")
    assert made[1:] == [("uv", "lock", "--project", "/copy/tool")]
    pixi = msgspec.structs.replace(pip, installer="pixi", folder="/project", locks=("pixi.lock",))
    assert commands(pixi, None)[0][:4] == ("/copy/bin/python", "-m", "pip", "install")
    no_books = msgspec.structs.replace(pip, installer="uv", folder="/project", locks=("uv.lock",), has_uv=True)
    made = commands(no_books, None)
    assert [argv[:3] for argv in made] == [
        ("uv", "pip", "install")
    ]  # what only the project's own tool does is left out
    project = commands(no_books, tmp_path / "project")
    assert project[0][:2] == ("uv", "add")
    assert len(project) == 2


def test_the_environment_of_a_step_in_the_copy(patient):
    mirror = Mirror(python="", prefix="/copy", scripts="/copy/bin", moved=())
    this = trying(patient, environ={"A": "1", "PIP_TARGET": "/x", "PATH": "/bin"})
    made = verify._environ(mirror, this, {"A": None, "B": "2"})
    assert made["UV_PROJECT_ENVIRONMENT"] == made["VIRTUAL_ENV"] == "/copy"
    assert (made["PATH"], made["B"]) == ("/copy/bin:/bin", "2")
    assert not {"A", "PIP_TARGET", "CONDA_PREFIX"} & set(made)
    (patient.prefix / "conda-meta").mkdir()
    assert verify._environ(mirror, this, {})["CONDA_PREFIX"] == "/copy"
