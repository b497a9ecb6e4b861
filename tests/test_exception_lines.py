"""A line with an exception in a pasted text: it is named, unless the program went on. Texts written by hand."""

from __future__ import annotations

import pytest
from read_texts import answer

from attn_doctor.logs.pasted_lines import is_pasted

# What people paste beside an error: a GPU, versions, lists, forms, and their own words.
BESIDE = {
    "a GPU": "NVIDIA RTX A6000\n",
    "versions in one line": "torch 2.7.1+cu128, Python 3.12, RTX 5070 Ti\n",
    "versions in lines": "Python 3.10.12\ntorch==2.4.1\nCUDA 12.1\nUbuntu 20.04\n",
    "a form": "OS: Debian 12\nGPU: RTX A5000\nPyTorch version: 2.3.0\n",
    "rows of a list": "nvidia-cudnn-cu12         9.1.0.70\ntorch                     2.5.0\ntorchvision               0.20.0\n",
    "a whole list": "Package      Version\n------------ -------\nfilelock     3.16.1\ntorch        2.5.0\ntorchvision  0.20.0\n",
    "nvidia-smi": "+------------------------------+\n| NVIDIA-SMI 550.54.14    Driver Version: 550.54.14    CUDA Version: 12.4     |\n"
    "|   0  NVIDIA L4           On  |\n+------------------------------+\n",
    "yolo checks": "Ultralytics 8.3.40 🚀 Python-3.10.12 torch-2.5.1+cu121 CUDA:0 (Tesla T4, 15102MiB)\n"
    "Setup complete ✅ (2 CPUs, 12.7 GB RAM, 33.1/112.6 GB disk)\n\nOS                  Linux-6.1.85+-x86_64-with-glibc2.35\nEnvironment         Colab\n",
    "a person": "I am using an RTX 4080 and loading my own weights. Does anyone know what this is?\nThanks!\n",
    "a heading": "### Environment\n- torch: 2.6.0+cu126\n- GPU: RTX 4090\n",
    "typed commands": "$ pip list | grep torch\ntorch        2.6.0\n$ nvidia-smi -L\nGPU 0: NVIDIA GeForce RTX 3080 (UUID: GPU-1f)\n",
}  # fmt: skip
LINES = (
    "RuntimeError: the tile scheduler lost its tile",
    "KeyError: 'blocks.0.mixer.in_proj'",
    "Exception: nobody has met this one",
    "torch._dynamo.exc.Unsupported: call_method on a UserDefinedObject",
    "my_project.errors.ShapeMismatchError: (3, 4) against (4, 3)",
)


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("between", ["", "\n"])
def test_facts_below_an_exception_do_not_hide_it(line, beside, between):
    said = answer(f"{line}\n{between}{beside}")
    assert said.unknown == [(1, line)]
    assert said.verdict.startswith("Not recognised.")


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_facts_above_an_exception_do_not_hide_it(beside):
    said = answer(f"{beside}\n{LINES[0]}\n")
    assert [text for _, text in said.unknown] == [LINES[0]]


TRACEBACK = 'Traceback (most recent call last):\n  File "/srv/p/fit.py", line 31, in <module>\n    fit()\nPlanError: plan 7 has no tiles\n'


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE)
def test_facts_below_a_traceback_do_not_mean_that_the_program_went_on(beside):
    said = answer(f"{TRACEBACK}\n{beside}")
    assert said.unknown == [(4, "PlanError: plan 7 has no tiles")]


PREFIXES = {
    "docker build": "#14 41.92 ",
    "compose": "worker-2  | ",
    "swarm": "fit.3.k1x9@gpu-07    | ",
    "Kubernetes, with times": "2026-10-02T07:15:04.201834112Z ",
    "kubectl --prefix": "[pod/fit-0/main] ",
    "journald": "Oct  2 07:15:04 gpu-07 fit[4411]: ",
    "journald, ISO": "2026-10-02T07:15:04+0200 gpu-07 fit[4411]: ",
    "mpirun": "[1,3]<stderr>:",
    "torchrun": "[rank3]: ",
    "Slurm": "3: ",
    "Markdown": "> ",
    "words": "The error is: ",
    "a title": "[Bug]: ",
    "other words": "训练时报错：",
    "a log record": "ERROR:root:",
    "another log record": "2026-10-02 07:15:04,201 ERROR fit.py:31 - ",
}


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
def test_prefixes_of_other_programs_do_not_hide_an_exception(prefix):
    said = answer(f"{prefix}{LINES[0]}\n{prefix}NVIDIA RTX A6000\n")
    assert [line for line, _ in said.unknown] == [1]
    assert LINES[0] in said.unknown[0][1]


