"""The command line as a user meets it: every call is a real process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from targets import broken_torch, make_target, site_packages
from whole_command import doctor

from attn_doctor.report.formats import FORMATS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> str:
    return str(make_target(tmp_path_factory.mktemp("target") / "env"))


def test_version_imports_nothing():
    code = "import sys; sys.argv = ['attn-doctor', '--version']; import attn_doctor.__main__ as m; m.main(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("attn-doctor 0.")
    for heavy in ("rich", "msgspec", "argparse", "json", "subprocess", "typing", "attn_doctor.cli"):
        assert f"'{heavy}'" not in done.stdout


def test_the_readme_and_the_generated_docs_are_fresh():
    done = subprocess.run(
        [sys.executable, "scripts/refresh_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--model", "yolo99z.yaml"], "yolo99z"),
        (["--imgsz", "650"], "650 is not a multiple of 32: use 640 or 672"),
        (["--imgsz", "0"], "not a whole number above 0"),
        (["--batch", "-1"], "not a whole number above 0"),
        (["--timeout", "nan"], "not a positive number"),
        (["--backend", "sdpa-flsh"], "sdpa-flsh"),
        (["--device", "tpu"], "tpu"),
        (["--ignore", "AD999"], "no failure mode is called 'AD999'"),
        (["--ignore", "numpy-api"], "did you mean numpy-abi?"),
        (["--facts", "/nowhere/facts.json"], "/nowhere/facts.json cannot be read: No such file or directory"),
        (["--json", "/nowhere/r.json"], "the folder /nowhere does not exist"),
        (["--json", "/tmp"], "/tmp is a folder"),
        (["--json", "-", "--markdown", "-"], "only one output can go to standard output"),
        (["--log", "/nowhere/build.log"], "/nowhere/build.log cannot be read"),
        (["--static", "--no-trial"], "not allowed with argument"),
        (["--goal", "fly"], "--goal is train or flash-attn, not 'fly'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line_and_exit_2(argv, text):
    done = doctor("check", *argv)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    ours = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(ours) == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"torch": {"version": "2.', "truncated"),
        (b"hello", "is not JSON"),
        (b'{"schema_version": 7}', "upgrade attn-doctor"),
        (b"", "empty"),
    ],
)
def test_facts_that_cannot_be_used(content, text, tmp_path):
    path = tmp_path / "facts.json"
    path.write_bytes(content)
    done = doctor("check", "--facts", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr


def test_nothing_half_is_left_behind(tmp_path, target):
    folder = tmp_path / "out"
    folder.mkdir()
    assert doctor("check", "--imgsz", "650", "--json", str(folder / "r.json")).returncode == 2
    assert list(folder.iterdir()) == []
    assert doctor("check", "--static", "--target", target, "--json", str(folder / "r.json")).returncode == 1  # no torch
    assert [p.name for p in folder.iterdir()] == ["r.json"]


def test_a_broken_torch_is_exit_1_with_a_full_report(tmp_path):
    python = broken_torch(tmp_path / "env", "segfaults")
    done = doctor("check", "--target", str(python), "--json", "-")
    assert done.returncode == 1
    report = json.loads(done.stdout)  # standard output holds the asked-for output alone
    assert report["exit_code"] == 1
    assert report["findings"][0]["slug"] == "torch-install-broken"
    assert "SIGSEGV" in report["findings"][0]["message"]
    assert report["findings"][0]["root_cause"] is True
    assert report["trials"] == []
    assert report["trials_skipped"]
    assert report["recommendation"]["backend"] is None
    assert report["recommendation"]["measured"] is False


def test_the_same_exit_code_in_every_format(tmp_path):
    python = str(broken_torch(tmp_path / "env", "raises"))
    to_files = [[f"--{one.option}", str(tmp_path / f"r.{one.option}")] for one in FORMATS]
    for options in ([], ["--json", "-"], *to_files):
        assert doctor("check", "--no-trial", "--target", python, *options).returncode == 1
    assert all((tmp_path / f"r.{one.option}").stat().st_size for one in FORMATS)
    assert doctor("check", "--no-trial", "--target", python, "--fail-on", "never").returncode == 0
    assert doctor("check", "--no-trial", "--target", python, "--ignore", "torch-install-broken").returncode == 0


def test_a_target_that_does_not_answer_is_exit_3(tmp_path):
    python = make_target(tmp_path / "env")
    (site_packages(tmp_path / "env") / "sitecustomize.py").write_text("import os\nos._exit(9)\n")
    done = doctor("check", "--no-trial", "--target", str(python))
    assert (done.returncode, done.stdout) == (3, "")
    assert "could not examine" in done.stderr


def test_no_escape_codes_without_a_terminal(target):
    done = doctor("check", "--static", "--target", target)
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[0].startswith("attn-doctor ")
    assert not any(line != line.rstrip() for line in done.stdout.splitlines())


def test_a_saved_report_is_shown_again_the_same(tmp_path, target):
    path = str(tmp_path / "r.json")
    doctor("check", "--static", "--target", target, "--json", path)
    again = doctor("show", path, "--json", "-")
    assert again.stdout == Path(path).read_text()
    assert doctor("show", "-", stdin=Path(path).read_bytes()).stdout.startswith("attn-doctor ")
    assert "## Recommendation" in doctor("show", path, "--markdown", "-").stdout


def test_recorded_facts_are_judged_on_any_machine(tmp_path):
    facts = {
        "torch": {
            "version": "2.2.2+cu121",
            "cuda": "12.1",
            "hip": None,
            "numpy_bridge": False,
            "numpy_error": "RuntimeError: Numpy is not available",
        },
        "system": {"os": "linux"},
        "packages": {"distributions": [{"name": "numpy", "version": "2.2.6"}]},
    }
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(facts))
    done = doctor("check", "--facts", str(path), "--json", "-")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert [f["slug"] for f in report["findings"] if f["root_cause"]] == ["numpy-abi"]
    assert report["facts"]["torch"]["version"] == "2.2.2+cu121"


def test_a_log_is_read_beside_the_facts(tmp_path, target):
    log = tmp_path / "build.log"
    log.write_text("collecting\n  AttributeError: _ARRAY_API not found\n")
    done = doctor("check", "--static", "--target", target, "--log", str(log), "--json", "-")
    finding = next(f for f in json.loads(done.stdout)["findings"] if f["slug"] == "numpy-abi")
    assert finding["certainty"] == "observed"
    assert finding["evidence"][0]["line"] == 2
    assert doctor("check", "--static", "--target", target, "--log", "-", stdin=log.read_bytes()).returncode == 1


def test_an_interrupt_ends_the_children_and_is_exit_130(tmp_path):
    python = broken_torch(tmp_path / "env", "hangs")
    process = subprocess.Popen(
        [sys.executable, "-m", "attn_doctor", "check", "--target", str(python)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not running(str(python)):
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"interrupted" in errors
    assert b"Traceback" not in errors
    time.sleep(0.5)
    assert not running(str(python))


def running(python: str) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes().split(b"\0")[0] == python.encode():
                return True
        except OSError:
            continue
    return False


def test_a_closed_pipe_is_no_error(target):
    command = f"{sys.executable} -m attn_doctor check --static --target {target} | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("attn-doctor ")
