"""`check` says first things first: the findings before the trial, the verdict after it, at the end the command and the file.

Every test runs a real process; those that look at a terminal's screen run it on a pseudo terminal.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from little_yolo import put, yolo_target
from targets import make_target
from terminal import on_a_terminal
from whole_command import doctor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a pseudo terminal needs POSIX")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """An environment in which everything imports; its trial fails at once, because this torch computes nothing."""
    return yolo_target(tmp_path_factory.mktemp("sound") / "env")


@pytest.fixture(scope="module")
def ill(tmp_path_factory) -> Path:
    """An environment whose ultralytics lacks a module of its own."""
    folder = tmp_path_factory.mktemp("ill") / "env"
    python = yolo_target(folder)
    put(folder, "ultralytics/nn/tasks.py", "from ultralytics.nn.lost import gone\n")
    return python


@pytest.fixture(scope="module")
def of_ill(ill) -> subprocess.CompletedProcess[str]:
    """What `check` says of it, without a terminal."""
    return doctor("check", "--target", str(ill))


def order(text: str, *parts: str) -> list[int]:
    places = [text.find(part) for part in parts]
    assert -1 not in places, (parts[places.index(-1)], text)
    return places


def test_what_was_found_stands_before_the_trial_and_the_verdict_after_it(of_ill):
    said = of_ill.stdout
    places = order(
        said,
        "attn-doctor 0.",
        "machine",
        "1 error found.",
        "× ultralytics-broken",
        "do: Install ultralytics again",
        "Attention backends: not tried",
        "importing ultralytics fails in the target environment (ModuleNotFoundError);",
        "Recommendation",
        "One thing stands in the way of training here.",
    )
    assert places == sorted(places)
    assert said.count("One thing stands in the way") == 1
    assert said.count("× ultralytics-broken") == 1


def test_the_last_lines_are_the_command_and_the_file(ill, of_ill, tmp_path):
    said = of_ill.stdout.strip("\n").splitlines()
    assert said[-1] == f"      attn-doctor check --target {ill} --json report.json"
    do = next(i for i in reversed(range(len(said))) if said[i].startswith("╰─> do: Install ultralytics again"))
    commands = [line.strip() for line in said[do + 1 :] if line.startswith("      ")][:-1]
    assert commands
    assert all(str(ill) in line for line in commands)
    whole = doctor(
        "check", "--target", str(ill), "--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")
    )
    last = whole.stdout.rstrip().splitlines()[-3:]
    names = [f"      {tmp_path / 'r.json'}", f"      {tmp_path / 'r.html'}"]
    assert last == ["╰─> do: if you ask for help, attach one of these files", *names]
    steps = json.loads((tmp_path / "r.json").read_text())["findings"][0]["fixes"][0]["steps"]
    assert len(commands) == len(steps)


def test_a_file_has_the_verdict_first(ill):
    page = doctor("check", "--target", str(ill), "--markdown", "-").stdout
    places = order(page, "One thing stands in the way", "ultralytics-broken", "Recommendation")
    assert places == sorted(places)


def test_force_runs_the_trial_in_spite_of_the_error(ill, tmp_path):
    done = doctor("check", "--target", str(ill), "--trial", "--json", str(tmp_path / "r.json"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["trial_run"] is not None
    assert "now the model" in done.stdout
    assert "--trial tries" not in done.stdout
    assert doctor("check", "--trial", "--no-trial").returncode == 2
    assert doctor("check", "--trial", "--static").returncode == 2


def test_what_only_the_trial_shows_is_told_after_it_and_nothing_twice(sound, tmp_path):
    done = doctor("check", "--target", str(sound))
    said = done.stdout
    places = order(said, "Nothing found so far; now the model.", "× eager-fails", "One thing stands in the way")
    assert places == sorted(places)
    heads = re.findall(r"^[×!] [\w-]+ AD\d+|^\w[\w ]+$", said, re.MULTILINE)
    assert len(heads) == len(set(heads)), heads
    # No terminal waits: the steps of the trial are not shown.
    assert [line for line in done.stderr.splitlines() if re.search("building|proving|measuring|round", line)] == []


def test_a_screen_shows_the_same_and_ends_with_the_command(ill, tmp_path):
    seen = on_a_terminal("check", "--target", str(ill), cwd=tmp_path)
    assert seen.code == 1
    places = order(seen.text, "1 error found.", "× ultralytics-broken", "not tried", "One thing stands")
    assert places == sorted(places)
    last = [line for line in seen.text.splitlines() if line][-1]
    # The terminal breaks a long line by itself: it is one line in what was sent.
    assert last == f"      attn-doctor check --target {ill} --json report.json"


def test_ctrl_c_in_the_trial_keeps_what_was_found(tmp_path):
    folder = tmp_path / "env"
    python = yolo_target(folder, without=("matplotlib",))
    put(folder, "torch/nn.py", "import time\ntime.sleep(600)\n")
    report = tmp_path / "r.json"
    seen = on_a_terminal("check", "--target", str(python), "--json", str(report), cwd=tmp_path, stop_at="now the model")
    assert seen.code == 130
    written = json.loads(report.read_text())
    assert (written["trials_skipped"], written["exit_code"]) == ("it was stopped", 3)
    assert [f["slug"] for f in written["findings"] if f["root_cause"]] == ["requirements-missing"]
    assert "Traceback" not in seen.text
    places = order(
        seen.text,
        "requirements-missing",
        "now the model",
        "The model was not tried." if written["outcome"] == "sick" else "Could not tell: the model was not tried.",
        "if you ask for help, attach this file",
        str(report),
        "attn-doctor: interrupted",
    )
    assert places[1:] == sorted(places[1:])


def test_ctrl_c_with_nothing_found_could_not_tell(tmp_path):
    folder = tmp_path / "env"
    python = yolo_target(folder)
    put(folder, "torch/nn.py", "import time\ntime.sleep(600)\n")
    seen = on_a_terminal("check", "--target", str(python), cwd=tmp_path, stop_at="now the model")
    assert seen.code == 130
    places = order(seen.text, "Nothing found so far", "Could not tell: the model was not tried.", "do: try the model")
    assert places == sorted(places)
    assert seen.text.count("attn-doctor check --target") == 2  # to try the model, and to write the file


@pytest.mark.parametrize("argv", [["list"], ["check", "--no-trial"]], ids=" ".join)
def test_no_color_has_no_bold_and_no_dim_text(sound, tmp_path, argv):
    target = ["--target", str(sound)] if argv[0] == "check" else []
    styles = re.compile(r"\x1b\[[0-9;]*m")
    assert styles.search(on_a_terminal(*argv, *target, cwd=tmp_path).raw)
    seen = on_a_terminal(*argv, *target, cwd=tmp_path, NO_COLOR="1")
    assert [code for code in styles.findall(seen.raw) if code not in ("\x1b[0m", "\x1b[m")] == []


def test_a_dumb_terminal_gets_no_codes(ill, tmp_path):
    seen = on_a_terminal("check", "--target", str(ill), cwd=tmp_path, TERM="dumb")
    assert "\x1b" not in seen.raw
    assert "× ultralytics-broken" in seen.text


def test_quiet_and_verbose(ill, of_ill):
    usual = of_ill
    little = doctor("check", "--target", str(ill), "-q")
    everything = doctor("check", "--target", str(ill), "-v")
    assert len(little.stdout) < len(usual.stdout) < len(everything.stdout)
    assert little.stderr == ""
    for part in ("× ultralytics-broken", "One thing stands in the way of training here.", "-m pip install"):
        assert part in little.stdout
    assert little.stdout.rstrip().splitlines()[-1].startswith("      ")
    assert "machine" not in little.stdout
    assert "because" not in little.stdout
    assert "No module named 'ultralytics.nn.lost'" in everything.stdout  # of the traceback, which is folded elsewhere
    assert doctor("check", "-q", "-v").returncode == 2


def test_a_target_without_torch_is_told_what_to_install(tmp_path):
    python = make_target(tmp_path / "env")
    said = doctor("check", "--target", str(python)).stdout
    assert "there is no torch in the target" in said
    assert said.rstrip().splitlines()[-1] == f"      attn-doctor check --target {python} --json report.json"


def test_quiet_says_nothing_before_the_verdict_where_nothing_was_found(sound):
    done = doctor("check", "--target", str(sound), "--no-trial", "-q")
    lines = done.stdout.split("\n")
    assert lines[0].strip().startswith("Use sdpa"), done.stdout
    assert "machine" not in done.stdout
    # What was left out is the next step.
    assert done.stdout.rstrip().splitlines()[-1] == f"      attn-doctor check --target {sound} -q"


@pytest.mark.parametrize(
    "argv",
    [["diagnose", "-"], ["list"], ["explain", "AD313"]],
    ids=lambda argv: argv[0],
)
def test_every_command_with_a_screen_has_both(argv):
    log = b"ImportError: /v/torch/lib/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent\n"
    usual = doctor(*argv, stdin=log)
    assert usual.stdout
    little = doctor(*argv, "-q", stdin=log)
    everything = doctor(*argv, "-v", stdin=log)
    assert little.returncode == everything.returncode == usual.returncode
    assert 0 < len(little.stdout) <= len(usual.stdout) <= len(everything.stdout)


def test_the_command_to_train_starts_the_yolo_of_the_target(tmp_path):
    python = yolo_target(tmp_path / "env")
    folder = python.parent
    program = folder / "yolo"
    (tmp_path / "other").mkdir()
    for place in (program, tmp_path / "other" / "yolo"):
        place.write_text("#!/bin/sh\necho trained\n")
        place.chmod(0o755)

    def said(path: str) -> tuple[str, str]:
        report = tmp_path / "r.json"
        done = doctor("check", "--target", str(python), "--no-trial", "--json", str(report), PATH=path, COLUMNS="600")
        told = next(line for line in done.stdout.splitlines() if "Train with it" in line)
        return json.loads(report.read_text())["facts"]["yolo"]["program"], told

    usual = os.environ["PATH"]
    for path, starts in ((f"{tmp_path / 'other'}:{usual}", str(program)), (f"{folder}:{usual}", "yolo")):
        known, told = said(path)
        assert f" -- {starts} detect train" in told
        assert known.endswith(starts.removeprefix(str(tmp_path)))
    command = shlex.split(said(f"{tmp_path / 'other'}:{usual}")[1].partition("-- ")[2])[0]
    assert subprocess.run([command], capture_output=True, check=True).stdout == b"trained\n"


@pytest.mark.parametrize("options", [["--no-trial"], []])
def test_on_a_machine_that_is_elsewhere_nothing_is_to_be_tried_from_here(options):
    facts = Path(__file__).parents[1] / "fixtures" / "machines" / "wsl2-rtx-4060-laptop" / "facts.json"
    said = doctor("check", "--facts", str(facts), *options).stdout
    assert "try the model" not in said
    assert "do: train with sdpa-flash" in said
