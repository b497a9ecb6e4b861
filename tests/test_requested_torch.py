"""A torch that a project file requests, for a Python or a base image for which no wheel of it exists."""

from __future__ import annotations

import pytest

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.project_files import as_facts, in_files, read

CONDA = (
    "name: a\nchannels: [conda-forge]\ndependencies:\n  - python={python}\n  - pip\n  - pip:\n      - torch=={torch}\n"
)
IMAGE = "FROM {image}\nRUN apt-get update && apt-get install -y git curl\nRUN python3 -m pip install torch=={torch}\n"
PROJECT = '[project]\nname = "a"\nversion = "1"\nrequires-python = "{python}"\ndependencies = ["torch=={torch}"]\n'
ILL = {
    "conda with Python 3.13": ("environment.yml", CONDA.format(python="3.13", torch="2.4.1"), 7),
    "conda with Python 3.7": ("environment.yml", CONDA.format(python="3.7", torch="2.0.1"), 7),
    "a torch from before 2.0": ("environment.yml", CONDA.format(python="3.12", torch="1.13.1"), 7),
    "an image with Python 3.13": ("Dockerfile", IMAGE.format(image="python:3.13-slim", torch="2.3.1"), 3),
    "Ubuntu 18.04": ("Dockerfile", IMAGE.format(image="nvidia/cuda:11.4.3-devel-ubuntu18.04", torch="2.8.0"), 3),
    "CentOS 7": ("Dockerfile", IMAGE.format(image="centos:7", torch="2.9.1"), 3),
    "Amazon Linux 2": ("Dockerfile", IMAGE.format(image="amazonlinux:2", torch="2.7.0"), 3),
    "a project for Python 3.12": ("pyproject.toml", PROJECT.format(python="==3.12.*", torch="2.1.0"), 5),
}
SOUND = {
    "conda with Python 3.12": ("environment.yml", CONDA.format(python="3.12", torch="2.4.1")),
    "conda's own torch": (
        "environment.yml",
        "dependencies:\n  - python=3.12\n  - pytorch=2.1.2\n  - torchvision=0.16.2\n",
    ),
    "Debian 10": ("Dockerfile", IMAGE.format(image="python:3.10-slim-buster", torch="2.7.1")),
    "Ubuntu 18.04 with torch 2.6": ("Dockerfile", IMAGE.format(image="ubuntu:18.04", torch="2.6.0")),
    "RHEL 8": ("Dockerfile", IMAGE.format(image="rockylinux:8", torch="2.9.1")),
    "a project for many Pythons": ("pyproject.toml", PROJECT.format(python=">=3.9", torch="2.1.0")),
    "a wheel for the Python": (
        "environment.yml",
        CONDA.format(python="3.13", torch="2.4.1").replace(
            "torch==2.4.1", "torch @ https://example.org/torch-2.4.1-cp313-cp313-linux_x86_64.whl"
        ),
    ),
}


def loud(name: str, text: str):
    file = read(text, name)
    assert file is not None
    found = in_files(diagnose(as_facts([file], Facts(grade="stated")), Goal.TRAIN), [file]).findings
    return [f for f in found if f.severity is not Severity.INFO]


@pytest.mark.parametrize("case", ILL)
def test_no_wheel_exists(case):
    name, text, line = ILL[case]
    found = loud(name, text)
    assert [f.slug for f in found] == ["python-too-new-no-wheel"]
    assert line in {e.line for e in found[0].evidence}
    assert found[0].fixes
    assert all(step.changes for fix in found[0].fixes for step in fix.steps)


@pytest.mark.parametrize("case", SOUND)
def test_a_wheel_exists_or_is_not_judged(case):
    assert loud(*SOUND[case]) == []


def test_the_cure_is_a_line_of_the_file():
    (found,) = loud("environment.yml", CONDA.format(python="3.13", torch="2.4.1"))
    said = [step.why for fix in found.fixes for step in fix.steps]
    assert "line 4: request Python 3.12 in the place of 3.13" in said[0]
    assert "line 7: torch==2.5.1 in the place of torch==2.4.1" in said[1]
    (found,) = loud("Dockerfile", IMAGE.format(image="centos:7", torch="2.9.1"))
    assert found.fixes[0].steps[0].argv == ("FROM", "ubuntu:22.04")
    assert "torch==2.6.0 in the place of torch==2.9.1" in found.fixes[1].steps[0].why


APT = "FROM {image}\nRUN apt-get update && apt-get install -y {python}\nRUN {pip} install torch=={torch}\n"
LIST = "{comment}\ntorch=={torch}\nnumpy<2\n"


@pytest.mark.parametrize(
    ("image", "python", "pip", "torch", "ill"),
    [
        ("ubuntu:24.04", "python3 python3-pip", "pip3", "2.1.2", True),
        ("nvidia/cuda:11.8.0-devel-ubuntu20.04", "python3-pip", "python3 -m pip", "2.5.1", True),
        ("debian:bookworm-slim", "python3-pip", "pip", "1.13.1", False),
        ("debian:trixie", "python3-pip", "pip", "2.4.1", True),
        ("ubuntu:24.04", "python3 python3-pip", "pip3", "2.2.2", False),
        ("ubuntu:24.04", "python3.11 python3-pip", "python3.11 -m pip", "2.1.2", False),
        ("ubuntu:24.04", "git", "/opt/venv/bin/pip", "2.1.2", False),
        ("ubuntu:24.04", "python3 && curl https://pyenv.run", "pip", "2.1.2", False),
        ("continuumio/miniconda3", "git && conda install python=3.12", "pip", "2.1.2", True),
        ("continuumio/miniconda3", "git && conda create -n a python=3.11 && conda create -n b python=3.12", "pip", "2.1.2", False),
    ],
)  # fmt: skip
def test_the_python_of_an_image(image, python, pip, torch, ill):
    found = {f.slug for f in loud("Dockerfile", APT.format(image=image, python=python, pip=pip, torch=torch))}
    assert ("python-too-new-no-wheel" in found) is ill


@pytest.mark.parametrize(
    ("comment", "ill"),
    [
        ("# Python 3.12, Linux x86_64", True),
        ("# requirements.txt (python 3.12)", True),
        ("# This file is autogenerated by pip-compile with Python 3.12\n# by the following command:", True),
        ("#    uv pip compile requirements.in --python-version 3.12 -o requirements.txt", True),
        ("# Python 3.10", False),
        ("# Python >= 3.12", False),
        ("# Python 3.12+", False),
        ("# Python 3.12 or newer", False),
        ("# tested with Python 3.12", False),
        ("# python 3.12 is not supported", False),
        ("# Python 3.8-3.12", False),
        ("# Python 3.10, Python 3.12\n# python 3.12", False),
    ],
)
def test_the_python_in_a_comment(comment, ill):
    found = {f.slug for f in loud("requirements.txt", LIST.format(comment=comment, torch="2.1.2"))}
    assert found == ({"python-too-new-no-wheel"} if ill else set())
