"""The system and the board in a person's own words, and the package whose sources hold a copy of flash-attention. Texts written by hand."""

from __future__ import annotations

import pytest
from read_texts import answer

from attn_doctor.model.facts import Unknown

NO_CUDA = "AssertionError: Torch not compiled with CUDA enabled\n\n"


@pytest.mark.parametrize(
    "words",
    [
        "M1 Ultra, macOS 13.6, torch 2.2",
        "macOS 15.1",
        "running macOS Ventura",
        "Apple Silicon",
        "my MacBook Air, Python 3.12",
        "M4 Pro chip, 48 GB",
        "iMac 2021",
        "Mac Studio, 64 GB, torch 2.5",
        "OS X 12.7",
        "this is macOS",
    ],
)
def test_a_mac_gets_no_cure_for_cuda(words):
    said = answer(f"{NO_CUDA}{words}\n")
    assert said.facts.system.os == "darwin"
    assert said.installed == []
    assert "Mac" in said.diagnosis.findings[0].message


@pytest.mark.parametrize(
    ("words", "os", "wsl"),
    [
        ("Windows 10, Python 3.11, RTX 2070", "windows", None),
        ("Win11, torch 2.6, RTX 5080", "windows", None),
        ("RTX 4050 Laptop on Windows", "windows", None),
        ("I am on Windows, Python 3.12", "windows", None),
        ("WSL2 Ubuntu 24.04, RTX 4070", "linux", 2),
        ("Windows 11, WSL2, RTX 3090", "linux", 2),
        ("Ubuntu 20.04, RTX 2080 Ti", "linux", None),
        ("Fedora 41, RTX 4090", "linux", None),
    ],
)
def test_a_system_in_words(words, os, wsl):
    system = answer(f"{NO_CUDA}{words}\n").facts.system
    assert system.os == os
    assert (None if isinstance(system.wsl, Unknown) else system.wsl) == wsl


@pytest.mark.parametrize(
    "words", ["Jetson Orin Nano, torch 2.3", "AGX Xavier 32GB", "Orin NX 16GB", "on a Jetson, Python 3.10"]
)
def test_a_board_in_words(words):
    system = answer(f"{NO_CUDA}{words}\n").facts.system
    assert (system.os, system.board, system.machine) == ("linux", "jetson", "aarch64")


@pytest.mark.parametrize(
    "words",
    [
        "needs macOS 13 or Windows 11",
        "It is not supported on Windows",
        "works on my Windows 11 laptop",
        "wheels for Windows 11 and Ubuntu 22.04",
        "unlike macOS 14, this has no GPU",
        "Linux, Windows 11 and macOS 14 are tested",
        "M.2 Pro disk",
    ],
)
def test_a_line_about_other_machines_states_nothing(words):
    assert isinstance(answer(f"{NO_CUDA}{words}\n").facts.system.os, Unknown)


def test_what_a_program_printed_counts_more_than_words():
    text = '  File "/home/me/p/train.py", line 3, in <module>\nAssertionError: Torch not compiled with CUDA enabled\n\nedited on my MacBook\n'
    assert answer(text).facts.system.os == "linux"


KILLED = "Killed\nninja: build stopped: subcommand failed.\n"


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("/data/me/xformers/third_party/flash-attention/csrc/flash_attn/src/flash_bwd_hdim64_fp16_sm80.cu", "xformers"),
        ("/tmp/b/xformers-0.0.28/third_party/flash-attention/hopper/instantiations/flash_fwd_hdim64.cu", "xformers"),
        (r"C:\dev\xformers\third_party\flash-attention\csrc\flash_attn\src\flash_fwd_hdim64.cu", "xformers"),
        ("/code/vllm/.deps/vllm-flash-attn-src/csrc/flash_attn/src/flash_fwd_hdim96_bf16_sm80.cu", "vllm"),
        ("/code/TransformerEngine/3rdparty/flash-attention/csrc/flash_attn/flash_api.cpp", "transformer-engine"),
        ("/code/flash-attention/csrc/flash_attn/src/flash_fwd_hdim96_bf16_sm80.cu", "flash-attn"),
    ],
)
def test_a_copy_of_flash_attention_belongs_to_the_package_around_it(source, package):
    said = answer(f"[12/80] /usr/local/cuda-12.4/bin/nvcc -O3 -c {source} -o x.o\n{KILLED}")
    assert said.facts.subject.package == package
    assert ("flash-attn" in said.installed) == (package == "flash-attn")


@pytest.mark.parametrize(
    "source",
    [
        "/code/pytorch/third_party/flash-attention/csrc/flash_attn/src/flash_fwd_hdim96_bf16_sm80.cu",
        "/code/pytorch/aten/src/ATen/native/transformers/cuda/flash_attn/kernels/flash_fwd_hdim96_bf16_sm80.cu",
        "/build/third_party/flash-attention/csrc/flash_attn/src/flash_fwd_hdim96_bf16_sm80.cu",
    ],
)
def test_a_copy_in_torch_or_in_an_unnamed_package_is_not_flash_attn(source):
    said = answer(f"[12/80] /usr/local/cuda-12.4/bin/nvcc -O3 -c {source} -o x.o\n{KILLED}")
    assert isinstance(said.facts.subject.package, Unknown)
    assert said.installed == []
