"""What a project file would install is judged; a sound one is left alone, and what it does not settle is named."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from attn_doctor.cli import run
from attn_doctor.examination.inputs import read_texts
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.project_file import ProjectFile
from attn_doctor.probes.project import project
from attn_doctor.project_files import as_facts, might_be_one, read

CU121 = "https://download.pytorch.org/whl/cu121"
WHEEL = "https://github.com/Dao-AILab/flash-attention/releases/download/v2.6.3/flash_attn-2.6.3+cu123torch{}cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"


def asked(text: str, name: str) -> ProjectFile:
    found = read(text, name)
    assert found is not None, name
    return found


def facts(text: str, name: str) -> Facts:
    return as_facts([asked(text, name)], Facts(grade="stated"))


def loud(text: str, name: str, goal: Goal = Goal.FLASH_ATTN) -> set[str]:
    return {f.slug for f in diagnose(facts(text, name), goal).findings if f.severity is not Severity.INFO}


DOCKERFILE = """\
ARG CUDA=12.1.1
FROM {image}
ENV DEBIAN_FRONTEND=noninteractive
# python
RUN apt-get update && \\
    apt-get install -y python3-pip git{more} && rm -rf /var/lib/apt/lists/*
RUN pip install torch=={torch} torchvision=={torchvision} --index-url {index}
RUN pip install packaging ninja && pip install flash-attn==2.5.8 --no-build-isolation
CMD ["python", "train.py"]
"""
SOUND_IMAGE = {
    "image": "nvidia/cuda:${CUDA}-cudnn8-devel-ubuntu22.04", "more": "", "torch": "2.3.1", "torchvision": "0.18.1", "index": CU121,
}  # fmt: skip
ENVIRONMENT = """\
name: seg
channels: [pytorch, nvidia, conda-forge]
dependencies:
  - python=3.10
  - pytorch=2.1.2
  - torchvision={torchvision}
  - pytorch-cuda=12.1
  - cuda-toolkit={kit}
  - pip
  - pip:
      - flash-attn=={flash}
      - numpy=={numpy}
"""
SOUND_CONDA = {"torchvision": "0.16.2", "kit": "12.1", "flash": "2.5.8", "numpy": "1.26.4"}
PYPROJECT = """\
[project]
name = "detector"
version = "1"
requires-python = "{python}"
dependencies = [
  "torch=={torch}",
  "torchvision=={torchvision}",
  "flash-attn @ {wheel}",
]
"""
UV_LOCK = """\
version = 1
revision = 2
requires-python = ">=3.10"

[[package]]
name = "numpy"
version = "1.26.4"
source = {{ registry = "https://pypi.org/simple" }}

[[package]]
name = "torch"
version = "2.4.1"
source = {{ registry = "https://download.pytorch.org/whl/cu121" }}

[[package]]
name = "torchvision"
version = "{torchvision}"
source = {{ registry = "https://download.pytorch.org/whl/cu121" }}
"""
REQUIREMENTS = f"""\
# training
--extra-index-url {CU121}
torch==2.3.1
torchvision=={{torchvision}}
numpy<2
ultralytics==8.3.40
{WHEEL.format("{torch}")}
"""

ILL = {
    "a runtime image that builds flash-attn": (
        DOCKERFILE.format(**SOUND_IMAGE | {"image": "nvidia/cuda:12.1.1-runtime-ubuntu22.04"}), "Dockerfile", "cuda-home-unset", 2),
    "a slim Python that builds flash-attn": (
        DOCKERFILE.format(**SOUND_IMAGE | {"image": "python:3.11-slim"}), "Dockerfile.gpu", "cuda-home-unset", 2),
    "an image with another CUDA than torch": (
        DOCKERFILE.format(**SOUND_IMAGE | {"image": "nvidia/cuda:11.8.0-devel-ubuntu22.04"}).replace("2.5.8", "2.3.6"),
        "Dockerfile", "nvcc-torch-cuda-mismatch", 2),
    "torchvision in an image": (
        DOCKERFILE.format(**SOUND_IMAGE | {"torchvision": "0.17.1"}), "Dockerfile", "torchvision-mismatch", 7),
    "torchvision of conda": (ENVIRONMENT.format(**SOUND_CONDA | {"torchvision": "0.15.2"}), "environment.yml", "torchvision-mismatch", 6),
    "torchvision of requirements": (REQUIREMENTS.format(torchvision="0.17.2", torch="2.3"), "requirements.txt", "torchvision-mismatch", 4),
    "a wheel for another torch": (REQUIREMENTS.format(torchvision="0.18.1", torch="2.4"), "requirements.txt", "abi-mismatch-torch-version", 7),
    "torchvision of a lock": (UV_LOCK.format(torchvision="0.18.1"), "uv.lock", "torchvision-mismatch", 16),
    "torchvision of pyproject": (
        PYPROJECT.format(python=">=3.10", torch="2.3.1", torchvision="0.19.1", wheel=WHEEL.format("2.3")), "pyproject.toml", "torchvision-mismatch", 7),
}  # fmt: skip

SOUND = {
    "Dockerfile": DOCKERFILE.format(**SOUND_IMAGE),
    "environment.yml": ENVIRONMENT.format(**SOUND_CONDA),
    "requirements.txt": REQUIREMENTS.format(torchvision="0.18.1", torch="2.3"),
    "uv.lock": UV_LOCK.format(torchvision="0.19.1"),
    "pyproject.toml": PYPROJECT.format(python=">=3.10", torch="2.3.1", torchvision="0.18.1", wheel=WHEEL.format("2.3")),
}


@pytest.mark.parametrize("name", ILL)
def test_what_would_be_installed_is_judged(name):
    text, file, slug, line = ILL[name]
    assert slug in loud(text, file), name
    finding = next(f for f in diagnose(facts(text, file), Goal.FLASH_ATTN).findings if f.slug == slug)
    assert (file, line) in {(e.file, e.line) for e in finding.evidence}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_one_is_left_alone(name):
    assert loud(SOUND[name], name) == set()


def test_stages_arguments_and_here_documents_of_a_dockerfile():
    text = """\
FROM python:3.12-slim AS base
ENV OMP_NUM_THREADS=4
RUN <<EOF
apt-get update
apt-get install -y build-essential cuda-toolkit-12-4
EOF

FROM base AS build
ARG TORCH=2.5.1
RUN --mount=type=cache,target=/root/.cache uv pip install --system "torch==${TORCH}" 'numpy==1.26.4' -r more.txt

FROM nginx
COPY --from=build /app /app
"""
    found = asked(text, "Dockerfile")
    assert {w.name: w.version for w in found.wishes} == {"torch": "2.5.1", "numpy": "1.26.4"}
    assert found.python is not None
    assert (found.python.value, found.python.line) == ("3.12", 1)
    assert found.image is not None
    assert (found.image.toolkit, found.image.without_toolkit, found.image.compiler) == ("12.4", False, True)
    made = facts(text, "Dockerfile")
    assert [(v.name, v.value) for v in made.environment] == [("OMP_NUM_THREADS", "4")]
    assert made.torch.cuda == "12.4"  # PyPI's torch 2.5 for Linux


def test_a_range_settles_nothing():
    made = facts("torch>=2.0\ntorchvision\nnumpy~=1.26\n", "requirements.txt")
    assert isinstance(made.torch.version, Unknown)
    assert made.packages.named == ()


def test_the_newest_python_that_a_specifier_allows_is_no_fact_unless_it_is_the_only_one():
    text = PYPROJECT.format(python=">=3.12,<3.13", torch="2.3.1", torchvision="0.18.1", wheel=WHEEL.format("2.3"))
    assert facts(text, "pyproject.toml").interpreter.version == "3.12"
    assert isinstance(facts(SOUND["pyproject.toml"], "pyproject.toml").interpreter.version, Unknown)


def test_a_poetry_file():
    text = (
        '[tool.poetry]\nname = "x"\n\n[tool.poetry.dependencies]\npython = "~3.11"\ntorch = "2.3.1"\nnumpy = "^1.26"\n'
    )
    found = asked(text, "pyproject.toml")
    assert [(w.name, w.version, w.line) for w in found.wishes] == [("torch", "2.3.1", 6), ("numpy", None, 7)]


@pytest.mark.parametrize(
    "text",
    [
        "Collecting torch==2.3.1\n  Downloading torch-2.3.1-cp311-cp311-manylinux1_x86_64.whl (779.1 MB)\nERROR: No space left on device\n",
        "FROM python:3.11\nRUN pip install torch\n#12 34.5 ERROR: Could not find a version that satisfies the requirement torch\n",
        "name: train\non: push\njobs:\n  build:\n    steps: []\n",
        "torch 2.3.1\nnumpy 1.26\n",
        "",
    ],
)
def test_other_texts_are_none(text):
    assert not might_be_one(text, "a.log") or read(text, "a.log") is None


def test_diagnose_says_the_cure_as_a_line_of_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("requirements.txt").write_text(ILL["torchvision of requirements"][0], encoding="utf-8")
    assert run(["diagnose", "requirements.txt", "--json", "r.json"]) == 1
    shown = " ".join(capsys.readouterr().out.replace("#", " ").split())
    assert "requirements.txt:4: torchvision==0.17.2" in shown
    assert "requirements.txt, line 4: torchvision==0.18.1 in the place of torchvision==0.17.2" in shown
    step = json.loads(Path("r.json").read_text(encoding="utf-8"))["findings"][0]["fixes"][0]["steps"][0]
    assert step["argv"] == []


def test_a_file_and_its_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("requirements.txt").write_text(SOUND["requirements.txt"], encoding="utf-8")
    Path("facts.json").write_text(
        json.dumps({"system": {"os": "linux", "wsl": None}, "graphics": {"driver": "470.57.02", "gpus": []}}),
        encoding="utf-8",
    )
    assert run(["diagnose", "requirements.txt", "--facts", "facts.json"]) == 1
    assert "470.57.02 is too old for torch 2.3.1+cu121" in " ".join(capsys.readouterr().out.split())


def test_wrong_syntax_is_said_with_its_place(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text("[project]\nname = \n", encoding="utf-8")
    Path("environment.yml").write_text("name: a\ndependencies:\n  - python=3.10\n - torch\n", encoding="utf-8")
    assert run(["diagnose", "pyproject.toml"]) == 3
    assert "pyproject.toml is no valid TOML" in capsys.readouterr().err
    assert run(["diagnose", "environment.yml"]) == 3
    assert "environment.yml is no valid YAML, line 4" in capsys.readouterr().err


def test_standard_input(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ILL["torchvision of a lock"][0].encode())))
    assert run(["diagnose", "-"]) == 1
    assert "torchvision 0.18.1" in capsys.readouterr().out


def test_several_files_are_one_environment(tmp_path):
    (tmp_path / "Dockerfile").write_text(
        "FROM nvidia/cuda:12.4.1-devel-ubuntu22.04\nRUN pip install -r requirements.txt\n", encoding="utf-8"
    )
    (tmp_path / "requirements.txt").write_text("torch==2.3.1\nflash-attn==2.5.8\n", encoding="utf-8")
    files = read_texts([str(tmp_path / "Dockerfile"), str(tmp_path / "requirements.txt")]).files
    made = as_facts(files, Facts(grade="stated"))
    assert (made.torch.version, made.torch.cuda) == ("2.3.1", "12.1")
    assert [k.version for k in made.toolchain.toolkits] == ["12.4"]


def test_check_says_what_the_project_asks_for_and_judges_the_environment_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("requirements.txt").write_text("torch==2.2.2\nnumpy==2.1.0\n", encoding="utf-8")
    Path("requirements-other.txt").write_text("torch==2.4.1\ntorchvision==0.19.1\n", encoding="utf-8")
    Path("pyproject.toml").write_text("[project\n", encoding="utf-8")  # not valid, and not the question here
    code = run(["check", "--static", "--goal", "train", "--fail-on", "warning", "--json", "r.json"])
    report = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert [f["slug"] for f in report["project"]] == ["numpy-abi"]
    assert "numpy-abi" not in {f["slug"] for f in report["findings"]}
    assert code == report["exit_code"]
    shown = " ".join(capsys.readouterr().out.split())
    assert "Requirements of this project that would not work here" in shown
    assert "requirements.txt, line 2: numpy<2 in the place of numpy==2.1.0" in shown


def test_check_lists_what_the_project_asks_for_in_the_words_of_pip(tmp_path):
    """YAML may be written in one line, and conda names packages in its own way."""
    wheel = "flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
    (tmp_path / "environment.yml").write_text(
        "dependencies: [python=3.11, pytorch=2.5=py3.11_cuda, 'conda-forge::numpy>=1.26', {pip: [flash-attn==2.7.4]}]\n"
    )
    (tmp_path / "environment-broken.yml").write_text("dependencies: [torch\n")
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["torch>=2", "rich"]\n')
    (tmp_path / "requirements.txt").write_text(
        f"torch==2.5.1 \\\n  --hash=sha256:00\nnumpy<2  # old\nflash-attn @ https://example.org/{wheel}\n"
    )
    (tmp_path / "uv.lock").write_text('version = 1\n[[package]]\nname = "torch"\nversion = "2.4.0"\n')
    found = project(tmp_path, str(tmp_path / ".venv"), {})[0]
    assert [(pin.file, pin.line, pin.requirement) for pin in found.pins] == [
        ("environment.yml", 1, "torch==2.5.*"),
        ("environment.yml", 1, "numpy>=1.26"),
        ("environment.yml", 1, "flash-attn==2.7.4"),
        ("pyproject.toml", 2, "torch>=2"),
        ("requirements.txt", 1, "torch==2.5.1"),
        ("requirements.txt", 3, "numpy<2"),
        ("requirements.txt", 4, f"https://example.org/{wheel}"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "slugs"),
    [
        ("requirements.txt", "torch==2.1.1\nnumpy~=2.2\n", {"numpy-abi"}),
        ("requirements.txt", "torch==2.1.1\nnumpy>=1.24,<3\n", set()),
        ("requirements.txt", "torch==2.5.0\nnumpy>=2.0\n", set()),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\npython = "3.11.*"\ntorch = "2.1.1"\nnumpy = "~2.0.1"\n',
            {"numpy-abi"},
        ),
        ("pyproject.toml", '[tool.poetry.dependencies]\npython = "3.11.*"\ntorch = "2.1.1"\nnumpy = "^1.26"\n', set()),
        (
            "pyproject.toml",
            '[project]\nname = "x"\nrequires-python = "==3.11.*"\ndependencies = ["torch==2.1.1", "numpy>2"]\n',
            {"numpy-abi"},
        ),
    ],
)
def test_a_range_that_begins_at_numpy_2_is_numpy_2(name, text, slugs):
    assert loud(text, name, Goal.TRAIN) == slugs
