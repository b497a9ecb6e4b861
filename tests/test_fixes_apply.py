"""Applying in this process: steps that are programs of a few lines, in an environment that is really examined afterwards."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import msgspec
import pytest
from environment_places import places_of
from patients import Patient
from snapshots import snapshot

from attn_doctor.fixes import restore
from attn_doctor.fixes.apply import Work, apply, latest, refusal, unfinished
from attn_doctor.fixes.plan import RIGHT, PlannedStep, Way
from attn_doctor.fixes.target_paths import Cannot, Places, ask
from attn_doctor.model.facts import Distribution, Facts, Interpreter, Packages
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Run, RunByHand, SetVariable, Step

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the patients are Linux, with stub drivers")


def way(*steps: Step, cures: tuple[str, ...] = ()) -> Way:
    planned = tuple(PlannedStep(step=step) for step in steps)
    return Way(name="A", title="the title", intent=RIGHT, goal=Goal.TRAIN, cures=cures, steps=planned)


def python(code: str, interpreter: str = sys.executable) -> Run:
    return Run(argv=(interpreter, "-c", code), why="the reason", changes="the changes")


class Said(list):
    def __call__(self, text: str) -> None:
        self.append(text)


def work(places: Places, environ=None, **values) -> Work:
    given = {"findings": (), "timeout": 60.0, "say": Said(), "facts": Facts(), **values}
    return Work(places=places, environ=os.environ if environ is None else environ, **given)


def write(path: Path, text: str) -> str:
    return f"import pathlib; p = pathlib.Path({str(path)!r}); p.unlink(missing_ok=True); p.write_text({text!r})"


# -- applying


def cure(patient: Patient) -> str:
    """Code that takes NumPy out, and lays the older one into its place."""
    site, wheel = str(patient.site), str(next(patient.house.glob("numpy-1.26.4-*")))
    return (
        f"import shutil, pathlib, zipfile; shutil.rmtree({site!r} + '/numpy'); "
        f"[shutil.rmtree(p) for p in pathlib.Path({site!r}).glob('numpy-*')]; zipfile.ZipFile({wheel!r}).extractall({site!r})"
    )


def test_steps_that_cure_are_kept_with_all_that_undoing_needs(patient):
    places, before = ask(str(patient.python), os.environ), snapshot(patient.prefix)
    project = patient.project
    (project / "uv.lock").write_text("old\n")
    said = Said()
    seen, tool = patient.folder / "seen.json", patient.folder / "tool.sh"
    tool.write_text(f"pwd > '{patient.folder}/folder'\n")
    note = f"import json, os, pathlib; pathlib.Path({str(seen)!r}).write_text(json.dumps(dict(os.environ)))"
    steps = (
        SetVariable(name="PATIENT", value="set", why="", changes=""),
        SetVariable(name="LEFT_OUT", value=None, why="", changes=""),
        python(f"{note}; {cure(patient)}"),
        python(f"{write(patient.site / 'made.py', '1')}; {write(project / 'uv.lock', 'new')}"),
        Run(argv=("sh", str(tool)), why="only the reason", changes=""),
        RunByHand(why="reboot it", changes=""),
    )
    environ = {**patient.whole_environ(), "LEFT_OUT": "1", "PIP_TARGET": "/nowhere"}
    listed = (Distribution(name="zork", version="1.0", location="/x"),)
    given = work(places, environ, say=said, books=str(project), system_python=True,
                 facts=Facts(packages=Packages(distributions=listed)))  # fmt: skip
    done = apply(way(*steps, cures=("AD311",)), given)
    assert (done.outcome, done.summary, done.wrong, done.left) == ("applied", "applied and verified", (), ())
    assert done.by_hand == ("reboot it",)
    assert done.undo == ("attn-doctor", "fix", "--undo", "--target", places.python)

    variables = json.loads(seen.read_text())
    assert (patient.folder / "folder").read_text() == f"{project}\n"
    assert (variables["PATIENT"], variables["PIP_BREAK_SYSTEM_PACKAGES"], variables["PIP_NO_INPUT"]) == (
        "set",
        "1",
        "1",
    )
    assert (variables["VIRTUAL_ENV"], variables["PATH"].split(":")[0]) == (str(patient.prefix), places.scripts)
    assert not {"LEFT_OUT", "PIP_TARGET", "CONDA_PREFIX"} & set(variables)

    kept = Path(str(done.kept))
    journal = restore.events(str(kept))
    told = [event["at"] for event in journal]
    assert told == ["begin", "kept", *["step", "running", "ended"] * 3, "applied"]
    begin, numbers = journal[0], [event["number"] for event in journal if "number" in event]
    assert numbers == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert (begin["plan"], begin["python"], begin["doctor"][0]) == ("the title", places.python, os.getpid())
    assert begin["steps"] == [list(step.argv) for step in steps[2:5]]
    assert journal[2]["argv"] == list(steps[2].argv)
    assert [event["code"] for event in journal if event["at"] == "ended"] == [0, 0, 0]
    assert {root["path"] for root in begin["roots"]} >= {str(patient.site), str(project / "uv.lock")}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert (kept / "freeze.txt").read_text() == "zork==1.0  # /x\n"
    assert (kept / "undo.py").read_text() == Path(restore.__file__).read_text()
    assert [text for text in said if text.startswith("step")] == [
        "step 1 of 3: the changes",
        "step 2 of 3: the changes",
        "step 3 of 3: only the reason",
    ]
    assert "examining the result" in said
    os.close(restore.take_lock(str(places.home)))  # it is free again

    assert latest(places) == kept
    assert unfinished(places) is None
    assert restore.changed_since(str(kept), journal) == []
    (patient.site / "later.py").write_text("")
    assert restore.changed_since(str(kept), journal) == [f"{patient.site}/later.py"]
    assert restore.undo(str(places.home), str(kept)) == []
    assert snapshot(patient.prefix) == before
    assert (project / "uv.lock").read_text() == "old\n"


def test_what_does_not_cure_is_taken_back(patient):
    places, before = ask(str(patient.python), os.environ), snapshot(patient.prefix)
    given = work(places, patient.whole_environ())
    done = apply(way(python(write(patient.site / "made.py", "1")), cures=("AD311",)), given)
    assert (done.outcome, done.kept, done.undo) == ("rolled back", None, ())
    assert done.summary.startswith("after this plan numpy-abi is still there: ")
    assert [text.split(":")[0] for text in done.left] == ["AD311 numpy-abi"]
    assert "putting everything back" in given.say
    assert snapshot(patient.prefix) == before


def test_a_python_that_no_longer_answers_is_taken_back(patient):
    places, before = ask(str(patient.python), os.environ), snapshot(patient.prefix)
    done = apply(way(python(f"import os; os.unlink({str(patient.python)!r})")), work(places, patient.whole_environ()))
    assert (done.outcome, done.left) == ("rolled back", ())
    assert done.summary.startswith("after this plan the environment does not answer: ")
    assert snapshot(patient.prefix) == before


def small(folder: Path, **values) -> Places:
    """Folders with one file each, for plans that end before anything is examined."""
    places = places_of(folder / "env", **values)
    for path in (places.purelib, places.scripts):
        Path(path).mkdir(parents=True)
        (Path(path) / "old").write_text("old\n")
    return places


def test_after_a_step_that_fails_no_other_is_taken(tmp_path):
    places = small(tmp_path)
    before = snapshot(tmp_path)
    failing = python(f"{write(Path(places.purelib, 'old'), 'x')}; raise SystemExit('error: it is broken')")
    never = python(write(tmp_path / "never", ""))
    done = apply(way(failing, never), work(places))
    assert (done.outcome, done.summary) == ("rolled back", "step 1 fails (the changes): error: it is broken")
    assert snapshot(tmp_path) == before


def test_what_cannot_be_put_back_is_named_and_the_backup_stays(tmp_path):
    places = small(tmp_path)
    old = Path(places.purelib, "old")
    done = apply(way(python(f"open({str(old)!r}, 'a').write('x'); raise SystemExit(3)")), work(places))
    assert (done.outcome, done.wrong) == ("not undone", (str(old),))
    assert done.summary == "step 1 fails (the changes): it printed nothing"
    kept = Path(str(done.kept))
    assert (kept / "kept").is_dir()
    assert unfinished(places) == latest(places) == kept
    facts = Facts()
    said = refusal(facts, places, way(python("")), system_python=False)
    assert said == f"an earlier plan was interrupted here: first run `attn-doctor fix --undo --target {places.python}`"


@pytest.mark.parametrize("name", [".attn-doctor", ".attn-doctor/undo"])
def test_a_backup_that_would_leave_the_environment_by_a_link_is_refused(name, tmp_path):
    places = small(tmp_path / "env")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = places.home.parent / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    said = refusal(Facts(), places, way(python("")), system_python=False)
    assert said == f"{link} is a link: the backup would be written to {elsewhere}. Remove the link"
    assert list(elsewhere.iterdir()) == []


def test_an_interrupt_puts_everything_back_and_is_passed_on(tmp_path):
    places = small(tmp_path)
    before = snapshot(tmp_path)
    old = Path(places.purelib, "old")

    def say(text: str) -> None:
        if "step 2" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(way(python(write(old, "x")), python("")), work(places, say=say))
    assert snapshot(tmp_path) == before


def test_while_another_one_works_here_nothing_is_begun(tmp_path):
    places = small(tmp_path)
    before = snapshot(tmp_path / "env" / "lib")
    places.home.mkdir()
    lock = restore.take_lock(str(places.home))
    with pytest.raises(restore.Busy):
        apply(way(python(write(Path(places.purelib, "new"), ""))), work(places))
    os.close(lock)
    assert snapshot(tmp_path / "env" / "lib") == before
    assert list((places.home / "undo").iterdir()) == []


def test_a_folder_that_cannot_be_set_aside_begins_nothing(tmp_path, monkeypatch):
    import attn_doctor.fixes.apply as module
    from attn_doctor.fixes.hardlink_copy import NoRoom

    places = small(tmp_path)
    before = snapshot(tmp_path)
    for error, words in ((NoRoom("no room"), "nothing was done: no room"), (OSError("x"), "cannot be backed up: x")):

        def refused(*_, error=error):
            raise error

        monkeypatch.setattr(module, "copy_tree", refused)
        with pytest.raises(Cannot, match=words):
            apply(way(python("")), work(places))
        assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("venv", {"VIRTUAL_ENV": "{prefix}", "CONDA_PREFIX": None, "PIP_TARGET": None, "NO_COLOR": "1"}),
        ("conda", {"VIRTUAL_ENV": None, "CONDA_PREFIX": "{prefix}", "PIP_TARGET": None, "NO_COLOR": "1"}),
        ("bare", {"VIRTUAL_ENV": None, "CONDA_PREFIX": None, "PIP_TARGET": "/t", "NO_COLOR": None}),
    ],
)
def test_the_environment_of_a_step_is_that_of_the_kind(tmp_path, kind, expected):
    """A bare interpreter is not activated, so its user's own variables stay."""
    prefix = tmp_path / "env"
    places = small(tmp_path, base_prefix=str(prefix)) if kind == "bare" else small(tmp_path)
    if kind == "conda":
        (prefix / "conda-meta").mkdir()
        (prefix / "conda-meta" / "history").write_text("==> first <==\n+a\n==> second <==\n+b\n")
    assert places.kind == kind
    seen = tmp_path / "seen.json"
    note = f"import json, os, pathlib; pathlib.Path({str(seen)!r}).write_text(json.dumps(dict(os.environ))); raise SystemExit(1)"
    done = apply(way(python(note)), work(places, {"PATH": "/usr/bin", "PIP_TARGET": "/t"}))
    assert done.outcome == "rolled back"
    variables = json.loads(seen.read_text())
    assert variables["PATH"].split(":") == [places.scripts, "/usr/bin"]
    assert variables["PIP_NO_INPUT"] == "1"
    assert "PIP_BREAK_SYSTEM_PACKAGES" not in variables
    assert {name: variables.get(name) for name in expected} == {
        name: value and value.format(prefix=prefix) for name, value in expected.items()
    }


