"""What `fix` never does: reach a shell, touch the system's Python unasked, wait for nobody, or leave something half done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patients import Patient, ill
from shell_words import fish_words, powershell_words
from snapshots import snapshot
from whole_machines import RTX_4090, changed

from attn_doctor import commands
from attn_doctor.fixes.apply import refusal
from attn_doctor.fixes.hardlink_copy import copy_tree
from attn_doctor.fixes.plan import RIGHT, PlannedStep, Way
from attn_doctor.fixes.target_paths import ask
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Run, RunByHand

posix = pytest.mark.skipif(sys.platform == "win32", reason="applying is refused on Windows")
ODD = [
    "/my env/bin/python",
    "it's",
    'a "b"',
    "x;y",
    "-m",
    "$HOME",
    "`id`",
    "a\\b",
    "*",
    "~",
    "",
    "a&b|c>d",
    "torch,numpy",
    "é",
    "D:\\O’Brien’s env\\",
    "#x",
    "!",
]


# --- pasteable


@posix
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=12),
        min_size=1,
        max_size=5,
    )
)
def test_a_line_for_a_posix_shell_comes_back_as_the_words_it_was_made_of(words):
    line = commands.quoted(("printf", "%s\\0", "x", *words), "bash")
    said = subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout
    assert said.decode() == "x\0" + "".join(f"{word}\0" for word in words)


@pytest.mark.parametrize(("shell", "read"), [("fish", fish_words), ("powershell", powershell_words)])
def test_a_line_for_another_shell_comes_back_too(shell, read):
    argv = ("python", *ODD)
    assert read(commands.quoted(argv, shell)) == list(argv)


def test_powershell_starts_a_quoted_program_with_an_ampersand():
    assert commands.quoted(("C:/My Env/python.exe", "-m", "pip"), "powershell") == '& "C:/My Env/python.exe" -m pip'
    assert commands.quoted(("x", "--index-url=https://a.b"), "powershell") == 'x "--index-url=https://a.b"'
    assert commands.quoted(("x", "torch,torchvision"), "powershell") == 'x "torch,torchvision"'


@pytest.mark.parametrize(
    ("value", "shell", "line"),
    [
        ("a b;c", "bash", "export X='a b;c'"),
        ("a b;c", "fish", "set -gx X 'a b;c'"),
        ("it's", "powershell", "$Env:X = 'it''s'"),
        (None, "bash", "unset X"),
        (None, "fish", "set -e X"),
        (None, "powershell", "Remove-Item Env:X"),
        ("a b", "cmd", 'set "X=a b"'),
        ("a b", "windows", 'set "X=a b"'),
        (None, "windows", "set X="),
    ],
)
def test_variables_in_the_users_own_shell(value, shell, line):
    assert commands.shown(commands.variable("X", value, ""), shell) == line


@pytest.mark.parametrize("shell", ["bash", "powershell", "cmd", "windows", "notebook", "dockerfile"])
@pytest.mark.parametrize(
    "word", ["torch>=2.6", "torch<2.9", "mamba-ssm[causal-conv1d]", "numpy<2,>=1.26", "x @ git+https://a.b/c"]
)
def test_a_requirement_stands_in_double_quotes_in_every_shell(word, shell):
    """cmd knows no single quotes: there `'torch>=2.6'` writes a file that is called `=2.6'`."""
    line = commands.shown(commands.run(("python", "-m", "pip", "install", word), "", ""), shell)
    assert line is not None
    beginning = {"notebook": "%pip", "dockerfile": "RUN python -m pip"}.get(shell, "python -m pip")
    assert line == f'{beginning} install "{word}"'


@pytest.mark.parametrize(
    ("step", "line", "other"),
    [
        (commands.variable("MAX_JOBS", "1", ""), 'set "MAX_JOBS=1"', "in PowerShell: $Env:MAX_JOBS='1'"),
        (commands.variable("MAX_JOBS", None, ""), "set MAX_JOBS=", "in PowerShell: Remove-Item Env:MAX_JOBS"),
        (
            commands.run(("D:\\a b\\python.exe", "x"), "", ""),
            '"D:\\a b\\python.exe" x',
            "in PowerShell write & and a space before it",
        ),
        (
            commands.run(("python", "-c", "print('$')"), "", ""),
            """python -c "print('$')\"""",
            "in PowerShell: python -c 'print(''$'')'",
        ),
        (commands.run(("D:\\ab\\python.exe", "a b", "<2"), "", ""), 'D:\\ab\\python.exe "a b" "<2"', None),
        (commands.by_hand((), "", ""), None, None),
    ],
)
def test_where_nobody_knows_which_shell_of_windows_it_is_both_are_served(step, line, other):
    assert commands.shown(step, "windows") == line
    assert commands.in_powershell(step, "windows") == other
    assert commands.in_powershell(step, "cmd") is None


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "pip install -v x > build.log 2>&1"),
        ("cmd", "pip install -v x > build.log 2>&1"),
        ("powershell", "pip install -v x > build.log 2>&1"),
        ("windows", "pip install -v x > build.log 2>&1"),
        ("fish", "pip install -v x > build.log 2>&1"),
        ("notebook", "!pip install -v x > build.log 2>&1"),
    ],
)
def test_what_a_command_says_goes_into_a_file(shell, line):
    step = commands.by_hand(("pip", "install", "-v", "x"), "", "", into="build.log")
    assert commands.shown(step, shell) == line


