"""Read the words of a build that asked the GPU for its compute capability where no GPU is visible, and name the architecture to it.

Sources: bindings/torch/setup.py of NVlabs/tiny-cuda-nn, setup.py of thu-ml/SageAttention,
https://cmake.org/cmake/help/latest/prop_tgt/CUDA_ARCHITECTURES.html. Pure.
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

OF_TORCH = "TORCH_CUDA_ARCH_LIST"
_OF_CMAKE = "CUDAARCHS"
_OF_TCNN = "TCNN_CUDA_ARCHITECTURES"

SIGNS = (
    # tiny-cuda-nn has other words at run time: "Ensure PyTorch with CUDA support is installed".
    Sign(
        pattern=r"(?P<unseen>Unknown compute capability\. Specify the target compute capabilities in the (?P<variable>\w{1,60}) environment variable)",
        literal="Unknown compute capability. Specify",
        sample="OSError: Unknown compute capability. Specify the target compute capabilities in the TCNN_CUDA_ARCHITECTURES environment variable",
    ),
    Sign(
        pattern=r"(?P<unseen>No (?:CUDA )?GPUs? (?:found|detected|available)\b.{0,60}?(?:[Pp]lease )?(?:specify|set) (?:the )?(?:target )?(?:(?:GPU |CUDA )?arch\w{1,20}|(?P<variable>[A-Z][A-Z_]{4,40})))",
        literal=" GPU",
        sample="RuntimeError: No GPUs found. Please specify the target GPU architectures or build on a machine with GPUs.",
    ),
    Sign(
        pattern=r"(?P<unseen>(?:[Cc]ould not|[Cc]annot|[Cc]an't|[Ff]ailed to|[Uu]nable to) (?:detect|determine|find|get) (?:the |any )?(?:CUDA |GPU'?s? )?compute capabilit(?:y|ies))",
        literal="compute capabilit",
        sample="RuntimeError: Failed to detect compute capability: no CUDA device",
        strength="hint",
    ),
    Sign(
        pattern=r"(?P<unseen>(?P<by_cmake>CUDA_ARCHITECTURES is empty for target|CMAKE_CUDA_ARCHITECTURES must be non-empty if set))",
        literal="CUDA_ARCHITECTURES ",
        sample='CMake Error in CMakeLists.txt: CUDA_ARCHITECTURES is empty for target "kernels".',
    ),
    # torch's CMake files and cpp_extension read TORCH_CUDA_ARCH_LIST: here it is set, to nothing or to a word that is no architecture.
    Sign(
        pattern=r"(?P<unseen>arch_bin wasn't set for some reason)",
        literal="arch_bin wasn't set",
        sample="    arch_bin wasn't set for some reason",
    ),
    Sign(
        pattern=r"(?P<unseen>Unknown CUDA arch \(\s?\) or GPU not supported)",
        literal="Unknown CUDA arch (",
        sample="ValueError: Unknown CUDA arch () or GPU not supported",
    ),
)


class NoGpu(Variant, frozen=True, kw_only=True):
    """Mark the case that the build saw no GPU, and so could not choose an architecture. The toolkit is not too old.

    `variable`: the variable that names the architecture to that build. `asked`: the setup asked the GPU itself; False: torch's
    cpp_extension did.
    """

    variable: str = OF_TORCH
    asked: bool = False


def told(seen: Seen) -> Hit | None:
    """Return the hit for a build that asked the GPU for its compute capability where none is visible; else None.

    Also for a build whose TORCH_CUDA_ARCH_LIST is empty or not an architecture; it has another message.
    """
    found = [
        m for m in seen.matches if m.groups.get("unseen") and (m.strength == "proof" or building.in_build(seen, m))
    ]
    if not found or seen.group("arch") or seen.group("unknown"):
        return None
    by_cmake = any(m.groups.get("by_cmake") for m in found)
    variable = next((name for m in found if (name := m.groups.get("variable"))), _OF_CMAKE if by_cmake else OF_TORCH)
    if any("arch_bin" in m.groups["unseen"] or "CUDA arch (" in m.groups["unseen"] for m in found):
        message = f"{OF_TORCH} is set to nothing, or to a value that torch does not know as an architecture: there is nothing to compile for."
        return Hit(
            message=message,
            evidence=building.lines(found),
            variant=NoGpu(variable=variable, asked=True),
            explains=(building.FAILED,),
        )
    message = f"The build ran where no GPU is visible, and {variable} is not set: it could not find the compute capability to compile for."
    return Hit(
        message=message,
        evidence=building.lines(found),
        variant=NoGpu(variable=variable, asked=True),
        explains=(building.FAILED, "torch-sees-no-gpu", "no-gpu-present"),
    )


def fixes(facts: Facts, variable: str, devices: list[str]) -> tuple[Fix, ...]:
    """Return the fixes: name the architecture, or build where there is a GPU. `devices`: compute capabilities, "8.9"; empty: not known."""
    by_name = named(facts, variable, devices)
    session = nvidia_drivers.session_with_gpu(facts)
    if session is None:
        return (by_name,)
    built = commands.by_hand((), "there, repeat the build", "the package")
    steps = (*session.steps, built)
    return (by_name, msgspec.structs.replace(session, title="Build on a node with a GPU", steps=steps))


def named(facts: Facts, variable: str, devices: list[str]) -> Fix:
    """Return the fix that names the compute capability to the build. tiny-cuda-nn and CMake write 8.9 as 89."""
    bare = variable in (_OF_TCNN, _OF_CMAKE)
    values = [device.replace(".", "") for device in devices] if bare else devices
    example = "89 for an RTX 4090, 80 for an A100" if bare else "8.9 for an RTX 4090"
    words = f"set {variable} to the compute capability of the GPU that the extension will run on, as torch.cuda.get_device_capability() shows it ({example})"
    name = (
        commands.variable(variable, ";".join(values), "the GPU that the extension will run on")
        if devices
        else commands.by_hand((), words, "the architecture that the build compiles for")
    )
    return Fix(title="Name the architecture", steps=(name,), verify=building.verify(facts))