WENT_ON = (
    "the tile scheduler is skipped, using the slow path\n",
    "falling back to the math kernel\nepoch 1: loss 0.41\n",
    "INFO fit.py:40 resuming from step 1200\n",
    " 12%|#2        | 120/1000 [00:09<01:02]\n",
)


@pytest.mark.parametrize("after", WENT_ON)
def test_a_program_that_went_on_has_survived_the_exception(after):
    said = answer(f"loading the plan\n{LINES[0]}\n{after}")
    assert said.unknown == []


@pytest.mark.parametrize(
    "line",
    [
        "/v/lib/python3.11/site-packages/x.py:3: UserWarning: RuntimeError: the plan was ignored",
        "WARNING: caught (RuntimeError: no plan), the default is taken",
        "except RuntimeError:",
    ],
)
def test_a_quoted_exception_is_no_error(line):
    assert answer(f"{line}\ntorch 2.6.0+cu124\nNVIDIA RTX A6000\n").unknown == []


def test_what_stands_beside_an_unknown_error_is_judged_too():
    said = answer(
        f"{TRACEBACK}\nPackage      Version\n------------ -------\nfilelock     3.16.1\ntorch        2.6.0\ntorchvision  0.20.0\n"
    )
    assert "torchvision-mismatch" in said.roots
    assert said.unknown == [(4, "PlanError: plan 7 has no tiles")]


@pytest.mark.parametrize(
    ("text", "pasted"),
    [
        ("torch 2.4", True),
        ("Ubuntu 22.04, CUDA 12.1", True),
        ("[conda] pytorch  2.4.1  py3.11_cuda12.1", True),
        ("Downloading torch-2.4.1-cp311-cp311-manylinux1_x86_64.whl (797.1 MB)", False),
        ("epoch 3: torch 2.4", False),
        ("the plan has 7 tiles", False),
        ("2026-10-02 07:15:04 - fit - CRITICAL - we stop", False),
    ],
)
def test_a_line_of_a_person(text, pasted):
    assert is_pasted(text, states_a_fact=False) is pasted


FRAME = '  File "/home/user/miniforge3/envs/segmentation/lib/python3.11/site-packages/acme_models/backbones/hierarchical.py", line 233, in forward\n'
BROKEN = {
    "gpu-arch-unsupported-by-flash-attn": "RuntimeError: FlashAttention only supports\nAmpere GPUs or newer.",
    "no-kernel-image": "torch.AcceleratorError: CUDA error: no kernel image is available for execution\non the device",
    "dtype-unsupported": "RuntimeError: FlashAttention only support fp16\nand bf16 data type",
    "glibc-too-old": "ImportError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34'\nnot found (required by /srv/v/lib/python3.11/site-packages/"
    "selective_scan_cuda.cpython-311-x86_64-linux-gnu.so)",
    "driver-too-old": "RuntimeError: The NVIDIA driver on your system is too old (found\nversion 11080). Please update your GPU driver",
    "out-of-memory-gpu": "torch.OutOfMemoryError: CUDA out of\nmemory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB",
}  # fmt: skip


@pytest.mark.parametrize(("slug", "message"), BROKEN.items())
@pytest.mark.parametrize("frame", ["", FRAME])
@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("prefix", ["", "#9 31.07 "])
def test_a_broken_message_is_recognised_below_a_longer_frame(slug, message, frame, end, prefix):
    text = "\n".join(prefix + line for line in f"{frame}{message}".split("\n"))
    assert answer(f"{text}{end}").roots[:1] == [slug]


def test_a_version_below_a_message_is_no_rest_of_it():
    """The message ends with "enabled"; joined without a blank, "enabledworks" would hide the word that makes the next line another machine's."""
    said = answer("AssertionError: Torch not compiled with CUDA enabled\nworks on my macOS 14.5 laptop, but not here\n")
    assert not isinstance(said.facts.system.os, str)
