"""What stands in front of an environment and keeps it from importing is seen: the import works once it is left out."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from little_yolo import TORCH, VERSION, check, commands, put, root, yolo_target
from targets import site_packages

DEATHS = {
    "raises": "raise RuntimeError('of another Python')\n",
    "segfaults": "import ctypes\nctypes.string_at(0)\n",
    "aborts": "import os\nos.abort()\n",
    "exits": "import os\nos._exit(0)\n",
    "hangs": "import time\ntime.sleep(1000)\n",
    "is hollow": "",
}


def library(path, text):
    """Compile a shared library whose soname is its file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.with_suffix(".c")
    source.write_text(text)
    subprocess.run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-o", path, source], check=True)


def environ(**more):
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD")}
    return {**kept, "SHELL": "/bin/bash", **more}


@pytest.mark.parametrize("way", DEATHS)
@pytest.mark.parametrize("module", ["torch", "ultralytics"])
def test_a_module_that_dies_by_pythonpath_has_that_root_however_it_dies(way, module, healthy, tmp_path):
    stranger = tmp_path / "stranger"
    (stranger / module).mkdir(parents=True)
    (stranger / module / "__init__.py").write_text(DEATHS[way])
    patience = ("--timeout", "2") if way == "hangs" else ()
    code, report, said = check(
        healthy / "bin/python", "--no-trial", *patience, cwd=tmp_path, environ=environ(PYTHONPATH=str(stranger))
    )
    assert (code, report["outcome"]) == (1, "sick")
    cause = root(report)
    assert cause["slug"] == "environment-pollution", [f["slug"] for f in report["findings"]]
    assert f"Importing {module} fails with PYTHONPATH" in cause["message"]
    assert commands(report) == ["PYTHONPATH"]
    assert "unset PYTHONPATH" in said
    others = [f["slug"] for f in report["findings"] if f["root_cause"] and f["slug"] != "environment-pollution"]
    assert others == []


def test_a_library_in_front_is_the_root_and_unset_the_cure(healthy, tmp_path):
    shutil.copytree(healthy, tmp_path / "env", symlinks=True)
    library(tmp_path / "good/libneeded.so.1", "int needed;\n")
    library(tmp_path / "old/libneeded.so.1", "int another;\n")
    put(
        tmp_path / "env",
        "torch/__init__.py",
        f"import ctypes, os\nlib = 'libneeded.so.1' if os.environ.get('LD_LIBRARY_PATH') else "
        f"{str(tmp_path / 'good/libneeded.so.1')!r}\nctypes.CDLL(lib).needed\n" + TORCH,
    )
    code, report, _ = check(
        tmp_path / "env/bin/python", "--no-trial", cwd=tmp_path, environ=environ(LD_LIBRARY_PATH=str(tmp_path / "old"))
    )
    assert (code, root(report)["slug"]) == (1, "ld-library-path-shadowing")
    assert "Importing torch fails with LD_LIBRARY_PATH" in root(report)["message"]
    assert commands(report) == ["LD_LIBRARY_PATH"]
    assert [f["slug"] for f in report["findings"] if f["root_cause"]] == ["ld-library-path-shadowing"]


def test_a_preloaded_library_is_found_out(healthy, tmp_path):
    shutil.copytree(healthy, tmp_path / "env", symlinks=True)
    library(tmp_path / "libpre.so", "int x;\n")
    put(
        tmp_path / "env",
        "yaml/__init__.py",
        "import os\nif os.environ.get('LD_PRELOAD'):\n    raise ImportError('two OpenMP')\n",
    )
    code, report, _ = check(
        tmp_path / "env/bin/python", "--no-trial", cwd=tmp_path, environ=environ(LD_PRELOAD=str(tmp_path / "libpre.so"))
    )
    assert (code, root(report)["slug"], commands(report)) == (1, "ld-library-path-shadowing", ["LD_PRELOAD"])