def test_the_revision_of_conda_is_written_down(tmp_path):
    from attn_doctor.fixes.apply import _conda_revision

    places = small(tmp_path)
    assert _conda_revision(places) == ""
    (tmp_path / "env" / "conda-meta").mkdir()
    (tmp_path / "env" / "conda-meta" / "history").write_text("==> first <==\n+a\n==> second <==\n+b\n==> third <==\n")
    assert _conda_revision(places) == "# conda revision 2\n"


# -- refusals


@pytest.mark.parametrize(
    ("kind", "managed", "said", "refused"),
    [
        ("venv", False, False, None),
        ("venv", True, False, "PEP 668"),
        ("venv", True, True, None),
        ("/usr", False, False, "PEP 668"),
        ("/usr", False, True, None),
        ("/opt/python", False, False, None),
    ],
)
def test_whose_python_is_left_alone(tmp_path, kind, managed, said, refused):
    places = small(tmp_path)
    if kind != "venv":
        places = msgspec.structs.replace(places, prefix=kind, base_prefix=kind)
    facts = Facts(interpreter=Interpreter(externally_managed=managed))
    told = refusal(facts, places, way(python("")), system_python=said)
    assert (told is None) if refused is None else (refused in told)


def test_other_refusals(tmp_path):
    places = small(tmp_path)
    gone = msgspec.structs.replace(places, purelib=str(tmp_path / "nowhere"))
    assert refusal(Facts(), gone, way(python("")), system_python=False) == f"{gone.purelib} is not writable for you"
    by_hand = way(RunByHand(why="w", changes=""))
    assert "no step that attn-doctor can run" in refusal(Facts(), places, by_hand, system_python=False)
    two = way(python(""), Run(argv=("no-such-tool",), why="", changes=""))
    assert refusal(Facts(), places, two, system_python=False) == "no-such-tool is not installed here"


def test_the_newest_backup_that_is_not_undone(tmp_path):
    places = small(tmp_path)
    assert latest(places) is None
    undo = places.home / "undo"
    for name, events in {
        "1": [{"at": "begin"}, {"at": "kept"}, {"at": "applied"}],
        "2": [{"at": "begin"}, {"at": "kept"}],
        "3": [{"at": "begin"}, {"at": "kept"}, {"at": "undone", "keep": True}],
    }.items():
        (undo / name).mkdir(parents=True)
        for event in events:
            restore.write_event(str(undo / name), **event)
    assert latest(places) == undo / "2"
    assert unfinished(places) == undo / "2"
    restore.write_event(str(undo / "2"), at="undone", keep=True)
    assert latest(places) == undo / "1"
    assert unfinished(places) is None
    (undo / "4").mkdir()
    assert latest(places) == undo / "4"
    assert unfinished(places) is None
