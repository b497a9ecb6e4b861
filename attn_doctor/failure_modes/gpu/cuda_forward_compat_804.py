"""A container image brings a newer driver library than the GPU allows.

What it is
    NVIDIA's cuda-compat package lets a newer libcuda run on an older kernel driver ("forward compatibility"). That is made for
    data-centre GPUs; on GeForce and most RTX cards CUDA refuses to start with error 804.

How it shows
    "Error 804: forward compatibility was attempted on non supported HW". nvidia-smi may show the CUDA version of the compat library.

Why it happens
    CUDA images bring /usr/local/cuda/compat, and it is found first because of LD_LIBRARY_PATH, the image's own start script, or
    the container toolkit. It matters only because the host's driver is older than the image's CUDA.

What to do
    Install a newer driver on the host. Or use an image with an older CUDA, or remove the compat folder from
    LD_LIBRARY_PATH.

How to reproduce
    `attn-doctor reproduce cuda-forward-compat-804` starts torch's CUDA with a stand-in of the driver. Stand-in: the
    driver. It needs a CUDA build of torch in the target. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html
    https://github.com/NVIDIA/nvidia-docker/issues/1515
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, every, known, present
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, Torch
from attn_doctor.failure_modes.shared import cuda_error_numbers, cuda_start
from attn_doctor.failure_modes.shared.fact_queries import no_machine, variable
from attn_doctor.knowledge.cuda import Coverage, driver_covers
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import parse

MODE = FailureMode(
    code="AD404",
    slug="cuda-forward-compat-804",
    title="A forward-compatibility libcuda on a GPU that does not support it",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "eager-fails",
        "model-not-built",
        "driver-too-old",
        "driver-missing",
        "driver-library-mismatch",
        "cuda-init-error",
        "no-gpu-present",
        "config-device-cpu",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
        "segfault",  # TensorRT's programs go on without a GPU, and crash
    ),
    signs=(
        Sign(
            pattern=r"forward compatibility was attempted on non[- ]supported HW",
            literal="forward compatibility was attempted",
            sample="UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before "
            "calling NumCudaDevices() that might have already set an error? Error 804: forward compatibility was attempted on non "
            "supported HW",
        ),
        Sign(
            pattern=r"Error 804:(?:\s*$| forward)",
            literal="Error 804:",
            sample="Unexpected error from cudaGetDeviceCount(). Error 804: forward compatibility was attempted on non supported HW",
        ),
        *cuda_error_numbers.signs(
            "804",
            ("cudaErrorCompatNotSupportedOnDevice", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"),
            sample=804,
        ),
    ),
    recipe=Recipe(
        does="starts torch's CUDA with a stand-in of the driver",
        of=(Torch(build="cuda"), StubDriver(cuda="13.9", refusal=804)),
        run=(("{python}", "-c", "import torch; torch.ones(1).cuda()"),),
        shows="Error 804",
        seconds=5,
        stands_in=("the driver",),
    ),
)

_REFUSED = 804  # CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE
_COMPAT = "/compat"
_CONSUMER = re.compile(r"GeForce|TITAN", re.IGNORECASE)


def detect(facts: Facts) -> Hit | None:
    if cuda_start.works(facts):
        return None
    if cuda_start.refused(facts) == _REFUSED:
        return Hit(
            message=f"The GPU's driver refuses the newer libcuda{_where(facts)}: forward compatibility is for data-centre GPUs.",
            evidence=(cuda_start.evidence(facts), *_library(facts)),
            certainty=Certainty.OBSERVED,
        )
    graphics = facts.graphics
    if graphics.cuda_error is None or cuda_start.refused(facts) is not None:
        return None  # CUDA started, or failed for another reason
    if not every(
        lambda: _COMPAT in present(graphics.libcuda),
        lambda: any(_CONSUMER.search(cuda_start.name(gpu)) for _, gpu in cuda_start.visible(facts)),
        lambda: _newer(known(graphics.libcuda_version), known(graphics.kernel_module)),
    ):
        return None
    return Hit(
        message=f"{graphics.libcuda} ({graphics.libcuda_version}) is newer than the driver ({graphics.kernel_module}), "
        f"and {cuda_start.name(cuda_start.visible(facts)[0][1])} allows no forward compatibility.",
        evidence=(*_library(facts), fact(facts, "graphics.kernel_module")),
        confidence=Confidence.MEDIUM,
    )


def _newer(library: str | None, module: str | None) -> bool:
    """Return whether the library has a higher version than the kernel module; False if one is unknown."""
    theirs, ours = parse(library or ""), parse(module or "")
    return theirs is not None and ours is not None and theirs > ours


def _where(facts: Facts) -> str:
    return f" in {facts.graphics.libcuda}" if isinstance(facts.graphics.libcuda, str) else ""


def _library(facts: Facts) -> tuple[Evidence, ...]:
    return (fact(facts, "graphics.libcuda"),) if isinstance(facts.graphics.libcuda, str) else ()


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify, off = commands.check(facts), None
    try:
        folders = (variable(facts, "LD_LIBRARY_PATH") or "").split(":")
    except Unsure:
        folders = []
    if any(_COMPAT in folder for folder in folders):
        rest = ":".join(folder for folder in folders if folder and _COMPAT not in folder)
        why = "without the compat folder, programs use the driver of the host"
        off = Fix(
            title="Remove the compat folder from the path",
            steps=(commands.variable("LD_LIBRARY_PATH", rest or None, why),),
            verify=verify,
        )
    elif places.container(facts) or facts.grade == "stated" or no_machine(facts):
        why = (
            "start the container with NVIDIA_DISABLE_REQUIRE=1 and without /usr/local/cuda/compat on LD_LIBRARY_PATH, or with an image "
            "for an older CUDA: programs then use the driver of the host"
        )
        if facts.system.os == "windows" or places.hosted(facts) or places.jetson(facts):
            why = "remove /usr/local/cuda/compat from LD_LIBRARY_PATH: programs then use the machine's own driver"
            ahead: tuple[Step, ...] = ()
        else:
            folder = f"/usr/lib/{places.architecture(facts)}-linux-gnu"
            before = "the host's own libcuda is in this folder (on RHEL and Rocky in /usr/lib64), and is then found before the one in the compat folder"
            ahead = (commands.in_front(facts, "LD_LIBRARY_PATH", folder, before),)
        steps: tuple[Step, ...] = (
            *ahead,
            commands.by_hand((), f"permanently: {why}" if ahead else why, "a new container", "none"),
        )
        off = Fix(title="Do not use the CUDA compat libraries of the container image", steps=steps, verify=verify)
    newer = nvidia_drivers.install(facts)
    # If the host's own driver can run torch's CUDA, it is enough: nothing has to be installed, and no reboot is needed.
    return (*newer, *([off] if off else [])) if _too_old(facts) else (*([off] if off else []), *newer)


def _too_old(facts: Facts) -> bool:
    """Return whether it is known that the driver of the host alone cannot run torch's CUDA."""
    module, cuda = facts.graphics.kernel_module, facts.torch.cuda
    if not isinstance(module, str) or not isinstance(cuda, str):
        return False
    found = driver_covers(module, cuda)
    return isinstance(found, Coverage) and not found.yes