def test_where_only_both_together_help_both_are_named(healthy, tmp_path):
    shutil.copytree(healthy, tmp_path / "env", symlinks=True)
    put(
        tmp_path / "env",
        "yaml/__init__.py",
        "import os\nif os.environ.get('LD_PRELOAD') or os.environ.get('PYTHONPATH'):\n    raise ImportError('no')\n",
    )
    library(tmp_path / "libpre.so", "int x;\n")
    (tmp_path / "harmless").mkdir()
    both = environ(LD_PRELOAD=str(tmp_path / "libpre.so"), PYTHONPATH=str(tmp_path / "harmless"))
    code, report, _ = check(tmp_path / "env/bin/python", "--no-trial", cwd=tmp_path, environ=both)
    assert (code, root(report)["slug"]) == (1, "environment-pollution")
    assert "without PYTHONPATH and LD_PRELOAD" in root(report)["message"]
    assert commands(report) == ["PYTHONPATH", "LD_PRELOAD"]


def test_variables_that_do_no_harm_are_not_blamed_for_what_is_broken(healthy, tmp_path):
    shutil.copytree(healthy, tmp_path / "env", symlinks=True)
    put(tmp_path / "env", "yaml/__init__.py", "raise ImportError('broken')\n")
    (tmp_path / "harmless").mkdir()
    code, report, _ = check(
        tmp_path / "env/bin/python",
        "--no-trial",
        cwd=tmp_path,
        environ=environ(PYTHONPATH=str(tmp_path / "harmless"), LD_LIBRARY_PATH=str(tmp_path / "harmless")),
    )
    assert (code, root(report)["slug"]) == (1, "ultralytics-broken")


def test_another_whole_torch_by_pythonpath_is_no_failure_of_import(healthy, tmp_path):
    other = tmp_path / "other/torch"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text(TORCH.replace("2.6.0", "2.8.0"))
    (other / "version.py").write_text(VERSION.replace("2.6.0", "2.8.0"))
    _, report, _ = check(
        healthy / "bin/python", "--no-trial", cwd=tmp_path, environ=environ(PYTHONPATH=str(tmp_path / "other"))
    )
    assert report["facts"]["torch"]["version"] == "2.8.0+cpu"
    assert "torch imported" in report["seen"]


def test_layers_count_by_the_path_and_not_by_the_name_of_their_folder(tmp_path):
    """A venv over another environment: the distribution that counts is the first on sys.path, though "a-base" sorts first."""
    yolo_target(tmp_path / "a-base")
    yolo_target(tmp_path / "z-upper")
    for folder, version in (("a-base", "2.2.0"), ("z-upper", "3.8.0")):
        info = site_packages(tmp_path / folder) / f"triton-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: triton\nVersion: {version}\n\n")
    (site_packages(tmp_path / "z-upper") / "base.pth").write_text(f"{site_packages(tmp_path / 'a-base')}\n")
    _, report, _ = check(tmp_path / "z-upper/bin/python", "--no-trial", cwd=tmp_path)
    tritons = [d["version"] for d in report["facts"]["packages"]["distributions"] if d["name"] == "triton"]
    assert tritons == ["3.8.0", "2.2.0"]


def test_an_editable_installation_is_found_as_the_interpreter_finds_it(tmp_path):
    """By a finder of its own, which is what `pip install -e` of setuptools leaves: no folder on sys.path names it."""
    python = yolo_target(tmp_path / "env")
    site = site_packages(tmp_path / "env")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.move(site / "ultralytics", checkout / "ultralytics")
    finder = f"""
import importlib.util, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'ultralytics':
            place = {str(checkout / "ultralytics" / "__init__.py")!r}
            return importlib.util.spec_from_file_location(name, place)
sys.meta_path.append(Finder)
"""
    (site / "_editable_finder.py").write_text(finder)
    (site / "_editable.pth").write_text("import _editable_finder\n")
    (checkout / "ultralytics.egg-info").mkdir()
    code, report, said = check(python, "--static", cwd=checkout)
    assert (code, report["outcome"]) == (0, "unknown"), said
    put(tmp_path / "env", "yaml/__init__.py", f"open({str(tmp_path / 'imported')!r}, 'a').write('x')\n")
    code, report, said = check(python, "--no-trial", cwd=checkout)
    assert (tmp_path / "imported").read_text() in ("x", "xx")  # by the two forks that import it, and by nobody else
    assert (code, report["outcome"]) == (0, "healthy"), said
    assert report["seen"] == ["torch imported", "ultralytics imported"]
    assert "ultralytics 8.4.190" in said
    put(tmp_path / "env", "yaml/__init__.py", "raise ImportError('broken')\n")
    code, report, _ = check(python, "--no-trial", cwd=tmp_path)
    assert (code, root(report)["slug"]) == (1, "ultralytics-broken")