@posix
def test_an_environment_with_an_odd_name_is_cured_and_its_lines_can_be_pasted(tmp_path):
    patient = ill("numpy_too_new", tmp_path / "-a b;c'd\"$(touch x)")
    plan = json.loads(patient.doctor("fix", "--suggest", "--json", "-").stdout)["plan"]
    # The report that leaves the machine is redacted; the line is as long as the argv, word for word.
    step = plan["ways"][0]["steps"][0]
    shown = patient.doctor("fix", "--suggest").stdout
    line = next(text.strip() for text in shown.splitlines() if text.strip().endswith('-m pip install "numpy<2"'))
    done = subprocess.run(
        ["sh", "-c", f"{line} -q"], env=patient.whole_environ(), cwd=patient.project, capture_output=True
    )
    assert (done.returncode, len(step["step"]["argv"])) == (0, 5), done.stderr
    assert list(patient.project.iterdir()) == []
    assert "numpy-1.26.4.dist-info" in {path.name for path in patient.site.iterdir()}


# --- refusals


def _of(program: str) -> PlannedStep:
    return PlannedStep(step=Run(argv=(program,), why="", changes=""))


WAY = Way(name="A", title="", intent=RIGHT, goal=Goal.TRAIN, cures=(), steps=(_of("pip"),))


@posix
def test_the_python_of_the_system_is_left_alone_unless_told(tmp_path):
    patient = Patient(tmp_path / "p")
    places = ask(str(patient.python), os.environ)
    system = changed(RTX_4090, interpreter__externally_managed=True)
    assert "PEP 668" in refusal(system, places, WAY, system_python=False)
    way = Way(name="A", title="", intent=RIGHT, goal=Goal.TRAIN, cures=(), steps=(_of(sys.executable),))
    assert refusal(system, places, way, system_python=True) is None
    assert refusal(RTX_4090, places, way, system_python=False) is None
    assert "not installed" in refusal(RTX_4090, places, _with("no-such-installer"), system_python=False)


def _with(program: str) -> Way:
    return Way(name="A", title="", intent=RIGHT, goal=Goal.TRAIN, cures=(), steps=(_of(program),))


@posix
def test_nothing_waits_for_an_answer_without_a_terminal(tmp_path):
    patient = ill("numpy_too_new", tmp_path / "p")
    before = snapshot(patient.prefix)
    done = patient.doctor("fix", "--apply")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no terminal for" in done.stderr
    assert "--yes" in done.stderr
    assert snapshot(patient.prefix) == before


@posix
@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--undo",), "there is nothing to undo for"),
        (("--apply", "--yes", "--way", "Z"), "there is no way Z: this plan has A, B"),
        (("--apply", "--yes", "--report", "r.json"), "--report is for --suggest"),
        (("--suggest", "--report", "nowhere.json"), "nowhere.json"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path, argv, words):
    patient = ill("numpy_too_new", tmp_path / "p")
    before = snapshot(patient.prefix)
    done = patient.doctor("fix", *argv)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(patient.prefix) == before


# --- offline


