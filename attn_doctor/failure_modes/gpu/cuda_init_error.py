"""The driver shows the GPU, but CUDA does not start and names no reason.

What it is
    NVML (nvidia-smi) works and lists the card; starting CUDA (cuInit) fails with "unknown error" (999) or another
    number. CUDA needs the kernel module nvidia-uvm and its device file; nvidia-smi does not need them.

How it shows
    "CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing env variable CUDA_VISIBLE_DEVICES
    after program start"; "Unexpected error from cudaGetDeviceCount()" with a number; "all CUDA-capable devices are busy or
    unavailable".

Why it happens
    nvidia-uvm is not loaded, often after the machine was in sleep mode; /dev/nvidia-uvm is missing in a container;
    another process uses the GPU exclusively; a stub of libcuda from a toolkit's lib64/stubs is on the library path
    (error 34). Or CUDA starts, and the first kernel of the trial fails with an error that no other failure mode
    explains.

What to do
    Load nvidia-uvm again, or reboot. In a container, start it again with the GPU. Remove folders of stubs from
    LD_LIBRARY_PATH.

How to reproduce
    `attn-doctor reproduce cuda-init-error` starts torch's CUDA with a stand-in of the driver. Stand-in: the driver.
    It needs a CUDA build of torch in the target. If that is not available, a simulated machine is judged.

References
    https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html
    https://github.com/pytorch/pytorch/issues/49081
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import container_starts, nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, Torch
from attn_doctor.failure_modes.shared import cuda_error_numbers, cuda_start
from attn_doctor.failure_modes.shared.fact_queries import cuda_build, in_container, under_wsl
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.trials import Trials, refused

MODE = FailureMode(
    code="AD406",
    slug="cuda-init-error",
    title="CUDA does not start",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "eager-fails",
        "model-not-built",
        "config-device-cpu",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
        "segfault",  # TensorRT's programs go on without a GPU, and crash
    ),
    signs=(
        Sign(
            pattern=r"CUDA unknown error - this may be due to an incorrectly set up environment",
            literal="CUDA unknown error",
            sample="RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing env variable "
            "CUDA_VISIBLE_DEVICES after program start. Setting the available devices to be zero.",
        ),
        Sign(
            pattern=r"Unexpected error from cudaGetDeviceCount\(\)(?:.{0,160}Error (?P<code>\d{1,3}): (?P<said>(?:[^(\n]|\(s\)){1,80}))?",
            literal="Unexpected error from cudaGetDeviceCount",
            sample="RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
            "NumCudaDevices() that might have already set an error? Error 304: OS call failed or operation not supported on this OS",
            strength="hint",
        ),
        Sign(
            pattern=r"CUDA error: (?P<said>all CUDA-capable devices are busy or unavailable|CUDA-capable device\(s\) is/are busy or "
            r"unavailable|initialization error|unknown error|CUDA driver is a stub library)",
            literal="CUDA error: ",
            sample="RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable",
        ),
        Sign(
            pattern=r"cudaGetDeviceCount returned (?:999|46|30|3|2)\s*$",
            literal="cudaGetDeviceCount returned ",
            sample="cudaGetDeviceCount returned 999",
        ),
        Sign(
            pattern=r"failed call to cuInit: (?P<said>CUDA_ERROR_(?!NO_DEVICE|COMPAT_NOT|SYSTEM_|MPS_)\w+)",
            literal="failed call to cuInit",
            sample="failed call to cuInit: CUDA_ERROR_UNKNOWN: unknown error",
        ),
        # The words of torch for cudaErrorInitializationError: https://github.com/pytorch/pytorch/blob/main/c10/cuda/CUDAFunctions.cpp
        Sign(
            pattern=r"(?P<unnamed>CUDA driver initialization failed, you might not have a CUDA gpu)",
            literal="CUDA driver initialization failed",
            sample="RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu.",
        ),
        *cuda_error_numbers.signs("(?:2|3|30|34|46|304|999)", sample=999),
    ),
    recipe=Recipe(
        does="starts torch's CUDA with a stand-in of the driver",
        of=(Torch(build="cuda"), StubDriver(cuda="13.9", refusal=999)),
        run=(("{python}", "-c", "import torch; torch.ones(1).cuda()"),),
        shows="CUDA unknown error",
        seconds=5,
        stands_in=("the driver",),
    ),
)

# Errors that other failure modes explain: no device (100), too old (35), mismatch, forward compatibility, fabric.
_NAMED = (35, 100, 802, 803, 804)
_STUB = 34
_UVM = "/dev/nvidia-uvm"


def detect(facts: Facts) -> Hit | None:
    if cuda_start.works(facts):
        return None
    code = cuda_start.refused(facts)
    said = facts.torch.cuda_error
    unknown_to_torch = isinstance(said, str) and "CUDA unknown error" in said
    silent = isinstance(facts.graphics.cuda_error, str) and re.match(r"cuInit ", facts.graphics.cuda_error) is not None
    if code in _NAMED or not (code is not None or unknown_to_torch or silent):
        return None
    if not every(
        lambda: cuda_build(facts),
        lambda: bool(known(facts.graphics.gpus)),
        lambda: not under_wsl(facts),
    ):
        return None
    reason = ""
    extra: tuple[Evidence, ...] = ()
    if code == _STUB:
        libcuda = facts.graphics.libcuda
        named = libcuda if isinstance(libcuda, str) else "libcuda.so.1"
        reason = f": {named} is a stub for linking, not the driver"
    elif facts.graphics.uvm is False:
        reason = f": {_UVM} is missing, and CUDA needs it"
        extra = (fact(facts, "graphics.uvm", f"{_UVM} is not there"),)
    return Hit(
        message=f"The driver shows the GPU, but CUDA does not start{reason}.",
        evidence=(cuda_start.evidence(facts), *extra),
        certainty=Certainty.OBSERVED,
    )


# Errors that other failure modes explain, in facts and in logs.
_OTHERS = re.compile(
    r"no kernel image|kernel image is invalid|invalid device function|illegal memory access|out of memory"
    r"|system (?:not yet initialized|has unsupported)|forward compatibility|driver version is insufficient"
    r"|launch failure|misaligned address|unsupported toolchain",
    re.IGNORECASE,
)


def observe(facts: Facts, trials: Trials) -> Hit | None:
    row = refused(trials.rows)
    if row is None or row.reason is None or _OTHERS.search(row.reason):
        return None
    said = row.reason.partition("\n")[0]
    return Hit(
        message=f"PyTorch sees the GPU, but no kernel runs on it: {said}",
        evidence=(Evidence(kind="trial", path=f"trials.{trials.rows.index(row)}", text=f"eager: {said}"),),
        confidence=Confidence.MEDIUM,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    matches = [m for m in seen.matches if not _named(m)]
    if not matches:
        return None
    wsl = any(m.strength == "context" for log in seen.logs for m in log.of("wsl2-driver-stub"))
    said = next((m.groups["said"].strip() for m in matches if m.groups.get("said")), None)
    number = next((m.groups["code"] for m in matches if m.groups.get("code")), None)
    if said is None and number is not None:
        said = f"error {number}{f', {_MEANS[number]}' if number in _MEANS else ''}"
    lines = {m.line for m in matches}
    asynchronous = all(m.text.find("CUDA error:") >= 0 for m in matches)
    if any(m.groups.get("unnamed") for m in matches):
        return Hit(
            message="CUDA did not start, and torch does not know why: the driver is too old or damaged, its module nvidia-uvm is not loaded, or there is no NVIDIA GPU.",
            evidence=tuple(e for e in evidence if e.line in lines) or evidence,
            variant=Unnamed(),
            confidence=Confidence.MEDIUM,
        )
    return Hit(
        message=f"CUDA did not start{f': {said}' if said else ', and the log does not say why'}.",
        evidence=tuple(e for e in evidence if e.line in lines) or evidence,
        variant=OutOfMemory() if said is not None and "out of memory" in said else None,
        confidence=Confidence.MEDIUM if asynchronous or wsl else Confidence.HIGH,
    )


# https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html (cudaError)
_MEANS = {
    "2": "out of memory",
    "3": "initialization error",
    "34": "a stub library is loaded instead of the driver",
    "46": "the GPU is busy or unavailable",
    "999": "unknown error",
}


class Unnamed(Variant, frozen=True):
    """Mark the case that torch reports a failed start of CUDA without the driver's reason."""


