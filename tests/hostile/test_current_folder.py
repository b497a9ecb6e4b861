"""A current folder full of modules that stand in for real ones: no command runs any of them, in no interpreter it starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted import ALL, LAUNCHER, before_our_first_line, plant
from targets import make_target, torch_of

from attn_doctor.fixes import step_runner
from attn_doctor.model.facts import ChosenPython
from attn_doctor.probes.gather import GatherRequest, gather
from attn_doctor.system import current_folder
from attn_doctor.trials.plan import model_file

COMMANDS = {
    "check": ("check", "--no-trial", "--target", "{python}", "--json", "{out}/report.json"),
    "check --static": ("check", "--static", "--target", "{python}"),
    "check with a trial": ("check", "--imgsz", "32", "--batch", "1", "--target", "{python}"),
    "trial": ("trial", "--target", "{python}"),
    "wheels": ("wheels", "--target", "{python}"),
    "list --here": ("list", "--here", "--target", "{python}"),
    "inspect": ("inspect", "--target", "{python}", "{library}"),
    "diagnose --here": ("diagnose", "--here", "--target", "{python}", "{log}"),
    "fix --suggest": ("fix", "--suggest", "--target", "{python}"),
    "show": ("show", "{out}/report.json"),
    "explain": ("explain", "AD101"),
}
TOLERATED = {"fix --suggest": (0, 1, 3), "inspect": (0, 1), "wheels": (0, 1), "diagnose --here": (0, 1, 3)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A target with a torch of a few lines, and a current folder with a module of every name."""
    folder = tmp_path_factory.mktemp("current")
    python = torch_of(folder / "env", "from torch.version import __version__\nclass Tensor: pass\n")
    (folder / "launcher").mkdir()
    (folder / "launcher" / "attn-doctor").write_text(LAUNCHER)
    (folder / "build.log").write_text("error: command 'gcc' failed\n")
    marker = plant(folder / "here")
    library = next((Path(sys.base_prefix) / "lib").glob("python3*/lib-dynload/*.so"), folder / "build.log")
    words = {"python": str(python), "out": str(folder), "library": str(library), "log": str(folder / "build.log")}
    return folder, marker, words


def words_of(name: str, words: dict[str, str]) -> list[str]:
    return [word.format(**words) for word in COMMANDS[name]]


