"""nvcc is asked to compile for an architecture that it does not support.

What it is
    Each nvcc supports a range of GPU architectures: newer ones came after it, older ones were removed. The build asks
    for an architecture outside this range. At run time the same problem shows as "no kernel image is available".

How it shows
    "nvcc fatal : Unsupported gpu architecture 'compute_120'" (nvcc is too old for the GPU) or 'compute_50' (a newer
    nvcc has removed it); torch: "ValueError: Unknown CUDA arch (12.0) or GPU not supported"; and, if no GPU is
    visible and TORCH_CUDA_ARCH_LIST is not set, "arch_list[-1] += '+PTX'" with "IndexError: list index out of range". Packages
    that ask the GPU themselves have words of their own: "Unknown compute capability. Specify the target compute capabilities in the
    TCNN_CUDA_ARCHITECTURES environment variable" (tiny-cuda-nn), "No GPUs found. Please specify the target GPU architectures"
    (SageAttention); CMake: "CUDA_ARCHITECTURES is empty for target".

Why it happens
    The GPU is newer than the toolkit; or TORCH_CUDA_ARCH_LIST was written for other machines; or the machine that
    builds has no GPU (docker build, a login node). flash-attn's own setup.py leaves out an architecture that nvcc
    does not support, and prints nothing: the build succeeds, but the kernel for that GPU is missing.

What to do
    Use a toolkit that supports the GPU, or name the architectures: FLASH_ATTN_CUDA_ARCHS for flash-attn (2.7.3 and
    newer), TCNN_CUDA_ARCHITECTURES for tiny-cuda-nn (without a dot: 89), CUDAARCHS for CMake, TORCH_CUDA_ARCH_LIST for other
    extensions. Or build on a node with a GPU.

How to reproduce
    `attn-doctor reproduce cross-compile-archs` asks a real nvcc for an architecture that it does not know. It downloads
    nothing.

References
    https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-feature-list
    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py (_get_cuda_arch_flags)
    https://github.com/NVlabs/tiny-cuda-nn/blob/master/bindings/torch/setup.py
    https://github.com/thu-ml/SageAttention/blob/main/setup.py
    https://cmake.org/cmake/help/latest/envvar/CUDAARCHS.html
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import cuda_toolkits, host_compilers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant, every, known
from attn_doctor.failure_modes.recipe import File, Nvcc, Recipe
from attn_doctor.failure_modes.shared import (
    building,
    cut_logs,
    dropped_archs,
    gpu_unseen_by_build,
    toolkits,
    torch_steps,
)
from attn_doctor.failure_modes.shared.torch_facts import with_gpu
from attn_doctor.knowledge import cuda, flash_attention
from attn_doctor.knowledge import gpu as gpus_rules
from attn_doctor.knowledge.build import archs_for
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.knowledge.yes_no_unknown import Answer, names
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import capability, dotted, pair, sm

MODE = FailureMode(
    code="AD110",
    slug="cross-compile-archs",
    title="nvcc does not know the GPU architecture",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "no-kernel-image", "extension-not-built"),
    signs=(
        Sign(
            pattern=r"Unsupported gpu architecture '(?P<arch>(?:compute|sm|lto)_\w+)'",
            literal="Unsupported gpu architecture",
            sample="nvcc fatal   : Unsupported gpu architecture 'compute_120'",
        ),
        Sign(
            pattern=r"Unknown CUDA arch \((?P<unknown>[^){]{1,30})\) or GPU not supported",
            literal="Unknown CUDA arch (",
            sample="ValueError: Unknown CUDA arch (12.0) or GPU not supported",
        ),
        Sign(
            pattern=r"Value '(?P<arch>(?:compute|sm)_\w+)' is not defined for option '(?P<option>gpu-(?!arch)|gpu-arch|arch)",
            literal="is not defined for option '",
            sample="nvcc fatal   : Value 'sm_121a' is not defined for option 'gpu-architecture'",
        ),
        Sign(
            pattern=r"arch_list\[-1\] \+= '\+PTX'",
            literal="arch_list[-1] += ",
            sample="    arch_list[-1] += '+PTX'",
        ),
        *gpu_unseen_by_build.SIGNS,
        # CMake compiles there: torch's variable means nothing to it.
        Sign(
            pattern=r"(?P<cmake>\bCMakeFiles/\S|/CMakeScratch/)",
            literal="CMake",
            sample="FAILED: CMakeFiles/cmTC_1f2e3.dir/main.cu.o",
            strength="context",
        ),
        cut_logs.frame(
            "_get_cuda_arch_flags",
            "_get_cuda_arch_flags",
            '  File "/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 1973, in _get_cuda_arch_flags',
        ),
    ),
    recipe=Recipe(
        does="asks a real nvcc for an architecture that it does not know",
        of=(Nvcc(), File(path="small.cu", text="__global__ void small() {}\n")),
        run=(("{nvcc}", "-gencode", "arch=compute_30,code=sm_30", "-c", "small.cu", "-o", "small.o"),),
        shows="Unsupported gpu architecture",
        seconds=3,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: building.would_be_built(facts), lambda: building.nvcc(facts) is not None):
        return None
    row = flash_attention.release(building.wanted_release(facts))
    gpus = known(key_of(facts).gpus)
    if isinstance(row, Unknown) or not gpus:
        return None
    able = [g for g in gpus if capability(g) >= capability(row.min_capability)]
    have = str(building.nvcc(facts))
    left_out = [g for g in able if archs_for(row, (g,), have) is None and _release_can(row.archs, g)]
    if not left_out:
        return None
    chosen = building.toolkit(facts)
    assert chosen is not None
    return Hit(
        message=f"nvcc {have} is too old to compile for your GPU (compute capability {names(left_out)}): flash-attn's setup.py leaves "
        "this GPU out and prints nothing, so the finished build has no kernel for it.",
        evidence=(
            fact(facts, f"{building.toolkit_path(facts, chosen)}.version", f"{chosen.root} is CUDA {have}"),
            fact(facts, f"graphics.gpus.{_index(facts, left_out[0])}.compute_capability"),
        ),
        variant=Refused(device=max(left_out, key=capability)),
    )


def _release_can(archs: dict[str, str], device: str) -> bool:
    """Return whether a release of flash-attn can compile for a GPU with a new enough nvcc. If not, a newer nvcc does not help.

    `archs`: {architecture that the release can compile ("80"): the first CUDA that can}. `device`: the GPU's compute capability, "8.9".
    """
    answer = gpus_rules.runs([f"sm_{arch}" for arch in archs], device)
    return isinstance(answer, Answer) and answer.yes


def _index(facts: Facts, device: str) -> int:
    return next(i for i, g in enumerate(known(facts.graphics.gpus)) if g.compute_capability == device)


class Refused(Variant, frozen=True, kw_only=True):
    """Hold the compute capability for which nvcc refuses to compile."""

    device: str  # "12.0"
    cmake: bool = False  # CMake calls nvcc, so torch's variable TORCH_CUDA_ARCH_LIST has no effect there


class TorchKnowsNot(Variant, frozen=True, kw_only=True):
    """Hold the architecture that torch's list does not contain, in the spelling of the log: "12.0", "Ampere2"."""

    arch: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if cut_logs.alone(seen):
        return cut_logs.hit(
            seen,
            "In that function PyTorch chooses the GPU to compile for. Probably no GPU was visible and TORCH_CUDA_ARCH_LIST is not set, or the GPU "
            "is newer than this torch.",
            "IndexError or ValueError",
            gpu_unseen_by_build.NoGpu(),
        )
    if (asked_gpu := gpu_unseen_by_build.told(seen)) is not None:
        return asked_gpu
    if all("unseen" in m.groups for m in seen.matches if m.strength != "context"):
        return None
    if all(m.groups.get("option") == "gpu-" and not building.in_build(seen, m) for m in seen.matches):
        return None  # nvcc did not call this ptxas: triton-too-old-for-gpu reports it
    unknown = seen.group("unknown")
    if unknown:
        return Hit(
            message=f"the torch in the log does not support the CUDA architecture {unknown}: it is newer than this torch, or no architecture has this name.",
            evidence=evidence,
            variant=TorchKnowsNot(arch=unknown),
        )
    arch = seen.group("arch")
    if arch:
        asked = sm(arch.replace("lto_", "sm_"))
        return Hit(
            message=f"The CUDA tools in the log do not support the architecture {arch}.",
            evidence=evidence,
            variant=Refused(device=dotted(asked), cmake=seen.group("cmake") is not None) if asked else None,
        )
    return Hit(
        message="No GPU was visible and TORCH_CUDA_ARCH_LIST is not set: PyTorch could not choose an architecture to compile for.",
        evidence=evidence,
        variant=gpu_unseen_by_build.NoGpu(),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, gpu_unseen_by_build.NoGpu) and hit.variant.asked:
        return gpu_unseen_by_build.fixes(facts, hit.variant.variable, _devices(facts))
    if isinstance(hit.variant, TorchKnowsNot):
        return _of_torchs_list(facts, hit.variant.arch)
    refused = hit.variant.device if isinstance(hit.variant, Refused) else None
    first = cuda.first_release_for(refused) if refused else None
    cmake = isinstance(hit.variant, Refused) and hit.variant.cmake
    if refused and first and _is_new(refused, first, here := _nvcc(facts)):
        need = cuda_toolkits.torch_cuda(facts)
        if need and (pair(first) or need)[0] > need[0]:
            return (
                *building.without_compiling(facts, began=True),
                _older(facts, refused, here, cmake=cmake),
                _newer_torch(facts, first),
            )
        # torch refuses an nvcc of another CUDA major before it compiles. Here nvcc was called, so torch is built for the same major.
        known_major = toolkits.with_torch_cuda(facts, first) if facts.grade == "stated" else facts
        same = pair(here or "") is not None and (pair(here or "") or (0, 0))[0] == (pair(first) or (1, 0))[0]
        cures = toolkits.cures(known_major if same else facts, floor=first, replace=True)
        return (*cures, _older(facts, refused, here, cmake=cmake))
    newer = toolkits.cures(facts, replace=True)
    if refused and first and dropped_archs.may_be_dropped(refused) and refused not in _devices(facts):
        return (dropped_archs.without(facts, refused, _devices(facts), cmake=cmake), *newer)
    return (_named(facts), *newer) if isinstance(hit.variant, gpu_unseen_by_build.NoGpu) else (*newer, _named(facts))


