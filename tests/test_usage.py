"""A wrong command line is answered by one sentence and a line to type, before anything is examined."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from attn_doctor.cli import parser

# What is typed, a part of the sentence, and the line to type instead (None: the sentence has it).
WRONG = [
    ("chek", "there is no command 'chek': did you mean `attn-doctor check`?", "check"),
    ("chek --no-trial", "did you mean `attn-doctor check`?", "check --no-trial"),
    ("doctor", "did you mean `attn-doctor check`?", "check"),
    ("AD311", "there is no command 'AD311': it is a failure mode", "explain numpy-abi"),
    ("build.log", "there is no command 'build.log', but a file of this name", "diagnose build.log"),
    ("check --jsn report.json", "there is no option --jsn: did you mean --json?", "check --json report.json"),
    ("check -json report.json", "there is no option -json: did you mean --json?", "check --json report.json"),
    ("--static check", "--static is an option of `attn-doctor check`", "check --static"),
    ("check build.log", "'build.log' is one argument too many", "diagnose build.log"),
    ("check --goal tran", "--goal is train or flash-attn, not 'tran'", "check --goal train"),
    ("check --backend sdpa-flsh", "there is no backend 'sdpa-flsh': did you mean sdpa-flash?", None),
    ("check --imgsz 650", "650 is not a multiple of 32: use 640 or 672", None),
    ("check --ignore numpy-api", "did you mean numpy-abi?", None),
    ("check --json no/such/report.json", "the folder no/such does not exist", None),
    ("check --facts none.json", "none.json cannot be read: No such file or directory", None),
    ("diagnose none.log", "none.log cannot be read: No such file or directory", None),
    ("diagnose build.log --facts none.json", "none.json cannot be read: No such file or directory", None),
    ("show none.json", "none.json cannot be read: No such file or directory", None),
    ("compare none.json none.json", "none.json cannot be read: No such file or directory", None),
    ("inspect none.so build.log", "none.so cannot be read: No such file or directory", None),
    ("check --baseline none.json", "none.json cannot be read: No such file or directory", None),
    ("fix --suggest --report none.json", "none.json cannot be read: No such file or directory", None),
    ("wheels --prove none.whl", "none.whl cannot be read: No such file or directory", None),
    ("matrix none.json", "none.json cannot be read: No such file or directory", None),
    ("fleet none.json", "none.json cannot be read: No such file or directory", None),
    ("study --data no/such.yaml", "--data no/such.yaml: there is no such file", None),
    ("explain numpy-abbi", "did you mean numpy-abi?", None),
    ("fleet", "name reports or a folder of them, or an engine with --on: attn-doctor fleet reports/", None),
    ("fix --sugest", "there is no option --sugest: did you mean --suggest?", "fix --suggest"),
    ("fix", "one of the arguments --suggest --apply --undo is required", "fix --suggest"),
    ("diagnose", "the following arguments are required: FILE", "diagnose build.log"),
    ("diagnose build.log --imgsz 640", "there is no option --imgsz; check, study and trial have it", "help diagnose"),
    ("trial --device tpu", "there is no device 'tpu': use auto, cpu, cuda:0", None),
    ("trial --prescription no/such/p.json", "the folder no/such does not exist", None),
    ("study --imgsz 64", "name either a data set by --data DATA.yaml, or --demo, which generates one", None),
    (
        "study --demo --attention eager compile",
        "--attention compile: a study can train with as-shipped, eager, sdpa",
        None,
    ),
    ("study --demo --set epochs=3", "--set epochs: a study sets it itself", None),
    ("study --demo --on slurm", "--on slurm: a study runs on this machine, or on ray[:ADDRESS]", None),
    ("study no/such/folder", "no/such/folder has no study: a study's folder has the file journal.jsonl", None),
    ("list --area gpus", "--area is build, install, import, run, platform or model, not 'gpus'", "list --area build"),
    (
        "run --atention auto -- true",
        "there is no option --atention: did you mean --attention?",
        "run --attention auto -- true",
    ),
    ("completion tcsh", "SHELL is bash, zsh, fish or powershell, not 'tcsh'", "completion bash"),
    ("help chekc", "did you mean `attn-doctor check`?", "help check"),
    ("help AD311", "it is a failure mode", "explain numpy-abi"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("usage")
    (made / "build.log").write_text("Building wheel\n")
    return made


def doctor(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "attn_doctor", *argv], cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize(("typed", "sentence", "line"), WRONG, ids=[typed for typed, _, _ in WRONG])
def test_wrong_usage(typed, sentence, line, folder, monkeypatch, capsys):
    if line is None:
        done = doctor(*typed.split(), cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        said = done.stderr.splitlines()
    else:  # the parser itself refuses: no process is needed to see it
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as ended:
            parser().parse_args(typed.split())
        assert ended.value.code == 2
        said = capsys.readouterr().err.splitlines()
    assert sentence in said[0]
    assert said[1:] == ([] if line is None else [f"  attn-doctor {line}"])


def test_the_lines_to_type_are_right(folder):
    """What is suggested must parse: each line is parsed, and nothing is run."""
    for line in (line for _, _, line in WRONG if line):
        assert parser().parse_args(line.split()).execute


def test_options_are_checked_before_the_target_is_imported(folder, tmp_path):
    """A target whose every start leaves a file is never started by a wrong option."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 3\n")
    python.chmod(0o755)
    for typed in ("--backend sdpa-flsh", "--imgsz 650", "--json no/such/r.json", "--facts none.json", "--log none.log"):
        done = doctor("check", "--target", str(python), *typed.split(), cwd=folder)
        assert done.returncode == 2, typed
        assert not (tmp_path / "started").exists(), typed


