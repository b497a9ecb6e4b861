"""There is no GPU that PyTorch can use.

What it is
    This machine has no NVIDIA or AMD GPU, and it is not a Mac with an Apple chip. Training runs on the CPU; flash-attn
    cannot run.

How it shows
    "Flash Attention 2 is not available on CPU. Please make sure torch can access a CUDA device."; "No CUDA GPUs are available".

Why it happens
    The machine has no GPU; or a virtual machine was not given one.

What to do
    Nothing, for training on the CPU: PyTorch's own fused attention works there and is faster than YOLO12's eager one on large
    images. flash-attn needs a machine with a GPU to run; building and installing it needs none, as on a login node, in CI or
    in `docker build`. `attn-doctor check --gpu 8.9` judges for the GPU that will run it (its compute capability, or a name such
    as "RTX 4090").

How to reproduce
    `attn-doctor reproduce no-gpu-present` looks for a driver on a played laptop without a GPU, and examines that machine. Stand-in: the
    laptop, which is a folder of files. If that is not available, a simulated machine is judged.

References
    https://github.com/FunAudioLLM/FunMusic/issues/30
"""

from __future__ import annotations

from attn_doctor.commands import nvidia_drivers
from attn_doctor.failure_modes.mode import FailureMode, Hit, every, known
from attn_doctor.failure_modes.recipe import ASK_DRIVER, PlayedMachine, Recipe, Torch, no_system_library
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Fix, Goal, Severity, fact
from attn_doctor.model.machine import AMD, NVIDIA

MODE = FailureMode(
    code="AD419",
    slug="no-gpu-present",
    title="No GPU that PyTorch can use",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("torch-sees-no-gpu", "cuda-init-error", "config-device-cpu"),  # not a failed build: a build needs no GPU
    recipe=Recipe(
        does="looks for a driver on a played laptop without a GPU, and examines that machine",
        of=(
            Torch(build="cuda", if_there=True),
            PlayedMachine(pci=(("8086", "9a49", "i915"),)),
            *no_system_library("libcuda.so*"),
        ),
        run=(ASK_DRIVER,),
        shows="libcuda.so.1: cannot open shared object file",
        examine=("--no-trial",),
        goal=Goal.TRAIN,
        seconds=8,
        stands_in=("the laptop",),
    ),
)


def detect(facts: Facts) -> Hit | None:
    graphics = facts.graphics
    if not every(
        lambda: not known(graphics.gpus),
        lambda: not known(graphics.amd),
        lambda: known(graphics.apple) is not True,
        lambda: not any(d.vendor in (NVIDIA, AMD) for d in known(graphics.pci)),
        lambda: known(facts.system.dxg) is not True,
    ):
        return None
    return Hit(
        message="This machine has no GPU that PyTorch can use: it trains on the CPU. flash-attn runs only on a machine "
        "with a GPU (to judge for the GPU of another machine, such as an RTX 4090: `attn-doctor check --gpu 8.9`).",
        evidence=(fact(facts, "graphics.pci", "no NVIDIA or AMD device on the PCI bus"),),
        certainty=Certainty.OBSERVED,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    session = nvidia_drivers.session_with_gpu(facts)
    return (session,) if session else ()
