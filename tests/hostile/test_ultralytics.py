"""An ultralytics that does not import: every way to die, at every place where training imports it, is an error and no all-clear."""

from __future__ import annotations

import shutil

import pytest
from little_yolo import check, commands, put, root, yolo_target
from targets import site_packages

WAYS = {
    "raises": ("raise OSError('the disk is gone')\n", "OSError: the disk is gone"),
    "recurses": ("def f():\n    return f()\nf()\n", "RecursionError"),
    "is no Python": ("def (:\n", "SyntaxError"),
    "is interrupted": ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    "exits with 0": ("import os\nos._exit(0)\n", "exit code 0"),
    "exits with 7": ("import os\nos._exit(7)\n", "exit code 7"),
    "leaves by sys.exit": ("import sys\nsys.exit('bye')\n", "exit code 1"),
    "prints and leaves": ("import os\nprint('ok')\nos._exit(0)\n", "exit code 0"),
    "segfaults": ("import ctypes\nctypes.string_at(0)\n", "SIGSEGV"),
    "aborts": ("import os\nos.abort()\n", "SIGABRT"),
    "is killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "SIGKILL"),
    "hangs": ("import time\ntime.sleep(1000)\n", "no answer"),
}
PLACES = ("ultralytics/__init__.py", "ultralytics/nn/tasks.py", "ultralytics/models/yolo.py", "yaml/__init__.py")
# Each way once, each place often; a hang costs its deadline.
CASES = [(way, PLACES[number % len(PLACES)]) for number, way in enumerate(WAYS)]
CASES += [("segfaults", PLACES[1]), ("exits with 0", PLACES[2]), ("raises", PLACES[2]), ("raises", PLACES[3])]


@pytest.fixture
def env(healthy, tmp_path):
    shutil.copytree(healthy, tmp_path / "env", symlinks=True)
    return tmp_path / "env"


def test_a_healthy_one_is_seen_to_import_and_nothing_is_said_of_it(healthy, tmp_path):
    code, report, said = check(healthy / "bin/python", "--no-trial", cwd=tmp_path)
    assert (code, report["outcome"]) == (0, "healthy"), said
    assert report["seen"] == ["torch imported", "ultralytics imported"]
    assert "✓ torch 2.6.0+cpu and ultralytics 8.4.190 import here. The model was not tried." in said
    assert not [f for f in report["findings"] if f["severity"] != "info"]


@pytest.mark.parametrize(("way", "place"), CASES)
def test_every_way_to_die_is_an_error_with_its_reason(way, place, env, tmp_path):
    code_text, reason = WAYS[way]
    put(env, place, code_text)
    patience = ("--timeout", "2") if way == "hangs" else ()
    code, report, said = check(env / "bin/python", "--no-trial", *patience, cwd=tmp_path)
    assert (code, report["outcome"]) == (1, "sick")
    assert "ultralytics imported" not in report["seen"]
    cause = root(report)
    assert cause["slug"] == "ultralytics-broken"
    assert reason in cause["message"] + cause["evidence"][0]["text"]
    assert "✓" not in said
    afresh = " ".join(root(report)["fixes"][-1]["steps"][-1]["argv"])
    if place.startswith("yaml") and way != "is killed":
        assert "in yaml" in cause["message"]
        assert afresh.endswith("--force-reinstall --no-deps pyyaml==6.0.2")
    else:
        assert afresh.endswith("--force-reinstall --no-deps ultralytics==8.4.190")


def test_all_that_is_missing_is_one_finding_with_one_command(tmp_path):
    python = yolo_target(tmp_path / "env", without=("pyyaml", "matplotlib", "opencv-python"))
    code, report, _ = check(python, "--no-trial", cwd=tmp_path)
    assert code == 1
    assert [f["slug"] for f in report["findings"] if f["root_cause"]] == ["ultralytics-broken"]
    assert root(report)["message"].startswith(
        "Importing ultralytics 8.4.190 fails: yaml (pyyaml) is not installed, nor are"
    )
    assert {"matplotlib", "opencv-python"} <= set(root(report)["message"].replace(".", "").replace(",", "").split())
    (line,) = [c for c in commands(report) if "ensurepip" not in c]
    assert line.endswith("install matplotlib>=3.3 opencv-python>=4.6 pyyaml>=5.3")


