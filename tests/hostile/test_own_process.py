"""PYTHONPATH full of modules that stand in for the doctor's own: it lives, and the target still gets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted import ALL, FOREIGN, LAUNCHER, before_our_first_line, plant
from targets import make_target, site_packages

DIES = "raise ImportError('another Python\\'s ' + __name__)"
# Python's own start, before anybody's first line: it dies of these whatever it is to run (docs/hostile.md).
OF_PYTHON = frozenset(
    "encodings codecs io os site sitecustomize usercustomize types warnings operator functools keyword".split()
)
# Of another Python, or older: what HPC modules and ROS put on PYTHONPATH.
ABI = {"msgspec": "from msgspec import _core\n", "markupsafe": "from markupsafe import _speedups\nraise SystemError\n"}


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    place = tmp_path_factory.mktemp("launcher") / "attn-doctor"
    place.write_text(LAUNCHER)
    return str(place)


def shadows() -> list[str]:
    """Names that Python does not import itself before our first line."""
    return [n for n in ALL if n not in before_our_first_line() and n not in OF_PYTHON and n != "attn_doctor"]


def run(argv: list[str], path, **options) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run([sys.executable, *argv], env=environ, capture_output=True, text=True, **options)


def test_there_are_enough_shadows():
    assert len(shadows()) >= 50


@pytest.mark.parametrize("command", [["list"], ["explain", "AD101"], ["check", "--facts", "facts.json"], ["--version"]])
def test_the_doctor_imports_none_of_them(tmp_path, launcher, command):
    (tmp_path / "facts.json").write_text("{}")
    marker = plant(tmp_path / "shadow", shadows(), then=DIES)
    done = run([launcher, *command], tmp_path / "shadow", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert marker.read_text() == ""


def test_python_e_m_survives_all_that_python_itself_does_not_read(tmp_path):
    marker = plant(tmp_path / "shadow", then=DIES)
    done = run(["-E", "-m", "attn_doctor", "list"], tmp_path / "shadow", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert marker.read_text() == ""


def test_packages_of_another_python_kill_neither_doctor_nor_report(tmp_path, launcher):
    foreign = tmp_path / "python3.99" / "site-packages"
    for name, text in ABI.items():
        (foreign / name).mkdir(parents=True)
        (foreign / name / "__init__.py").write_text(text)
    (foreign / "numpy").mkdir()
    (foreign / "numpy" / "__init__.py").write_text("raise ImportError('of another Python')\n")
    python = make_target(tmp_path / "env")
    out = tmp_path / "report.json"
    done = run([launcher, "check", "--no-trial", "--target", str(python), "--json", str(out)], foreign, cwd=tmp_path)
    assert "Traceback" not in done.stderr, done.stderr
    facts = json.loads(out.read_text())["facts"]
    # the target still has them: they are what its programs would import
    assert {"name": "PYTHONPATH", "value": str(foreign)} in facts["environment"]
    assert any(str(foreign) in line for line in facts["interpreter"]["differs_isolated"])
    assert next(i for i in facts["imports"] if i["module"] == "numpy")["ok"] is False


def test_the_targets_environment_is_passed_on_unchanged(tmp_path, launcher):
    python = make_target(tmp_path / "env")
    (site_packages(tmp_path / "env") / "sitecustomize.py").write_text(
        f"import os\nwith open({str(tmp_path / 'seen')!r}, 'a') as f: f.write(os.environ.get('PYTHONPATH', '') + '\\n')\n"
    )
    value = f"/nowhere/one{os.pathsep}/nowhere/two"
    done = run([launcher, "check", "--no-trial", "--target", str(python)], value, cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert set((tmp_path / "seen").read_text().split()) == {value}


@pytest.mark.parametrize("name", ["json", "re", "glob", "platform"])
def test_a_target_that_dies_of_python_path_is_told_so_in_one_sentence(tmp_path, launcher, name):
    shadow = tmp_path / "shadow"
    plant(shadow, [name], then=DIES)
    python = make_target(tmp_path / "env")
    done = run([launcher, "check", "--no-trial", "--target", str(python)], shadow, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        f"in {shadow / name}.py, which PYTHONPATH puts in front: unset PYTHONPATH, and look again"
        + ")" * (name in ("json", "re"))
    )
    assert "Traceback" not in done.stderr
    static = run([launcher, "check", "--static", "--target", str(python)], shadow, cwd=tmp_path)
    assert static.returncode in (0, 1), static.stderr


def test_a_doctor_that_lies_on_python_path_alone_still_works(tmp_path):
    """`pip install --target`, or the modules of a cluster: the entries that hold the doctor's own packages are kept, at the end."""
    bare = make_target(tmp_path / "bare")
    code = "import attn_doctor, msgspec, os; print(os.path.dirname(os.path.dirname(attn_doctor.__file__))); print(os.path.dirname(os.path.dirname(msgspec.__file__)))"
    ours, deps = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    shadow = tmp_path / "shadow"
    marker = plant(shadow, [n for n in shadows() if n not in FOREIGN], then=DIES)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(shadow), ours, deps])}
    # A package of ours in the way is passed over too, where it lies beside the doctor: pip install --target.
    together = tmp_path / "together"
    together.mkdir()
    # The doctor is installed among its packages, or beside them with -e.
    for entry in {e.name: e for e in (*Path(deps).iterdir(), Path(ours) / "attn_doctor")}.values():
        if not entry.name.startswith(("torch", "nvidia", "__editable__", "_editable")):
            (together / entry.name).symlink_to(entry)
    others = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "more"), str(together)])}
    also = plant(tmp_path / "more", shadows(), then=DIES)
    launcher = tmp_path / "attn-doctor"
    launcher.write_text(LAUNCHER)
    done = subprocess.run([bare, launcher, "explain", "AD101"], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([bare, launcher, "explain", "AD101"], env=others, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (marker.read_text(), also.read_text()) == ("", "")


def test_a_program_that_imports_the_package_keeps_its_path(tmp_path):
    code = "import sys; before = list(sys.path); import attn_doctor, attn_doctor.__main__, attn_doctor.system.own_path; print(sys.path == before)"
    done = run(["-c", code], tmp_path)
    assert done.stdout.strip() == "True", done.stderr
    code = "from attn_doctor.system import own_path; print(own_path.environment())"
    assert run(["-c", code], tmp_path).stdout.strip() == "{}"


def test_modules_that_came_from_there_before_our_first_line_are_forgotten(tmp_path):
    (tmp_path / "queue.py").write_text("x = 1\n")
    (tmp_path / "sitecustomize.py").write_text("import queue\n")
    code = (
        "import queue; assert queue.x == 1; from attn_doctor.system import own_path; own_path.clean(); "
        "import queue; print(hasattr(queue, 'Queue'), own_path.environment())"
    )
    done = run(["-c", code], tmp_path)
    assert done.stdout.strip() == "True {'PYTHONPATH': ''}", done.stderr
