"""Code that was written for an older Python: which Python the cure names, and with which tool."""

from __future__ import annotations

import pytest
from one_rule import told as said
from told_cures import told

SLUG = "code-older-than-python"
EXEC = """      Traceback (most recent call last):
        File "/home/me/tmp/pip-build-env-k3/overlay/lib/python3.{minor}/site-packages/setuptools/build_meta.py", line 317, in run_setup
        File "<string>", line 70, in get_version
      KeyError: '__version__'
"""


@pytest.mark.parametrize(("minor", "found"), [(12, False), (13, True), (14, True)])
def test_exec_and_locals_need_python_3_13(minor, found):
    assert (said(SLUG, EXEC.format(minor=minor)) is not None) is found


@pytest.mark.parametrize(
    ("line", "last_with", "first_without"),
    [
        ("ModuleNotFoundError: No module named 'imp'", 11, 12),
        ("ModuleNotFoundError: No module named 'cgi'", 12, 13),
        ("AttributeError: module 'ast' has no attribute 'Num'", 13, 14),
        ("AttributeError: module 'inspect' has no attribute 'getargspec'", 10, 11),
        ("ImportError: cannot import name 'MutableMapping' from 'collections' (x.py)", 9, 10),
    ],
)
def test_a_name_counts_only_for_a_python_that_lacks_it(line, last_with, first_without):
    frame = '  File "/v/lib/python3.{}/site-packages/pkg/a.py", line 3, in <module>\n'
    assert said(SLUG, frame.format(last_with) + line) is None
    finding = said(SLUG, frame.format(first_without) + line)
    assert finding is not None
    assert f"Python 3.{first_without} removed" in finding.message


UV = "$ uv pip install facexlib\n  × Failed to build `facexlib==0.2.5`\n  ├─▶ The build backend returned an error\n"
WINDOWS = "PS C:\\app> pip install gfpgan==1.3.8\n  ERROR: Failed building wheel for gfpgan\n"
CONDA = "(base) me@pc:~$ conda activate sr\n(sr) me@pc:~$ poetry add realesrgan\n  - Installing realesrgan (0.3.0): Failed\n  ChefBuildError\n"


@pytest.mark.parametrize(
    ("before", "first"),
    [
        (UV, ["uv venv --python 3.12 .venv"]),
        (
            WINDOWS,
            ["winget install --id Python.Python.3.12 -e", "py -3.12 -m venv .venv312", ".venv312\\Scripts\\activate"],
        ),
        (CONDA, ["poetry env use 3.12"]),
    ],
)
def test_the_python_comes_by_the_tool_of_the_reader(before, first):
    answer = told(before + EXEC.format(minor=13))
    assert answer.slug == SLUG
    assert answer.titles == ["Use Python 3.12"]  # these packages have no newer release
    assert answer.lines[0] == first


def test_a_module_that_runs_is_brought_back_and_a_build_gets_another_python():
    frame = (
        'Traceback (most recent call last):\n  File "/v/lib/python3.13/site-packages/feed/a.py", line 1, in <module>\n'
    )
    assert told(f"{frame}ModuleNotFoundError: No module named 'cgi'\n").lines[0] == ["python -m pip install legacy-cgi"]
    built = f"Building wheel for feed (setup.py) ... error\n{frame}ModuleNotFoundError: No module named 'cgi'\n  ERROR: Failed building wheel for feed\n"
    answer = told(built)
    assert answer.titles[0] == "Use Python 3.12"
    assert "legacy-cgi" not in answer.words


def test_the_limit_that_a_package_states_is_the_python():
    numba = "RuntimeError: Cannot install on Python version 3.13.2; only versions >=3.9,<3.12 are supported.\nERROR: Failed to build 'numba' when getting requirements to build wheel\n"
    assert told(numba).titles[0] == "Use Python 3.11"
    pyo3 = "error: the configured Python interpreter version (3.14) is newer than PyO3's maximum supported version (3.13)\nERROR: Failed building wheel for safetensors\n"
    assert told(pyo3).titles[0] == "Use Python 3.13"


def test_an_error_that_the_installation_survived_is_none():
    assert told("ModuleNotFoundError: No module named 'imp'\nSuccessfully installed torch-2.9.1\n").slug is None


def test_old_setuptools_of_an_isolated_build_are_not_upgraded_in_the_environment():
    log = "AttributeError: module 'pkgutil' has no attribute 'ImpImporter'. Did you mean: 'zipimporter'?\nERROR: Failed to build 'numpy' when getting requirements to build wheel\n"
    answer = told(log)
    assert answer.slug == "python-too-new-no-wheel"
    assert answer.titles[0] == "Use an older Python"
