"""FlashInfer finds no GPU architecture for which it could compile.

What it is
    FlashInfer, which vLLM and SGLang use, compiles its kernels on the machine, with the nvcc there. It makes a list of architectures first, and leaves out those that
    this nvcc does not support. If the list is empty, it stops with words about the GPU.

How it shows
    "RuntimeError: FlashInfer requires GPUs with sm75 or higher", in older releases "FlashInfer requires sm75+", also on a new GPU; "RuntimeError: No supported CUDA
    architectures found for major versions [10]".

Why it happens
    An RTX 50 or an RTX PRO of the generation Blackwell (compute capability 12.0) beside a CUDA toolkit before 12.9: FlashInfer reads nvcc, not torch's CUDA. Or
    TORCH_CUDA_ARCH_LIST names other GPUs. Or the GPU is older than 7.5 (V100, P100, GTX 10).

What to do
    Put a toolkit of CUDA 12.9 or newer in front (CUDA_HOME), or let the server do without FlashInfer. For a GPU before 7.5 only the second helps.

How to reproduce
    There is no recipe: it takes an NVIDIA GPU and FlashInfer. On a machine with an RTX 50 and nvcc 12.8: `vllm serve` with the package flashinfer-python installed.

References
    https://github.com/flashinfer-ai/flashinfer/issues/3675
    https://github.com/vllm-project/vllm/issues/50705 (toolkit before 12.9; VLLM_USE_FLASHINFER_SAMPLER=0)
    https://github.com/flashinfer-ai/flashinfer/issues/371 (TORCH_CUDA_ARCH_LIST)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, toolkits
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.versions import capability

_FLOOR = "12.9"  # flashinfer/compilation_context.py: SM 12.x only with this toolkit or a newer one
_OLDEST = (7, 5)

MODE = FailureMode(
    code="AD430",
    slug="flashinfer-finds-no-arch",
    title="FlashInfer finds no architecture to compile for",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("cross-compile-archs", "no-kernel-image", building.FAILED),
    signs=(
        Sign(
            pattern=r"FlashInfer requires (?:GPUs with )?sm_?75(?:\+| or higher)",
            literal="FlashInfer requires ",
            sample="RuntimeError: FlashInfer requires GPUs with sm75 or higher",
        ),
        Sign(
            pattern=r"No supported CUDA architectures found for major versions \[(?P<majors>[\d, ]{1,40})\]",
            literal="No supported CUDA architectures found",
            sample="RuntimeError: No supported CUDA architectures found for major versions [10].",
        ),
    ),
)
# There is no `detect`: whether a program uses FlashInfer is no fact of the machine.


class Empty(Variant, frozen=True, kw_only=True):
    """Mark the case that FlashInfer finds no architecture to compile for.

    `old`: every GPU is known to be older than FlashInfer supports, so that no toolkit helps.
    """

    old: bool


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    named = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    devices = [g.compute_capability for g in named if isinstance(g.compute_capability, str)]
    if devices and all(capability(device) < _OLDEST for device in devices):
        message = f"FlashInfer has no code for this GPU: its compute capability is {devices[0]}, and FlashInfer needs 7.5 or newer."
        return Hit(message=message, evidence=evidence, variant=Empty(old=True))
    if seen.group("majors") is not None:
        message = f"FlashInfer has this kernel only for GPUs of the generation {seen.group('majors')}, and found none of these, or an nvcc that is too old for them."
        return Hit(message=message, evidence=evidence, variant=Empty(old=False), confidence=Confidence.MEDIUM)
    return Hit(
        message="FlashInfer's list of architectures is empty. For a GPU of compute capability 12.x (RTX 50) the nvcc of the toolkit is older than CUDA 12.9; "
        "or TORCH_CUDA_ARCH_LIST names other GPUs; or the GPU is older than 7.5.",
        evidence=evidence,
        variant=Empty(old=False),
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    # https://docs.vllm.ai/en/latest/configuration/env_vars/, https://docs.sglang.ai/advanced_features/server_arguments.html
    off = commands.variable(
        "VLLM_USE_FLASHINFER_SAMPLER",
        "0",
        "vLLM then samples with PyTorch's own code. If FlashInfer is its attention too: start it with another one (--attention-backend FLASH_ATTN or TRITON_ATTN, and "
        "no fp8 for the KV cache). SGLang: --attention-backend triton --sampling-backend pytorch",
    )
    without = Fix(title="Let the server do without FlashInfer", steps=(off,), verify=commands.check(facts))
    if isinstance(hit.variant, Empty) and hit.variant.old:
        return (without,)
    unset = commands.variable(
        "TORCH_CUDA_ARCH_LIST", None, "FlashInfer then asks the GPU itself; the variable counts for it as for torch"
    )
    newer = toolkits.cures(facts, floor=_FLOOR, replace=True)
    return (*newer, Fix(title="Do without FlashInfer, and without the list of architectures", steps=(unset, off), verify=commands.check(facts)))  # fmt: skip