@pytest.mark.parametrize("without", ["matplotlib", "opencv-python"])
def test_what_training_needs_is_missing_though_ultralytics_imports(without, tmp_path):
    """An epoch of training was seen to fail without either of them."""
    python = yolo_target(tmp_path / "env", without=(without,))
    code, report, said = check(python, "--no-trial", cwd=tmp_path)
    assert (code, report["outcome"], root(report)["slug"]) == (1, "sick", "requirements-missing")
    assert "✓" not in said


def test_what_may_stop_training_is_a_warning_and_no_all_clear(healthy, tmp_path):
    shutil.copytree(healthy, tmp_path / "env", symlinks=True)
    metadata = next(site_packages(tmp_path / "env").glob("ultralytics-*")) / "METADATA"
    metadata.write_text(
        metadata.read_text().replace("Requires-Dist: pyyaml", "Requires-Dist: obscure>=5.8\nRequires-Dist: pyyaml")
    )
    code, report, said = check(tmp_path / "env/bin/python", "--no-trial", cwd=tmp_path)
    assert (code, report["outcome"], root(report)["severity"]) == (0, "unknown", "warning")
    assert "✓" not in said


def test_what_no_training_needs_is_only_told(healthy, tmp_path):
    shutil.copytree(healthy, tmp_path / "env", symlinks=True)
    metadata = next(site_packages(tmp_path / "env").glob("ultralytics-*")) / "METADATA"
    metadata.write_text(
        metadata.read_text().replace("Requires-Dist: pyyaml", "Requires-Dist: py-cpuinfo\nRequires-Dist: pyyaml")
    )
    code, report, said = check(tmp_path / "env/bin/python", "--no-trial", cwd=tmp_path)
    assert (code, report["outcome"]) == (0, "healthy")
    assert "py-cpuinfo" in said


@pytest.mark.parametrize("way", ["raises", "segfaults", "exits with 7"])
def test_a_requirement_that_ultralytics_imports_late_is_seen_to_fail(way, env, tmp_path):
    put(env, "matplotlib/transforms.py", WAYS[way][0])
    code, report, said = check(env / "bin/python", "--no-trial", cwd=tmp_path)
    assert (code, report["outcome"], root(report)["slug"]) == (1, "sick", "requirements-missing")
    assert "Importing matplotlib.transforms fails" in root(report)["message"]
    assert commands(report)[-1].endswith("--force-reinstall --no-deps matplotlib==3.10.0")
    assert "✓" not in said


def test_a_module_from_another_distribution_is_not_missing(tmp_path):
    """opencv-python-headless, and conda's opencv, bring cv2 without being called opencv-python."""
    python = yolo_target(tmp_path / "env", without=("opencv-python",))
    put(tmp_path / "env", "cv2/__init__.py", "")
    code, report, _ = check(python, "--no-trial", cwd=tmp_path)
    assert (code, report["outcome"]) == (0, "healthy")


@pytest.mark.parametrize("name", ["torch.py", "yaml.py", "ultralytics.py", "queue.py"])
def test_a_file_of_ones_own_that_hides_a_module_is_said(name, healthy, tmp_path):
    put(healthy, "ultralytics/nn/modules/block.py", "import queue\nclass AAttn:\n    pass\n")
    marker = tmp_path / "ran"
    (tmp_path / name).write_text(f"open({str(marker)!r}, 'w')\n")
    code, report, said = check(healthy / "bin/python", "--no-trial", cwd=tmp_path)
    assert (code, root(report)["slug"]) == (1, "shadowed-by-folder")
    assert name in said
    assert not marker.exists()


def test_files_of_ones_own_that_hide_nothing_are_not_said(healthy, tmp_path):
    for name in ("train.py", "utils.py", "test.py", "code.py", "model.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "torch").mkdir()
    code, report, _ = check(healthy / "bin/python", "--no-trial", cwd=tmp_path)
    assert (code, report["outcome"]) == (0, "healthy")


def test_no_torch_is_an_error_with_the_command_that_installs_it(tmp_path):
    python = yolo_target(tmp_path / "env")
    shutil.rmtree(site_packages(tmp_path / "env") / "torch")
    shutil.rmtree(next(site_packages(tmp_path / "env").glob("torch-*")))
    code, report, said = check(python, "--no-trial", cwd=tmp_path)
    assert (code, report["outcome"], root(report)["slug"]) == (1, "sick", "torch-missing")
    assert any("--index-url https://download.pytorch.org/whl/cpu" in line for line in commands(report))
    assert "✓" not in said


def test_the_cases_are_as_many_as_they_were():
    assert len(CASES) == 16
    assert {place for _, place in CASES} == set(PLACES)
