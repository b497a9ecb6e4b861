"""Killed at any moment while a plan is carried out or taken back: undoing restores everything, file for file."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patients import Patient, ill
from snapshots import snapshot

from attn_doctor.fixes import restore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process groups, and /proc to see who is left")

# Carries a way out without looking for one: the plan is given, and so is the environment.
_CARRY_OUT = """
import json, os, sys
import msgspec
from attn_doctor.model.facts import Facts
from attn_doctor.fixes.apply import Work, apply
from attn_doctor.fixes.target_paths import ask
from attn_doctor.fixes.plan import Way
way = msgspec.convert(json.loads(sys.argv[2]), Way)
say = lambda text: print(text, file=sys.stderr, flush=True)
print(apply(way, Work(ask(sys.argv[1], os.environ), (), 60.0, say, os.environ, Facts())).outcome)
"""


@pytest.fixture
def patient(tmp_path) -> Patient:
    return ill("torch_twice", tmp_path / "patient")


def way(patient: Patient) -> str:
    """A removal and an installation, as for a torch that is there twice."""
    pip = [str(patient.python), "-m", "pip"]
    argvs = [[*pip, "uninstall", "-y", "torch"], [*pip, "install", "--force-reinstall", "--no-deps", "torch==2.8.0"]]
    steps = [{"kind": "run", "argv": argv, "why": "", "what": "", "risk": "low"} for argv in argvs]
    made = {"name": "A", "title": "", "intent": "put it right", "goal": "train", "cures": ["AD212"], "steps": steps}
    return json.dumps(made)


def carry_out(patient: Patient) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", _CARRY_OUT, str(patient.python), way(patient)]
    return subprocess.Popen(
        argv,
        env=patient.whole_environ(),
        cwd=patient.project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def journal(patient: Patient) -> list[dict]:
    folders = sorted((patient.prefix / ".attn-doctor" / "undo").glob("*"))
    return restore.events(str(folders[-1])) if folders else []


def begun(patient: Patient, process: subprocess.Popen[bytes]) -> None:
    """Wait until something is kept: what comes before is only looking."""
    while not (patient.prefix / ".attn-doctor").exists() and process.poll() is None:
        time.sleep(0.002)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def length(patient: Patient) -> float:
    """Seconds from the first thing kept to the end, on this machine as busy as it is now; everything is undone again."""
    process = carry_out(patient)
    begun(patient, process)
    began = time.monotonic()
    out, err = process.communicate()
    assert out == b"applied\n", err
    took = time.monotonic() - began
    assert patient.doctor("fix", "--undo").returncode == 0
    return took


def undone(patient: Patient, before: dict) -> None:
    """Either nothing had been done, or all of it is taken back."""
    last = journal(patient)
    done = patient.doctor("fix", "--undo")
    if done.returncode:
        assert (done.returncode, "there is nothing to undo" in done.stderr) == (2, True), (done.stderr, last)
        shutil.rmtree(patient.prefix / ".attn-doctor", ignore_errors=True)  # a folder, with nothing in it
    assert snapshot(patient.prefix) == before, last


@pytest.mark.parametrize("moments", [6, pytest.param(20, marks=pytest.mark.heavy)])
def test_killed_while_a_plan_is_carried_out(patient, moments):
    before, chance = snapshot(patient.prefix), random.Random(20)
    whole = length(patient)
    assert snapshot(patient.prefix) == before
    for _ in range(moments):
        process = carry_out(patient)
        begun(patient, process)
        time.sleep(chance.uniform(0, whole))
        kill_group(process)
        undone(patient, before)


@pytest.mark.parametrize("moments", [2, pytest.param(10, marks=pytest.mark.heavy)])
def test_killed_while_a_plan_is_taken_back(patient, moments):
    before, chance = snapshot(patient.prefix), random.Random(21)
    for _ in range(moments):
        process = carry_out(patient)
        assert process.communicate()[0] == b"applied\n"
        undoing = subprocess.Popen(
            patient.argv("fix", "--undo"),
            env=patient.whole_environ(),
            cwd=patient.project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        while undoing.poll() is None and not any(event["at"] == "undoing" for event in journal(patient)):
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.3))
        kill_group(undoing)
        undone(patient, before)


@pytest.mark.heavy
def test_the_command_killed_at_twenty_moments(patient):
    """The whole of `fix --apply`, from its start."""
    before, chance = snapshot(patient.prefix), random.Random(22)
    began = time.monotonic()
    assert patient.doctor("fix", "--apply", "--yes").returncode == 0
    whole = time.monotonic() - began
    assert patient.doctor("fix", "--undo").returncode == 0
    seen = set()
    for _ in range(20):
        process = subprocess.Popen(
            patient.argv("fix", "--apply", "--yes"),
            env=patient.whole_environ(),
            cwd=patient.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0, whole))
        kill_group(process)
        seen.add(journal(patient)[-1]["at"] if journal(patient) else "nothing")
        undone(patient, before)
    assert len(seen) > 2, seen


def test_an_installer_that_outlived_the_doctor_is_ended_before_anything_is_put_back(patient):
    before = snapshot(patient.prefix)
    slow = patient.folder / "slow.py"
    mark = patient.site / "torch" / "made-by-a-survivor"
    slow.write_text(
        f"import time, pathlib\nfor n in range(600):\n    pathlib.Path({str(mark)!r} + str(n)).touch()\n    time.sleep(0.05)\n"
    )
    steps = [{"kind": "run", "argv": [str(patient.python), str(slow)], "why": "", "what": "", "risk": "low"}]
    made = json.dumps({**json.loads(way(patient)), "steps": steps})
    process = subprocess.Popen(
        [sys.executable, "-c", _CARRY_OUT, str(patient.python), made],
        env=patient.whole_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while not Path(f"{mark}0").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    busy = patient.doctor("fix", "--undo")
    assert "still at work" in busy.stderr
    kill_group(process)
    running = next(event for event in journal(patient) if event["at"] == "running")
    assert restore.started(running["pid"]) == running["started"]  # it lives in a session of its own
    assert patient.doctor("fix", "--undo").returncode == 0
    assert restore.started(running["pid"]) is None
    assert snapshot(patient.prefix) == before


def test_what_lies_beside_the_kept_files_undoes_by_itself(patient):
    """Any Python will do: the doctor may live in the environment that a plan broke."""
    before = snapshot(patient.prefix)
    process = carry_out(patient)
    begun(patient, process)
    while not any(event["at"] == "ended" for event in journal(patient)):
        time.sleep(0.01)
    kill_group(process)
    program = next((patient.prefix / ".attn-doctor" / "undo").glob("*/undo.py"))
    done = subprocess.run([sys.executable, "-I", str(program)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "the environment is as it was\n"), done.stderr
    assert snapshot(patient.prefix) == before
