"""The torch of a machine: requirements and index, or words, each by hand for a machine that somebody has.

Versions and indexes are those of https://pytorch.org/get-started/ and of the tables, which name their sources.
"""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest
from whole_machines import CARD, RTX_4090, changed, gpu, packages, without_driver

from attn_doctor import commands
from attn_doctor.examination.inputs import log_reader
from attn_doctor.failure_modes.shared import torch_carried_over, torch_here, torch_install, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import machine_of, own_index
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.knowledge import torch_choice
from attn_doctor.knowledge.torch_choice import Choice, NoTorch, choose
from attn_doctor.knowledge.torch_machine import Machine
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.facts import AmdGpu, Fault, PciDevice, Unknown, Variable
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import Install

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
        "forums.developer.nvidia.com",
    ),
    "Jetson Orin with a Python of its own": (
        {**JETSON, "jetpack": "6.2", "python": "3.12"},
        "Install NVIDIA's torch for this JetPack",
        "3.10 3.12 jp6/cu126",
    ),
    "Windows, RX 7800": (
        {"os": "windows", "maker": "amd", "gfx": ("gfx1101",), "python": "3.12"},
        "Install AMD's torch for Windows",
        "rocm.docs.amd.com windows/install-pytorch",
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
        ("4.6.1", "3.6", None),
    ],
)
def test_the_wheel_of_a_jetson_is_that_of_its_jetpack_and_python(jetpack, python, wheel):
    found = choose(Machine(**{**JETSON, "jetpack": jetpack, "python": python}))
    assert isinstance(found, NoTorch)
    assert found.wheel == (wheel and f"https://developer.download.nvidia.com/compute/redist/{wheel}")


def test_a_driver_that_is_not_known_is_said_so_and_how_it_is_read():
    found = choose(Machine(os="windows", maker="nvidia"))
    assert "nvidia-smi" in found.doubt
    assert "12.0 or newer" in found.doubt
    assert choose(Machine(**CHOSEN["Windows, RTX 4070, new driver"][0])).doubt is None


def test_a_card_that_the_rocm_wheels_lack_is_told_the_override():
    found = choose(Machine(**AMD, gfx=("gfx1031",), rocm="7.2", python="3.12"))
    assert "HSA_OVERRIDE_GFX_VERSION=10.3.0" in found.doubt


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


# -- steps, from the facts of a machine


def argv(fix):
    return [" ".join(commands.rendered(RTX_4090, step).argv) for step in fix.steps]


BARE = changed(
    RTX_4090,
    torch__version=None,
    torch__importable=False,
    torch__available=False,
    torch__cuda=None,
    packages__distributions=(),
)
PIP = "/venv/bin/python -m pip install "


def test_an_empty_environment_ends_with_the_command():
    assert argv(torch_steps.newest(BARE)[0]) == [PIP + "torch==2.15.0 torchvision==0.29.2"]
    without = changed(BARE, graphics__pci=(), graphics__gpus=(), graphics__driver=None, graphics__driver_cuda=None)
    assert argv(torch_steps.newest(without)[0]) == [PIP + f"torch==2.15.0 torchvision==0.29.2 --index-url {WHL}cpu"]


def test_a_card_without_a_driver_gets_a_build_that_most_drivers_run():
    fix = torch_steps.newest(without_driver(BARE))[0]
    assert argv(fix) == [PIP + f"torch==2.14.1 torchvision==0.29.1 --index-url {WHL}cu126"]
    assert "nvidia-smi" in fix.steps[0].why


def test_a_small_intel_gpu_is_none_and_an_arc_is_one():
    plain = {"graphics__gpus": (), "graphics__driver": None, "graphics__driver_cuda": None}
    for device, maker in (("a780", "none"), ("56a0", "intel"), ("e20b", "intel"), ("7d55", "intel")):
        bus = (PciDevice(vendor="8086", device=device, pci_class="0300"),)
        assert machine_of(changed(BARE, graphics__pci=bus, **plain)).maker == maker


def test_the_graphics_of_a_ryzen_are_no_reason_for_rocm():
    away = {"graphics__pci": (), "graphics__gpus": (), "graphics__driver": None, "graphics__driver_cuda": None}
    small = changed(BARE, **away, graphics__amd=(AmdGpu(name="AMD Radeon Graphics", gfx="gfx90c"),))
    both = changed(BARE, **away, graphics__amd=(AmdGpu(gfx="gfx1100"), AmdGpu(gfx="gfx1036")), graphics__rocm="7.2")
    assert machine_of(small).maker == "none"
    assert machine_of(both).gfx == ("gfx1100",)
    assert torch_steps.newest(both)[0].steps[0].index_url == WHL + "rocm7.2"


