"""The release and the build that a cure names: they fit the Python, the GPU, the driver and the toolkit that the log states. By hand."""

from __future__ import annotations

import pytest
from first_cures import cures, first

WHL = "https://download.pytorch.org/whl"
STABLE = f"--find-links {WHL}/torch_stable.html"
AGAIN = "-m pip install --force-reinstall --no-deps "
REFUSED = (
    "{0} with CUDA capability {1} is not compatible with the current PyTorch installation.\n"
    "The current PyTorch install supports CUDA capabilities sm_37 sm_50 sm_60 sm_70 sm_75.\n"
)
NVCC_11 = "Cuda compilation tools, release 11.4, V11.4.120\n"
NCCL = "RuntimeError: NCCL error in: ../torch/lib/c10d/ProcessGroupNCCL.cpp:825, unhandled cuda error, NCCL version 2.7.8\n"
TOO_OLD = "The NVIDIA driver on your system is too old (found version {}). Please update your GPU driver\n"
NO_CUDA = "AssertionError: Torch not compiled with CUDA enabled\n"
DETECTRON = "[03/02 10:11:12 detectron2]: Environment info:\n------  ------\nsys.platform            linux\nPython                  3.8.18 (default, Sep 11 2023, 13:40:15) [GCC 11.2.0]\n"