def _of_torchs_list(facts: Facts, arch: str) -> tuple[Fix, ...]:
    """Return the fixes for an architecture that torch's cpp_extension does not support: a newer torch if a GPU needs it, else another architecture.

    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py (_get_cuda_arch_flags, supported_arches)
    """
    wanted = _ARCH.fullmatch(arch)
    if wanted is None or capability(wanted[1]) < _NEVER_DROPPED:
        return (_named(facts),)
    device = wanted[1]
    here, first = _nvcc(facts), cuda.first_release_for(device)
    if _devices(facts) and all(capability(other) < capability(device) for other in _devices(facts)):
        return (_older(facts, device, here),)
    older, image = _that_torch_knows(facts, device, here), torch_steps.another_image(facts)
    if image is not None:
        return (older, image)
    steps = torch_steps.newest_steps(
        facts if _devices(facts) else with_gpu(facts, device),
        f"a newer torch can compile for compute capability {device}",
        reinstall=True,
    )
    if here is not None and first is not None and _is_new(device, first, here):
        version = pair(first)
        kit = cuda_toolkits.install(facts, version)[-1].steps if version else ()
        steps = (*steps, *kit)
    newest = Fix(
        title=f"Install a torch that can compile for compute capability {device}",
        steps=steps,
        verify=building.verify(facts),
    )
    return (newest, older)


