"""A kernel needs what this GPU does not have.

What it is
    Kernels are written for some GPUs. Triton does not compile for GPUs before Volta (compute capability 7.0), and a kernel may need more
    shared memory, or number formats, than the GPU has.

How it shows
    "GPUTooOldForTriton: Found Tesla P100 which is too old to be supported by the triton GPU compiler"; "OutOfResources: out
    of resource: shared memory, Required: 147456, Hardware limit: 101376"; "type fp8e4nv not supported in this
    architecture. The supported fp8 dtypes are ('fp8e4b15', 'fp8e5')"; "Feature '.bf16' requires .target sm_80 or higher"; vLLM:
    "The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current capability: 86"; SageAttention: "SM89
    kernel is not available"; "Sinks are only supported in FlashAttention 3".

Why it happens
    torch.compile on a Pascal or Maxwell card; a kernel that was tuned for an A100 or H100 on a GPU with less shared memory
    (RTX 30 and 40, T4, L4); FP8 on a GPU before Ada (8.9); bfloat16 in a kernel on a T4 or V100.

What to do
    Too old: run without torch.compile (TORCH_COMPILE_DISABLE=1). Shared memory: smaller blocks or num_stages in the kernel, a
    newer release of the package, or its other backend. FP8: a model in bf16, fp16 or int8, or a GPU from Ada on.

How to reproduce
    There is no recipe: the GPU decides. torch.cuda.get_device_capability() prints its compute capability.

References
    https://github.com/pytorch/pytorch/blob/main/torch/_inductor/exc.py
    https://github.com/triton-lang/triton/issues/1144
    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-capabilities
"""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, package_cures, triton_drivers
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD454",
    slug="kernel-needs-another-gpu",
    title="A kernel needs what this GPU does not have",
    train=Severity.WARNING,
    flash_attn=Severity.ERROR,
    blocks=("compile", "flex"),
    signs=(
        Sign(
            pattern=r"Found (?P<old>.{2,60}?) which is too old to be supported by the triton GPU compiler",
            literal="too old to be supported by the triton",
            sample="torch._inductor.exc.GPUTooOldForTriton: Found Tesla P100-PCIE-16GB which is too old to be supported by the triton GPU compiler",
        ),
        Sign(
            pattern=r"out of resource: (?P<memory>shared memory), Required: (?P<asked>\d+), Hardware limit: (?P<limit>\d+)",
            literal="out of resource: shared memory",
            sample="triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 147456, Hardware limit: 101376.",
        ),
        Sign(
            pattern=r"type (?P<fp8>fp8e4\w+) not supported in this architecture",
            literal="not supported in this architecture",
            sample="ValueError(\"type fp8e4nv not supported in this architecture. The supported fp8 dtypes are ('fp8e4b15', 'fp8e5')\")",
        ),
        Sign(
            pattern=r"Feature '(?P<feature>\.?[\w.:]+)' requires \.target (?P<needed>sm_\d+)",
            literal=" requires .target sm_",
            sample="ptxas /tmp/tmp.ptx, line 117; error   : Feature '.bf16' requires .target sm_80 or higher",
        ),
        Sign(
            pattern=r"quantization method (?P<method>[\w-]+) is not supported for the current GPU\. Minimum capability: (?P<least>\d+)\.(?: Current capability: (?P<have>\d+))?",
            literal="is not supported for the current GPU",
            sample="ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current capability: 86.",
        ),
        Sign(
            pattern=r"SM(?P<sage>\d{2,3}) kernel is not available",
            literal=" kernel is not available",
            sample="RuntimeError: SM89 kernel is not available. Make sure you GPUs with compute capability 8.9.",
        ),
        # https://github.com/SHI-Labs/NATTEN/issues/241: releases before 0.20, on a GPU that is newer than they are.
        Sign(
            pattern=r"(?P<natten>Fused neighborhood attention is not implemented for this device)",
            literal="Fused neighborhood attention is not",
            sample="NATTEN FNA kernel launch failed! Fused neighborhood attention is not implemented for this device.",
        ),
        # https://docs.nvidia.com/deeplearning/tensorrt/latest/getting-started/support-matrix.html
        Sign(
            pattern=r"Target GPU SM (?P<tensorrt>\d{2,3}) is not supported by this TensorRT release",
            literal="is not supported by this TensorRT",
            sample="Error Code 9: Internal Error (Target GPU SM 61 is not supported by this TensorRT release.)",
        ),
        # https://github.com/triton-lang/triton/blob/main/python/triton/runtime/driver.py
        Sign(
            pattern=r"(?P<drivers>\d) active drivers \(\[(?P<these>.{0,200}?)\]\)\. There should only be one",
            literal=" active drivers (",
            sample="RuntimeError: 0 active drivers ([]). There should only be one.",
        ),
        Sign(
            pattern=r"(?P<sinks>[Ss]inks are only supported in FlashAttention 3)",
            literal="inks are only supported in FlashAttention",
            sample="AssertionError: Sinks are only supported in FlashAttention 3",
        ),
    ),
)
# There is no `detect`: which kernels a program compiles is seen when it runs.


