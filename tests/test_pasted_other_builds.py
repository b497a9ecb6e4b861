"""A pasted environment with a package of another torch or CUDA than the one there is judged; one whose parts belong together is left alone."""

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
    usual = ("filelock 3.18.0", "Jinja2 3.1.6", "sympy 1.13.1", "urllib3 2.4.0", "numpy 1.26.4")
    pairs = [row.split() for row in sorted((*usual, *rows), key=str.lower)]
    return "$ pip list\nPackage            Version\n------------------ ------------\n" + "".join(
        f"{name:18} {version}\n" for name, version in pairs
    )


def xformers_info(built: str, have: str) -> str:
    return (
        "xFormers 0.0.26.post1\nmemory_efficient_attention.ckF:                    unavailable\n"
        f"memory_efficient_attention.cutlassF:               unavailable\npytorch.version:                                   {have}\n"
        f"pytorch.cuda:                                      available\ngpu.name:                                          NVIDIA A100-SXM4-40GB\n"
        f"build.info:                                        available\nbuild.cuda_version:                                1108\n"
        f"build.torch_version:                               {built}\nsource.privacy:                                    open source\n"
    )


UV_LOCK = (
    'version = 1\nrequires-python = "==3.11.*"\n[manifest]\noverrides = [{{ name = "torch", specifier = "=={torch}" }}]\n'
    '[[package]]\nname = "torch"\nversion = "{torch}"\nsource = {{ registry = "https://pypi.org/simple" }}\n'
    '[[package]]\nname = "vllm"\nversion = "{vllm}"\nsource = {{ registry = "https://pypi.org/simple" }}\ndependencies = [{{ name = "torch" }}]\n'
)

CONDA = "name: a\nchannels: [pytorch, nvidia, defaults]\ndependencies:\n  - python=3.10\n  - pytorch={}\n  - torchvision={}\n  - pytorch-cuda=12.1\n  - mkl={}\n"

UV = '[project]\nname = "a"\nversion = "0"\nrequires-python = "{}"\ndependencies = ["torch=={}", "ultralytics"]\n'
POETRY = '[tool.poetry]\nname = "a"\nversion = "0.1"\n[tool.poetry.dependencies]\npython = "{}"\ntorch = "{}"\n'

DETECTRON2 = (
    "----------------------  ----------------------------------------------------\nsys.platform            linux\nPython                  3.10.12 (main) [GCC 11.4.0]\n"
    "numpy                   1.26.4\ndetectron2              0.6 @/home/mia/v/lib/python3.10/site-packages/detectron2\nCompiler                GCC 11.4\n"
    "CUDA compiler           {}\nPyTorch                 {} @/home/mia/v/lib/python3.10/site-packages/torch\nGPU available           {}\n"
    "----------------------  ----------------------------------------------------\n"
)
MMCV = (
    "sys.platform: linux\nPython: 3.8.18 (default, Sep 11 2023, 13:40:15) [GCC 11.2.0]\nCUDA available: True\nGPU 0: NVIDIA GeForce RTX 3090\n"
    "PyTorch: 1.13.1+cu117\nTorchVision: 0.14.1+cu117\nOpenCV: 4.8.1\nMMCV: 1.7.1\nMMCV Compiler: GCC 9.4\nMMCV CUDA Compiler: {}\n"
)

