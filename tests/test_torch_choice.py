"""The torch of a machine: requirements and index, or words, each by hand for a machine that somebody has.

Versions and indexes are those of https://pytorch.org/get-started/ and of the tables, which name their sources.
"""

from __future__ import annotations

import pytest

from attn_doctor.knowledge import old_torch, torch_choice
from attn_doctor.knowledge.torch_choice import Choice, NoTorch, choose
from attn_doctor.knowledge.torch_machine import Machine

WHL = "https://download.pytorch.org/whl/"
PC = {"os": "linux", "machine": "x86_64", "maker": "nvidia"}
WIN = {"os": "windows", "machine": "AMD64", "maker": "nvidia", "driver_os": "windows"}
ARM = {"os": "linux", "machine": "aarch64", "maker": "nvidia"}
JETSON = {**ARM, "board": "jetson"}
AMD = {"os": "linux", "machine": "x86_64", "maker": "amd"}

# What a machine is -> requirements and the last part of the index ("" the registry's own).
CHOSEN = {
    "RTX 4090, driver 580, Python 3.12": (
        {**PC, "capabilities": ("8.9",), "driver": "580.95.05", "python": "3.12"},
        "torch==2.15.0 torchvision==0.29.2",
        "",
    ),
    "RTX 4090, driver 550: no CUDA 13": (
        {**PC, "capabilities": ("8.9",), "driver": "550.144.03", "python": "3.12"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu126",
    ),
    "A100 of a cluster, driver 525, Python 3.10": (
        {**PC, "capabilities": ("8.0",), "driver": "525.147.05", "python": "3.10", "glibc": "2.34"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu126",
    ),
    "driver 470, CUDA 11 alone": (
        {**PC, "capabilities": ("8.6",), "driver": "470.256.02", "python": "3.11"},
        "torch==2.7.1 torchvision==0.22.1",
        "cu118",
    ),
    "V100, new driver": (
        {**PC, "capabilities": ("7.0",), "driver": "590.48.01", "python": "3.12"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu126",
    ),
    "GTX 1080 Ti beside an RTX 3060": (
        {**PC, "capabilities": ("8.6", "6.1"), "driver": "580.95.05", "python": "3.12"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu126",
    ),
    "K80, Python 3.9": (
        {**PC, "capabilities": ("3.7",), "driver": "470.256.02", "python": "3.9"},
        "torch==2.7.1 torchvision==0.22.1",
        "cu118",
    ),
    "RTX 5090, driver 570": (
        {**PC, "capabilities": ("12.0",), "driver": "570.86.16", "python": "3.12"},
        "torch==2.11.0 torchvision==0.26.0",
        "cu128",
    ),
    "RTX 5070 named in a log, driver not known": (
        {**PC, "capabilities": ("12.0",), "python": "3.12"},
        "torch==2.11.0 torchvision==0.26.0",
        "cu128",
    ),
    "RTX 5070, Python not known: no release is pinned": (
        {**PC, "capabilities": ("12.0",)},
        "torch torchvision",
        "cu128",
    ),
    "Windows, driver 581, Python not known: cu130 begins with Python 3.10": (
        {**WIN, "capabilities": ("8.9",), "driver": "581.57"},
        "torch torchvision",
        "cu128",
    ),
    "driver 580, Python not known: the registry has a torch for each": (
        {**PC, "capabilities": ("8.9",), "driver": "580.95.05"},
        "torch torchvision",
        "",
    ),
    "an old YOLO, Python not known": (
        {**PC, "driver": "550.144.03", "before": "2.6"},
        "torch<2.6 torchvision<0.21",
        "",
    ),
    "CentOS 7, glibc 2.17": (
        {**PC, "capabilities": ("8.0",), "driver": "580.95.05", "python": "3.11", "glibc": "2.17"},
        "torch==2.6.0 torchvision==0.21.0",
        "",
    ),
    "Python 3.8": (
        {**PC, "capabilities": ("8.6",), "driver": "580.95.05", "python": "3.8"},
        "torch==2.4.1 torchvision==0.19.1",
        "",
    ),
    "Python 3.10, for which 2.15 has no wheel": (
        {**PC, "capabilities": ("8.9",), "driver": "580.95.05", "python": "3.10"},
        "torch==2.14.1 torchvision==0.29.1",
        "",
    ),
    "free-threaded Python 3.14": (
        {**PC, "capabilities": ("8.9",), "driver": "580.95.05", "python": "3.14t"},
        "torch==2.14.1 torchvision==0.29.1",
        "",
    ),
    "free-threaded Python 3.13": (
        {**PC, "capabilities": ("8.9",), "driver": "580.95.05", "python": "3.13t"},
        "torch==2.10.0 torchvision==0.25.0",
        "",
    ),
    "Windows, RTX 4070, new driver": (
        {**WIN, "capabilities": ("8.9",), "driver": "581.57", "python": "3.12"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu130",
    ),
    "Windows, RTX 3060, driver 537": (
        {**WIN, "capabilities": ("8.6",), "driver": "537.13", "python": "3.11"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu126",
    ),
    "Windows, GTX 1060": (
        {**WIN, "capabilities": ("6.1",), "driver": "581.57", "python": "3.12"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu126",
    ),
    "Windows, nothing else known": ({"os": "windows"}, "torch torchvision", "cu126"),
    "Windows without a GPU": (
        {"os": "windows", "maker": "none", "python": "3.12"},
        "torch==2.15.0 torchvision==0.29.2",
        "cpu",
    ),
    "Windows on ARM": (
        {"os": "windows", "machine": "ARM64", "maker": "none", "python": "3.12"},
        "torch==2.15.0 torchvision==0.29.2",
        "cpu",
    ),
    "WSL 2, driver of Windows 551": (
        {**PC, "wsl": True, "driver_os": "windows", "capabilities": ("8.9",), "driver": "551.86", "python": "3.12"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu126",
    ),
    "nvidia-smi says CUDA 12.2 alone": (
        {**PC, "driver_cuda": "12.2", "python": "3.11"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu126",
    ),
    "DGX Spark": (
        {**ARM, "board": "dgx-spark", "capabilities": ("12.1",), "driver": "580.95.05", "python": "3.12"},
        "torch==2.15.0 torchvision==0.29.2",
        "cu132",
    ),
    "GH200, driver 550": (
        {**ARM, "capabilities": ("9.0",), "driver": "550.127.08", "python": "3.11"},
        "torch==2.8.0 torchvision==0.23.0",
        "cu129",
    ),
    "GH200, driver 580, Python 3.10": (
        {**ARM, "capabilities": ("9.0",), "driver": "580.65.06", "python": "3.10"},
        "torch==2.14.1 torchvision==0.29.1",
        "cu130",
    ),
    "Raspberry Pi": (
        {"os": "linux", "machine": "aarch64", "maker": "none", "python": "3.13"},
        "torch==2.15.0 torchvision==0.29.2",
        "cpu",
    ),
    "RX 7900 XTX, ROCm 6.4": (
        {**AMD, "gfx": ("gfx1100",), "rocm": "6.4.1", "python": "3.12"},
        "torch==2.9.1 torchvision==0.24.1",
        "rocm6.4",
    ),
    "MI300X, ROCm 7.2": (
        {**AMD, "gfx": ("gfx942",), "rocm": "7.2.1", "python": "3.12"},
        "torch==2.14.0 torchvision==0.29.0",
        "rocm7.2",
    ),
    "MI210, ROCm 5.7, Python 3.10": (
        {**AMD, "gfx": ("gfx90a",), "rocm": "5.7.1", "python": "3.10"},
        "torch==2.2.2 torchvision==0.17.2 numpy<2",
        "rocm5.7",
    ),
    "Arc B580": (
        {"os": "linux", "machine": "x86_64", "maker": "intel", "python": "3.13"},
        "torch==2.13.0 torchvision==0.28.0",
        "xpu",
    ),
    "Arc A770 under Windows": (
        {"os": "windows", "machine": "AMD64", "maker": "intel", "python": "3.12"},
        "torch==2.13.0 torchvision==0.28.0",
        "xpu",
    ),
    "server without a GPU": (
        {"os": "linux", "machine": "x86_64", "maker": "none", "python": "3.12", "glibc": "2.36"},
        "torch==2.15.0 torchvision==0.29.2",
        "cpu",
    ),
    "Mac M3": (
        {"os": "darwin", "machine": "arm64", "maker": "none", "python": "3.12"},
        "torch==2.15.0 torchvision==0.29.2",
        "",
    ),
    "Mac with an Intel processor": (
        {"os": "darwin", "machine": "x86_64", "maker": "none", "python": "3.11"},
        "torch==2.2.2 torchvision==0.17.2 numpy<2",
        "",
    ),
    "Jetson Orin, JetPack 6.2": (
        {**JETSON, "jetpack": "6.2", "python": "3.10"},
        "torch torchvision",
        "https://pypi.jetson-ai-lab.io/jp6/cu126",
    ),
    "Jetson Thor, JetPack 7.0": (
        {**JETSON, "jetpack": "7.0", "python": "3.12"},
        "torch torchvision",
        "https://pypi.jetson-ai-lab.io/sbsa/cu130",
    ),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_the_torch_of_a_machine(name):
    facts, requirements, index = CHOSEN[name]
    found = choose(Machine(**facts))
    assert isinstance(found, Choice), found
    assert " ".join(found.requirements()) == requirements
    assert found.index_url == (index if index.startswith("https") else WHL + index if index else None)


# What a machine is -> title of the fix, and a word of each thing that has to be said.
WORDS = {
    "Alpine": ({**PC, "musl": True, "python": "3.12"}, "Install torch and torchvision", "glibc musl python:3.12-slim"),
    "Jetson, JetPack not known": (
        {**JETSON, "python": "3.10"},
        "Install NVIDIA's torch for this JetPack",
        "nv_tegra_release docs.nvidia.com PyPI",
    ),
    "Jetson Xavier, JetPack 5.1": (
        {**JETSON, "jetpack": "5.1.2", "python": "3.8"},
        "Install NVIDIA's torch for this JetPack",
        "developer.download.nvidia.com/compute/redist/jp/v512 3.8",
    ),
    "Jetson Nano, JetPack 4.6": (
        {**JETSON, "jetpack": "4.6.1", "python": "3.6"},
        "Install NVIDIA's torch for this JetPack",
        "torch-1.10.0-cp36-cp36m-linux_aarch64.whl 3.6",
    ),
    "Jetson Orin with a Python of its own": (
        {**JETSON, "jetpack": "6.2", "python": "3.12"},
        "Install NVIDIA's torch for this JetPack",
        "3.10 3.12 jp6/cu126",
    ),
    "WSL, RX 7900": (
        {**AMD, "wsl": True, "gfx": ("gfx1100",), "python": "3.12"},
        "Install AMD's torch for WSL",
        "rocm.docs.amd.com wsl/install-pytorch",
    ),
    "Python 3.16": (
        {**PC, "capabilities": ("8.9",), "driver": "580.95.05", "python": "3.16"},
        "Use Python 3.12",
        "3.16 3.11 3.15",
    ),
    "Python 3.7": (
        {"os": "linux", "machine": "x86_64", "maker": "none", "python": "3.7"},
        "Use Python 3.12",
        "3.7 3.12",
    ),
    "free-threaded Python 3.15": (
        {**PC, "capabilities": ("8.9",), "driver": "580.95.05", "python": "3.15t"},
        "Use Python 3.12",
        "3.15t",
    ),
    "RTX 5090, driver 470": (
        {**PC, "capabilities": ("12.0",), "driver": "470.256.02", "python": "3.12"},
        "Install a newer driver before torch",
        "470.256.02 525.60.13",
    ),
    "K80 beside an RTX 5090": (
        {**PC, "capabilities": ("3.7", "12.0"), "driver": "580.95.05", "python": "3.12"},
        "Install torch and torchvision",
        "CUDA_VISIBLE_DEVICES 3.7 12.0",
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_where_no_torch_fits_it_is_said_what_to_do(name):
    facts, title, words = WORDS[name]
    found = choose(Machine(**facts))
    assert isinstance(found, NoTorch), found
    assert found.title == title
    assert not [word for word in words.split() if word not in f"{found.words} {found.wheel or ''}"]


@pytest.mark.parametrize(
    ("jetpack", "python", "wheel"),
    [
        ("6.0", "3.10", "jp/v60/pytorch/torch-2.4.0a0+07cecf4168.nv24.05.14710581-cp310-cp310-linux_aarch64.whl"),
        ("5.1.2", "3.8", "jp/v512/pytorch/torch-2.1.0a0+41361538.nv23.06-cp38-cp38-linux_aarch64.whl"),
        ("5.1.2", "3.10", None),  # the wheel is for Python 3.8 alone
    ],
)
def test_the_wheel_of_a_jetson_is_that_of_its_jetpack_and_python(jetpack, python, wheel):
    found = choose(Machine(**{**JETSON, "jetpack": jetpack, "python": python}))
    assert isinstance(found, NoTorch)
    assert found.wheel == (wheel and f"https://developer.download.nvidia.com/compute/redist/{wheel}")


def test_the_file_for_jetpack_4_has_an_address_of_its_own():
    found = choose(Machine(**{**JETSON, "jetpack": "4.6.1", "python": "3.6"}))
    assert (found.wheel, found.torchvision) == ("torch-1.10.0-cp36-cp36m-linux_aarch64.whl", "0.11.1")
    assert found.fetch == "https://nvidia.box.com/shared/static/fjtbno0vpo676a25cgvuqc1wty0fkkg6.whl"


def test_a_driver_that_is_not_known_is_said_so_and_how_it_is_read():
    found = choose(Machine(os="windows", maker="nvidia"))
    assert "nvidia-smi" in found.doubt
    assert "12.0 or newer" in found.doubt
    assert choose(Machine(**CHOSEN["Windows, RTX 4070, new driver"][0])).doubt is None


def test_a_card_that_the_rocm_wheels_lack_is_told_the_override():
    found = choose(Machine(**AMD, gfx=("gfx1032",), rocm="6.2", python="3.9"))
    assert "HSA_OVERRIDE_GFX_VERSION=10.3.0" in found.doubt


@pytest.mark.parametrize(
    ("facts", "index"),
    [
        (
            {**AMD, "gfx": ("gfx1031",), "rocm": "7.2"},
            "gfx103X-all",
        ),  # AMD's index has code for it, and needs no override
        ({"os": "windows", "maker": "amd", "gfx": ("gfx1101",)}, "gfx110X-all"),
    ],
)
def test_a_card_that_only_amds_own_index_serves(facts, index):
    found = choose(Machine(**facts, python="3.12"))
    assert (found.requirements(), found.doubt) == (("torch", "torchvision"), None)
    assert found.index_url == f"https://repo.amd.com/rocm/whl/{index}/"


@pytest.mark.parametrize(
    ("torch", "requirements"),
    [
        ("2.9.1", "torch==2.9.1 torchvision==0.24.1 torchaudio==2.9.1"),
        ("2.13.0+cu126", "torch==2.13.0 torchvision==0.28.0 torchaudio==2.11.0"),
    ],
)
def test_torchaudio_ends_with_2_11(torch, requirements):
    assert " ".join(torch_choice.same(torch, "torchvision", "torchaudio")) == requirements


@pytest.mark.parametrize(
    ("torch", "os", "wanted"),
    [
        ("2.2.2", "linux", "numpy<2"),
        ("2.3.1", "windows", "numpy<2"),
        ("2.3.1", "linux", "numpy"),
        ("2.15.0", "linux", "numpy"),
    ],
)
def test_an_old_torch_gets_numpy_1(torch, os, wanted):
    assert torch_choice.numpy_for(torch, os=os) == wanted


@pytest.mark.parametrize(
    ("card", "cuda", "requirement"),
    [
        ("7.5", "10.2", "torch==1.12.1+cu102"),
        ("8.6", "10.2", None),  # CUDA 10.2 has no code for Ampere
        ("8.6", "11.3", "torch==1.12.1+cu113"),
    ],
)
def test_an_old_torch_for_a_toolkit_also_runs_on_the_card(card, cuda, requirement):
    machine = Machine(os="linux", machine="x86_64", maker="nvidia", capabilities=(card,), python="3.9")
    found = old_torch.for_toolkit(cuda, machine)
    assert (found and found.requirements[0]) == requirement