def test_on_colab_the_torch_of_the_host_comes_first():
    there = changed(RTX_4090, system__hosted="colab", torch__version="2.14.1+cpu", torch__cuda=None)
    first, second = torch_steps.newest(there, "Install a CUDA build of torch")
    assert first.title == "Use Colab's own torch again"
    assert not [step for step in first.steps if isinstance(step, Install)]
    assert second.steps[0].requirements == ("torch==2.15.0", "torchvision==0.29.2")


def test_where_conda_installed_torch_conda_installs_it_again():
    listed = tuple(
        d if d.name not in ("torch", "torchvision") else d.__class__(name=d.name, version=d.version, installer="conda")
        for d in RTX_4090.packages.distributions
    )
    there = changed(
        RTX_4090,
        packages__distributions=listed,
        interpreter__kind="conda",
        interpreter__prefix="/opt/conda/envs/yolo",
        torch__version="2.9.1",
        torch__cuda=None,
    )
    (fix,) = torch_steps.newest(there)
    assert fix.steps[0].argv == (
        "conda",
        "install",
        "--prefix",
        "/opt/conda/envs/yolo",
        "-c",
        "conda-forge",
        "pytorch-gpu",
        "torchvision",
    )
    by_pip = changed(there, packages__distributions=packages(torch="2.9.1"))
    assert isinstance(torch_steps.newest(by_pip)[0].steps[0], Install)


def test_the_same_build_comes_again_from_its_own_index():
    there = changed(
        RTX_4090,
        torch__version="2.8.0+cu126",
        torch__cuda="12.6",
        packages__distributions=packages(torch="2.8.0", torchvision="0.23.0", numpy="2.4.6"),
    )
    assert [" ".join(s.requirements) for s in torch_here.again(there)] == ["torch==2.8.0 torchvision==0.23.0"] * 2
    assert {s.index_url for s in torch_here.again(there)} == {WHL + "cu126"}
    everything = torch_here.again(there, everything=True)[0]
    assert everything.requirements == ("torch==2.8.0", "torchvision==0.23.0", "numpy==2.4.6")


def test_an_index_of_the_users_own_is_asked_for_the_build():
    there = changed(
        RTX_4090, torch__version="2.8.0+cu126", torch__cuda="12.6", packages__distributions=packages(torch="2.8.0", torchvision="0.23.0"),
        environment=(Variable(name="PIP_INDEX_URL", value="https://me:secret@nexus.example/simple"),),
    )  # fmt: skip
    step = torch_here.again(there)[0]
    assert (step.requirements, step.index_url) == (("torch==2.8.0+cu126", "torchvision==0.23.0+cu126"), None)
    assert "nexus.example" in step.why
    assert "secret" not in repr(step)
    assert (
        own_index(changed(there, environment=(Variable(name="PIP_INDEX_URL", value="https://pypi.org/simple"),)))
        is None
    )
    assert (
        own_index(changed(there, environment=(), interpreter__indexes=("https://a.example/simple",)))
        == "https://a.example/simple"
    )


@pytest.mark.parametrize(
    ("version", "cuda", "driver", "kept"),
    [
        ("2.8.0+cpu", None, "580.95.05", False),  # a CPU build, half written, beside an RTX 4090
        ("2.15.0+cu132", "13.2", "550.54.14", False),  # this driver does not run it
        ("2.14.1+cu126", "12.6", "550.54.14", True),
        ("2.6.0+cu124", "12.4", "550.54.14", True),
        ("2.9.0a0+145a3a7bda.nv25.10", "13.0", "580.95.05", True),  # NVIDIA's container
    ],
)
def test_an_interrupted_installation_is_cured_with_the_build_for_this_machine(version, cuda, driver, kept):
    there = changed(
        RTX_4090, torch__version=version, torch__cuda=cuda, torch__importable=False, graphics__driver=driver,
        torch__available=Unknown("it does not import"),
        torch__fault=Fault(kind="raised", type="ImportError", message="libtorch_cpu.so: file too short"),
    )  # fmt: skip
    assert bool(torch_here.again(there)) is kept
    titles = [
        x.title for f in diagnose(there, Goal.TRAIN).findings if f.slug == "torch-install-broken" for x in f.fixes
    ]
    assert titles[0] == ("Install torch afresh" if kept else "Install torch afresh, in the build for this machine")