ILL = {
    "detectron2 without CUDA": ("a.txt", DETECTRON2.format("not available", "2.1.2+cu121", "True"), "extension-not-built", "detectron2"),
    "mmcv without CUDA": ("a.txt", MMCV.format("not available"), "extension-not-built", "mmcv"),
    "requires-python above torch's wheels": ("pyproject.toml", UV.format(">=3.12", "2.1.2"), "python-too-new-no-wheel", "Python 3.11"),
    "requires-python below torch's wheels": ("pyproject.toml", UV.format(">=3.7,<3.9", "2.6.0"), "python-too-new-no-wheel", "Python 3.13"),
    "poetry's python above torch's wheels": ("pyproject.toml", POETRY.format("^3.12", "2.0.1"), "python-too-new-no-wheel", "Python 3.11"),
    "cuDNN 8 beside torch 2.5": ("a.txt", pip_list("torch 2.5.1", "nvidia-cudnn-cu12 8.9.7.29", "nvidia-cublas-cu12 12.4.5.8"), "environment-pollution", "nvidia-cudnn-cu12==9.*"),
    "cuDNN 9 beside torch 2.3": ("requirements.txt", "torch==2.3.1\ntorchvision==0.18.1\nnvidia-cudnn-cu12==9.1.0.70\n", "environment-pollution", "nvidia-cudnn-cu12==8.*"),
    "nvJitLink that is too old": ("a.txt", pip_list("torch 2.5.1+cu124", "nvidia-nvjitlink-cu12 12.1.105"), "environment-pollution", "nvidia-nvjitlink-cu12==12.4.*"),
    "cuBLAS that is too old": ("a.txt", pip_list("torch 2.7.1+cu128", "nvidia-cublas-cu12 12.4.5.8"), "environment-pollution", "nvidia-cublas-cu12==12.8.*"),
    "triton of another torch": ("a.txt", pip_list("torch 2.5.1", "triton 3.2.0"), "triton-version-mismatch", "triton==3.1"),
    "triton of another torch in a file": ("requirements.txt", "torch==2.6.0+cu124\ntriton==3.0.0\n", "triton-version-mismatch", "triton==3.2"),
    "a new MKL in environment.yml": ("environment.yml", CONDA.format("2.2.2", "0.17.2", "2024.2"), "mkl-does-not-fit", "mkl<2024.1"),
    "vllm of torch 2.4": ("requirements.txt", "torch==2.5.1\nvllm==0.6.2\n", "abi-mismatch-torch-version", "torch==2.4"),
    "vllm in a list": ("a.txt", pip_list("torch 2.7.1", "vllm 0.8.5.post1"), "abi-mismatch-torch-version", "torch==2.6"),
    "vllm under an override": ("uv.lock", UV_LOCK.format(torch="2.8.0", vllm="0.9.1"), "abi-mismatch-torch-version", "torch==2.7"),
    "vllm in an image": ("Dockerfile", "FROM pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime\nRUN pip install --no-deps vllm==0.7.3\n", "abi-mismatch-torch-version", "torch==2.5"),
    "sglang": ("a.txt", pip_list("torch 2.6.0", "sglang 0.4.9.post2"), "abi-mismatch-torch-version", "torch==2.7"),
    "torchcodec of torch 2.5": ("a.txt", pip_list("torch 2.7.0", "torchcodec 0.1.1"), "abi-mismatch-torch-version", "torchcodec==0.5"),
    "torchcodec in a file": ("requirements.txt", "torch==2.6.0\ntorchvision==0.21.0\ntorchcodec==0.7.0\n", "abi-mismatch-torch-version", "torchcodec==0.2"),
    "torch-scatter": ("a.txt", pip_list("torch 2.4.1+cu121", "torch-scatter 2.1.2+pt23cu121"), "abi-mismatch-torch-version", "torch-2.4.0+cu121.html"),
    "torch-sparse of torch 1.13": ("requirements.txt", "torch==2.0.1+cu117\ntorch-sparse==0.6.17+pt113cu117\n", "abi-mismatch-torch-version", "torch-2.0.0+cu117.html"),
    "natten": ("a.txt", pip_list("torch 2.6.0+cu124", "natten 0.17.5+torch250cu124"), "abi-mismatch-torch-version", "natten"),
    "flashinfer": ("a.txt", pip_list("torch 2.5.1+cu124", "flashinfer-python 0.2.0.post2+cu124torch2.4"), "abi-mismatch-torch-version", "flashinfer"),
    "torchaudio of another CUDA": ("a.txt", pip_list("torch 2.5.1+cu124", "torchaudio 2.5.1+cu121"), "abi-mismatch-torch-version", "whl/cu124"),
    "xformers of another CUDA": ("a.txt", pip_list("torch 2.3.0+cu121", "xformers 0.0.26.post1+cu118"), "abi-mismatch-torch-version", "whl/cu121"),
    "xformers.info": ("a.txt", xformers_info("2.3.0+cu118", "2.3.0+cu121"), "abi-mismatch-torch-version", "xformers"),
}  # fmt: skip

