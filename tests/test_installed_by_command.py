"""What a typed command installs: the values of its options are no packages."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from attn_doctor.failure_modes.shared import subject
from attn_doctor.model.facts import Facts, Subject


def installs(command: str) -> tuple[str, ...]:
    return subject.installed_by_command(Facts(grade="stated", subject=Subject(command=command)))


@pytest.mark.parametrize(
    ("command", "packages"),
    [
        ("pip install flash-attn -i https://a.example/simple --trusted-host a.example", ("flash-attn",)),
        ("pip install --cache-dir /data/c --timeout 60 mmcv==2.1.0", ("mmcv==2.1.0",)),
        ("pip3 --no-cache-dir install --prefix /x apex", ("apex",)),
        ("python -m pip install -C build=1 -e .", (".",)),
        ("uv pip install --python .venv/bin/python --torch-backend auto torch xformers", ("torch", "xformers")),
        ("uv add --group gpu flash-attn --index https://a.example/simple", ("flash-attn",)),
        ("poetry add natten --source torch -G gpu", ("natten",)),
        ("pip install -r r.txt -c c.txt", ()),
        ("pip install --index-url=https://a.example/simple detectron2", ("detectron2",)),
        ("conda install flash-attn", ()),
    ],
)
def test_the_values_of_options_are_no_packages(command, packages):
    assert installs(command) == packages


@pytest.mark.parametrize(
    "program",
    [("-m", "pip", "install", "--help"), ("-m", "uv", "pip", "install", "--help"), ("-m", "uv", "add", "--help")],
)
def test_every_option_with_a_value_of_the_installed_program_is_known(program):
    told = subprocess.run([sys.executable, *program], capture_output=True, text=True, timeout=60)
    if "No module named" in told.stderr:
        pytest.skip(f"{program[1]} is not installed here")
    options = re.findall(r"^ +(?:(-\w), )?(--[a-z-]+) <", told.stdout, re.MULTILINE)
    assert len(options) > 20
    words = {word for pair in options for word in pair if word} - {"-e", "--editable", "-d", "--dest"}
    wrong = [word for word in sorted(words) if installs(f"pip install {word} value flash-attn") != ("flash-attn",)]
    assert not wrong