def test_the_torchvision_follows_the_torch_that_is_there():
    there = changed(RTX_4090, torch__version="2.6.0+cu124", torch__cuda="12.4")
    step = torch_here.vision(there)
    assert (step.requirements, step.index_url) == (
        ("torchvision==0.21.0",),
        None,
    )  # the registry's build of 2.6 is cu124
    windows = changed(there, system__os="windows", interpreter__platform="win-amd64")
    assert torch_here.vision(windows).index_url == WHL + "cu124"
    jetson = changed(
        there,
        torch__version="2.5.0a0+872d972e41.nv24.08",
        system__board="jetson",
        system__jetpack="6.1",
        system__machine="aarch64",
    )
    assert "NVIDIA" in torch_here.vision(jetson).why
    assert not isinstance(torch_here.vision(jetson), Install)


def test_the_torch_of_a_wheel_is_one_with_cuda_also_where_no_gpu_is():
    away = changed(RTX_4090, graphics__pci=(), graphics__gpus=(), graphics__driver=None, graphics__driver_cuda=None)
    (step,) = torch_steps.release(away, "2.8.0", "it has a wheel", "12.8")
    assert (step.requirements, step.index_url) == (("torch==2.8.0", "torchvision==0.23.0"), None)


def test_the_build_that_is_there_is_not_installed_again():
    assert torch_steps.newest(RTX_4090) == ()
    assert len(torch_steps.newest(RTX_4090, reinstall=True)[0].steps) == 2


def test_two_cards_are_both_served():
    two = changed(
        RTX_4090,
        graphics__gpus=(gpu("NVIDIA GeForce RTX 3090", "8.6"), gpu("NVIDIA TITAN V", "7.0")),
        graphics__pci=(CARD, CARD),
    )
    assert torch_steps.newest(two)[0].steps[0].index_url == WHL + "cu126"


# -- logs alone

READER = log_reader()


def facts_of(text):
    return facts_of_logs([READER.read(io.BytesIO(text.encode()), "log")])


@pytest.mark.parametrize(
    ("lines", "requirements", "index"),
    [
        (
            r'File "C:\Users\me\ai\venv\Lib\site-packages\torchvision\_meta_registrations.py", line 26',
            "torch torchvision",
            "cu126",
        ),
        (
            "OS: Windows 11\nGPU 0: NVIDIA GeForce RTX 5080 (UUID: GPU-1)\nDriver Version: 577.00",
            "torch torchvision",
            "cu128",
        ),
        (
            "| NVIDIA-SMI 550.90  Driver Version: 550.90.07  CUDA Version: 12.4 |\nPython version: 3.11.4",
            "torch==2.14.1 torchvision==0.29.1",
            "cu126",
        ),
    ],
)
def test_a_log_alone_gets_a_torch_with_an_index(lines, requirements, index):
    facts = facts_of(lines)
    found = torch_install.choice(facts)
    assert " ".join(found.requirements()) == requirements
    assert found.index_url == WHL + index


def test_a_log_of_a_jetson_gets_nvidias_torch():
    facts = facts_of("Linux ubuntu 5.15.148-tegra\nJetPack 6.2\nPython 3.10.12")
    assert torch_install.choice(facts).index_url == "https://pypi.jetson-ai-lab.io/jp6/cu126"


# -- where no index is reached


def test_the_wheels_that_are_carried_over_are_named_for_this_machine():
    windows = changed(RTX_4090, system__os="windows", interpreter__platform="win-amd64", graphics__driver="560.94")
    fetch, copy, put = torch_carried_over.carried_over(windows)
    assert (
        " ".join(fetch.argv)
        == f"python -m pip download -d wheels torch==2.14.1 torchvision==0.29.1 --index-url {WHL}cu126"
    )
    assert "Windows and Python 3.12" in fetch.why
    assert "torch-2.14.1+cu126-cp312-*.whl" in fetch.why
    assert not isinstance(copy, Install)
    assert (put.requirements, put.from_folder, put.index_url) == (
        ("torch==2.14.1", "torchvision==0.29.1"),
        "wheels",
        None,
    )
    jetson = changed(RTX_4090, system__board="jetson", system__machine="aarch64", system__jetpack=None)
    assert len(torch_carried_over.carried_over(jetson)) == 1