def _that_torch_knows(facts: Facts, device: str, here: str | None) -> Fix:
    """Return the fix without another torch: compile for an older architecture of torch's list, with PTX.

    The driver compiles the PTX for the newer GPU. The list has contained 8.9 and 9.0 since torch 2.0, and newer architectures
    since 2.7.
    """
    older = "9.0" if capability(device) > (9, 0) else "8.6"
    of_nvcc = cuda.newest_device_of(here, device) if here else None
    if of_nvcc and capability(of_nvcc) < capability(older):
        older = of_nvcc
    why = (
        f"this torch accepts it; at the first run the driver compiles its PTX for a GPU of compute capability {device}"
    )
    step = commands.variable("TORCH_CUDA_ARCH_LIST", f"{older}+PTX", why)
    return Fix(title="Compile for an older architecture", steps=(step,), verify=building.verify(facts))


_ARCH = re.compile(r"(\d{1,2}\.\d)[af]?(?:\+PTX)?")


def _is_new(refused: str, first: str, here: str | None) -> bool:
    """Return whether nvcc is too old for the architecture that it refused. If not, nvcc is too new: it no longer supports that architecture."""
    have, need = pair(here) if here else None, pair(first)
    return have < need if have and need else capability(refused) >= _NEVER_DROPPED


