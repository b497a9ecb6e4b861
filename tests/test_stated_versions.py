"""Versions and GPUs that a log states in tables of programs and in the words of a person. Expectations by hand."""

from __future__ import annotations

import io

import pytest

from attn_doctor.examination.inputs import log_reader
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.facts import Facts

READER = log_reader()


def facts(text: str) -> Facts:
    return facts_of_logs([READER.read(io.BytesIO(text.encode()), "log")])


def known(fact: object) -> str | None:
    return fact if isinstance(fact, str) else None


PYTHONS = {
    "Python                  3.8.10 (default, Nov 26 2021, 20:14:08) [GCC 9.3.0]": "3.8.10",  # detectron2
    "Python: 3.8.13 (default, Mar 28 2022, 11:38:47) [GCC 7.5.0]": "3.8.13",  # mmcv, mmengine
    "- Python version: 3.10.13": "3.10.13",  # the env commands of accelerate, transformers and diffusers
    "Python version: 3.12.3 | packaged by conda-forge | (main, Apr 15 2024) [GCC 12.3.0] (64-bit runtime)": "3.12.3",
    "sys.version: 3.8.10 (default, Nov 26 2021, 20:14:08)": "3.8.10",  # pip debug
    "pip version: pip 23.0 from /usr/lib/python3/dist-packages/pip (python 3.10)": "3.10",
    "pytorch                   1.13.1          py3.9_cuda11.7_cudnn8.5.0_0    pytorch": "3.9",
    "numpy                     1.24.3          py310hd5efca6_0": "3.10",
    "ERROR: Package 'x' requires a different Python: 3.7.16 not in '>=3.8'": "3.7.16",
    "| Python | 3.12.4 |": "3.12.4",
    "**Python**: 3.11": "3.11",
    "Python 版本: 3.10.12": "3.10.12",
    "python版本：3.8.10": "3.8.10",
    "torch 2.6.0/cu124, flash-attn 2.8.2, Python 3.11": "3.11",
    "I'm on Python 3.13 and Windows 11": "3.13",
    "python=3.8, pytorch=1.11": "3.8",
    'File "/opt/x/python3.6/site-packages/torch/x.py", line 3': "3.6",
    'File "D:\\Program Files\\Python39\\lib\\subprocess.py", line 524, in run': "3.9",
    # A folder of somebody's own: no Python is called 3.16. The tag of the build says which one it is.
    'File "D:\\Program Files\\Python316\\lib\\subprocess.py", line 524, in run': None,
    'build\\temp.win-amd64-cpython-310\\Release\nFile "D:\\Python316\\lib\\subprocess.py", line 524, in run': "3.10",
    # What is required, recommended or listed is not what is there.
    "it needs Python 3.10 or newer": None,
    "Requires-Python >=3.9": None,
    "Supported: Python 3.8, 3.9 and 3.10": None,
    "Please use Python 3.10": None,
    "torch 2.4 has wheels for Python 3.8 to 3.12": None,
    # The base environment's, which conda itself runs in.
    "       python version : 3.9.12.final.0": None,
}


@pytest.mark.parametrize("line", PYTHONS)
def test_the_python_of_a_line(line):
    assert known(facts(line + "\n").interpreter.version) == PYTHONS[line]


# A line -> torch, and its CUDA.
TORCHES = {
    "- PyTorch version (GPU?): 2.1.2+cu121 (True)": ("2.1.2+cu121", "12.1"),
    "- PyTorch version (accelerator?): 2.7.0+cu126 (CUDA)": ("2.7.0+cu126", "12.6"),
    "PyTorch                 1.10.0+cu113 @/home/me/v/lib/python3.8/site-packages/torch": ("1.10.0+cu113", "11.3"),
    "PyTorch: 1.11.0+cu113": ("1.11.0+cu113", "11.3"),
    "torch version .................... 2.0.1+cu118": ("2.0.1+cu118", "11.8"),
    "torch cuda version ............... 11.8": (None, "11.8"),
    "YOLOv5 Python-3.8.13 torch-1.11.0+cu102, but I have another": ("1.11.0+cu102", "10.2"),
    "with Pytorch 1.9 and CUDA 10.2.": ("1.9", "10.2"),
    "torch 2.6.0/cu124, Python 3.11": ("2.6.0", "12.4"),
    "Python 3.10, CUDA 12.1, torch 2.4.0": ("2.4.0", None),
    "Python3.8, torch1.9.0+cu111": ("1.9.0+cu111", "11.1"),
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument": (None, None),
    "flash-attn requires torch 2.2 or newer and Python 3.9": (None, None),
}


@pytest.mark.parametrize("line", TORCHES)
def test_the_torch_of_a_line(line):
    found = facts(line + "\n").torch
    assert (known(found.version), known(found.cuda)) == TORCHES[line]


# A line -> the compute capabilities and the gfx numbers of its GPUs.
GPUS = {
    "I have an RTX 5070 Ti laptop": (("12.0",), ()),
    "GPU: Quadro K2200": (("5.0",), ()),
    "Tesla M40 24GB": (("5.2",), ()),
    "on my MX450": (("7.5",), ()),
    "RTX A6000 Ada": (("8.9",), ()),
    "NVIDIA GB10": (("12.1",), ()),
    "rtx3060ti": (("8.6",), ()),
    "Windows 11, RTX 4090, driver 560.94": (("8.9",), ()),
    "I am about to train on 8 A100-SXM4-40GB GPUs": (("8.0",), ()),
    "GPU 0,1                 Tesla V100-SXM2-32GB (arch=7.0)": (("7.0",), ()),
    "- GPU type: NVIDIA A100-SXM4-80GB": (("8.0",), ()),
    "- Accelerator: NVIDIA GeForce RTX 4090, 24564 MiB": (("8.9",), ()),
    "using an RX 580": ((), ("gfx803",)),
    "2x AMD Radeon (TM) Pro WX 5100 Graphics": ((), ("gfx803",)),
    "Vega 64": ((), ("gfx900",)),
    "2 x AMD Instinct MI50": ((), ("gfx906",)),
    "trying to make gfx906 radeon vii work": ((), ("gfx906",)),
    "Radeon 780M": ((), ("gfx1103",)),
    "Radeon Pro W7900": ((), ("gfx1100",)),
    "RTX 50 series needs cu128": ((), ()),
    "GPUs such as RTX 3090 or newer": ((), ()),
    "works on RTX 3090 and RTX 4090": ((), ()),
    "FlashAttention only supports Ampere GPUs (A100, RTX 3090)": ((), ()),
    "hipcc --offload-arch=gfx90a": ((), ()),
}


@pytest.mark.parametrize("line", GPUS)
def test_the_gpu_of_a_line(line):
    machine = machine_of(facts(line + "\n"))
    assert (machine.capabilities, machine.gfx) == GPUS[line]


def test_an_arc_is_a_gpu_of_intel():
    assert machine_of(facts("Intel(R) Arc(TM) A770 Graphics\n")).maker == "intel"
