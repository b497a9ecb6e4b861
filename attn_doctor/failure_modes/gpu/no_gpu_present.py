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
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import ASK_DRIVER, PlayedMachine, Recipe, Torch, no_system_library
from attn_doctor.failure_modes.shared import without_gpu
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.machine import AMD, NVIDIA, only_intel

MODE = FailureMode(
    code="AD419",
    slug="no-gpu-present",
    title="No GPU that PyTorch can use",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="gpu",
    signs=(
        # They count where the log names a GPU of Intel and no other: CUDA says the same where a driver is too old or missing.
        *(
            Sign(pattern=pattern, literal=literal, sample=sample, strength="hint")
            for pattern, literal, sample in (
                (
                    "CUDA driver version is insufficient for CUDA runtime version",
                    "driver version is insufficient",
                    "RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version",
                ),
                (
                    "Found no NVIDIA driver on your system",
                    "Found no NVIDIA driver",
                    "RuntimeError: Found no NVIDIA driver on your system.",
                ),
                (
                    "No CUDA GPUs are available",
                    "No CUDA GPUs are available",
                    "RuntimeError: No CUDA GPUs are available",
                ),
                (
                    "no CUDA-capable device is detected",
                    "no CUDA-capable device is detected",
                    "RuntimeError: CUDA error: no CUDA-capable device is detected",
                ),
                (
                    "NVIDIA driver on your system is too old",
                    "driver on your system is too old",
                    "RuntimeError: The NVIDIA driver on your system is too old",
                ),
            )
        ),
    ),
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


class Intel(Variant, frozen=True):
    """Mark the case that the only GPU in the log is from Intel, and the program asks for CUDA."""


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


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not only_intel(facts) or without_gpu.absent(
        facts
    ):  # a machine that was seen to have no GPU: driver-missing says so
        return None
    return Hit(
        message="The program asks for CUDA, and the GPU there is from Intel: CUDA runs on NVIDIA GPUs only, and no driver changes that.",
        evidence=evidence,
        variant=Intel(),
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, Intel):
        return (nvidia_drivers.no_nvidia_gpu(facts),)
    session = nvidia_drivers.session_with_gpu(facts)
    return (session,) if session else ()
