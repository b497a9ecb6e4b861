"""The GPUs are connected by an NVSwitch that is not set up.

What it is
    On HGX and DGX machines (A100, H100, H200, B200 with NVLink switches) CUDA starts only after the service nvidia-fabricmanager
    has set the switches up. nvidia-smi shows all GPUs; every program gets error 802.

How it shows
    "Error 802: system not yet initialized", cudaErrorSystemNotReady; nvidia-smi -q shows "Fabric State: In Progress".

Why it happens
    The service is not installed, not started, or its version is not exactly the version of the driver.

What to do
    Install nvidia-fabricmanager in the version of the driver, and start it. In a container or on a rented machine, that
    has to be done on the host.

How to reproduce
    `attn-doctor reproduce cuda-fabric-manager-802` starts torch's CUDA with a stand-in of the driver. Stand-in: the
    driver. It needs a CUDA build of torch in the target. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/
    https://github.com/pytorch/pytorch/issues/35710
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places, system_tools
from attn_doctor.commands.places import Manager
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, Torch
from attn_doctor.failure_modes.shared import cuda_error_numbers, cuda_start
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD405",
    slug="cuda-fabric-manager-802",
    title="The NVLink fabric is not set up",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "eager-fails",
        "model-not-built",
        "driver-missing",
        "cuda-init-error",
        "no-gpu-present",
        "config-device-cpu",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
    ),
    signs=(
        Sign(
            pattern=r"Error 802:(?:\s*$| system not)",
            literal="Error 802:",
            sample="RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
            "NumCudaDevices() that might have already set an error? Error 802: system not yet initialized",
        ),
        Sign(
            pattern=r"\bsystem not yet initialized\b",
            literal="system not yet initialized",
            sample="RuntimeError: CUDA error: system not yet initialized",
        ),
        Sign(
            pattern=r"cudaErrorSystemNotReady",
            literal="cudaErrorSystemNotReady",
            sample="Search for `cudaErrorSystemNotReady' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html",
        ),
        Sign(
            pattern=r"CUDA_ERROR_SYSTEM_NOT_READY",
            literal="CUDA_ERROR_SYSTEM_NOT_READY",
            sample="cuInit(0) failed: CUDA_ERROR_SYSTEM_NOT_READY",
        ),
        Sign(
            pattern=r"fabric ?manager .{0,60}version \S+ don't match with driver version",
            literal="match with driver version",
            sample="fabric manager NVIDIA GPU driver interface version 550.90.07 don't match with driver version 550.107.02.",
        ),
        *cuda_error_numbers.signs("802", sample=802),
    ),
    recipe=Recipe(
        does="starts torch's CUDA with a stand-in of the driver",
        of=(Torch(build="cuda"), StubDriver(cuda="13.9", refusal=802)),
        run=(("{python}", "-c", "import torch; torch.ones(1).cuda()"),),
        shows="Error 802",
        seconds=5,
        stands_in=("the driver",),
    ),
)

_NOT_READY = 802  # CUDA_ERROR_SYSTEM_NOT_READY
_READY = ("active", "completed")


def detect(facts: Facts) -> Hit | None:
    if cuda_start.works(facts):
        return None
    state = facts.graphics.fabric_manager
    if cuda_start.refused(facts) == _NOT_READY:
        how = f": nvidia-fabricmanager is {state}" if isinstance(state, str) else ""
        return Hit(
            message=f"CUDA does not start, because the NVLink fabric is not set up{how}.",
            evidence=(cuda_start.evidence(facts), *_state(facts)),
            certainty=Certainty.OBSERVED,
        )
    if facts.graphics.cuda_error is None or cuda_start.refused(facts) is not None:
        return None
    if not every(
        lambda: known(state) is not None,
        lambda: known(state) not in _READY,
        lambda: bool(known(facts.graphics.gpus)),
    ):
        return None
    return Hit(
        message=f"This machine has NVLink switches, and nvidia-fabricmanager is {state}: CUDA does not start without it.",
        evidence=_state(facts),
    )


def _state(facts: Facts) -> tuple[Evidence, ...]:
    return (fact(facts, "graphics.fabric_manager"),) if isinstance(facts.graphics.fabric_manager, str) else ()


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if places.container(facts) or places.on_cluster(facts):
        whose = "the host of the container" if places.container(facts) else "the node (ask its administrators)"
        step = commands.by_hand(
            (),
            f"`systemctl enable --now nvidia-fabricmanager` on {whose}; its version must be exactly the version of the driver",
            "starts a service",
        )
        return (Fix(title="Start nvidia-fabricmanager on the host", steps=(step,), verify=commands.check(facts)),)
    steps = [
        commands.by_hand(
            places.as_root(facts, "systemctl", "enable", "--now", "nvidia-fabricmanager"),
            "sets the NVLink fabric up, now and at each boot",
            "starts a service",
        )
    ]
    missing = _package(facts)
    if missing:
        steps.insert(0, missing)
    return (Fix(title="Start nvidia-fabricmanager", steps=tuple(steps), verify=commands.check(facts)),)


def _package(facts: Facts) -> Step | None:
    """Return the step that installs the service in the driver's version; None if it is installed. apt's package of the service has the driver's branch in its name.

    https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html
    """
    driver = facts.graphics.driver
    if isinstance(facts.graphics.fabric_manager, str) and facts.graphics.fabric_manager != "missing":
        return None
    branch = driver.partition(".")[0] if isinstance(driver, str) else None
    names: dict[Manager, tuple[str, ...]] = {"dnf": ("nvidia-fabricmanager",), "zypper": ("nvidia-fabricmanager",)}
    if branch:
        names["apt-get"] = (f"nvidia-fabricmanager-{branch}",)
    why = f"if the service is missing: install exactly the version of the driver{f', {driver}' if isinstance(driver, str) else ''}"
    return next(iter(system_tools.packages(facts, names, why, "adds the service")), None)
