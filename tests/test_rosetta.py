"""A Python for x86_64 on a Mac with Apple silicon. PyPI's last torch with a wheel macosx_x86_64 is 2.2.2: https://pypi.org/project/torch/2.3.0/#files"""

from __future__ import annotations

import pytest
from one_rule import found
from recorded_machines import MACHINES, read
from whole_machines import changed

from attn_doctor.failure_modes.shared import torch_install
from attn_doctor.knowledge.torch_choice import Choice, NoTorch
from attn_doctor.model.facts import Cpu, Facts


def mac(platform: str, machine: str = "arm64", processor: str = "Apple M2 Max", python: str = "3.11.13") -> Facts:
    facts = read(next(m for m in MACHINES if m.name == "mac-m2-numpy-2"))[0]
    tag = "cp" + "".join(python.split(".")[:2])
    return changed(
        facts,
        interpreter__platform=platform,
        interpreter__version=python,
        interpreter__tag=tag,
        system__machine=machine,
        cpu=Cpu(model=processor),
    )


@pytest.mark.parametrize(
    ("facts", "torch", "arm"),
    [
        (mac("macosx-10.9-x86_64"), "2.2.2", True),
        (mac("macosx-10.9-x86_64", "x86_64"), "2.2.2", True),  # attn-doctor itself runs under Rosetta
        (mac("macosx-10.9-x86_64", "x86_64", "VirtualApple @ 2.50GHz"), "2.2.2", True),
        (mac("macosx-10.9-x86_64", "x86_64", "Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz"), "2.2.2", False),
    ],
)
def test_wheels_are_chosen_for_the_python_and_not_for_the_processor(facts, torch, arm):
    choice = torch_install.choice(facts)
    assert isinstance(choice, Choice)
    assert choice.torch == torch
    assert ("Apple silicon" in choice.why) is arm


@pytest.mark.parametrize("platform", ["macosx-14.0-arm64", "macosx-10.13-universal2"])
def test_a_python_that_runs_without_rosetta_gets_the_newest_torch(platform):
    choice = torch_install.choice(mac(platform))
    assert isinstance(choice, Choice)
    assert choice.torch == "2.15.0"


def test_where_torch_2_2_has_no_wheel_a_python_for_arm64_is_the_cure():
    choice = torch_install.choice(mac("macosx-10.13-x86_64", python="3.13.7"))
    assert isinstance(choice, NoTorch)
    assert choice.title == "Use a Python for Apple silicon"
    assert "uv venv --python cpython-3.12-macos-aarch64" in choice.words


def test_numpy_1_or_another_python_and_no_torch_that_pip_does_not_find():
    finding = found("numpy-abi", mac("macosx-10.9-x86_64"))
    assert finding is not None
    assert [fix.title for fix in finding.fixes] == ["Install NumPy 1", "Use a Python for Apple silicon"]
    intel = found("numpy-abi", mac("macosx-10.9-x86_64", "x86_64", "Intel(R) Core(TM) i5"))
    assert intel is not None
    assert [fix.title for fix in intel.fixes] == ["Install NumPy 1"]