@posix
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PIP_INDEX_URL", "http://127.0.0.1:9/simple", "the connection is refused"),
        ("PIP_PROXY", "http://127.0.0.1:9", "the proxy refuses, or does not answer"),
        ("PIP_INDEX_URL", "https://nowhere.invalid/simple", "its name cannot be resolved"),
    ],
)
def test_an_index_that_is_not_reached_is_no_index_without_a_package(tmp_path, variable, value, words):
    patient = ill("numpy_too_new", tmp_path / "p")
    network = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_RETRIES": "1", variable: value}
    done = patient.doctor("fix", "--suggest", **network)
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert f"pip does not reach its index: {words}" in said
    assert "No matching distribution" not in said


@posix
def test_without_a_network_nothing_is_left_half_done(tmp_path):
    patient = ill("numpy_too_new", tmp_path / "p")
    before = snapshot(patient.prefix)
    network = {
        "PIP_NO_INDEX": "0",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    }
    done = patient.doctor("fix", "--apply", "--yes", "--offline", **network)
    assert done.returncode == 1
    assert "did not work and was undone: everything is as it was" in done.stdout
    assert snapshot(patient.prefix) == before


@posix
def test_offline_the_installer_is_not_asked(tmp_path):
    patient = ill("numpy_too_new", tmp_path / "p")
    plan = json.loads(patient.doctor("fix", "--suggest", "--offline", "--json", "-").stdout)["plan"]
    assert [(s["changes"], s["unresolved"]) for s in plan["ways"][0]["steps"]] == [
        (None, "the installer was not asked")
    ]


# --- undoing


@posix
def test_what_changed_since_is_told_taken_back_and_kept(tmp_path):
    patient = ill("numpy_too_new", tmp_path / "p")
    before = snapshot(patient.prefix)
    assert patient.doctor("fix", "--apply", "--yes").returncode == 0
    patient.write("mine.py", "precious = 1\n")
    asked = patient.doctor("fix", "--undo")
    assert asked.returncode == 2
    assert "mine.py" in asked.stdout
    done = patient.doctor("fix", "--undo", "--yes")
    assert done.returncode == 0
    kept = list((patient.prefix / ".attn-doctor").rglob("mine.py"))
    assert [path.read_text() for path in kept] == ["precious = 1\n"]
    shutil.rmtree(patient.prefix / ".attn-doctor")
    assert snapshot(patient.prefix) == before


@posix
@pytest.mark.heavy
def test_plans_are_undone_one_after_the_other_the_last_first(tmp_path):
    patient = ill("numpy_too_new", tmp_path / "p")
    first = snapshot(patient.prefix)
    assert patient.doctor("fix", "--apply", "--yes").returncode == 0
    subprocess.run(
        [str(patient.python), "-m", "pip", "install", "-q", "numpy==2.2.6"], env=patient.whole_environ(), check=True
    )
    second = snapshot(patient.site)
    assert patient.doctor("fix", "--apply", "--yes").returncode == 0
    assert patient.doctor("fix", "--undo").returncode == 0
    assert snapshot(patient.site) == second
    assert patient.doctor("fix", "--undo", "--yes").returncode == 0
    shutil.rmtree(patient.prefix / ".attn-doctor", ignore_errors=True)
    assert snapshot(patient.prefix) == first


@posix
def test_a_copy_keeps_links_modes_and_times(tmp_path):
    source = tmp_path / "source"
    (source / "x.dist-info").mkdir(parents=True)
    (source / "module.py").write_text("1\n")
    (source / "x.dist-info" / "RECORD").write_text("")
    (source / "a.pth").write_text("/x\n")
    (source / "link").symlink_to("module.py")
    (source / "dangling").symlink_to("nowhere")
    (source / "module.py").chmod(0o640)
    os.utime(source / "module.py", ns=(1, 2_000_000_003))
    kept = copy_tree(source, tmp_path / "copy")
    assert snapshot(tmp_path / "copy") == snapshot(source)
    assert kept.files == 5
    same = [
        name
        for name in ("module.py", "a.pth", "x.dist-info/RECORD")
        if (source / name).stat().st_ino == (tmp_path / "copy" / name).stat().st_ino
    ]
    assert same == ["module.py"]  # the others are written again in place, and are real copies


def test_a_step_that_nobody_can_run_has_no_line():
    assert commands.shown(RunByHand(why="", changes="", risk="none")) is None
