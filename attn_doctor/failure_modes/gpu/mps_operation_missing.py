"""The GPU of a Mac (MPS) lacks an operation or a number format.

What it is
    torch runs on the GPU of a Mac through Apple's Metal Performance Shaders (MPS). Some operations are not written for it, and it has no
    64-bit floating-point numbers.

How it shows
    "NotImplementedError: The operator 'torchvision::nms' is not currently implemented for the MPS device", "Could not run
    'torchvision::deform_conv2d' with arguments from the 'MPS' backend", "TypeError: Cannot convert a MPS Tensor to float64 dtype as the MPS
    framework doesn't support float64", "Trying to convert Float8_e4m3fn to the MPS backend but it does not have support for that dtype".

Why it happens
    Each release of torch and torchvision brings more operations for MPS, and this one lacks the one that is called. Metal itself has no
    float64: a program that makes such tensors has to use float32.

What to do
    Set PYTORCH_ENABLE_MPS_FALLBACK=1 before the program starts: torch then computes the missing operations on the CPU. Or upgrade torch
    and torchvision. For float64 and float8: compute on the CPU, or take float32 in the program.

How to reproduce
    There is no recipe: it needs a Mac with an Apple chip. `python -c "import torch; torch.zeros(1, dtype=torch.float64, device='mps')"` shows
    the missing number format there.

References
    https://github.com/pytorch/pytorch/issues/77764
    https://github.com/pytorch/pytorch/issues/122602
    https://docs.pytorch.org/docs/stable/mps_environment_variables.html
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import mps_errors
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD439",
    slug="mps-operation-missing",
    title="The GPU of a Mac (MPS) lacks an operation",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"The operator '(?P<operator>[\w:.]{1,80})' is not (?:currently )?(?:implemented|supported) (?:for|on) the MPS (?:device|backend)(?! and will fall back)",
            literal=" the MPS ",
            sample="NotImplementedError: The operator 'aten::grid_sampler_3d' is not currently implemented for the MPS device.",
        ),
        Sign(
            pattern=r"Could not run '(?P<operator>[\w:.]{1,80})' with arguments from the 'MPS' backend",
            literal="from the 'MPS' backend",
            sample="NotImplementedError: Could not run 'torchvision::deform_conv2d' with arguments from the 'MPS' backend.",
        ),
        Sign(
            pattern=r"Cannot convert a MPS Tensor to (?P<format>float64|complex128) dtype|MPS framework doesn't support (?P<kind>float64|complex128)",
            literal="MPS ",
            sample="TypeError: Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. Please use float32 instead.",
        ),
        Sign(
            pattern=r"Trying to convert (?P<format>\w{3,30}) to the MPS backend but it does not have support for that dtype",
            literal="to the MPS backend",
            sample="TypeError: Trying to convert Float8_e4m3fn to the MPS backend but it does not have support for that dtype.",
        ),
        # An extension's own operator: torch's fallback does not reach it. https://github.com/open-mmlab/mmdetection/issues/11437
        Sign(
            pattern=r"(?P<own>\w{2,60}): implementation for device mps:\d+ not found",
            literal=": implementation for device mps",
            sample="RuntimeError: roi_align_forward_impl: implementation for device mps:0 not found.",
        ),
        Sign(
            pattern=r"(?P<bf16>BFloat16 is not supported on MPS)",
            literal="is not supported on MPS",
            sample="TypeError: BFloat16 is not supported on MPS",
        ),
        Sign(
            pattern=r"User specified an unsupported autocast device_type '(?P<autocast>mps)'",
            literal="unsupported autocast device_type 'mps'",
            sample="RuntimeError: User specified an unsupported autocast device_type 'mps'",
        ),
        Sign(
            pattern=r"(?P<placed>Placeholder storage has not been allocated on MPS device)",
            literal="has not been allocated on MPS device",
            sample="RuntimeError: Placeholder storage has not been allocated on MPS device!",
        ),
        Sign(
            pattern=r"The MPS backend is supported on Mac ?OS (?P<macos>\d{2}\.\d)\+",
            literal="The MPS backend is supported on",
            sample="RuntimeError: The MPS backend is supported on MacOS 14.0+. Current OS version can be queried using `sw_vers`",
        ),
        Sign(
            pattern=r"(?P<crash>MPSNDArray.{0,120}Error: buffer is not large enough|LLVM ERROR: Failed to infer result type)",
            literal="rror: ",
            sample="[MPSNDArray, initWithBuffer:descriptor:] Error: buffer is not large enough. Must be 19200 bytes",
        ),
    ),
)
# There is no `detect`: no fact says which operations a program calls.


class Lacks(Variant, frozen=True, kw_only=True):
    """Hold the operation that MPS lacks, "torchvision::nms"; None if MPS lacks a number format."""

    operator: str | None


class Other(Variant, frozen=True, kw_only=True):
    """Hold another error of MPS, and what it names: an extension's own operator, or the macOS that torch needs."""

    what: Literal["own", "bf16", "autocast", "placed", "macos", "crash"]
    name: str | None = None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    other = next((name for name in mps_errors.KINDS if seen.group(name)), None)
    if other is not None:
        name = seen.group(other)
        return Hit(
            message=mps_errors.message(other, name or ""),
            evidence=evidence,
            variant=Other(what=other, name=name),  # type: ignore[arg-type]
        )
    operator = seen.group("operator")
    what = (
        f"The operation {operator}"
        if operator
        else f"The number format {seen.group('format') or seen.group('kind') or 'float64'}"
    )
    return Hit(
        message=f"{what} does not exist on the GPU of a Mac (MPS){' in the torch there' if operator else ''}.",
        evidence=evidence,
        variant=Lacks(operator=operator),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(hit.variant, Other):
        return mps_errors.fixes(facts, hit.variant.what)
    operator = hit.variant.operator if isinstance(hit.variant, Lacks) else None
    cpu = commands.by_hand(
        (),
        "repeat the command with the device cpu (for yolo: device=cpu), or write float32 in the line of the program that the traceback names",
        "the settings of the program",
        "none",
    )
    format_ = Fix(title="Compute on the CPU, or in float32", steps=(cpu,), verify=verify)
    if isinstance(hit.variant, Lacks) and operator is None:
        return (format_,)  # a number format that MPS lacks: no newer torch adds it
    fallback = commands.variable(
        "PYTORCH_ENABLE_MPS_FALLBACK",
        "1",
        "torch then computes what MPS lacks on the CPU, which is slower; start the program in this shell",
    )
    packages = ("torch", "torchvision")
    newer = commands.install(
        *packages, upgrade=True, why="newer releases have more operations for MPS", changes="upgrades torch"
    )
    return (
        Fix(title="Compute the missing operations on the CPU", steps=(fallback,), verify=verify),
        Fix(title="Install a newer torch", steps=(newer,), verify=verify),
        *(() if isinstance(hit.variant, Lacks) else (format_,)),
    )
