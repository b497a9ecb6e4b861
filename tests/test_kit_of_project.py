"""A project file that brings a toolkit, a torch, and a package that is compiled."""

from __future__ import annotations

import pytest

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.project_files import as_facts, read

CONDA = """\
channels: [pytorch, nvidia, conda-forge]
dependencies:
  - python=3.10
  - pytorch={torch}
  - pytorch-cuda={cuda}
  - {kit}
  - pip:
      - {package}
"""
IMAGE = """\
FROM nvidia/cuda:{cuda}-devel-ubuntu22.04
RUN apt-get update && apt-get install -y python3-pip git
RUN pip install torch==2.3.1 --index-url https://download.pytorch.org/whl/cu121
RUN pip install --no-build-isolation {package}
"""
KNN, RASTER = "submodules/simple-knn", "./submodules/diff-gaussian-rasterization"


def loud(name: str, text: str):
    file = read(text, name)
    assert file is not None
    found = diagnose(as_facts([file], Facts(grade="stated")), Goal.TRAIN).findings
    return [f for f in found if f.severity is not Severity.INFO]


def conda(torch: str, cuda: str, kit: str, package: str):
    return loud("environment.yml", CONDA.format(torch=torch, cuda=cuda, kit=kit, package=package))


@pytest.mark.parametrize(
    ("torch", "cuda", "kit", "package"),
    [
        ("2.1.2", "12.1", "conda-forge::cudatoolkit-dev=11.7.0", KNN),
        ("2.0.1", "11.8", "cuda-toolkit=12.1", RASTER),
        ("2.4.1", "12.4", "nvidia::cuda-nvcc=11.8", "git+https://github.com/facebookresearch/detectron2.git"),
    ],
)
def test_the_majors_differ(torch, cuda, kit, package):
    package = package.replace("git+", "detectron2 @ git+")
    (found,) = conda(torch, cuda, kit, package)
    assert found.slug == "nvcc-torch-cuda-mismatch"
    assert [e.line for e in found.evidence] == [6, 5, 8]
    assert f"nvidia::cuda-toolkit={cuda}" in found.fixes[0].steps[0].why


@pytest.mark.parametrize(
    ("torch", "cuda", "kit", "package"),
    [
        ("2.1.2", "12.1", "cuda-toolkit=12.4", KNN),
        ("2.1.2", "12.1", "cuda-toolkit", KNN),
        ("2.1.2", "12.1", "cudatoolkit=11.8", KNN),  # only libraries, without nvcc
        ("2.1.2", "12.1", "cudatoolkit-dev=11.7.0", "timm==0.9.12"),  # nothing is compiled
        ("2.1.2", "12.1", "cudatoolkit-dev=11.7.0", "./packages/app"),
    ],
)
def test_they_agree_or_nothing_is_compiled(torch, cuda, kit, package):
    assert conda(torch, cuda, kit, package) == []


def test_an_image():
    (found,) = loud("Dockerfile", IMAGE.format(cuda="11.8.0", package=KNN))
    assert (found.slug, found.evidence[0].line) == ("nvcc-torch-cuda-mismatch", 1)
    assert loud("Dockerfile", IMAGE.format(cuda="12.1.1", package=KNN)) == []
    detectron2 = "'detectron2 @ git+https://github.com/facebookresearch/detectron2.git'"  # no GPU: no CUDA code
    assert loud("Dockerfile", IMAGE.format(cuda="11.8.0", package=detectron2)) == []