HEALTHY = {
    "cuDNN 8 for another program on Windows": ("a.txt", pip_list("torch 2.5.1+cu124", "nvidia-cudnn-cu12 8.9.7.29", "colorama 0.4.6", "pywin32 308")),
    "detectron2 with CUDA": ("a.txt", DETECTRON2.format("CUDA 12.1", "2.1.2+cu121", "True")),
    "detectron2 on a machine without GPU": ("a.txt", DETECTRON2.format("not available", "2.1.2+cpu", "False")),
    "mmcv with CUDA": ("a.txt", MMCV.format("11.7")),
    "requires-python with a torch for its oldest": ("pyproject.toml", UV.format(">=3.9", "2.1.2")),
    "poetry's python with a torch for its newest": ("pyproject.toml", POETRY.format(">=3.8,<3.13", "2.6.0")),
    "cuDNN 9 beside torch 2.5": ("a.txt", pip_list("torch 2.5.1", "nvidia-cudnn-cu12 9.1.0.70", "nvidia-nvjitlink-cu12 12.4.127", "triton 3.1.0")),
    "cuDNN 8 beside torch 2.3": ("a.txt", pip_list("torch 2.3.1", "nvidia-cudnn-cu12 8.9.2.26", "nvidia-nvjitlink-cu12 12.6.20", "triton 2.3.1")),
    "cuDNN of both CUDAs": ("a.txt", pip_list("torch 2.5.1+cu124", "nvidia-cudnn-cu12 9.1.0.70", "nvidia-cudnn-cu11 8.7.0.84")),
    "a newer cuBLAS": ("a.txt", pip_list("torch 2.5.1+cu124", "nvidia-cublas-cu12 12.6.4.1")),
    "triton of a build for CPUs": ("a.txt", pip_list("torch 2.5.1+cpu", "triton 3.2.0")),
    "an older MKL": ("environment.yml", CONDA.format("2.2.2", "0.17.2", "2023.1")),
    "a new MKL and torch 2.5": ("environment.yml", CONDA.format("2.5.1", "0.20.1", "2024.2")),
    "a new MKL and conda-forge": ("environment.yml", CONDA.format("2.2.2", "0.17.2", "2024.2").replace("pytorch, nvidia, defaults", "conda-forge").replace("  - pytorch-cuda=12.1\n", "")),
    "vllm of this torch": ("a.txt", pip_list("torch 2.6.0", "vllm 0.8.4")),
    "vllm in a file": ("requirements.txt", "torch==2.4.0\nvllm==0.6.3.post1\n"),
    "vllm that was not read": ("a.txt", pip_list("torch 2.4.0", "vllm 0.1.7")),
    "vllm of a range": ("requirements.txt", "torch>=2.5\nvllm==0.6.3\n"),
    "a lock that was solved": ("uv.lock", UV_LOCK.format(torch="2.7.1", vllm="0.10.0")),
    "torchcodec of this torch": ("a.txt", pip_list("torch 2.7.1", "torchcodec 0.4.0")),
    "torch-scatter of this torch": ("a.txt", pip_list("torch 2.4.1+cu121", "torch-scatter 2.1.2+pt24cu121")),
    "torch-scatter of torch 2.10": ("a.txt", pip_list("torch 2.10.0+cu128", "torch-scatter 2.1.2+pt210cu128")),
    "torch-scatter of a near CUDA": ("a.txt", pip_list("torch 2.5.1+cu124", "torch-scatter 2.1.2+pt25cu121")),
    "flashinfer of this torch": ("a.txt", pip_list("torch 2.4.0", "flashinfer 0.1.6+cu121torch2.4")),
    "natten of this torch": ("a.txt", pip_list("torch 2.5.1+cu124", "natten 0.17.5+torch250cu124")),
    "torchaudio of this CUDA": ("a.txt", pip_list("torch 2.5.1+cu124", "torchaudio 2.5.1+cu124")),
    "torchaudio without CUDA": ("a.txt", pip_list("torch 2.5.1+cu124", "torchaudio 2.5.1+cpu")),
    "xformers of a near CUDA": ("a.txt", pip_list("torch 2.5.1+cu124", "xformers 0.0.28.post3+cu121")),
    "xformers.info": ("a.txt", xformers_info("2.3.0+cu121", "2.3.0+cu121")),
}  # fmt: skip


def judged(name: str, text: str) -> Diagnosis:
    if name != "a.txt":
        asked = read(text, name)
        assert asked is not None
        return diagnose(as_facts([asked], Facts(grade="stated")), Goal.TRAIN)
    log = READER.read(checked(io.BytesIO(text.encode()), name), name)
    return diagnose(facts_of_logs([log]), Goal.TRAIN, logs=[log])


@pytest.mark.parametrize("case", ILL)
def test_the_other_build_is_named_with_its_cure(case):
    name, text, slug, cure = ILL[case]
    first = judged(name, text).findings[0]
    assert first.slug == slug
    assert first.severity is not Severity.INFO
    steps = [f"{' '.join(getattr(step, 'argv', ()))} {step.why}" for fix in first.fixes for step in fix.steps]
    assert steps
    assert any(cure in step for step in steps), steps


@pytest.mark.parametrize("case", HEALTHY)
def test_builds_that_belong_together_are_left_alone(case):
    assert [f.slug for f in judged(*HEALTHY[case]).findings if f.severity is not Severity.INFO] == []
