"""A program asks NVML for something that this GPU or WSL does not answer.

What it is
    NVML is the library that nvidia-smi uses. It lacks functions under WSL, on a Jetson and a DGX Spark, and on some GeForce cards. A program
    that takes such an answer for an error ends, although the GPU can compute.

How it shows
    DALI: "nvml error (3): The nvml requested operation is not available on target device", "nvml error (999): A nvml internal driver error
    occured". pynvml: "NVMLError_NotSupported: Not Supported".

Why it happens
    DALI binds its threads to the processors near the GPU, and asks NVML which these are: under WSL NVML does not know. Other programs ask
    for the memory, the power or the clock of the GPU.

What to do
    DALI: `export DALI_DISABLE_NVML=1`, or for the error 3 a DALI from after April 2026, which goes on without the answer. Other programs: switch
    their measuring of the GPU off, or take a newer release of them. Under WSL, a newer driver in Windows may have more of NVML.

How to reproduce
    There is no recipe: it needs WSL or such a board.

References
    https://github.com/NVIDIA/DALI/issues/5696
    https://github.com/NVIDIA/DALI/issues/3878
    https://github.com/NVIDIA/DALI/pull/6296 (newer releases go on without the answer)
    https://docs.nvidia.com/cuda/wsl-user-guide/index.html#features-not-yet-supported
    https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD447",
    slug="nvml-call-not-supported",
    title="NVML does not answer a question of the program",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"(?P<dali>nvml error \((?:3|999)\): )",
            literal="nvml error (",
            sample="Error in thread 2: nvml error (3): The nvml requested operation is not available on target device",
        ),
        Sign(
            pattern=r"NVMLError_(?P<call>NotSupported|FunctionNotFound)\b",
            literal="NVMLError_",
            sample="pynvml.NVMLError_NotSupported: Not Supported",
        ),
    ),
)
# There is no `detect`: which functions of NVML a program calls is seen when it runs.


class Asked(Variant, frozen=True, kw_only=True):
    """Mark the case that NVML does not answer a question of the program. `dali`: the program is NVIDIA's DALI."""

    dali: bool


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    where = " under WSL" if places.wsl(facts) else ""
    dali = seen.group("dali") is not None
    if dali:
        message = f"DALI asks NVML, the library of nvidia-smi, for something that it does not answer{where}. The GPU itself can compute."
    else:
        message = f"The program asks NVML, the library of nvidia-smi, for something that it does not answer for this GPU{where}. The GPU itself can compute."
    return Hit(
        message=message,
        evidence=evidence,
        variant=Asked(dali=dali),
        confidence=Confidence.HIGH if dali else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    asked = hit.variant if isinstance(hit.variant, Asked) else Asked(dali=True)
    newer: tuple[Fix, ...] = ()
    if places.wsl(facts):
        step = commands.by_hand(
            (),
            "install the newest NVIDIA driver in Windows (https://www.nvidia.com/drivers), never one inside WSL; then, in a terminal of Windows: wsl --shutdown",
            "the driver of Windows",
        )
        newer = (Fix(title="Update the driver in Windows, which may have more of NVML", steps=(step,), verify=verify),)
    if asked.dali:
        off = commands.variable(
            "DALI_DISABLE_NVML",
            "1",
            "DALI then works without NVML, and does not bind its threads to processors; start the program in this shell (DALI wants a number: true does not count). After the error 3, releases of DALI from after April 2026 go on by themselves",
        )
        return (Fix(title="Let DALI do without NVML", steps=(off,), verify=verify), *newer)
    step = commands.by_hand(
        (),
        "switch the program's measuring of the GPU off (memory, power, clock), or take the newest release of the package whose file the traceback names",
        "the settings of the program",
        "none",
    )
    return (Fix(title="Do without this question", steps=(step,), verify=verify), *newer)
