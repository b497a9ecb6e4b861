"""The NVIDIA driver wrote an error of a GPU (Xid) to the kernel log.

What it is
    The driver reports errors of a GPU as numbers. Some are the fault of a program (13, 31, 43), some of the memory (48, 63, 64, 94, 95), some of
    the GPU, its firmware or its link (74, 79, 119, 120).

How it shows
    "NVRM: Xid (PCI:0000:65:00): 79, GPU has fallen off the bus." in `sudo dmesg` or `journalctl -k`; programs on the GPU end with a CUDA error.

Why it happens
    A wrong memory access of a kernel; a fault of the memory; too little power, heat, a loose card; a bug of the driver or its firmware.

What to do
    For 13, 31, 43 and 45: look at the program that ended at that time (compute-sanitizer finds the access). For errors of the memory: reset the
    GPU. For the others: reboot; if it comes back, update the driver, check power and seat, then have the GPU tested.

How to reproduce
    There is no recipe: it needs a GPU that fails. `sudo dmesg | grep -i xid` shows the errors since the start of the machine.

References
    https://docs.nvidia.com/deploy/xid-errors/
    https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import gpu_health, xids
from attn_doctor.failure_modes.shared.xids import Kind
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Gpu, Unknown, Xid
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD446",
    slug="gpu-xid",
    title="An error of the GPU in the kernel log (Xid)",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    explains=(
        "cuda-init-error",
        "torch-sees-no-gpu",
        "illegal-memory-access",
        "eager-fails",
        "model-not-built",
        "backend-fails",
        "gpu-count-differs",
    ),
    signs=(
        Sign(
            pattern=r"NVRM: Xid \((?:PCI:)?(?P<bus>[0-9a-fA-F:.]{10,18})\): (?P<number>\d{1,4})\b",
            literal="NVRM: Xid (",
            sample="NVRM: Xid (PCI:0000:65:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
        ),
        # nvidia-smi and NVML say the same without the number. https://docs.nvidia.com/deploy/xid-errors/
        *(
            Sign(pattern=rf"(?P<lost>{pattern})", literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"GPU is lost\.",
                    "GPU is lost.",
                    "Unable to determine the device handle for GPU 0000:65:00.0: GPU is lost.  Reboot the system to recover this GPU",
                ),
                ("NVMLError_GpuIsLost", "NVMLError_GpuIsLost", "pynvml.NVMLError_GpuIsLost: GPU is lost"),
                (
                    r"Unable to determine the device handle for .{4,40}: (?:Unknown Error|Not Found)",
                    "Unable to determine the device handle",
                    "Unable to determine the device handle for GPU1: 0000:65:00.0: Unknown Error",
                ),
            )
        ),
    ),
)

_MOST = 4  # numbers in a message


class Reported(Variant, frozen=True, kw_only=True):
    """Hold the kind of the gravest error ("program", "memory" or "gpu"), and its GPU."""

    kind: Kind
    gpu: int | None = None  # its index in the facts; None if only a log shows the error, or if the GPU is not known


def detect(facts: Facts) -> Hit | None:
    reported = facts.graphics.xids
    if not isinstance(reported, tuple) or not reported:
        return None
    grave = [x for x in reported if xids.kind(x.number) != "program"]
    told = sorted(grave or reported, key=lambda x: _rank(x.number))
    gpu = _gpu(facts, told[0].bus_id)
    ill = f" by {gpu_health.name(gpu)}" if gpu and len({x.bus_id for x in told}) == 1 else ""
    return Hit(
        message=f"The kernel log has errors of the NVIDIA driver{ill} since the machine started: {_listed([x.number for x in told])}.",
        evidence=tuple(fact(facts, f"graphics.xids.{reported.index(x)}", _evidence(x)) for x in told[:_MOST]),
        variant=Reported(kind=xids.kind(told[0].number), gpu=None if gpu is None else gpu.index),
        certainty=Certainty.OBSERVED,
        severity=None if grave else Severity.INFO,
        explains=None if grave else (),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    numbers = [int(m.groups["number"]) for m in seen.matches if "number" in m.groups]
    if not numbers and seen.group("lost"):
        return Hit(
            message="A GPU does not answer its driver any more: it has fallen off the bus (Xid 79), by heat, by its power supply, or by a fault of the card or its slot.",
            evidence=evidence,
            variant=Reported(kind="gpu"),
            severity=Severity.ERROR,
        )
    if not numbers:
        return None
    numbers = sorted(dict.fromkeys(numbers), key=_rank)
    grave = [n for n in numbers if xids.kind(n) != "program"]
    return Hit(
        message=f"The NVIDIA driver reported errors of a GPU: {_listed(grave or numbers)}.",
        evidence=evidence,
        variant=Reported(kind=xids.kind(numbers[0])),
        severity=Severity.ERROR if grave else Severity.INFO,
        explains=None if grave else (),
    )


def _rank(number: int) -> tuple[int, int]:
    return ("gpu", "memory", "program").index(xids.kind(number)), number


def _listed(numbers: list[int]) -> str:
    once = list(dict.fromkeys(numbers))
    told = [f"Xid {n} ({xids.MEANINGS[n].text})" if n in xids.MEANINGS else f"Xid {n}" for n in once[:_MOST]]
    return ", ".join(told) + (f" and {len(once) - _MOST} more" if len(once) > _MOST else "")


def _evidence(xid: Xid) -> str:
    times = "once" if xid.times == 1 else f"{xid.times} times"
    ago = "" if not isinstance(xid.seconds_ago, int) else f", last {_ago(xid.seconds_ago)} ago"
    return f"Xid {xid.number} of the GPU at {xid.bus_id}: {times}{ago}"


def _ago(seconds: int) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} s"


def _gpu(facts: Facts, bus_id: str) -> Gpu | None:
    return next((gpu for _, gpu in gpu_health.judged(facts) if gpu.bus_id == bus_id), None)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    told = hit.variant if isinstance(hit.variant, Reported) else Reported(kind="gpu")
    if told.kind == "program":
        look = commands.by_hand(
            (),
            "find the program that ended at that time, and run it with CUDA_LAUNCH_BLOCKING=1, or below compute-sanitizer: both name the kernel",
            "nothing",
            "none",
        )
        return (Fix(title="Look at the program", steps=(look,), verify=commands.check(facts)),)
    gpu = next((g for _, g in gpu_health.judged(facts) if g.index == told.gpu), None)
    tested = gpu_health.replace(facts, "if the error comes back")
    if told.kind == "memory":
        return (gpu_health.reset(facts, gpu, "takes the bad place of the memory out of use"), tested)
    again = nvidia_drivers.restart(facts, "the driver starts the GPU anew")
    theirs = places.container(facts) or places.on_cluster(facts) or places.hosted(facts)
    if theirs or isinstance(facts.system.os, Unknown):
        return (again, tested)
    check = commands.by_hand(
        (), "check the power cables and the seat of the card, and update the driver", "the machine", "none"
    )
    return (again, Fix(title="Check power, seat and driver", steps=(check, *tested.steps), verify=tested.verify))
