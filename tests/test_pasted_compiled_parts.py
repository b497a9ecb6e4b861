"""A pasted environment with a compiled part for another CUDA, GPU or NumPy is judged; one whose parts belong together is left alone."""

from __future__ import annotations

import io

import pytest

from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.not_a_log import checked
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Diagnosis, Goal, Severity
from attn_doctor.project_files import as_facts, read

READER = log_reader()


def pip_list(*rows: str) -> str:
    usual = ("filelock 3.15.4", "Jinja2 3.1.4", "sympy 1.12", "urllib3 2.2.2")
    pairs = [row.split() for row in sorted((*usual, *rows), key=str.lower)]
    return "$ pip list\nPackage            Version\n------------------ ------------\n" + "".join(
        f"{name:18} {version}\n" for name, version in pairs
    )


def conda_list(*rows: str) -> str:
    head = "# packages in environment at /opt/conda/envs/pc:\n#\n# Name                    Version                   Build  Channel\n"
    usual = ("python 3.10.14 h955ad1f_1", "xz 5.4.6 h5eee18b_1", "pytorch 2.1.2 py3.10_cuda11.8_cudnn8.7.0_0 pytorch")
    return head + "".join("   ".join(row.split()) + "\n" for row in sorted((*usual, *rows)))


def detectron2(flags: str, gpu: str = "NVIDIA GeForce RTX 3080 (arch=8.6)") -> str:
    return (
        "-----------------------  ---------------------------------------------------\n"
        "sys.platform             linux\nPython                   3.9.18 (main, Sep 11 2023, 13:41:44) [GCC 11.2.0]\n"
        "numpy                    1.24.4\ndetectron2               0.6 @/home/mia/v/lib/python3.9/site-packages/detectron2\n"
        f"CUDA compiler            CUDA 11.7\ndetectron2 arch flags    {flags}\n"
        "PyTorch                  1.13.1+cu117 @/home/mia/v/lib/python3.9/site-packages/torch\nGPU available            True\n"
        f"GPU 0                    {gpu}\n-----------------------  ---------------------------------------------------\n"
    )


def ds_report(nvcc: str, cuda: str = "11.8") -> str:
    return (
        "DeepSpeed general environment info:\n"
        f"torch version .................... 2.3.1+cu{cuda.replace('.', '')}\n"
        "deepspeed info ................... 0.14.4, unknown, unknown\n"
        f"torch cuda version ............... {cuda}\ntorch hip version ................ None\n"
        f"nvcc version ..................... {nvcc}\n"
    )


def collect_env(torch: str, cuda: str, gpu: str) -> str:
    return (
        f"PyTorch version: {torch}\nIs debug build: False\nCUDA used to build PyTorch: {cuda}\nROCM used to build PyTorch: N/A\n\n"
        "OS: Ubuntu 20.04.6 LTS (x86_64)\nPython version: 3.8.10 (default) (64-bit runtime)\nIs CUDA available: True\n"
        f"GPU models and configuration: GPU 0: {gpu}\nNvidia driver version: 470.57.02\n"
    )


TEGRA = "Ultralytics 8.3.12 Python-3.10.12 torch-{} {} (ARMv8 Processor rev 1 (v8l))\n\nOS                  Linux-5.15.136-tegra-aarch64-with-glibc2.35\n"
POINTS = "name: pc\nchannels: [pytorch, nvidia]\ndependencies:\n  - python=3.10\n  - pytorch=2.2.2\n  - pytorch-cuda={}\n  - cuda-nvcc={}\n"
POETRY = (
    '[tool.poetry]\nname = "q"\nversion = "0.1"\n[tool.poetry.dependencies]\npython = "~3.11"\n'
    'torch = {{version = "2.8.0+cu129", source = "t"}}\nbitsandbytes = "{}"\n'
    '[[tool.poetry.source]]\nname = "t"\nurl = "https://download.pytorch.org/whl/cu129"\npriority = "explicit"\n'
)

