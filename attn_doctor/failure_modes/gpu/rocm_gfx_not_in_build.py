"""A build for AMD GPUs has no code for this AMD GPU.

What it is
    torch, rocBLAS and extensions are compiled for a list of AMD GPUs, each with a gfx number. If a card is not in the
    list, torch finds the card, but the first kernel fails. For NVIDIA GPUs the same failure is called "no kernel
    image". The installed torch is a build for ROCm: no other build prints errors with the word HIP.

How it shows
    "RuntimeError: HIP error: invalid device function", "hipErrorNoBinaryForGpu: Unable to find code object for all
    current devices!", "hipErrorInvalidDeviceFunction", "rocBLAS error: Cannot read .../TensileLibrary.dat: ... for GPU
    arch : gfx1031", after which the process often aborts. "HSA_STATUS_ERROR_INVALID_ISA": HSA_OVERRIDE_GFX_VERSION
    names a GPU whose code this GPU cannot run. "unsupported HIP gpu architecture: gfx1201": the compiler of ROCm is
    older than the GPU. "Error invalid device function at line 84 in file .../csrc/ops.hip" (bitsandbytes), "ROCm error:
    invalid device function" (ggml): that library has no code for the GPU; torch may have it. "hip_global.cpp:158: Module not
    initialized", after which the process aborts, is the same of an extension.

Why it happens
    The wheels of the ROCm index have code for gfx900, gfx906, gfx908, gfx90a, gfx942, gfx1030, gfx1100 to gfx1102, and
    newer wheels also for gfx950, gfx1103, gfx1150, gfx1151, gfx1200 and gfx1201. RX 6600 and 6700, RX 5000 and most
    GPUs inside a processor are not in the list.

What to do
    On Linux, let the card run code for a similar GPU: `export HSA_OVERRIDE_GFX_VERSION=10.3.0` for gfx1031 to gfx1036.
    Do not do this for gfx1103: it was seen to hang the machine. Otherwise install a newer torch whose list contains the
    card, or AMD's wheels for your family of GPUs (TheRock). On Windows, use AMD's wheels: Windows does not read that
    variable. If an extension has no code for the card, build it with PYTORCH_ROCM_ARCH set to the gfx number of the
    card.

How to reproduce
    There is no recipe: it needs an AMD GPU that is not in the wheels. `python -c "import torch;
    print(torch.cuda.get_arch_list())"` prints the GPUs of a build, and `rocminfo` prints the gfx number of the card.

References
    https://github.com/ROCm/rocBLAS/issues/1339
    https://github.com/ROCm/rocm-libraries/issues/6320
    https://github.com/ROCm/TheRock/issues/1719
    https://github.com/ROCm/TheRock/blob/main/RELEASES.md
    https://github.com/pytorch/pytorch/blob/main/.ci/docker/manywheel/build.sh
    https://github.com/ROCm/clr/issues/4
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import (
    building,
    code_for_amd_gpu,
    hipblaslt,
    integrated_amd,
    rocm_compilers,
    rocm_steps,
)
from attn_doctor.knowledge import amd
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_HIP = r"(?i:invalid device function|no kernel image is available|device kernel image is invalid|shared object initialization failed)"

MODE = FailureMode(
    code="AD434",
    slug="rocm-gfx-not-in-build",
    title="A build has no code for this AMD GPU",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        building.FAILED,
        "rocm-specific",
        "segfault",
        "illegal-memory-access",
        "cuda-library-not-initialized",
        "no-kernel-image",
    ),
    signs=(
        *integrated_amd.SIGNS,
        # A processor whose graphics are the GPU, in the words of a person.
        Sign(
            pattern=r"(?P<apu>\bRyzen (?:\w+ ){0,3}?(?:\d{4}(?:U|H|HS|HX|G|GE|C)|V\d{4}B)\b)",
            literal="Ryzen ",
            sample="CPU: AMD Ryzen 7 5700G with Radeon Graphics",
            strength="context",
        ),
        Sign(
            pattern=rf"HIP error: {_HIP}",
            literal="HIP error: ",
            sample="RuntimeError: HIP error: invalid device function",
        ),
        Sign(
            pattern=r"hipError(?:NoBinaryForGpu|InvalidDeviceFunction|InvalidKernelFile|InvalidImage|SharedObjectInitFailed)",
            literal="hipError",
            sample='"hipErrorNoBinaryForGpu: Unable to find code object for all current devices!"',
        ),
        Sign(
            pattern=r"Cannot read .{0,200}TensileLibrary\w*\.dat(?:.{0,60}for GPU arch ?: ?(?P<gfx>gfx[0-9a-f]{3,4}))?",
            literal="TensileLibrary",
            sample="rocBLAS error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: No such file or directory for GPU arch : gfx1031",
        ),
        *hipblaslt.SIGNS,
        Sign(
            pattern=r"(?P<isa>HSA_STATUS_ERROR_INVALID_ISA)",
            literal="HSA_STATUS_ERROR_INVALID_ISA",
            sample="Queue 0x7f7f4d000000 aborting with error : HSA_STATUS_ERROR_INVALID_ISA: The instruction set architecture is invalid.",
        ),
        # HIP's own log of a library whose code is for another GPU, https://github.com/ROCm/rocm-systems (devprogram.cpp).
        Sign(
            pattern=r"program ISA amdgcn-amd-amdhsa--(?P<built>gfx[0-9a-f]{3,5})\S* is not compatible with the device ISA amdgcn-amd-amdhsa--(?P<gfx>gfx[0-9a-f]{3,5})",
            literal="is not compatible with the device ISA",
            sample="Error: The program ISA amdgcn-amd-amdhsa--gfx1100 is not compatible with the device ISA amdgcn-amd-amdhsa--gfx1030",
        ),
        # The same log lists the GPUs for which it found no code (hip_code_object.cpp).
        Sign(
            pattern=r"amdgcn-amd-amdhsa--(?P<gfx>gfx[0-9a-f]{3,5})\S* - \[Not Found\]",
            literal=" - [Not Found]",
            sample=":1:hip_code_object.cpp      :464 :     amdgcn-amd-amdhsa--gfx1032 - [Not Found]",
        ),
        # C++ programs print other texts. bitsandbytes names its source, ops.hip, which hipify made from ops.cu; ggml prints "ROCm error".
        # https://github.com/bitsandbytes-foundation/bitsandbytes/blob/main/csrc/ops.cuh,
        # https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cuda/ggml-cuda.cu
        Sign(
            pattern=rf"\bError {_HIP} at line \d+ in file (?:\S{{0,200}}/)?(?P<own>[\w-]+)/(?:csrc|src)/\S{{1,120}}\.hip\b",
            literal=".hip",
            sample="Error invalid device function at line 84 in file /src/bitsandbytes/csrc/ops.hip",
        ),
        Sign(
            pattern=rf"\bROCm error: (?P<static>{_HIP})",
            literal="ROCm error: ",
            sample="ROCm error: invalid device function",
        ),
        # ROCm 6 and newer, in place of a crash: a library without code for the GPU has no module that HIP could start a kernel of.
        # https://github.com/ROCm/clr/issues/4
        Sign(
            pattern=r"hip_global\.cpp:\d{1,5} {0,3}: .{0,90}(?P<unloaded>Module not initialized)",
            literal="Module not initialized",
            sample=":0:/src/clr/hipamd/src/hip_global.cpp:158 : 74346142697 us:  Module not initialized",
        ),
        # Frames of a debugger, and the kernel's own line about a crash.
        *(
            Sign(
                pattern=rf"(?:\bfrom |\berror \d+ in |^#\d+ .{{0,120}}\bin )\S{{0,120}}(?P<inside>{library})\.so",
                literal=library,
                sample=f"#0  0x00007fb4d0e534c5 in ?? () from /opt/rocm/lib/{library}.so.5",
                strength="hint",
            )
            for library in ("libamdhip64", "libhsa-runtime64", "librocblas", "libMIOpen", "libhipblaslt")
        ),
        *rocm_compilers.SIGNS,
        Sign(
            pattern=r"unsupported HIP gpu architecture: (?P<hipcc>gfx\w{3,5})",
            literal="unsupported HIP gpu architecture",
            sample="clang: error: unsupported HIP gpu architecture: gfx1201",
        ),
    ),
)


Case = Literal[
    "build", "blaslt", "as-cuda", "composable", "override", "compiler", "dropped", "crash", "extension", "compiled"
]

# The GPUs that PyTorch's own wheels have held through many releases: code that lacks one of them was compiled by somebody else.
_IN_WHEELS = ("gfx906", "gfx908", "gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx1101")


class Lacks(Variant, frozen=True, kw_only=True):
    """Hold the GPU for which the build has no code (None if the log does not name it), and the case.

    "build": torch has no code for the GPU. "blaslt": hipBLASLt, one of its libraries, has none. "as-cuda": clang
    compiled a source as CUDA. "composable": torch's composable kernels do not compile for the GPU. "override":
    HSA_OVERRIDE_GFX_VERSION made the GPU run code for another GPU. "compiler": hipcc is older than the GPU. "dropped":
    newer releases of ROCm do not support the GPU. "extension": a library other than torch has no code for the GPU.
    "compiled": an extension of torch was compiled for another GPU. "crash": the process died inside HIP; it is only
    likely that a build has no code for the GPU.
    """

    gfx: str | None
    case: Case = "build"
    # The package whose library has no code for the GPU, if the error names it; torch may have the code.
    extension: str | None = None
    card: int | None = None  # HIP's number of the card, if the graphics unit of the processor stands before it


# There is no `detect`: torch's list of AMD GPUs is not among the facts.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    said = seen.captured()
    gfx = said.get("gfx") or said.get("hipcc") or _gfx(facts)
    if gfx is None and "apu" in said and not isinstance(facts.graphics.amd, tuple):
        gfx = amd.gfx_of_processor(said["apu"])
    row = amd.override(gfx) if gfx else None
    told = _names(facts) or (", ".join(row.cards.split(", ")[:3]) if row else None)
    card = f"{gfx} ({told})" if gfx and told else gfx or "this AMD GPU"
    inside = said.get("inside")
    crashed = all(m.strength == "hint" for m in seen.matches if m.strength != "context")
    if crashed and not any(m.strength != "context" for log in seen.logs for m in log.of("segfault")):
        return None  # only a stack frame: no line says that the process crashed
    dropped = row.dropped if row and not {"as_cuda", "composable"} & said.keys() else None
    case: Case = "dropped" if dropped else "crash" if crashed else _case(said)
    built = said.get("built")
    if (built or "unloaded" in said) and case == "build" and gfx in _IN_WHEELS:
        case = "compiled"
    holds = f"has code for {built} and none" if built else "has no code"
    own = said.get("own")
    message = {
        "build": f"The build has no code for {card}: HIP found the GPU and no kernel for it.",
        "compiled": f"A library there {holds} for {card}. PyTorch's own wheels have code for {gfx}: it is an extension that was compiled for another GPU.",
        "blaslt": hipblaslt.message(card),
        "as-cuda": rocm_compilers.AS_CUDA,
        "composable": rocm_compilers.COMPOSABLE,
        "override": f"{card[0].upper()}{card[1:]} was told to run code that is for another GPU, and cannot.",
        "extension": f"{own or 'The program'} was compiled without code for {card}: HIP found the GPU and no kernel for it.",
        "compiler": f"The compiler of this ROCm is older than the GPU: it does not support {card}.",
        "dropped": f"ROCm has not supported {card} since {dropped}: HIP finds the GPU, and no build has code for it.",
        "crash": f"The process died inside of HIP ({inside}), which runs torch on AMD GPUs: probably the build has no code for {card}.",
    }[case]
    return Hit(
        message=message,
        evidence=building.lines([m for m in seen.matches if m.strength != "context"]),
        variant=Lacks(gfx=gfx, case=case, extension=own, card=integrated_amd.index(seen)),
        confidence=Confidence.LOW
        if case == "crash"
        else Confidence.MEDIUM
        if crashed or "unloaded" in said
        else Confidence.HIGH,
    )


def _case(said: Mapping[str, str]) -> Case:
    if "own" in said or "static" in said:
        return "extension"
    if "blaslt" in said:
        return "blaslt"
    if "as_cuda" in said or "composable" in said:
        return "as-cuda" if "as_cuda" in said else "composable"
    return "compiler" if "hipcc" in said else "override" if "isa" in said else "build"


def _gfx(facts: Facts) -> str | None:
    """Return the gfx number of the first AMD GPU ("gfx1031"), from its name if need be; None if neither is known."""
    for card in facts.graphics.amd if isinstance(facts.graphics.amd, tuple) else ():
        found = card.gfx if isinstance(card.gfx, str) else amd.gfx_of(card.name) if isinstance(card.name, str) else None
        if found:
            return found
    return None


def _names(facts: Facts) -> str | None:
    """Return the first name of an AMD GPU that says which model it is ("Radeon RX 6600"); else None."""
    cards = facts.graphics.amd if isinstance(facts.graphics.amd, tuple) else ()
    return next((card.name for card in cards if isinstance(card.name, str) and amd.gfx_of(card.name)), None)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    gfx = hit.variant.gfx if isinstance(hit.variant, Lacks) else _gfx(facts)
    windows = facts.system.os == "windows"
    another = code_for_amd_gpu.torch_with_code(facts, gfx)
    case = hit.variant.case if isinstance(hit.variant, Lacks) else "build"
    if case == "blaslt":
        return hipblaslt.fixes(facts)
    if case in ("as-cuda", "composable"):
        return rocm_compilers.fixes(facts, as_cuda=case == "as-cuda")
    if case == "compiler":
        return (code_for_amd_gpu.newer_rocm(facts, gfx),)
    if case == "dropped":
        return code_for_amd_gpu.of_dropped(facts, gfx)
    if case == "extension":
        return code_for_amd_gpu.of_extension(
            facts, gfx, hit.variant.extension if isinstance(hit.variant, Lacks) else None
        )
    if case == "compiled":
        return (code_for_amd_gpu.compiled_again(facts, str(gfx)),)
    if case == "crash":
        look = Fix(title="See whether the build has code for this GPU", steps=rocm_steps.look(facts), verify=verify)
        return (look, *(() if windows else code_for_amd_gpu.override(facts, gfx)), *another)
    if case == "override":
        gone = commands.variable("HSA_OVERRIDE_GFX_VERSION", None, "it names a GPU whose code this GPU cannot run")
        return (Fix(title="Unset HSA_OVERRIDE_GFX_VERSION", steps=(gone,), verify=verify), *another)
    if windows:
        return another
    package = facts.subject.package
    of = package if isinstance(package, str) and package not in ("torch", "torchvision") else "an extension"
    build = commands.by_hand(
        (),
        f"if {of} was compiled here: build it again with PYTORCH_ROCM_ARCH={gfx or 'gfxNNNN, as rocminfo names the GPU'}",
        "the GPUs that the build has code for",
    )
    compiled = Fix(title="Build the extension for this GPU", steps=(build,), verify=verify)
    number = hit.variant.card if isinstance(hit.variant, Lacks) else None
    override = code_for_amd_gpu.override(facts, gfx)
    if number is not None:
        steps = (integrated_amd.hide(number), *(override[0].steps if override else ()))
        override = (Fix(title="Hide the graphics unit of the processor", steps=steps, verify=verify), *override[1:])
    return (*override, *another, compiled)