class OutOfMemory(Variant, frozen=True):
    """Mark the case that the start of CUDA, which allocates nothing, reports too little memory."""


def _named(match: Match) -> bool:
    code = match.groups.get("code")
    return (code is not None and int(code) in _NAMED) or ("from cudaGetDeviceCount" in match.text and code is None)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    made = _fixes(facts)
    if isinstance(hit.variant, OutOfMemory):
        return (_one_gpu(facts), *made)
    if not isinstance(hit.variant, Unnamed):
        return made
    look = commands.by_hand(
        ("nvidia-smi",),
        "has to list the GPU. The CUDA Version in its first lines is the newest that this driver can run: if torch was built for a newer one "
        "(torch.version.cuda), the driver is too old",
        "nothing",
        "none",
    )
    first = Fix(title="Compare the driver with the CUDA of torch", steps=(look,), verify=commands.check(facts))
    return (first, *made, *nvidia_drivers.install(facts))


def _fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a driver that is there and does not start CUDA."""
    verify = commands.check(facts)
    restart = nvidia_drivers.restart(facts, "a restart loads the driver again")
    if in_container(facts) and places.hosted(facts) is None:
        return (_of_container(facts),)
    if not _driver_is_ours(facts):
        return (restart,)
    root = places.as_root
    load = commands.by_hand(
        root(facts, "modprobe", "-r", "nvidia_uvm"),
        "stop every program that uses CUDA first: the module cannot be removed while it is in use",
        "unloads it",
    )
    again = commands.by_hand(
        root(facts, "modprobe", "nvidia_uvm"), "CUDA reaches the GPU through this module", "loads it"
    )
    node = commands.by_hand(
        root(facts, "nvidia-modprobe", "-u", "-c=0"), "makes the device file /dev/nvidia-uvm", "device files"
    )
    last = nvidia_drivers.restart(facts, "if CUDA still does not start: a restart loads the driver again")
    steps = (load, again, node, *last.steps)
    return (Fix(title="Load nvidia-uvm again, or reboot", steps=steps, verify=verify),)


def _one_gpu(facts: Facts) -> Fix:
    """Return the fix that starts CUDA on one GPU.

    For a start that reports too little memory, although nothing is allocated yet.
    https://github.com/microsoft/WSL/issues/10269
    """
    one = commands.variable(
        "CUDA_VISIBLE_DEVICES",
        "0",
        "for a machine with several GPUs: the program then starts CUDA on the first alone; 1 is the second. Under WSL a start on all of them fails so",
    )
    look = commands.by_hand(
        ("nvidia-smi",),
        "shows whether another program holds the memory of that GPU. If this is WSL and none does: run `wsl --shutdown` in a terminal of Windows, "
        "update the driver in Windows, and open WSL again",
        "nothing",
        "none",
    )
    return Fix(title="Start CUDA on one GPU", steps=(one, look), verify=commands.check(facts))


def _of_container(facts: Facts) -> Fix:
    """Return the fix for a container that got its GPU, and in which CUDA does not start: the host's module first, then a new container."""
    load = commands.by_hand(
        ("sh", "-c", "nvidia-smi && sudo modprobe nvidia_uvm && sudo nvidia-modprobe -u -c=0"),
        "on the host: has to list the GPU; then loads the module by which CUDA reaches it, and makes /dev/nvidia-uvm. If nvidia-smi fails there: reboot the host",
        "the host's device files",
    )
    again = container_starts.again(facts) or container_starts.start(facts, "--gpus", "all")
    start = commands.by_hand(
        again,
        "on the host: a new container gets the devices that are there now; start the program again in it",
        "a new container",
    )
    look = container_starts.look(facts) if container_starts.IMAGE in again else ()
    return Fix(title="Start the container again", steps=(load, *look, start), verify=commands.check(facts))


def _driver_is_ours(facts: Facts) -> bool:
    """Return whether the user may load kernel modules here: not in Windows, WSL, a cluster or a hosted notebook."""
    return (
        facts.system.os != "windows"
        and places.wsl(facts) is None
        and not places.on_cluster(facts)
        and places.hosted(facts) is None
    )
