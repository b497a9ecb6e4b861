"""A cause has another cure on another machine: what is printed first, and what must not be printed there."""

from __future__ import annotations

import functools
import io

import pytest

from attn_doctor.commands.shells import shown
from attn_doctor.failure_modes import patterns
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.reader import Reader
from attn_doctor.model.facts import AmdGpu, Facts, Gpu, Graphics, Interpreter, System, Torch, Variable
from attn_doctor.model.findings import Goal

SHM = "RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error.\n"
MKL = "ImportError: /e/lib/python3.10/site-packages/torch/lib/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent\n"
TRITON = "RuntimeError: Cannot find a working triton installation.\n"
HIP = "RuntimeError: HIP error: invalid device function\n"
KFD = "ROCk module is NOT loaded, possibly no GPU devices\n"
ILLEGAL = "$ python -c 'import numpy'\nIllegal instruction (core dumped)\n"
CUDNN = "RuntimeError: cuDNN error: CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED\n"
FBGEMM = 'OSError: [WinError 126] Error loading "C:\\v\\Lib\\site-packages\\torch\\lib\\fbgemm.dll" or one of its dependencies.\n'
PTXAS = "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'\n"
DISK = "OSError: [Errno 28] No space left on device\n"

LINUX, WINDOWS = System(os="linux", machine="x86_64", wsl=None, container=None), System(os="windows", machine="x86_64")


def linux(**more: object) -> System:
    return System(**{"os": "linux", "machine": "x86_64", "wsl": None, "container": None, **more})


def turing(system: System, torch: str) -> Facts:
    card = Gpu(index=0, name="NVIDIA GeForce RTX 2060", compute_capability="7.5")
    return Facts(system=system, graphics=Graphics(gpus=(card,)), torch=Torch(version=torch))


def radeon(system: System, gfx: str) -> Facts:
    return Facts(system=system, graphics=Graphics(amd=(AmdGpu(name="AMD Radeon", gfx=gfx),)))


CONDA = Interpreter(kind="conda", prefix="/e", installers=("mamba 2.0", "pip 24.0"), python="/e/bin/python")

CASES = [
    (SHM, Facts(system=linux(container="docker")), "docker run --shm-size=8g IMAGE", "cache purge"),
    (SHM, Facts(system=linux(container="kubernetes")), "medium: Memory", "docker run"),
    (SHM, Facts(system=LINUX), "workers=0", "docker run"),
    (SHM, Facts(system=linux(hosted="colab", container="docker")), "workers=0", "docker run"),
    (MKL, Facts(system=LINUX, interpreter=CONDA), 'mamba install --yes --prefix /e "mkl<2024.1"', "--upgrade torch"),
    (MKL, Facts(system=LINUX, interpreter=Interpreter(kind="pixi")), 'pixi add "mkl<2024.1"', "conda"),
    (MKL, Facts(system=LINUX, interpreter=Interpreter(kind="venv")), "unset LD_LIBRARY_PATH", "conda"),
    (TRITON, Facts(system=WINDOWS, torch=Torch(version="2.8.0+cu128")), '"triton-windows==3.4.*"', "install triton "),
    (TRITON, Facts(system=WINDOWS, torch=Torch(version="2.4.1+cu121")), '"triton-windows==3.1.*"', "install triton "),
    (TRITON, turing(WINDOWS, "2.6.0+cu124"), '"triton-windows<3.3"', "3.2.*"),
    (TRITON, Facts(system=WINDOWS, torch=Torch(version="2.2.2+cu121")), "TORCH_COMPILE_DISABLE", "triton-windows"),
    (TRITON, Facts(system=LINUX, torch=Torch(version="2.6.0+cu124", hip=None)), "triton==3.2.0", "triton-windows"),
    (HIP, radeon(LINUX, "gfx1032"), "export HSA_OVERRIDE_GFX_VERSION=10.3.0", "ROCm build of torch"),
    (HIP, radeon(LINUX, "gfx1103"), "rocm/whl/gfx110X-all", "export HSA_OVERRIDE"),
    (HIP, radeon(WINDOWS, "gfx1032"), "rocm/whl/gfx103X-all", "Env:HSA_OVERRIDE"),
    (KFD, Facts(system=linux(wsl=2)), "Adrenalin", "modprobe"),
    (KFD, Facts(system=linux(container="docker")), "docker run --device=/dev/kfd --device=/dev/dri", "Adrenalin"),
    (KFD, Facts(system=LINUX), "sudo modprobe amdgpu", "docker run"),
    (
        ILLEGAL,
        Facts(system=linux(machine="aarch64", board="jetson")),
        "export OPENBLAS_CORETYPE=ARMV8",
        "host-passthrough",
    ),
    (ILLEGAL, Facts(system=LINUX), "-X faulthandler", "ARMV8"),
    (
        CUDNN,
        Facts(system=LINUX, environment=(Variable(name="LD_LIBRARY_PATH", value="/c/lib"),)),
        "LD_LIBRARY_PATH",
        "sudo",
    ),
    (CUDNN, Facts(system=LINUX, environment=()), "module unload cudnn", "unset LD_LIBRARY_PATH"),
    (CUDNN, Facts(system=WINDOWS), "where.exe", "LD_LIBRARY_PATH"),
    (
        FBGEMM,
        Facts(system=WINDOWS, torch=Torch(version="2.4.0+cu124")),
        "torch==2.4.1 torchvision==0.19.1 --index-url https://download.pytorch.org/whl/cu124",
        "VCRedist",
    ),
    (FBGEMM, Facts(system=WINDOWS, torch=Torch(version="2.6.0+cu124")), "Microsoft.VCRedist.2015+.x64", "torch==2.4.1"),
    (PTXAS, Facts(system=LINUX), "export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas", "TORCH_CUDA_ARCH_LIST"),
    (PTXAS, Facts(system=WINDOWS, torch=Torch(version="2.9.0+cu128")), "newer Triton", "/usr/local/cuda"),
    (
        DISK,
        Facts(system=LINUX, interpreter=Interpreter(kind="uv", installers=("uv 0.9",))),
        "uv cache clean",
        "pip cache",
    ),
    (
        "NoSpaceLeftError: No space left on devices.\n",
        Facts(system=LINUX, interpreter=CONDA),
        "mamba clean --all",
        "pip cache",
    ),
]


READER = functools.cache(lambda: Reader(patterns()))


def printed(log: str, facts: Facts) -> list[str]:
    """Return each fix of the first root cause as it is printed: title, commands and reasons."""
    read = READER().read(io.BytesIO(log.encode()), "log")
    found = next(f for f in diagnose(facts, Goal.FLASH_ATTN, logs=[read]).findings if f.root_cause)
    shell = "powershell" if facts.system.os == "windows" else "bash"
    return [
        "\n".join((fix.title, *(part for step in fix.steps for part in (shown(step, shell), step.why) if part)))
        for fix in found.fixes
    ]


@pytest.mark.parametrize(
    ("log", "facts", "first", "never"), CASES, ids=[f"{c[0].split()[0]}-{c[2][:30]}" for c in CASES]
)
def test_the_first_cure_is_that_of_the_machine(log, facts, first, never):
    fixes = printed(log, facts)
    assert first in fixes[0]
    assert not [fix for fix in fixes if never in fix]