class Needs(Variant, frozen=True, kw_only=True):
    """Hold why the kernel does not run on this GPU.

    "age": the GPU is too old for Triton. "memory": it has too little shared memory. "fp8": it has no FP8 numbers. "feature": it lacks another
    feature. "quantised": vLLM's kernels for a quantised model need a newer GPU. "sage": SageAttention was compiled for another GPU.
    "sinks": vLLM needs a Hopper GPU for attention sinks (gpt-oss). "no driver": Triton finds no GPU of NVIDIA, AMD or Intel. "two drivers":
    it finds two of them. "natten": NATTEN has no fused kernel for the GPU. "tensorrt": TensorRT does not support the GPU.
    """

    what: Literal[
        "age",
        "memory",
        "fp8",
        "feature",
        "quantised",
        "sage",
        "sinks",
        "no driver",
        "two drivers",
        "tensorrt",
        "natten",
    ]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    said = seen.captured()
    if "old" in said:
        message = f"Triton does not compile for {said['old']}: it needs compute capability 7.0 (Volta) or newer."
        needs = Needs(what="age")
    elif "tensorrt" in said:
        message = f"This TensorRT does not support the GPU there (compute capability {_dotted(said['tensorrt'])})."
        needs = Needs(what="tensorrt")
    elif "natten" in said:
        message = (
            "This NATTEN has no fused kernel for the GPU: releases before 0.20 do not know the RTX 50 and the B200."
        )
        needs = Needs(what="natten")
    elif said.get("drivers") == "0":
        here = "a Mac has neither" if facts.system.os == "darwin" else "it found none with its driver here"
        message = f"Triton compiles for GPUs of NVIDIA and AMD only, and {here}: it cannot run this kernel."
        needs = Needs(what="no driver")
    elif "drivers" in said:
        message = f"Triton finds the drivers of {said['drivers']} makers of GPUs in this machine, and does not know which one to use."
        needs = Needs(what="two drivers")
    elif "memory" in said:
        message = (
            f"A Triton kernel needs {int(said['asked']) // 1024} KB of shared memory for a block, and this GPU has {int(said['limit']) // 1024} KB: the kernel was "
            "tuned for a larger GPU."
        )
        needs = Needs(what="memory")
    elif "fp8" in said:
        message = "A Triton kernel computes with FP8 numbers (fp8e4nv), which only GPUs from Ada (compute capability 8.9) on have."
        needs = Needs(what="fp8")
    elif "method" in said:
        have = f", and this GPU has {_dotted(said['have'])}" if "have" in said else ""
        message = f"vLLM's kernels for {said['method']} need compute capability {_dotted(said['least'])}{have}."
        needs = Needs(what="quantised")
    elif "sage" in said:
        message = f"SageAttention was compiled without its kernel for compute capability {_dotted(said['sage'])}, or this GPU is another one."
        needs = Needs(what="sage")
    elif "sinks" in said:
        message = "The model uses attention sinks (gpt-oss), which vLLM computes with FlashAttention 3: this GPU is older than Hopper."
        needs = Needs(what="sinks")
    else:
        message = f"A Triton kernel uses {said['feature']}, which needs a GPU of {said['needed']} or newer."
        needs = Needs(what="feature")
    return Hit(message=message, evidence=building.lines(seen.matches), variant=needs)