def test_nothing_typed_says_where_to_begin(folder):
    done = doctor(cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("  attn-doctor ")]
    assert len(lines) == 3
    for line in lines:
        assert parser().parse_args(line.split()[1:]).command
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_help_is_the_help_of_the_command(folder):
    assert doctor("help", cwd=folder).stdout == doctor("--help", cwd=folder).stdout
    assert doctor("help", "fix", cwd=folder).stdout == doctor("fix", "--help", cwd=folder).stdout


def test_the_manual_page_has_every_command_and_option(folder):
    page = doctor("help", "--man", cwd=folder).stdout
    for name, command in parser().siblings.items():
        assert f".SS attn\\-doctor {name}" in page
        for action in command._actions:
            for option in action.option_strings:
                assert option in {"-h", "--help"} or option.replace("-", "\\-") in page
    # A line that begins with a point is a request: only the macros of man(7) that are meant.
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".SS", ".TP", ".PP", ".B"}


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("undefined symbol", "abi-mismatch-cxx11"),
        ("numpy abi", "numpy-abi"),
        ("out of memory while compiling", "out-of-memory-build"),
        ("ninja", "ninja-missing-at-build"),
        ("nvcc not found", "nvcc-missing"),
        ("driver too old", "driver-too-old"),
        (
            "ImportError: libcudart.so.11.0: cannot open shared object file: No such file or directory",
            "libcudart-missing",
        ),
        ("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2.6 as it may crash", "numpy-abi"),
        ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "no-kernel-image"),
        ("AttributeError: 'AAttn' object has no attribute 'qkv'", "yolo12-weights-of-the-other-code"),
    ],
)
def test_explain_finds_by_words_and_by_a_line(words, first):
    from attn_doctor.judging.lookup import search

    found = [one.MODE.slug for one in search(words)]
    assert found[0] == first
    assert len(found) <= 8


def test_explain_searches(folder):
    done = doctor("explain", "undefined", "symbol", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "AD301" in done.stdout
    assert "attn-doctor explain AD3" in done.stdout
    paged = doctor("explain", "undefined symbol", "--markdown", "-", cwd=folder)
    assert "| AD301 |" in paged.stdout
    nothing = doctor("explain", "qwertzuiop", cwd=folder)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "no failure mode has to do with 'qwertzuiop'" in nothing.stderr
