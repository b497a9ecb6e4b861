"""nvcc is asked to compile for an architecture that it does not know.

What it is
    Each nvcc knows a range of GPU architectures: newer ones came after it, older ones were dropped. The build asks for an
    architecture outside this range. This is the build-time counterpart of "no kernel image is available".

How it shows
    "nvcc fatal   : Unsupported gpu architecture 'compute_120'" (nvcc too old for the GPU), 'compute_50' (dropped by a newer
    one); torch: "ValueError: Unknown CUDA arch (12.0) or GPU not supported"; and, where no GPU is to be seen and
    TORCH_CUDA_ARCH_LIST is not set, "arch_list[-1] += '+PTX'" with "IndexError: list index out of range".

Why it happens
    A GPU that is newer than the toolkit; a TORCH_CUDA_ARCH_LIST that was written for other machines; a build on a machine
    without a GPU (docker build, a login node). flash-attn's own setup.py leaves out an architecture that nvcc does not know and
    prints nothing: the build ends well, and the kernel is missing.

What to do
    Use a toolkit that knows the GPU, or name the architectures: FLASH_ATTN_CUDA_ARCHS for flash-attn (2.7.3 and newer),
    TORCH_CUDA_ARCH_LIST for other extensions.

How to reproduce
    `attn-doctor reproduce cross-compile-archs` asks a real nvcc for an architecture that it does not know. It downloads
    nothing.

References
    https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-feature-list
    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py (_get_cuda_arch_flags)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import File, Nvcc, Recipe
from attn_doctor.failure_modes.shared import building, toolkits
from attn_doctor.knowledge import flash_attention
from attn_doctor.knowledge import gpu as gpus_rules
from attn_doctor.knowledge.build import archs_for
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.knowledge.yes_no_unknown import Answer, names
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Evidence, Fix, Severity, fact
from attn_doctor.model.versions import capability, pair

MODE = FailureMode(
    code="AD110",
    slug="cross-compile-archs",
    title="nvcc does not know the GPU architecture",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "no-kernel-image"),
    signs=(
        Sign(
            pattern=r"Unsupported gpu architecture '(?P<arch>(?:compute|sm|lto)_\w+)'",
            literal="Unsupported gpu architecture",
            sample="nvcc fatal   : Unsupported gpu architecture 'compute_120'",
        ),
        Sign(
            pattern=r"Unknown CUDA arch \((?P<arch>[^)]{1,30})\) or GPU not supported",
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
        "that out and prints nothing, so the finished build has no kernel for it.",
        evidence=(
            fact(facts, f"{building.toolkit_path(facts, chosen)}.version", f"{chosen.root} is CUDA {have}"),
            fact(facts, f"graphics.gpus.{_index(facts, left_out[0])}.compute_capability"),
        ),
    )


def _release_can(archs: dict[str, str], device: str) -> bool:
    """Say whether this release of flash-attn can compile for this GPU with a new enough nvcc.

    If not, a newer nvcc does not help.
    """
    answer = gpus_rules.runs([f"sm_{arch}" for arch in archs], device)
    return isinstance(answer, Answer) and answer.yes


def _index(facts: Facts, device: str) -> int:
    return next(i for i, g in enumerate(known(facts.graphics.gpus)) if g.compute_capability == device)


class NoGpu(Variant, frozen=True, kw_only=True):
    """Say that no GPU was to be seen, so that PyTorch did not know the architecture: no toolkit is too old."""


class TooNew(Variant, frozen=True, kw_only=True):
    """Hold the first CUDA whose tools know the architecture, "11.8"."""

    floor: str


# By the release notes of PTX: https://docs.nvidia.com/cuda/parallel-thread-execution/#ptx-isa-version-history
_KNOWN_SINCE = {
    "70": "9.0", "75": "10.0", "80": "11.0", "86": "11.1", "87": "11.4", "89": "11.8", "90": "11.8",
    "100": "12.8", "101": "12.8", "103": "12.9", "110": "13.0", "120": "12.8", "121": "12.9",
}  # fmt: skip
# What the tools before that CUDA know surely, and the driver compiles for a newer GPU.
_NEWEST_BEFORE = {"11.1": "8.0+PTX", "11.8": "8.0+PTX", "12.8": "8.0+PTX", "12.9": "9.0+PTX"}


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if all(m.groups.get("option") == "gpu-" and not building.in_build(seen, m) for m in seen.matches):
        return None  # a ptxas that no nvcc called: triton-too-old-for-gpu
    arch = seen.group("arch")
    if arch:
        floor = _floor(facts, arch)
        older = f": they are older than CUDA {floor}, the first that knows it" if floor else ""
        return Hit(
            message=f"The CUDA tools there do not know the architecture {arch}{older}.",
            evidence=evidence,
            variant=TooNew(floor=floor) if floor else None,
        )
    return Hit(
        message="No GPU was to be seen and TORCH_CUDA_ARCH_LIST is not set: PyTorch did not know what to compile for.",
        evidence=evidence,
        variant=NoGpu(),
    )


def _floor(facts: Facts, arch: str) -> str | None:
    """Return the first CUDA that knows an architecture, "compute_89"; None where the tools there may be so new that they dropped it."""
    floor = _KNOWN_SINCE.get(re.sub(r"\D", "", arch)) if arch.startswith(("compute_", "sm_", "lto_")) else None
    kits = facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ()
    have = [pair(kit.version) for kit in kits if isinstance(kit.version, str)]
    return None if floor not in _NEWEST_BEFORE or any(v and v >= (pair(floor) or v) for v in have) else floor


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify, gpus = building.verify(facts), facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    known = sorted({g.compute_capability for g in gpus if isinstance(g.compute_capability, str)})
    name = (
        commands.variable("TORCH_CUDA_ARCH_LIST", ";".join(known), "the GPU that the extension will run on")
        if known
        else commands.by_hand(
            (),
            "set TORCH_CUDA_ARCH_LIST to the compute capability of the GPU that the extension will run on, as "
            "torch.cuda.get_device_capability() says it (8.9 for an RTX 4090)",
            "the architecture that the build compiles for",
        )
    )
    named = Fix(title="Name the architecture", steps=(name,), verify=verify)
    floor = hit.variant.floor if isinstance(hit.variant, TooNew) else None
    newer = toolkits.cures(facts, floor=floor, replace=True)
    if floor is None:
        return (named, *newer) if isinstance(hit.variant, NoGpu) else (*newer, named)
    # These tools refuse the GPU's own architecture. PTX of an older one is compiled for the GPU by the driver.
    older = _NEWEST_BEFORE[floor]
    why = "these tools know it, and the driver compiles it for the GPU at the first start, which takes minutes"
    by_ptx = commands.variable("TORCH_CUDA_ARCH_LIST", older, why)
    return (*newer, Fix(title="Build for an older architecture, with PTX", steps=(by_ptx,), verify=verify))