def _dotted(number: str) -> str:
    """Return "8.9" for "89", "12.0" for "120"."""
    return f"{number[:-1]}.{number[-1]}"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    what = hit.variant.what if isinstance(hit.variant, Needs) else "age"
    off = commands.variable(
        "TORCH_COMPILE_DISABLE",
        "1",
        "switches torch.compile off, and with it Triton; for ultralytics compile=False, for vLLM --enforce-eager",
    )
    without = Fix(title="Do without torch.compile", steps=(off,), verify=verify)
    if what == "age":
        return (without,)
    if what == "memory":
        smaller = commands.by_hand(
            (),
            "use the newest release of the package that has the kernel, or its other attention or matrix backend (an option of the program, such as "
            'attn_implementation="sdpa"); in a kernel of your own: smaller BLOCK sizes, or num_stages one lower',
            "the settings of the program",
            "none",
        )
        return (Fix(title="Use smaller blocks, or another backend", steps=(smaller,), verify=verify), without)
    if what == "fp8":
        other = commands.by_hand(
            (),
            "take the model in bf16, fp16, int8 or GGUF in place of fp8 (ComfyUI: weight_dtype fp8_e5m2 or default; vLLM: no --kv-cache-dtype fp8, "
            "or --kv-cache-dtype fp8_e5m2)",
            "the model or its settings",
            "none",
        )
        return (Fix(title="Use other numbers than fp8_e4m3", steps=(other,), verify=verify), without)
    if what == "tensorrt":
        return triton_drivers.other_than_tensorrt(facts)
    if what == "natten":
        of = msgspec.structs.replace(facts.subject, package="natten", asked="natten>=0.20")
        return package_cures.for_gpu(msgspec.structs.replace(facts, subject=of), "natten")
    if what in ("no driver", "two drivers"):
        return (triton_drivers.fix(facts, what), *(() if what == "two drivers" else (without,)))
    if what in ("quantised", "sinks"):
        return (_another_model(facts, what),)
    if what == "sage":
        return (_sage(facts),)
    half = commands.by_hand(
        (),
        "use float16 in place of bfloat16 (--dtype half in vLLM, torch_dtype=torch.float16 in transformers)",
        "the settings of the program",
        "none",
    )
    return (Fix(title="Use float16", steps=(half,), verify=verify), without)


def _another_model(facts: Facts, what: str) -> Fix:
    """Return the fix for vLLM: use its Triton attention if `what` is "sinks" (of gpt-oss), else take the model in another format."""
    sinks = commands.variable(
        "VLLM_ATTENTION_BACKEND",
        "TRITON_ATTN",
        "computes sinks on Ampere and Ada GPUs too; releases of vLLM before 0.10.2 call it TRITON_ATTN_VLLM_V1",
    )
    model = commands.by_hand(
        (),
        "take the model in a format that this GPU computes: AWQ or GPTQ (from 7.5 on), bf16 (from 8.0 on), fp16, or GGUF",
        "the model",
        "none",
    )
    step, title = (
        (sinks, "Use vLLM's Triton attention") if what == "sinks" else (model, "Take the model in another format")
    )
    return Fix(title=title, steps=(step,), verify=commands.check(facts))


def _sage(facts: Facts) -> Fix:
    """Return the fix for SageAttention, whose setup compiles for the GPUs that it sees. https://github.com/thu-ml/SageAttention."""
    arch = commands.variable(
        "TORCH_CUDA_ARCH_LIST", "8.9", "the compute capability of this GPU (8.9: RTX 40, 8.6: RTX 30, 12.0: RTX 50)"
    )
    built = commands.install(
        "git+https://github.com/thu-ml/SageAttention.git",
        why="compiles its kernels for this GPU; it needs the CUDA toolkit. The release 1.0.6 of PyPI needs no compiling",
        changes="SageAttention",
        reinstall=True,
        no_deps=True,
        no_build_isolation=True,
        no_cache=True,
        takes="minutes",
    )
    return Fix(title="Build SageAttention for this GPU", steps=(arch, built), verify=commands.check(facts))
