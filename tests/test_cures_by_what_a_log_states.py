"""Causes and first cures of logs that state the machine: the versions of torch, CUDA and the driver in the log decide."""

from __future__ import annotations

import io

import pytest

from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Finding, Fix, Goal
from attn_doctor.model.steps import Install, SetVariable

SMI = "| NVIDIA-SMI {0}       Driver Version: {0}       CUDA Version: {1}     |"
NOT_STARTED = "RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu."
NOT_INITIALIZED = "RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"


def findings(text: str) -> tuple[Finding, ...]:
    logs = [log_reader().read(io.BytesIO(text.encode()), "log")]
    return tuple(diagnose(facts_of_logs(logs), Goal.TRAIN, logs=logs).findings)


def slugs(text: str) -> list[str]:
    return [finding.slug for finding in findings(text)]


def words(fix: Fix) -> str:
    """A fix as one text: its title, then the commands and what is said of them."""
    said = [fix.title]
    for step in fix.steps:
        if isinstance(step, Install):
            said.append(" ".join((*step.requirements, step.index_url or "", step.find_links or "")))
        elif isinstance(step, SetVariable):
            said.append(f"{step.name}={step.value}")
        else:
            said.append(" ".join(getattr(step, "argv", ())))
        said.append(step.why)
    return "\n".join(said)


def cures(text: str) -> list[str]:
    return [words(fix) for fix in findings(text)[0].fixes]


OLD_DRIVER_OF_CONDA = "\n".join(
    (
        r"(seg) D:\work\seg>nvidia-smi",
        SMI.format("431.60", "10.1"),
        r"(seg) D:\work\seg>conda list cuda",
        "# Name                    Version                   Build  Channel",
        "cudatoolkit               11.6.0              hc0ea762_10",
        r"(seg) D:\work\seg>python predict.py",
        r'  File "D:\envs\seg\lib\site-packages\torch\cuda\__init__.py", line 229, in _lazy_init',
        NOT_STARTED,
    )
)


def test_a_driver_older_than_the_cuda_of_conda_is_too_old():
    first = findings(OLD_DRIVER_OF_CONDA)[0]
    assert first.slug == "driver-too-old"
    assert (
        first.message
        == "The NVIDIA driver 431.60 is too old: torch is built for CUDA 11.6, which needs driver 452.39 or newer."
    )
    assert cures(OLD_DRIVER_OF_CONDA)[0].startswith("Install NVIDIA driver 452.39 or newer")


@pytest.mark.parametrize(
    ("driver", "cuda", "torch", "slug"),
    [
        ("418.56", "10.1", "1.13.1+cu117", "driver-too-old"),
        ("450.36.06", "11.0", "1.13.1+cu117", "driver-too-old"),
        ("450.80.02", "11.0", "1.13.1+cu117", "cuda-init-error"),
        ("535.154.05", "12.2", "2.0.1+cu117", "cuda-init-error"),
    ],
)
def test_the_driver_beside_a_failed_start_decides_whether_it_is_too_old(driver, cuda, torch, slug):
    text = (
        f"{SMI.format(driver, cuda)}\n$ pip list | grep torch\ntorch        {torch}\n$ python train.py\n{NOT_STARTED}\n"
    )
    assert slugs(text)[0] == slug


def test_a_failed_start_without_a_driver_in_the_log_is_compared_first():
    assert cures(f"$ python train.py\n{NOT_STARTED}\n")[0].startswith("Compare the driver with the CUDA of torch")


def _collected(torch: str, cuda: str, gpu: str) -> str:
    return (
        f"PyTorch version: {torch}\nCUDA used to build PyTorch: {cuda}\nOS: Ubuntu 20.04 LTS (x86_64)\n"
        f"Python version: 3.8 (64-bit runtime)\nGPU models and configuration: GPU 0: {gpu}\n{NOT_INITIALIZED}\n"
    )


def test_a_release_whose_cudnn_does_not_start_is_replaced_by_the_next():
    (cure,) = cures(_collected("1.8.0", "10.2", "GeForce RTX 2060"))
    assert "torch==1.8.1+cu102" in cure


def test_the_same_release_for_another_cuda_has_no_such_fault():
    assert all("1.8.1" not in cure for cure in cures(_collected("1.8.0+cu111", "11.1", "GeForce RTX 2060")))


def test_a_gpu_that_is_newer_than_the_cuda_of_torch_takes_another_build():
    assert "torch==1.7.1+cu110" in cures(_collected("1.7.1", "10.2", "NVIDIA GeForce RTX 3090"))[0]


def test_an_old_torch_whose_gpu_fits_keeps_the_usual_cures_first():
    first, *_, last = cures(_collected("1.10.2+cu102", "10.2", "GeForce GTX 1080 Ti"))
    assert first.startswith("Free the GPU's memory")
    assert "torch==1.10.2+cu113" in last


NO_RUNTIME = "OSError: libcudart.so.10.2: cannot open shared object file: No such file or directory"
BY_TORCH = """\
  File "/v/lib/python3.9/site-packages/torch/__init__.py", line 197, in <module>
    _load_global_deps()
  File "/v/lib/python3.9/site-packages/torch/__init__.py", line 150, in _load_global_deps
    ctypes.CDLL(lib_path, mode=ctypes.RTLD_GLOBAL)
"""
BY_TEXT = """\
  File "/v/lib/python3.9/site-packages/torchtext/_extension.py", line 20, in _init_extension
    torch.ops.load_library(ext_specs.origin)
  File "/v/lib/python3.9/site-packages/torch/_ops.py", line 110, in load_library
    ctypes.CDLL(path)
"""
OF_GEOMETRIC = """\
!pip install torch-sparse -f https://data.pyg.org/whl/torch-1.10.0+cu113.html
----> 1 from torch_geometric.nn import GCNConv
"""