ILL = {
    "bitsandbytes before CUDA 12.6": ("a.txt", pip_list("bitsandbytes 0.44.1", "numpy 1.26.4", "torch 2.6.0+cu126"), "bitsandbytes-library-missing", "bitsandbytes>=0.45.0"),
    "bitsandbytes before CUDA 13": ("a.txt", pip_list("bitsandbytes 0.47.0", "numpy 1.26.4", "torch 2.9.1+cu130"), "bitsandbytes-library-missing", "bitsandbytes>=0.48.0"),
    "bitsandbytes in a project": ("pyproject.toml", POETRY.format("0.45.5"), "bitsandbytes-library-missing", "bitsandbytes>=0.46.1"),
    "bitsandbytes in a file": ("requirements.txt", "--index-url https://download.pytorch.org/whl/cu128\ntorch==2.7.1\nbitsandbytes==0.43.1\n", "bitsandbytes-library-missing", "bitsandbytes>=0.45.2"),
    "bitsandbytes in an image": ("Dockerfile", "FROM pytorch/pytorch:2.8.0-cuda12.9-cudnn9-devel\nRUN pip install bitsandbytes==0.45.1\n", "bitsandbytes-library-missing", "bitsandbytes>=0.46.1"),
    "nvcc in a conda list": ("a.txt", conda_list("cuda-nvcc 12.1.105 0 nvidia", "pytorch-cuda 11.8 h7e8668a_5 pytorch"), "nvcc-torch-cuda-mismatch", "nvidia/label/cuda-11.8.0"),
    "nvcc in environment.yml": ("environment.yml", POINTS.format("12.1", "11.8.89"), "nvcc-torch-cuda-mismatch", "nvidia/label/cuda-12.1.0::cuda-nvcc"),
    "detectron2 for an older GPU": ("a.txt", detectron2("6.1, 7.0"), "no-kernel-image", ""),
    "detectron2 for a newer GPU": ("a.txt", detectron2("8.6", "Tesla T4 (arch=7.5)"), "no-kernel-image", ""),
    "ds_report without its prompt": ("a.txt", ds_report("12.2"), "nvcc-torch-cuda-mismatch", ""),
    "PyPI's torch on a Jetson": ("a.txt", TEGRA.format("2.5.1", "CPU"), "torch-cpu-build", ""),
    "CUDA 10.2 beside an A100": ("a.txt", collect_env("1.9.1", "10.2", "NVIDIA A100-SXM4-40GB"), "no-kernel-image", ""),
    "OpenCV of NumPy 1": ("a.txt", pip_list("numpy 2.1.3", "opencv-python-headless 4.9.0.80", "torch 2.5.1"), "numpy-abi", "numpy<2"),
    "pandas of NumPy 1": ("requirements.txt", "numpy==2.0.2\npandas==2.2.1\ntorch==2.4.1\n", "numpy-abi", "numpy<2"),
    "SciPy of NumPy 1": ("a.txt", pip_list("numpy 2.2.0", "scipy 1.12.0", "torch 2.6.0"), "numpy-abi", "numpy<2"),
}  # fmt: skip

HEALTHY = {
    "bitsandbytes with CUDA 12.4": ("a.txt", pip_list("bitsandbytes 0.44.1", "numpy 1.26.4", "torch 2.5.1+cu124")),
    "bitsandbytes with CUDA 13": ("a.txt", pip_list("bitsandbytes 0.48.1", "numpy 1.26.4", "torch 2.9.1+cu130")),
    "a newer bitsandbytes, which takes the nearest library": ("a.txt", pip_list("bitsandbytes 0.50.0", "numpy 1.26.4", "torch 2.15.0+cu132")),
    "bitsandbytes beside a torch of any CUDA": ("requirements.txt", "torch\nbitsandbytes==0.43.1\n"),
    "bitsandbytes of an own build": ("a.txt", pip_list("bitsandbytes 0.45.4+cu129", "numpy 1.26.4", "torch 2.8.0+cu129")),
    "nvcc of torch's CUDA": ("a.txt", conda_list("cuda-nvcc 11.8.89 0 nvidia", "pytorch-cuda 11.8 h7e8668a_5 pytorch")),
    "nvcc of the same major": ("environment.yml", POINTS.format("12.1", "12.4.131")),
    "detectron2 for this GPU": ("a.txt", detectron2("7.5, 8.6")),
    "detectron2 for 8.0, whose code runs on 8.6": ("a.txt", detectron2("8.0")),
    "ds_report": ("a.txt", ds_report("11.8")),
    "a Jetson that computes on its GPU": ("a.txt", TEGRA.format("2.5.0a0+872d972e41.nv24.08", "CUDA:0")),
    "a user who chose the CPU": ("a.txt", "$ yolo predict device=cpu\n" + TEGRA.format("2.5.1", "CPU")),
    "CUDA 10.2 beside a V100": ("a.txt", collect_env("1.9.1", "10.2", "Tesla V100-SXM2-16GB")),
    "OpenCV of NumPy 2": ("a.txt", pip_list("numpy 2.1.3", "opencv-python 4.10.0.84", "pandas 2.2.2", "scipy 1.13.0", "torch 2.5.1")),
    "conda's builds": ("a.txt", conda_list("numpy 1.26.4 py310h5f9d8c6_0", "pandas 2.1.4 py310h1128e8f_0")),
}  # fmt: skip


def judged(name: str, text: str) -> Diagnosis:
    if name != "a.txt":
        asked = read(text, name)
        assert asked is not None
        return diagnose(as_facts([asked], Facts(grade="stated")), Goal.TRAIN)
    log = READER.read(checked(io.BytesIO(text.encode()), name), name)
    return diagnose(facts_of_logs([log]), Goal.TRAIN, logs=[log])


@pytest.mark.parametrize("case", ILL)
def test_the_part_is_named_with_its_cure(case):
    name, text, slug, cure = ILL[case]
    first = judged(name, text).findings[0]
    assert first.slug == slug
    assert first.severity is not Severity.INFO
    steps = [f"{' '.join(getattr(step, 'argv', ()))} {step.why}" for fix in first.fixes for step in fix.steps]
    assert steps
    assert any(cure in step for step in steps)


@pytest.mark.parametrize("case", HEALTHY)
def test_parts_that_belong_together_are_left_alone(case):
    assert [f.slug for f in judged(*HEALTHY[case]).findings if f.severity is not Severity.INFO] == []