def started(place, launch: list[str], name: str, **more: str) -> str:
    """Run one command in that folder; what was run of it."""
    folder, marker, words = place
    marker.write_text("")
    done = subprocess.run(
        [*launch, *words_of(name, words)],
        cwd=folder / "here",
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr, done.stderr
    allowed = TOLERATED.get(name, (0, 1, 3) if "trial" in name else (0, 1))
    assert done.returncode in allowed, f"{done.returncode}: {done.stderr[-2000:]}"
    return marker.read_text()


def test_every_command_is_tried_in_a_folder_of_enough_modules():
    assert (len(COMMANDS), len(ALL)) == (11, 84)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_runs_a_module_of_the_current_folder(place, name):
    launcher = str(place[0] / "launcher" / "attn-doctor")
    assert started(place, [sys.executable, launcher], name) == ""


@pytest.mark.parametrize(
    "value", [os.pathsep, ".", f".{os.pathsep}", "../here", f"lib{os.pathsep}{os.pathsep}/nowhere"]
)
def test_a_python_path_that_means_the_current_folder_runs_nothing_of_it(place, value, monkeypatch):
    """In-process: what Python and site import at the start of the doctor's own interpreter nobody can save."""
    folder, marker, words = place
    marker.write_text("")
    monkeypatch.chdir(folder / "here")
    monkeypatch.setenv("PYTHONPATH", value)
    for static in (False, True):
        facts = gather(GatherRequest(ChosenPython(words["python"], "a test"), os.environ, static=static, timeout=60))
        assert facts.interpreter.differs_isolated == ()
        assert facts.torch.version == "2.6.0+cu124"
    assert marker.read_text() == ""


@pytest.mark.parametrize("name", ["check", "check --static", "wheels", "explain"])
def test_python_m_runs_none_but_what_python_imports_before_our_first_line(place, name):
    folder, _, words = place
    saved = [n for n in ALL if n not in before_our_first_line() and n not in ("attn_doctor", "runpy")]
    marker = plant(folder / "for-m", saved)
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", *words_of(name, words)],
        cwd=folder / "for-m",
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    assert marker.read_text() == ""
    assert len(saved) > 50


def test_what_hides_a_module_is_recorded_and_what_hides_none_is_not(place, monkeypatch):
    folder, _, words = place
    monkeypatch.chdir(folder / "here")
    hidden = set(
        gather(
            GatherRequest(ChosenPython(words["python"], "a test"), os.environ, static=True)
        ).interpreter.shadowed_here
    )
    assert {
        "json.py",
        "re.py",
        "torch.py",
        "numpy.py",
        "cv2.py",
        "yaml.py",
        "PIL.py",
        "collections/",
        "queue.py",
    } <= hidden
    # built in, frozen, or imported before any program begins
    assert not {"time.py", "os.py", "site.py", "codecs.py", "encodings.py"} & hidden
    # nobody's module
    assert not {"attn_doctor.py", "sitecustomize.py"} & hidden


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace here")
@pytest.mark.parametrize("name", ["check", "check --static"])
def test_no_file_of_the_current_folder_is_opened_under_strace(place, name):
    folder, _, words = place
    here = folder / "here"
    trace = folder / "trace"
    command = ["strace", "-f", "-qq", "-y", "-e", "trace=open,openat,execve", "-o", str(trace), sys.executable]
    done = subprocess.run(
        [*command, str(folder / "launcher" / "attn-doctor"), *words_of(name, words)],
        cwd=here,
        capture_output=True,
        text=True,
    )
    if not trace.exists() or "Operation not permitted" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode in (0, 1), done.stderr
    # -y shows the folder of a relative path: openat(AT_FDCWD</folder>, "json.py", ...)
    opened = [
        line
        for line in trace.read_text(errors="replace").splitlines()
        if re.search(r"= \d+", line) and "O_DIRECTORY" not in line
        if f'"{here}/' in line or re.search(rf'AT_FDCWD<{re.escape(str(here))}>, "[^/]', line)
    ]
    assert opened == []
    assert trace.read_text(errors="replace").count("execve(") >= 2


def test_pip_keeps_the_current_folder_and_nothing_of_it_is_on_its_path(tmp_path, monkeypatch):
    python = make_target(tmp_path / "env", pip=True)
    marker = plant(tmp_path / "here")
    (tmp_path / "here" / "wanted.txt").write_text("# nothing\n")
    monkeypatch.chdir(tmp_path / "here")
    log = tmp_path / "log"
    installed = step_runner.run(
        (str(python), "-m", "pip", "install", "-r", "wanted.txt"), os.environ, log, deadline=120
    )
    assert installed.ok, installed.output
    asked = step_runner.run((str(python), "-m", "pip", "--version"), os.environ, log, deadline=120)
    assert asked.output.startswith("pip ")
    brought = step_runner.run((str(python), "-m", "ensurepip", "--version"), os.environ, log, deadline=120)
    assert brought.output.startswith("pip ")
    assert marker.read_text() == ""


def test_search_paths_mean_the_same_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "here" / "lib").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    here = tmp_path / "here"
    cases = {
        "": None,
        ":": None,
        ".": None,
        "./": None,
        "../here": None,
        "lib": f"{here}/lib",
        "lib:": f"{here}/lib",
        ":/opt/x:.": "/opt/x",
        "/opt/x": "/opt/x",
        "/opt/x:/opt/y": "/opt/x:/opt/y",
        "../other": f"{tmp_path}/other",
        str(here): str(here),  # by its absolute path: on purpose
    }
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH"):
        for value, expected in cases.items():
            assert current_folder.cleaned({name: value}).get(name) in (
                (expected, "") if value == "" else (expected,)
            ), value
    assert len(cases) == 12


def test_a_model_file_is_found_from_any_folder_and_a_name_stays_ultralytics_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("yolo12n.yaml", "mine.yaml", "best.pt"):
        (tmp_path / name).write_text("")
    assert model_file("yolo12n.yaml") == "yolo12n.yaml"
    assert model_file("./yolo12n.yaml") == str(tmp_path / "yolo12n.yaml")
    assert model_file("mine.yaml") == str(tmp_path / "mine.yaml")
    assert model_file("best.pt") == str(tmp_path / "best.pt")
    assert model_file("missing.pt") == "missing.pt"


def test_children_start_in_an_empty_folder_that_is_gone_afterwards(tmp_path):
    code = (
        "import os; from attn_doctor import child; from attn_doctor.system import current_folder; f = current_folder.empty(); print(f, os.listdir(f)); "
        "print(child.command(['pwd']).stdout)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    folder, listed, seen = done.stdout.split()
    assert (listed, os.path.realpath(seen)) == ("[]", os.path.realpath(folder))
    assert not Path(folder).exists()


@pytest.mark.heavy
@pytest.mark.parametrize(
    "argv",
    [
        ("fix", "--suggest", "--verify", "--target", "{python}"),
        ("reproduce", "numpy-missing-or-old", "--yes", "--target", sys.executable),
        ("reproduce", "ld-library-path-shadowing", "--yes", "--target", sys.executable),
        ("reproduce", "cuda-home-unset", "--target", sys.executable),  # refused: it asks before it downloads
    ],
)
def test_what_makes_environments_runs_nothing_of_the_current_folder(place, argv):
    folder, marker, words = place
    marker.write_text("")
    launcher = str(folder / "launcher" / "attn-doctor")
    done = subprocess.run(
        [sys.executable, launcher, *(word.format(**words) for word in argv)],
        cwd=folder / "here",
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 2, 3), done.stderr
    assert marker.read_text() == ""