@pytest.mark.parametrize(
    ("before", "torch", "slug"),
    [
        (BY_TORCH, "1.10.0+cu113", "torch-install-broken"),
        (BY_TEXT, "1.10.0+cu113", "libcudart-missing"),
        (OF_GEOMETRIC, "1.10.0+cu113", "libcudart-missing"),
        (OF_GEOMETRIC, "1.10.0+cu102", None),
        ("", "1.10.0+cu102", None),
    ],
)
def test_the_frames_and_the_cuda_of_torch_tell_whose_runtime_is_missing(before, torch, slug):
    assert (slugs(f"torch {torch}\n{before}{NO_RUNTIME}\n") or [None])[0] == slug


def test_the_packages_of_pytorch_geometric_come_from_the_page_for_this_torch():
    (cure,) = cures(f"torch 1.10.0+cu113\n{OF_GEOMETRIC}{NO_RUNTIME}\n")
    assert "torch-sparse" in cure
    assert "https://data.pyg.org/whl/torch-1.10.0+cu113.html" in cure


@pytest.mark.parametrize(
    ("torch", "wanted"),
    [("1.12.0+cu113", "torchtext==0.13.*"), ("2.3.1+cu121", "torchtext==0.18.*"), ("2.4.0+cu121", "ended with 0.18")],
)
def test_torchtext_is_the_one_for_this_torch(torch, wanted):
    assert wanted in cures(f"torch {torch}\n{BY_TEXT}{NO_RUNTIME}\n")[0]


NO_TORCH = "    import torch\nModuleNotFoundError: No module named 'torch'\n"
IN_CACHE = '  File "{0}archive-v0{1}Xy12_34567890abcde{1}{2}", line 8, in <module>\n'


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (
            "% uvx kernels versions a/b\n"
            + IN_CACHE.format("/Users/u/.cache/uv/", "/", "lib/python3.13/site-packages/kernels/cli.py"),
            "uvx --with torch kernels versions a/b",
        ),
        (
            "$ uvx --python 3.12 kernels list\n"
            + IN_CACHE.format("/home/u/.cache/uv/", "/", "lib/python3.12/site-packages/kernels/cli.py"),
            "uvx --with torch --python 3.12 kernels list",
        ),
        (
            "PS C:\\> uvx whisper-ctranslate2 a.mp3\n"
            + IN_CACHE.format("C:\\u\\uv\\cache\\", "\\", "Lib\\site-packages\\tool\\main.py"),
            "uvx --with torch --index https://download.pytorch.org/whl/cu126 whisper-ctranslate2 a.mp3",
        ),
        (
            '  File "/home/u/.local/share/uv/tools/kernels/lib/python3.12/site-packages/kernels/utils.py", line 4, in <module>\n',
            "uv tool install --with torch kernels",
        ),
        (
            '  File "/home/u/.local/share/pipx/venvs/kernels/lib/python3.12/site-packages/kernels/utils.py", line 4, in <module>\n',
            "pipx inject kernels torch",
        ),
    ],
)
def test_torch_is_added_to_the_environment_of_a_tool(text, command):
    assert slugs(text + NO_TORCH)[0] == "torch-missing"
    assert cures(text + NO_TORCH)[0].splitlines()[1] == command


def test_torch_that_is_missing_in_an_environment_of_the_user_is_not_of_a_tool():
    assert "torch-missing" not in slugs(
        '  File "/home/u/tools/app/env/lib/python3.12/site-packages/x.py", line 4, in <module>\n' + NO_TORCH
    )


JETSON = "Linux orin 5.15.148-tegra aarch64\nJetPack 6.2\n"
NO_KERNEL = "RuntimeError: Error named symbol not found at line 233 in file /src/csrc/ops.cu\n"


def test_bitsandbytes_is_built_from_source_on_a_jetson():
    assert slugs(JETSON + NO_KERNEL)[0] == "bitsandbytes-library-missing"
    assert "cmake -DCOMPUTE_BACKEND=cuda -DCOMPUTE_CAPABILITY=87" in cures(JETSON + NO_KERNEL)[0]


def test_the_same_error_on_a_server_has_another_cause():
    assert "bitsandbytes-library-missing" not in slugs(NO_KERNEL)


CARD = "$ nvidia-smi -L\nGPU 0: NVIDIA GeForce RTX 3060\n"
OF_CONDA = "pytorch                   1.10.1              py3.9_cpu_0    pytorch\n"


@pytest.mark.parametrize(
    "row",
    [
        OF_CONDA,
        "pytorch            2.1.2    cpu_mkl_py311h3e86a8a_102    conda-forge\n",
        "  pytorch            pytorch/linux-64::pytorch-1.10.1-py3.9_cpu_0\n",
        "pytorch-mutex             1.0                         cpu    pytorch\n",
        "cpuonly                   2.0                           0    pytorch\n",
    ],
)
def test_the_cpu_build_that_conda_chose_is_seen_beside_a_gpu(row):
    assert slugs(row + CARD)[0] == "torch-cpu-build"
    assert "torch-cpu-build" not in slugs(row)


@pytest.mark.parametrize(
    "row",
    [
        "pytorch            1.10.1    py3.9_cuda11.3_cudnn8.2.0_0    pytorch\n",
        "pytorch-mutex             1.0                        cuda    pytorch\n",
    ],
)
def test_the_cuda_build_of_conda_is_no_cpu_build(row):
    assert "torch-cpu-build" not in slugs(row + CARD)


def test_the_cpu_build_of_conda_is_replaced_by_the_same_release():
    by_pip, by_conda = cures(OF_CONDA + CARD)
    assert "torch==1.10.1+cu113" in by_pip
    assert "pytorch=1.10.1=*cuda11.3*" in by_conda
