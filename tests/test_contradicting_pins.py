"""Two pins that contradict each other: the cure is the person's own line with the right pin in it, or one that brings no CPU build."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOGS = Path(__file__).parent.parent / "fixtures" / "logs" / "environment-pollution"
CU121 = ["--index-url", "https://download.pytorch.org/whl/cu121"]
RESOLVED = "ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/\n"
CONFLICT = "because these package versions have conflicting dependencies.\n\nThe conflict is caused by:\n"


def lines(log: str) -> list[list[list[str]]]:
    """The commands of each cure of the first root cause."""
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "diagnose", "-", "--json", "-"],
        input=log,
        capture_output=True,
        text=True,
        timeout=60,
    )
    root = next(f for f in json.loads(done.stdout)["findings"] if f["root_cause"])
    assert root["slug"] == "environment-pollution"
    return [[step["argv"] for step in fix["steps"] if step.get("argv")] for fix in root["fixes"]]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("poetrys-pins-contradict", ["poetry", "add", "torchvision@0.17.0"], ["poetry", "add", "torchvision@0.16.0"]),
        (
            "uvs-pins-on-two-lines",
            ["uv", "pip", "install", "torch==2.1.0", "torchvision==0.16.0"],
            ["uv", "pip", "install", "torch==2.2.0", "torchvision==0.17.0"],
        ),
        (
            # No line of a shell is in it, and pip's default index has no CUDA build for Windows.
            "pips-pins-on-windows",
            ["python", "-m", "pip", "install", "torch==2.2.2", "torchvision==0.17.2", "numpy<2", *CU121],
            ["python", "-m", "pip", "install", "torch==2.1.2", "torchvision==0.16.2", "numpy<2", *CU121],
        ),
        (
            "uvs-pins-with-a-cause",
            ["uv", "pip", "install", "torch==2.1.0", "torchvision==0.16.0", "numpy<2", *CU121],
            ["uv", "pip", "install", "torch==2.2.0", "torchvision==0.17.0", "numpy<2", *CU121],
        ),
        (
            "pips-own-pins-contradict",
            ["python", "-m", "pip", "install", "-r", "reqs.txt"],
            ["python", "-m", "pip", "install", "-r", "reqs.txt"],
        ),
    ],
)
def test_the_line_of_a_cure(name, first, second):
    assert lines((LOGS / f"{name}.log").read_text()) == [[first], [second]]


def test_releases_that_the_resolver_only_tried_are_not_the_list():
    """pip tells of each release that it tried; the one that the list asks for is in the way."""
    log = (
        "$ pip install torch==2.4.0 torchvision==0.20.0\n"
        f"ERROR: Cannot install torch==2.4.0 and torchvision==0.20.0 {CONFLICT}"
        "    The user requested torch==2.4.0\n    The user requested torchvision==0.20.0\n"
        "    torchvision 0.20.0 depends on torch==2.5.0\n    torchvision 0.18.0 depends on torch==2.3.0\n" + RESOLVED
    )
    assert lines(log)[0] == [["pip", "install", "torch==2.4.0", "torchvision==0.19.0"]]


def test_a_range_that_allows_the_pin_is_no_contradiction():
    log = (
        "$ pip install torch==2.4.0 timm==0.9.12 numpy==2.1.0 scipy==1.11.0\n"
        f"ERROR: Cannot install numpy==2.1.0 and scipy==1.11.0 {CONFLICT}"
        "    The user requested torch==2.4.0\n    The user requested numpy==2.1.0\n"
        "    timm 0.9.12 depends on torch>=1.7\n    scipy 1.11.0 depends on numpy<1.28.0 and >=1.21.6\n" + RESOLVED
    )
    assert lines(log)[0] == [["pip", "install", "torch==2.4.0", "timm==0.9.12", "numpy==2.1.0", "scipy"]]
