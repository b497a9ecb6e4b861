"""The order of commands in a Dockerfile: a package whose setup imports torch, before torch is there. By hand."""

from __future__ import annotations

import pytest

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal, Severity
from attn_doctor.project_files import as_facts, read

DEVEL = "FROM nvidia/cuda:12.4.1-devel-ubuntu22.04\n"
BASE = "FROM nvidia/cuda:12.4.1-base-ubuntu22.04\n"
FLASH = "RUN pip install flash-attn==2.7.3 --no-build-isolation\n"


def met(text: str) -> Finding | None:
    """The finding of the order; None where the Dockerfile is left alone."""
    file = read(text, "Dockerfile")
    assert file is not None
    findings = diagnose(as_facts([file], Facts(grade="stated")), Goal.FLASH_ATTN).findings
    return next((f for f in findings if f.slug == "torch-missing-at-build" and f.severity is Severity.ERROR), None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + FLASH, 2),
        (DEVEL + "RUN pip install ninja packaging setuptools\n" + FLASH + "RUN pip install torch==2.5.1\n", 3),
        (DEVEL + "RUN pip install torch==2.5.1 flash-attn==2.7.3 --no-build-isolation\n", 2),
        ("FROM python:3.11\nRUN uv pip install --system --no-build-isolation mamba-ssm==2.2.4\n", 2),
        ("FROM ubuntu:22.04\nRUN apt-get update && apt-get install -y python3-pip\n" + FLASH, 3),
        (DEVEL + "RUN pip install torch==2.5.1\nRUN pip install flash-attn==2.7.3\n", 3),  # in isolation
    ],
)
def test_a_package_that_is_built_without_torch_is_met(text, line):
    finding = met(text)
    assert finding is not None
    assert finding.message.startswith(f"Dockerfile line {line} installs ")


@pytest.mark.parametrize(
    "text",
    [
        DEVEL + "RUN pip install torch==2.5.1\n" + FLASH,
        DEVEL + "RUN pip install torch==2.5.1 && pip install flash-attn==2.7.3 --no-build-isolation\n",
        DEVEL + "RUN pip install -r requirements.txt\n" + FLASH,  # not known to lack torch
        DEVEL + "RUN ./setup.sh\n" + FLASH,
        "FROM nvcr.io/nvidia/pytorch:24.10-py3\n" + FLASH,
        "FROM pytorch/pytorch:2.5.1-cuda12.4-cudnn9-devel\n" + FLASH,
        f"{DEVEL[:-1]} AS made\nRUN pip install torch==2.5.1\n{BASE}COPY --from=made /venv /venv\n{FLASH}",
        DEVEL + "ENV PIP_NO_BUILD_ISOLATION=0\nRUN pip install torch==2.5.1\nRUN pip install flash-attn==2.7.3\n",
        DEVEL + "RUN pip install https://example.org/flash_attn-2.7.3-cp311-cp311-linux_x86_64.whl\n",
    ],
)
def test_a_dockerfile_in_which_torch_may_be_there_is_left_alone(text):
    assert met(text) is None


def test_the_cure_is_lines_of_the_dockerfile():
    finding = met(BASE + "RUN pip install flash-attn==2.7.3 torch==2.5.1 --no-build-isolation\n")
    assert finding is not None
    assert [step.argv for step in finding.fixes[0].steps] == [
        ("RUN", "pip", "install", "torch==2.5.1"),
        ("RUN", "pip", "install", "setuptools", "wheel", "packaging", "psutil", "ninja"),
        ("RUN", "pip", "install", "--no-build-isolation", "flash-attn==2.7.3"),
        (),  # the image has no nvcc
    ]
    assert "-devel" in finding.fixes[0].steps[-1].why


def test_the_torch_of_an_old_release_is_one_that_it_has_wheels_for():
    finding = met(DEVEL + FLASH)
    assert finding is not None
    assert (
        finding.fixes[0].steps[0].argv[3].startswith("torch==2.5.")
    )  # its CI built for 2.2 to 2.5, and for a nightly of 2.6


# --- Alpine, whose C library is musl


def on_alpine(text: str) -> Finding | None:
    file = read(text, "Dockerfile")
    assert file is not None
    findings = diagnose(as_facts([file], Facts(grade="stated")), Goal.TRAIN).findings
    return next((f for f in findings if f.slug == "wheel-platform-mismatch"), None)


@pytest.mark.parametrize(
    ("text", "message", "image"),
    [
        (
            "FROM python:3.12-alpine\nRUN pip install torch ultralytics\n",
            "Dockerfile line 2 asks for torch, and PyTorch has no wheels for musl, the C library of Alpine.",
            "python:3.12-slim",
        ),
        (
            "FROM python:3.10.4-alpine3.19\nRUN apk add gcc\nRUN pip install ultralytics==8.3.0\n",
            "Dockerfile line 3 asks for ultralytics, and PyTorch, which it needs, has no wheels for musl, the C library of Alpine.",
            "python:3.10-slim",
        ),
        (
            "FROM alpine:3.20\nRUN pip install torchvision\n",
            "Dockerfile line 2 asks for torchvision, and PyTorch has no wheels for musl, the C library of Alpine.",
            "python:3.12-slim",
        ),
    ],
)
def test_torch_on_alpine_is_met(text, message, image):
    finding = on_alpine(text)
    assert (finding.message, finding.severity) == (message, Severity.ERROR)
    (fix,) = finding.fixes
    assert [step.argv for step in fix.steps] == [("FROM", image)]


@pytest.mark.parametrize(
    "text",
    [
        "FROM python:3.12-slim\nRUN pip install torch\n",
        "FROM python:3.12-alpine\nRUN pip install requests numpy\n",
        "FROM python:3.12-alpine AS web\nRUN pip install flask\nFROM python:3.12\nRUN pip install torch\n",
    ],
)
def test_other_images_and_other_packages_are_left_alone(text):
    assert on_alpine(text) is None
