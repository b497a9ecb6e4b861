"""The command `fix` in this process: whose report it is, who is asked, what may be applied, and taking back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from little_plans import WORDS, Said, bare, cause, install_numpy_1, python, report, way
from patients import Patient
from recorded_machines import MACHINES, read
from snapshots import snapshot
from whole_machines import RTX_4090, changed

from attn_doctor.errors import NoAnswer
from attn_doctor.fixes import workflow
from attn_doctor.fixes.plan import Plan, PlannedStep
from attn_doctor.fixes.target_paths import Cannot, ask
from attn_doctor.fixes.workflow import FixRequest
from attn_doctor.model.facts import Distribution, Facts
from attn_doctor.model.findings import Goal
from attn_doctor.model.report import Target, encode
from attn_doctor.model.steps import Install, RunByHand, Uninstall
from attn_doctor.report import plan_outline
from attn_doctor.report.blocks import Verdict
from attn_doctor.system.own_names import Own

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the patients are Linux, with stub drivers")


# -- the command


def request(patient: Patient, **values) -> FixRequest:
    return FixRequest(environ=patient.whole_environ(), target=str(patient.python), timeout=60.0, **values)


def test_offline_a_plan_is_made_and_its_way_can_be_applied_or_not(patient):
    said = Said()
    made = workflow.suggest(request(patient, offline=True, verify=False), said)
    assert (made.here, made.plan.notes, [one.attempt for one in made.plan.ways]) == (
        True,
        (
            f"PIP_NO_INDEX keeps pip from asking any index: it finds only wheels in {(patient.folder / 'house').as_uri()}",
        ),
        [None] * len(made.plan.ways),
    )
    assert made.places == ask(str(patient.python), os.environ)
    first = made.plan.ways[0]
    assert (first.title, first.steps[-1].changes, first.steps[-1].unresolved) == (
        "Install NumPy 1",
        None,
        "the installer was not asked",
    )
    workflow.check_applicable(request(patient), made, first)
    no_solution = msgspec.structs.replace(
        first, steps=(PlannedStep(step=first.steps[0].step, impossible=True, unresolved="no such version"),)
    )
    with pytest.raises(Cannot, match="no such version"):
        workflow.check_applicable(request(patient), made, no_solution)
    by_hand = msgspec.structs.replace(first, steps=(PlannedStep(step=RunByHand(why="", changes="")),))
    with pytest.raises(Cannot, match="no step that attn-doctor can run"):
        workflow.check_applicable(request(patient), made, by_hand)
    assert "asking the installer what it would change" not in said


def test_a_plan_is_applied_undone_and_later_changes_are_kept(patient):
    with pytest.raises(Cannot, match=f"there is nothing to undo for {patient.python}"):
        workflow.to_undo(request(patient))
    before = snapshot(patient.prefix)
    places = ask(str(patient.python), os.environ)
    suggested = workflow.Suggested(Plan(target="", goal=Goal.TRAIN, installer="pip", installer_why="", causes=(), ways=()),
                                   Facts(), (), places, here=True)  # fmt: skip
    cures = way(python(install_numpy_1(patient), str(patient.python)), cures=("AD311",))
    done = workflow.carry_out(request(patient), suggested, cures, Said())
    assert done.outcome == "applied"
    (patient.site / "mine.py").write_text("precious\n")
    found, folder, changes = workflow.to_undo(request(patient))
    assert (found, str(folder), changes) == (places, done.kept, [f"{patient.site}/mine.py"])
    undone = workflow.take_back(found, folder, changes, Said())
    assert (undone.plan, undone.wrong, undone.kept) == ("the title", (), str(folder / "taken"))
    assert len(list(Path(str(undone.kept)).rglob("mine.py"))) == 1
    shutil.rmtree(patient.prefix / ".attn-doctor")
    assert snapshot(patient.prefix) == before


def test_while_another_one_is_at_work_nothing_is_done(patient, monkeypatch):
    from attn_doctor.fixes import restore

    places = ask(str(patient.python), os.environ)
    (places.home / "undo" / "1").mkdir(parents=True)
    lock = restore.take_lock(str(places.home))
    suggested = workflow.Suggested(Plan(target="", goal=Goal.TRAIN, installer="pip", installer_why="", causes=(), ways=()),
                                   Facts(), (), places, here=True)  # fmt: skip
    with pytest.raises(Cannot, match="nothing was done: another attn-doctor"):
        workflow.carry_out(request(patient), suggested, way(python("", sys.executable)), Said())
    monkeypatch.setattr(restore, "_PATIENCE", 0.1)
    with pytest.raises(Cannot, match="nothing was done: another attn-doctor"):
        workflow.take_back(places, places.home / "undo" / "1", [], Said())
    os.close(lock)
    undone = workflow.take_back(places, places.home / "undo" / "1", [], Said())
    assert (undone.plan, undone.kept) == ("nothing had been begun", None)


def test_a_report_of_another_machine_or_another_goal(patient, tmp_path):
    made = workflow.suggest(request(patient, offline=True), Said())
    saved = tmp_path / "r.json"

    def save(**values) -> None:
        system = msgspec.structs.replace(made.facts.system, **values.pop("system", {}))
        facts = msgspec.structs.replace(made.facts, system=system)
        saved.write_bytes(
            encode(
                report(
                    *made.findings,
                    facts=facts,
                    **{"target": Target(python=str(patient.python), why="", version="3.11"), **values},
                )
            )
        )

    def asked(**values):
        return workflow.suggest(request(patient, report=str(saved), offline=True, **values), Said())

    save()
    assert asked().here
    assert asked(goal=Goal.TRAIN).here
    with pytest.raises(Cannot, match=r"was made with --goal train: make a report with the other goal"):
        asked(goal=Goal.FLASH_ATTN)
    for system in ({"kernel": "1.2"}, {"memory_bytes": 1}):  # one of the two may differ: an update, a new module
        save(system=system)
        assert asked().here
    for values in (
        {"system": {"kernel": "1.2", "memory_bytes": 1}},
        {"target": Target(python=str(patient.folder / "gone" / "python"), why="", version="3.11")},
        {"target": Target(python="/bin/sh", why="", version="3.11")},
        {"target": Target(python="/<user-1>/bin/python", why="", version="3.11")},
    ):
        save(**values)
        there = asked()
        assert (there.here, there.places) == (False, None)
        assert there.plan.notes[-1] == "This plan is for the machine that wrote the report."
        assert asked(verify=True).plan.notes[-1].endswith("and is not tried here.")


def test_recorded_facts_of_another_machine_are_judged_and_nobody_here_is_asked(tmp_path):
    machine = next(folder for folder in MACHINES if folder.name == "windows-11-gtx-1660-cpu-torch")
    facts = machine / "facts.json"
    nobody = FixRequest(environ={}, target=str(tmp_path / "no" / "python"))
    made = workflow.suggest(nobody._replace(facts=str(facts)), said := Said())
    assert (made.here, made.places, made.facts) == (False, None, read(machine)[0])
    assert made.plan.notes[-1] == "This plan is for the machine of these facts."
    told = [block.text for block in plan_outline.plan(made.plan, "posix") if isinstance(block, Verdict)]
    assert told[0].endswith("nothing was tried: on that machine --verify tries it in a throw-away copy.")
    assert "asking the installer what it would change" not in said
    install = next(one for one in made.plan.ways[0].steps if isinstance(one.step, Install))
    assert "torch" in " ".join(install.step.argv)
    assert "download.pytorch.org/whl/cu" in " ".join(install.step.argv)
    assert (install.changes, install.unresolved) == (None, "the installer was not asked")
    saved = tmp_path / "report.json"
    saved.write_bytes(encode(report(facts=made.facts)))  # which names no finding: its facts are judged anew
    again = workflow.suggest(nobody._replace(facts=str(saved), goal=Goal.FLASH_ATTN), Said())
    assert (again.plan.goal, made.plan.goal) == (Goal.FLASH_ATTN, Goal.TRAIN)
    by_report = workflow.suggest(nobody._replace(facts=str(saved), goal=made.plan.goal), Said())
    assert by_report.plan.ways == made.plan.ways


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--apply", "--yes"], "--facts describes another machine: it is for --suggest"),
        (["--undo"], "--facts describes another machine: it is for --suggest"),
        (["--suggest", "--verify"], "--verify tries a plan on its own machine: --facts describes another machine"),
        (["--suggest", "--report", "r.json"], "not allowed with argument --report"),
        (["--suggest"], "no-such-file.json"),
    ],
)  # fmt: skip
def test_facts_of_another_machine_are_for_a_suggestion_alone(tmp_path, words, why):
    argv = [sys.executable, "-m", "attn_doctor", "fix", *words, "--facts", str(tmp_path / "no-such-file.json")]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert why in done.stderr


def test_the_names_of_this_machine_are_put_back_into_its_report():
    own = Own.of_this_machine()
    given = report(cause("AD1"), facts=changed(RTX_4090, system__distribution="<home>/x"), command=("<home>", "b"))
    plain = workflow._put_back(given)
    assert plain.command == (own.home, "b")
    assert plain.facts.system.distribution == f"{own.home}/x"
    assert plain.findings == given.findings


def test_a_name_that_is_no_utf_8_is_not_changed(tmp_path):
    places = bare(tmp_path)
    workflow._check_name(places)
    for field in ("python", "prefix", "purelib"):
        odd = msgspec.structs.replace(places, **{field: os.fsdecode(b"/x\xff")})
        with pytest.raises(Cannot, match="can be examined only: its name is not UTF-8"):
            workflow._check_name(odd)


def test_the_installer_is_asked_once_for_the_same_step(tmp_path, patient):
    tool = tmp_path / "pip"
    count = tmp_path / "count"
    tool.write_text(f"#!/bin/sh\necho x >> '{count}'\necho \"ERROR: $A $1\" >&2\nexit 1\n")
    tool.chmod(0o755)
    pip = Distribution(name="pip", version="25.3", location="/x")
    facts = changed(RTX_4090, interpreter__python=str(patient.python), packages__distributions=(pip,))
    resolver = workflow._resolver(facts, request(patient), said := Said())
    step = Install(requirements=("zork",), argv=(str(tool), "install", "zork"), **WORDS)
    answers = [resolver(step, {"A": "set"}), resolver(step, {"A": "set"})]
    assert answers[0] == answers[1]
    assert "ERROR: set install" in answers[0].why
    asked = count.read_text().count("x")
    resolver(step, {"B": None})
    assert count.read_text().count("x") == 2 * asked
    assert said == ["asking the installer what it would change"] * 2
    silent = workflow._resolver(facts, request(patient, offline=True), Said())
    assert silent(step, {}).why == "the installer was not asked"
    gone = silent(Uninstall(requirements=("pip",), argv=("x",), **WORDS), {})
    assert [str(change) for change in gone.changes] == ["removes pip 25.3"]


def test_packages_are_asked_again_for_an_older_report(patient):
    facts = changed(RTX_4090, interpreter__python=str(patient.python))
    assert workflow._installed(facts, request(patient, report="r.json"))["numpy"] == "2.2.6"
    assert "numpy" in workflow._installed(RTX_4090, request(patient))
    with pytest.raises(NoAnswer):
        workflow._installed(changed(RTX_4090, interpreter__python="/nowhere"), request(patient, report="r.json"))
