"""A Mac with an Intel processor: which torch is the last for it, said in the reader's own tool."""

from __future__ import annotations

import pytest
from told_cures import told

SAYS = "There is no {} for a Mac with an Intel processor (x86_64)"
UV = (
    "$ uv pip install -r reqs.txt\n  × No solution found when resolving dependencies:\n  ╰─▶ Because torch=={0} has no wheels with a matching "
    "platform tag (e.g., `macosx_14_0_{1}`) and you require torch=={0}, we can conclude that your requirements are unsatisfiable.\n"
)
POETRY = "iMac (Intel), macOS 13.6\n$ poetry install\n  - Installing torch (2.5.1): Failed\n  RuntimeError\n  Unable to find installation candidates for torch (2.5.1)\n"
ALL = "$ uv add torch\n  ╰─▶ Because all versions of torch have no wheels with a matching platform tag (e.g., `macosx_12_0_x86_64`) and your project depends on torch\n"
VISION = "macOS 13.6 x86_64\n$ pip install torchvision==0.19.0\nERROR: Could not find a version that satisfies the requirement torchvision==0.19.0 (from versions: 0.17.1, 0.17.2)\nERROR: No matching distribution found for torchvision==0.19.0\n"
LAST = "torch==2.2.2 torchvision==0.17.2 numpy<2"


@pytest.mark.parametrize(
    ("log", "wanted", "line"),
    [
        (UV.format("2.8.0", "x86_64"), "torch 2.8.0", f"uv pip install {LAST}"),
        (ALL, "newer torch", f"uv add {LAST}"),
        (POETRY, "torch 2.5.1", f"poetry add {LAST}"),
        (VISION, "torchvision 0.19.0", f"python3 -m pip install {LAST}"),
    ],
)
def test_the_last_torch_by_the_tool_of_the_reader(log, wanted, line):
    answer = told(log)
    assert answer.slug == "python-too-new-no-wheel"
    assert answer.message.startswith(SAYS.format(wanted))
    assert answer.lines[0][-1] == line
    assert "conda-forge" in answer.titles[1]


def test_a_file_of_requirements_is_named_before_its_line():
    assert "in reqs.txt: write torch==2.2.2 in place of torch==2.8.0" in told(UV.format("2.8.0", "x86_64")).words
    assert "write torch==2.2.2" not in told(VISION).words


def test_a_newer_python_is_changed_too():
    log = "$ pip install torch\nDarwin iMac.local 23.6.0 x86_64\nPython 3.13.1\nERROR: Could not find a version that satisfies the requirement torch (from versions: none)\nERROR: No matching distribution found for torch\n"
    answer = told(log)
    assert answer.message.startswith("There is no torch for Python 3.13 on a Mac with an Intel processor")
    assert "uv venv --seed --python 3.12 .venv312" in answer.lines[0]


@pytest.mark.parametrize(("version", "machine"), [("2.2.2", "x86_64"), ("2.1.0", "x86_64"), ("2.8.0", "arm64")])
def test_a_release_that_this_mac_has_is_another_failure(version, machine):
    assert "Intel" not in told(UV.format(version, machine)).message


def test_poetry_on_a_mac_of_unknown_processor_asks_first():
    log = "me@mac app % poetry install\n  - Installing torch (2.4.0): Failed\n  Unable to find installation candidates for torch (2.4.0)\n  at ~/Library/Application Support/pypoetry/venv/lib/python3.11/site-packages/poetry/installation/chooser.py:74 in choose_for\n"
    answer = told("macOS 14\n" + log)
    assert "If it has an Intel processor" in answer.message
    assert answer.lines[0][0] == "uname -m"