# A log -> what is said first, and the lines of the first cure.
FIRST = {
    "Python in the table of another program: torch 2.4 is the last for 3.8, and what was compiled is built again": (
        f"{REFUSED.format('NVIDIA GeForce RTX 3080', 'sm_86')}{DETECTRON}",
        "torch has code for sm_37, sm_50, sm_60, sm_70, sm_75, but not for NVIDIA GeForce RTX 3080 (sm_86)",
        [
            f"python3 {AGAIN}torch==2.4.1 torchvision==0.19.1",
            "python3 -m pip install torch==2.4.1 torchvision==0.19.1",
            f'python3 {AGAIN}--no-build-isolation --no-cache-dir "detectron2 @ git+https://github.com/facebookresearch/detectron2.git"',
        ],
    ),
    "no Python: no pin, and torchaudio moves with torch in a program that needs it": (
        f'File "D:\\GPT-SoVITS\\runtime\\lib\\site-packages\\torch\\cuda\\__init__.py", line 3\n{REFUSED.format("NVIDIA GeForce RTX 5080", "sm_120")}',
        "torch has code for sm_37, sm_50, sm_60, sm_70, sm_75, but not for NVIDIA GeForce RTX 5080 (sm_120)",
        [
            f"D:\\GPT-SoVITS\\runtime\\python.exe {AGAIN}torch torchvision torchaudio --index-url {WHL}/cu128",
            f"D:\\GPT-SoVITS\\runtime\\python.exe -m pip install torch torchvision torchaudio --index-url {WHL}/cu128",
        ],
    ),
    "the same release of an old torch, for the GPU": (
        f"YOLOv5 Python-3.8.10 torch-1.10.2+cu102, and more\n{REFUSED.format('NVIDIA A40', 'sm_86')}",
        "torch has code for sm_37, sm_50, sm_60, sm_70, sm_75, but not for NVIDIA A40 (sm_86)",
        [f"python -m pip install torch==1.10.2+cu113 torchvision==0.11.3+cu113 {STABLE}"],
    ),
    "a toolkit of CUDA 11 speaks for a driver of its time": (
        f"Python 3.9.18 (main, Sep 11 2023, 13:41:44)\n{NVCC_11}{REFUSED.format('NVIDIA A40', 'sm_86')}",
        "torch has code for sm_37, sm_50, sm_60, sm_70, sm_75, but not for NVIDIA A40 (sm_86)",
        [
            f"python {AGAIN}torch==2.7.1 torchvision==0.22.1 --index-url {WHL}/cu118",
            f"python -m pip install torch==2.7.1 torchvision==0.22.1 --index-url {WHL}/cu118",
        ],
    ),
    "an A100 under CUDA 10.2, in the words of a person": (
        f"{NCCL}I train on 4 A100-SXM4-80GB GPUs with PyTorch 1.8.1 and CUDA 10.2.\n",
        "torch is built for CUDA 10.2, which does not support A100-SXM4-80GB (sm_80): that GPU needs CUDA 11.0 or newer.",
        [f"python -m pip install torch==1.8.1+cu111 torchvision==0.9.1+cu111 {STABLE}"],
    ),
    "a V100 under CUDA 10.2: its code is there": (f"{NCCL}I train on 4 V100-SXM2 GPUs with PyTorch 1.8.1 and CUDA 10.2.\n", "A CUDA call of NCCL failed", ["export NCCL_DEBUG=INFO"]),
    "the driver's line for an old torch stands before words": (
        f"{TOO_OLD.format(10020)}YOLOv5 v5.0-9-g12ab torch 1.8.0 CPU\nDriver version 440.33.01\n",
        "This driver supports CUDA 10.2 at most",
        [
            f"python3 {AGAIN}torch==1.8.0 torchvision==0.9.0 {STABLE}",
        ],
    ),
    "a Python of 32 bits": (
        ('venv "E:\\web ui\\venv\\Scripts\\Python.exe"\n'
        "Python 3.11.4 (tags/v3.11.4:d2340ef, Jun  7 2023, 05:45:37) [MSC v.1934 32 bit (Intel)]\n"
        "ERROR: Could not find a version that satisfies the requirement torch (from versions: none)\nERROR: No matching distribution found for torch\n"),
        "The Python in the log is a 32-bit Python, and torch has wheels only for 64 bits.",
        [
            "winget install --id Python.Python.3.11 -e --architecture x64",
            'py -3.11-64 -m venv --clear "E:\\web ui\\venv"',
        ],
    ),
    "ZLUDA on a card for which the HIP SDK has no libraries": (
        "GPU: Radeon RX 5700 XT\nC:\\cz>zluda\\zluda.exe -- venv\\Scripts\\python.exe main.py\nRuntimeError: No CUDA GPUs are available\n",
        "ZLUDA, which replaces CUDA on an AMD GPU, gfx1010, found no GPU",
        ["hipInfo.exe", "powershell", None],
    ),
    "a card that no ROCm serves, by its product name": (
        "1x AMD Radeon (TM) Pro WX 7100 Graphics\nRuntimeError: HIP error: Invalid device function\n",
        "ROCm has not supported gfx803 (AMD Radeon Pro WX 7100) since 4.0",
        ["python", None],
    ),
    "an Arc": (f"Intel(R) Arc(TM) B580 Graphics\nOS: Ubuntu 24.04.1 LTS (x86_64)\nPython version: 3.12.3\n{NO_CUDA}", "The installed torch is a CPU build.", [
        f"python3 {AGAIN}torch==2.13.0 torchvision==0.28.0 --index-url {WHL}/xpu",
        f"python3 -m pip install torch==2.13.0 torchvision==0.28.0 --index-url {WHL}/xpu",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST)
def test_the_first_cure_names_versions_that_fit_the_machine(name):
    text, says, wanted = FIRST[name]
    _, finding = first(text)
    assert finding.message.startswith(says)
    lines = cures(text)[0]
    assert len(lines) == len(wanted)
    for line, expected in zip(lines, wanted, strict=True):
        assert line == expected or (
            line is not None and expected in ("powershell", "python") and line.startswith(expected)
        )


# Python, and the newest torch that is printed for it, on a machine of which nothing else is known.
PYTHONS = {
    "3.8": "torch==2.4.1 torchvision==0.19.1",
    "3.9": "torch==2.8.0 torchvision==0.23.0",
    "3.10": "torch==2.14.1 torchvision==0.29.1",
    "3.12": "torch==2.14.1 torchvision==0.29.1",
    "3.14": "torch==2.14.1 torchvision==0.29.1",
}


@pytest.mark.parametrize("python", PYTHONS)
def test_the_newest_torch_is_one_for_the_python_of_the_log(python):
    line = cures(f"Python: {python}.1 (main) [GCC 11.2.0]\n{NO_CUDA}")[0][0]
    assert PYTHONS[python] in (line or "")


# A driver of each branch -> the build that is printed for it.
DRIVERS = {
    "390.157": None,  # of CUDA 9.1: no torch of the tables
    "418.87.01": "torch==1.8.1+cu101 torchvision==0.9.1+cu101",
    "440.33.01": "torch==1.12.1+cu102",
    "450.80.02": f"torch==2.7.1 torchvision==0.22.1 --index-url {WHL}/cu118",
    "470.256.02": f"torch==2.7.1 torchvision==0.22.1 --index-url {WHL}/cu118",
    "525.147.05": f"torch==2.14.1 torchvision==0.29.1 --index-url {WHL}/cu126",
    "570.86.16": f"torch==2.14.1 torchvision==0.29.1 --index-url {WHL}/cu126",
    "580.95.05": "torch==2.14.1 torchvision==0.29.1",
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_build_is_one_that_the_driver_of_the_log_runs(driver):
    python = "3.8" if int(driver[:3]) < 450 else "3.10"
    text = f"Python version: {python}.1 (64-bit runtime)\nNvidia driver version: {driver}\nRuntimeError: The NVIDIA driver on your system is too old. (found version 9010)\n"
    lines = [line for fix in cures(text) for line in fix if line and "torch==" in line]
    assert (DRIVERS[driver] in lines[0]) if DRIVERS[driver] else not lines


@pytest.mark.parametrize(("torch", "wanted"), [("2.3.1+cu121", "mamba-ssm==2.2.2"), ("2.4.1+cu121", "mamba-ssm")])
def test_a_package_is_of_a_release_that_this_torch_takes(torch, wanted):
    """After 2.2.2 mamba-ssm imports torch.amp.custom_bwd, which torch 2.3 does not have."""
    text = (
        f'torch.__version__: {torch}\n  File "/v/lib/python3.10/site-packages/mamba_ssm/ops/selective_scan_interface.py", line 18, in <module>\n'
        "    import selective_scan_cuda\nImportError: /v/lib/python3.10/site-packages/selective_scan_cuda.cpython-310-x86_64-linux-gnu.so: undefined "
        "symbol: _ZN3c104impl3cow11cow_deleterEPv\n"
    )
    assert (cures(text)[0][-1] or "").endswith(f" {wanted}")
