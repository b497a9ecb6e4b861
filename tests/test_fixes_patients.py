"""Plans on environments that are really ill: a way is found that verifies, applying it cures, undoing brings everything back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from patients import ILL, WELL, Patient, ill
from snapshots import snapshot

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("gcc") is None,
    reason="the machines of the patients are Linux, with stub drivers",
)


@pytest.fixture
def patient(tmp_path, request) -> Patient:
    # No semicolon: the loader takes one in LD_LIBRARY_PATH for a separator.
    return ill(request.param, tmp_path / "it's ill $HOME")


def well(patient: Patient, code: str) -> bool:
    argv = [str(patient.python), "-c", code]
    return subprocess.run(argv, capture_output=True, env=patient.whole_environ(), cwd=patient.project).returncode == 0


def told(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


# Much like others of the default tier, and slow: ensurepip, four steps.
_LONG = {"empty", "without_pip", "numpy_twice", "torch_too_old_for_the_python", "requirement_not_met"}


@pytest.mark.parametrize(
    ("patient", "name"),
    [pytest.param(n, n, marks=pytest.mark.heavy if n in _LONG else (), id=n) for n in WELL],
    indirect=["patient"],
)
def test_what_verifies_cures_and_what_is_undone_is_as_it_was(patient, name):
    before = snapshot(patient.prefix)
    assert not well(patient, WELL[name])

    done = patient.doctor("fix", "--apply", "--verify", "--yes", "--json", "-")
    answer = told(done)
    plan = answer["plan"]
    assert patient.slug in {cause["slug"] for cause in plan["causes"]}
    assert plan["ways"][0]["attempt"]["verified"] is True
    if name == "hollow_flash_attn":
        making_it_work_was_refused(plan["ways"])
    assert (done.returncode, answer["applied"]["outcome"]) == (0, "applied"), answer["applied"]
    assert well(patient, WELL[name])

    undone = patient.doctor("fix", "--undo")
    assert undone.returncode == 0, undone.stderr
    assert "as it was before, file by file" in " ".join(undone.stdout.split())
    assert snapshot(patient.prefix) == before
    assert not well(patient, WELL[name])


def making_it_work_was_refused(ways: list[dict]) -> None:
    """It stands beside doing without, and the dead proxy is named as the reason."""
    assert [way["intent"] for way in ways] == ["do without flash-attn", "make flash-attn work"]
    refused = ways[1]["attempt"]
    assert refused["verified"] is False
    assert "The proxy refused the connection or did not answer" in refused["summary"]


@pytest.mark.parametrize("patient", ["numpy_too_new"], indirect=True)
def test_trying_leaves_no_trace(patient):
    before = {place: snapshot(place) for place in (patient.prefix, patient.project, patient.folder / "tmp")}
    done = patient.doctor("fix", "--suggest", "--verify")
    assert done.returncode == 0
    assert "A was tried in a copy of this environment and works: after this plan 0 findings" in done.stdout
    assert "numpy 2.2.6 → 1.26.4" in done.stdout
    assert {place: snapshot(place) for place in before} == before


@pytest.mark.parametrize("patient", ["numpy_shadowed"], indirect=True)
def test_a_variable_is_tried_and_left_to_the_user(patient):
    plan = told(patient.doctor("fix", "--suggest", "--verify", "--json", "-"))["plan"]
    way = plan["ways"][0]
    assert way["attempt"]["verified"] is True
    assert [step["shown"]["bash"] for step in way["steps"]] == ["unset PYTHONPATH"]
    before = snapshot(patient.prefix)
    done = patient.doctor("fix", "--apply", "--yes")
    assert done.returncode == 2
    assert "no step that attn-doctor can run" in done.stderr
    assert snapshot(patient.prefix) == before


@pytest.mark.parametrize("patient", ["build_tools_missing"], indirect=True)
def test_a_build_is_one_step_after_what_it_needs_or_a_finished_wheel_with_another_torch(patient):
    plan = told(patient.doctor("fix", "--suggest", "--json", "-"))["plan"]
    ours = [way for way in plan["ways"] if not way["unsigned"]]
    lines = [[step["shown"]["bash"].rpartition(" -m ")[2] for step in way["steps"]] for way in ours]
    assert len(lines) == 2
    assert [way["unsigned"]["builder"] for way in plan["ways"] if way not in ours] == ["mjun0812"]
    assert plan["ways"][0] in ours
    wheel, build = sorted(lines, key=len)
    assert [line.split()[:2] for line in wheel] == [["pip", "install"], ["pip", "install"]]
    assert wheel[-1].endswith(".whl")
    assert build[0] == "pip install setuptools wheel packaging psutil ninja"
    assert [line.split("=")[0] for line in build[1:-1]] == [
        "export MAX_JOBS",
        "export NVCC_THREADS",
        "export FLASH_ATTN_CUDA_ARCHS",
    ]
    assert build[-1] == "pip install --no-build-isolation flash-attn"


def test_every_patient_has_its_proof():
    assert set(ILL) - set(WELL) == {"numpy_shadowed"}  # whose cure is the shell's
    assert len(WELL) >= 10


@pytest.mark.parametrize("patient", ["numpy_too_new"], indirect=True)
def test_a_report_serves_here_and_only_tells_elsewhere(patient):
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "attn_doctor",
            "check",
            "--no-trial",
            "--json",
            "r.json",
            "--target",
            str(patient.python),
        ],
        cwd=patient.project,
        env=patient.whole_environ(),
        capture_output=True,
    )
    assert made.returncode == 1
    report = json.loads((patient.project / "r.json").read_text())

    def suggested(name: str, *more: str) -> dict:
        argv = [sys.executable, "-m", "attn_doctor", "fix", "--suggest", "--json", "-", "--report", name, *more]
        done = subprocess.run(argv, cwd=patient.project, env=patient.whole_environ(), capture_output=True, text=True)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)["plan"]

    here = suggested("r.json")
    assert [change["after"] for change in here["ways"][0]["steps"][0]["changes"]] == ["1.26.4"]  # pip was asked
    report["facts"]["system"] |= {"kernel": "1.2.3-other", "memory_bytes": 1}
    (patient.project / "other.json").write_text(json.dumps(report))
    before = snapshot(patient.prefix)
    there = suggested("other.json", "--verify")
    assert "This plan is for the machine that wrote the report, and is not tried here." in there["notes"]
    assert [way["attempt"] for way in there["ways"]] == [None] * len(there["ways"])
    assert there["ways"][0]["steps"][0]["changes"] is None
    report["facts"]["system"] = json.loads((patient.project / "r.json").read_text())["facts"]["system"]
    report["target"]["python"] = "/bin/sh"
    (patient.project / "evil.json").write_text(json.dumps(report))
    assert (
        "This plan is for the machine that wrote the report, and is not tried here."
        in suggested("evil.json", "--verify")["notes"]
    )
    assert snapshot(patient.prefix) == before


@pytest.mark.parametrize("patient", ["numpy_too_new"], indirect=True)
def test_what_the_installer_rules_out_is_said_and_not_begun(patient):
    for wheel in patient.house.glob("numpy-1.26.4-*"):
        wheel.unlink()
    plan = told(patient.doctor("fix", "--suggest", "--json", "-"))["plan"]
    last = plan["ways"][-1]
    assert (last["title"], last["steps"][-1]["impossible"]) == ("Install NumPy 1", True)
    assert "No matching distribution found for numpy<2" in last["steps"][-1]["unresolved"]
    assert "pip download --only-binary :all:" in last["steps"][0]["shown"]["bash"]  # this pip asks no index
    before = snapshot(patient.prefix)
    done = patient.doctor("fix", "--apply", "--yes", "--way", last["name"])
    assert (done.returncode, "No matching distribution" in done.stderr) == (2, True)
    assert snapshot(patient.prefix) == before
