"""`check` as the gate of a CI: its exit codes in a script, configuration, exceptions, and baseline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from attn_doctor import cli

ROOT = Path(__file__).parent.parent
MACHINES = ROOT / "fixtures" / "machines"
ILL, FULL, WELL = ("h200-memory-errors", "rtx-3060-cpu-torchvision", "h200-flash-attn-2-and-3")


@pytest.fixture
def project(tmp_path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def check(monkeypatch, capsys) -> Callable[..., Done]:
    """`attn-doctor check --facts` of a machine, in this process."""

    def run(folder: Path, machine: str, *argv: str, **environ: str) -> Done:
        facts = str(MACHINES / machine / "facts.json")
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            for name, value in environ.items():
                patch.setenv(name, value)
            capsys.readouterr()
            code = cli.run(["check", "--facts", facts, "--goal", "train", *argv])
        return Done(code, *capsys.readouterr())

    return run


def test_a_script_that_goes_on_or_stops(project):
    """0 for a machine without a finding, 1 for one with an error, 3 if the number of GPUs cannot be counted."""
    facts = json.loads((MACHINES / WELL / "facts.json").read_text())
    facts["graphics"]["gpus"] = facts["torch"]["devices"] = facts["torch"]["available"] = {"unknown": "NVML hangs"}
    (project / "unknown.json").write_text(json.dumps(facts))
    script = """
        gate() { "$PYTHON" -m attn_doctor check --goal train "$@" > out 2>&1; code=$?; }
        gate --facts "$WELL"; echo "well $code"
        gate --facts "$ILL"; echo "ill $code"
        gate --facts "$ILL" --fail-on never; echo "never $code"
        gate --facts "$WELL" --expect-gpus 4; echo "four $code"
        gate --facts unknown.json --expect-gpus 4; echo "unknown $code"
        gate --facts "$WELL" --expect-gpus four; echo "wrong $code"
    """
    told = subprocess.run(
        ["sh", "-c", script],
        cwd=project,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "WELL": str(MACHINES / WELL / "facts.json"),
            "ILL": str(MACHINES / FULL / "facts.json"),
        },
    )
    assert told.stdout.split("\n")[:-1] == ["well 0", "ill 1", "never 0", "four 1", "unknown 3", "wrong 2"]


def test_settings_and_exceptions_are_used_and_said(project, check):
    (project / "attn-doctor.toml").write_text(
        'fail-on = "warning"\nimgsz = 96\n[[ignore]]\nslug = "gpu-ecc-errors"\nreason = "replaced next week"\nuntil = 2099-01-31\n'
        '[[ignore]]\ncode = "AD402"\nreason = "old"\nuntil = 2001-01-31\n'
    )
    (project / "sub").mkdir()
    done = check(project / "sub", ILL, "--json", "r.json", "--imgsz", "640")
    assert done.returncode == 1  # the repair that waits: what the ignored failure explained counts
    told = json.loads((project / "sub" / "r.json").read_text())["acceptance"]
    assert told["fail_on"] == "warning"
    assert told["configuration"]["settings"] == [
        {"key": "fail-on", "value": "warning", "used": True},
        {"key": "imgsz", "value": "96", "used": False},
    ]
    first, second = told["exceptions"]
    assert (first["code"], first["severity"], first["until"], first["ran_out"]) == (
        "AD441",
        "warning",
        "2099-01-31",
        False,
    )
    assert (second["code"], second["severity"], second["ran_out"]) == ("AD402", None, True)
    assert "fail-on = warning" in done.stdout
    assert "not used of it, since the command line goes before it: imgsz" in done.stdout
    shown = " ".join(done.stdout.split())
    assert (
        "AD441 gpu-ecc-errors is ignored (replaced next week, until 2099-01-31). warning: The memory of GPU 3" in shown
    )
    assert "AD402 driver-missing: the exception ran out on 2001-01-31 and counts no more (it was: old)" in shown
    assert "AD442" in done.stdout
    assert check(project, ILL, "--no-config").returncode == 0
    assert check(project, ILL, ATTN_DOCTOR_CONFIG="off").returncode == 0


def test_an_ignored_error_passes_the_gate_and_is_no_health(project, check):
    (project / "pyproject.toml").write_text(
        "[tool.attn-doctor]\nignore = [{slug = 'torchvision-mismatch', reason = 'known'}, {slug = 'torch-cpu-build', reason = 'known'}]\n"
    )
    done = check(project, FULL, "--json", "r.json")
    report = json.loads((project / "r.json").read_text())
    assert report["outcome"] == "sick"
    assert {e["slug"]: e["severity"] for e in report["acceptance"]["exceptions"]}["torchvision-mismatch"] == "error"
    if not any(f["severity"] == "error" for f in report["findings"]):
        assert done.returncode == 0
        assert "ignored by the configuration" in done.stdout


def test_the_last_line_about_an_ignored_error_has_a_command(project, check):
    (project / "facts.json").write_text('{"torch": {"version": null}, "system": {"os": "linux"}}')
    (project / "attn-doctor.toml").write_text(
        "[[ignore]]\nslug = 'torch-missing'\nreason = 'a later step installs it'\n"
    )
    done = check(project, WELL, "--facts", str(project / "facts.json"))
    assert "One thing stands in the way of training here, ignored by the configuration." in done.stdout
    last = done.stdout[done.stdout.index("ignored by the configuration.") :].split()
    assert " ".join(last[last.index("do:") :][:11]).startswith(
        "do: read about torch-missing, which the configuration ignores attn-doctor explain AD216"
    )


def test_a_wrong_configuration_ends_before_anything_is_examined(project, check):
    (project / "attn-doctor.toml").write_text("imgz = 96\n")
    done = check(project, WELL)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "attn-doctor: error: attn-doctor.toml line 1: there is no setting 'imgz': did you mean imgsz?\n"
    )


def planted(folder: Path) -> tuple[Path, Path]:
    """Return a program of a stranger, and the file that it makes when it is run."""
    program, marker = folder / "python", folder / "was-run"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    return program, marker


def real_check(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "attn_doctor", "check", *(argv or ("--no-trial",))],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("setting", ['target = "./python"', 'model = "weights.pt"', 'model = "m.yaml"'])
def test_a_configuration_that_was_only_found_starts_nothing(project, setting):
    _, marker = planted(project)
    (project / "weights.pt").write_bytes(b"")
    (project / "m.yaml").write_text("activation: __import__('os')\n")
    (project / "attn-doctor.toml").write_text(f"{setting}\n")
    done = real_check(project)
    assert (done.returncode, done.stdout) == (2, "")
    assert "attn-doctor.toml line 1: " in done.stderr
    assert "--config attn-doctor.toml allows it" in done.stderr
    assert not marker.exists()


def test_a_target_of_a_file_that_was_named_is_started(project):
    _, marker = planted(project)
    (project / "attn-doctor.toml").write_text('target = "./python"\n')
    done = real_check(project, "--no-trial", "--config", "attn-doctor.toml")
    assert marker.exists()
    assert done.returncode == 3  # it is no Python


def test_a_typed_target_goes_before_that_of_the_file(project):
    _, marker = planted(project)
    (project / "attn-doctor.toml").write_text('target = "./python"\n')
    assert real_check(project, "--target", sys.executable, "--static").returncode in (0, 1)
    assert not marker.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.parametrize(("answer", "run"), [(b"n\n", False), (b"y\n", True)])
def test_a_person_is_asked_on_a_terminal(project, answer, run):
    import pty

    _, marker = planted(project)
    (project / "attn-doctor.toml").write_text('target = "./python"\n')
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    done = subprocess.Popen(
        [sys.executable, "-m", "attn_doctor", "check", "--no-trial"],
        cwd=project,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.wait(60) == (3 if run else 2)
    os.close(theirs)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    assert "sets target = " in said
    assert marker.exists() is run


def test_settings_of_this_machine_are_not_used_for_another_one(project, check):
    _, marker = planted(project)
    (project / "attn-doctor.toml").write_text('target = "./python"\nexpect-gpus = 3\n')
    done = check(project, WELL, "--gpu", "9.0", "--json", "r.json")
    assert done.returncode == 0
    settings = json.loads((project / "r.json").read_text())["acceptance"]["configuration"]["settings"]
    assert [(s["key"], s["used"]) for s in settings] == [("target", False), ("expect-gpus", False)]
    assert not marker.exists()
    assert check(project, WELL, "--gpu", "9.0", "--expect-gpus", "3").returncode == 2


def test_a_baseline_lets_pass_what_it_knows(project, check):
    assert check(project, FULL, "--json", "known.json").returncode == 1
    same = check(project, FULL, "--baseline", "known.json", "--json", "r.json")
    assert same.returncode == 0
    told = json.loads((project / "r.json").read_text())["acceptance"]["baseline"]
    assert (told["new"], told["gone"], told["told_today"], told["file"]) == ([], [], [], "known.json")
    assert told["known"]
    assert "Against the baseline: known.json" in same.stdout
    assert "nothing is new" in same.stdout
    assert ", known" in same.stdout
    check(project, WELL, "--json", "well.json")
    new = check(project, FULL, "--baseline", "well.json", "--json", "r.json")
    assert new.returncode == 1
    assert ", new" in new.stdout
    gone = check(project, WELL, "--baseline", "known.json", "--json", "r.json")
    assert gone.returncode == 0
    assert {g["code"] for g in json.loads((project / "r.json").read_text())["acceptance"]["baseline"]["gone"]} == set(
        told["known"]
    )
    assert "gone: " in gone.stdout
    assert check(project, WELL, "--baseline", "nothing.json").returncode == 2


def test_a_baseline_of_other_rules_is_judged_again(project, check):
    """An older attn-doctor did not know the failure mode: the machine did not change, so the finding is no news."""
    check(project, ILL, "--json", "known.json", "--fail-on", "never")
    report = json.loads((project / "known.json").read_text())
    report["findings"] = [f for f in report["findings"] if f["code"] != "AD441"]
    report["findings"].append({**report["findings"][0], "code": "AD499", "slug": "of-an-older-version"})
    (project / "same-rules.json").write_text(json.dumps(report))
    report["tool"]["version"] = "0.0.1"
    (project / "older.json").write_text(json.dumps(report))
    assert check(project, ILL, "--baseline", "same-rules.json", "--fail-on", "warning").returncode == 1
    done = check(project, ILL, "--baseline", "older.json", "--fail-on", "warning", "--json", "r.json")
    assert done.returncode == 0
    told = json.loads((project / "r.json").read_text())["acceptance"]["baseline"]
    assert (told["told_today"], told["version"]) == (["AD441"], "0.0.1")
    assert [(g["code"], g["retired"]) for g in told["gone"]] == [("AD499", True)]
    assert "no failure mode has this code any more" in " ".join(done.stdout.split())


def test_a_known_finding_that_became_graver_is_new(project, check):
    check(project, FULL, "--json", "known.json")
    report = json.loads((project / "known.json").read_text())
    for finding in report["findings"]:
        finding["severity"] = "info"
    (project / "known.json").write_text(json.dumps(report))
    assert check(project, FULL, "--baseline", "known.json").returncode == 1