_NEVER_DROPPED = (7, 5)  # CUDA 13 removed all architectures older than 7.5


def _nvcc(facts: Facts) -> str | None:
    try:
        found = building.nvcc(facts)
    except Unsure:
        found = None
    return found or host_compilers.toolkit_here(facts)


def _newer_torch(facts: Facts, first: str) -> Fix:
    why = (
        f"nvcc supports this architecture since CUDA {first}. torch here is built for CUDA {facts.torch.cuda}, and compiles only with a toolkit of the "
        f"same major version: install a torch that is built for CUDA {first} or newer, and the toolkit of the same CUDA version"
    )
    step = commands.by_hand((), why, "torch, and a CUDA toolkit")
    return Fix(
        title=f"Use a torch that is built for CUDA {first} or newer", steps=(step,), verify=building.verify(facts)
    )


def _named(facts: Facts) -> Fix:
    return gpu_unseen_by_build.named(facts, gpu_unseen_by_build.OF_TORCH, _devices(facts))


def _devices(facts: Facts) -> list[str]:
    """Return the compute capabilities of the GPUs, of the Orin if the board is a Jetson with JetPack 6 whose GPU is unknown."""
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    if not gpus and places.jetson(facts) and str(facts.system.jetpack).startswith("6"):
        return ["8.7"]  # JetPack 6 runs only on the Orin, https://developer.nvidia.com/embedded/jetpack-archive
    return sorted({g.compute_capability for g in gpus if isinstance(g.compute_capability, str)})


def _older(facts: Facts, refused: str, here: str | None, *, cmake: bool = False) -> Fix:
    """Return the fix without another nvcc: compile for the older GPU of this machine, or make PTX, which the driver compiles for a newer GPU."""
    fine = [device for device in _devices(facts) if capability(device) < capability(refused)]
    newest = cuda.newest_device_of(here, refused) if here else None
    if fine and len(fine) == len(_devices(facts)):
        steps = _asked_for(fine, f"the compute capability of the GPU here: it does not need {refused}", cmake)
    elif newest:
        why = f"the newest architecture of CUDA {here}; a GPU of compute capability {refused} runs this code, or the driver compiles its PTX for that GPU"
        steps = _asked_for([f"{newest}+PTX"], why, cmake)
    else:
        why = (
            "set TORCH_CUDA_ARCH_LIST to the newest architecture that `nvcc --list-gpu-arch` shows, with +PTX after it (8.6+PTX for compute_86): "
            f"the driver compiles the PTX for a GPU of compute capability {refused} at the first run"
        )
        if cmake:
            why += "; where CMake calls nvcc, CUDAARCHS has to name it (86)"
        steps = (commands.by_hand((), why, "the architecture that the build compiles for"),)
    return Fix(title="Compile for an older architecture", steps=steps, verify=building.verify(facts))


def _asked_for(devices: list[str], why: str, cmake: bool) -> tuple[Step, ...]:
    """Return the steps that set the architectures: TORCH_CUDA_ARCH_LIST, and if CMake calls nvcc, CUDAARCHS before it.

    `devices`: compute capabilities, "8.6" or "9.0+PTX". CMake reads CUDAARCHS only if the project does not set the architectures.

    https://cmake.org/cmake/help/latest/envvar/CUDAARCHS.html
    """
    of_torch = commands.variable("TORCH_CUDA_ARCH_LIST", ";".join(devices), why)
    if not cmake:
        return (of_torch,)
    numbers = ";".join(device.removesuffix("+PTX").replace(".", "") for device in devices)
    words = "CMake calls nvcc there, and reads this one; where its CMakeLists.txt or setup.py holds a list of its own, take the refused one out of it"
    return (commands.variable("CUDAARCHS", numbers, words), of_torch)