def test_another_package_that_cannot_be_fetched_is_not_cured_with_torch():
    text = (
        "$ pip install causal-conv1d\n"
        "Collecting causal-conv1d\n"
        "ERROR: Could not find a version that satisfies the requirement causal-conv1d (from versions: none)\n"
        "ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy Authentication Required'))\n"
    )
    log = READER.read(io.BytesIO(text.encode()), "log")
    found = diagnose(facts_of_logs([log]), Goal.TRAIN, logs=[log]).findings
    proxy = next(f for f in found if f.slug == "network-proxy-ssl")
    assert "causal-conv1d" in repr(proxy.fixes)
    assert "torch==" not in repr(proxy.fixes)


def test_on_kaggle_a_broken_torch_is_first_taken_from_the_host():
    fault = Fault(kind="raised", type="ImportError", message="libtorch_cpu.so: file too short")
    there = changed(RTX_4090, system__hosted="kaggle", torch__importable=False, torch__fault=fault)
    found = next(f for f in diagnose(there, Goal.TRAIN).findings if f.slug == "torch-install-broken")
    assert found.fixes[0].title == "Use Kaggle's own torch again"


# -- one place


ROOM = Path(torch_choice.__file__).parents[1]
# These hold the texts that are looked for: the chooser; what a log or a user writes; the words that a plan may hold; recipes, which fail on purpose.
ALLOWED = {
    "knowledge/torch_choice.py",
    "knowledge/torch_machine.py",
    "failure_modes/shared/torch_here.py",
    "failure_modes/shared/torch_install.py",
    "failure_modes/shared/torch_steps.py",
    "failure_modes/shared/uv_lock.py",  # the last torch for Intel Macs, from a table
    "fixes/step_safety.py",
    "project_files/dockerfile.py",  # reads the tag of an image as a wish
    "reproduction/ingredients.py",  # a throw-away environment, in which something is to fail
}
_INSTALLING = {"install", "reinstall", "Install", "by_hand", "rendered"}
_FAMILY_NAMES = ("torch", "pytorch.org")
_FAMILY = re.compile(r"^(?:torch|torchvision|torchaudio)(?:[=<>~!]=|$)")


def _texts(node):
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def test_no_other_module_names_a_torch_to_install_or_an_index_of_it():
    said = [
        place
        for path in sorted(ROOM.rglob("*.py"))
        if (name := path.relative_to(ROOM).as_posix()) not in ALLOWED
        for place in _named(name, path.read_text("utf-8"))
    ]
    assert said == []


@pytest.mark.parametrize(
    "code",
    [
        'commands.install(f"torch=={version}", why="")',
        'commands.install("torch", "torchvision", upgrade=True)',
        'wanted = f"torchvision=={wanted}"',
        'index = f"https://download.pytorch.org/whl/{flavour}"',
        'commands.by_hand(("pip", "install", "torch"), "", "")',
        'Install(requirements=("torchaudio>=2",), why="", changes="")',
    ],
)
def test_such_a_requirement_would_be_found(code):
    assert list(_named("module.py", code))


def test_words_about_torch_are_not_taken_for_a_requirement():
    code = '"""torch==2.1"""\nversion(facts, "torch")\nrunner.run("torch", 1)\nSign(sample="torch==2.1.0")'
    assert not list(_named("module.py", code))


def _named(name, text):
    if not any(word in text for word in _FAMILY_NAMES):
        return
    tree = ast.parse(text)
    docs = {
        n.body[0].value
        for n in ast.walk(tree)
        if isinstance(n, ast.Module | ast.FunctionDef | ast.ClassDef) and n.body and isinstance(n.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):  # f"torch=={version}"
            first = str(getattr(node.values[0], "value", "")) if node.values else ""
            if re.match(r"(?:torch|torchvision|torchaudio)[=<>~!]=", first):
                yield f"{name}:{node.lineno}"
        words = node.value if isinstance(node, ast.Constant) and node not in docs else None
        if isinstance(words, str) and "download.pytorch.org/whl/" in words and "(?" not in words:
            yield f"{name}:{node.lineno}"
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in _INSTALLING:
            values = [*node.args, *(k.value for k in node.keywords if k.arg == "requirements")]
            told = [text for value in values for text in _texts(value)]
            if any(map(_FAMILY.match, told)) and "remove" not in told:
                yield f"{name}:{node.lineno}"
