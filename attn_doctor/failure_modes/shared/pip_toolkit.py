"""Make the fix that installs NVIDIA's wheels as a CUDA toolkit into the environment of a torch for CUDA 13. It needs no root. Pure.

Tried with torch 2.14.1+cu130 and wheels of 13.0 (2026-11-29): torch.utils.cpp_extension compiled and linked a small kernel with
CUDA_HOME at site-packages/nvidia/cu13. Two corrections are needed. nvidia-cuda-nvcc 13.0 installs the newest nvidia-nvvm, and its ptxas
refuses the PTX of that nvvm ("Unsupported .version 9.5; current version is '9.0'"): so all four wheels are pinned. And the wheels contain
libcudart.so.13 but no libcudart.so, which the linker looks for: so a link is made. For CUDA 12 this does not work:
nvidia-cuda-nvcc-cu12 12.8.93 contains ptxas and no nvcc.
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import cuda_toolkits, places
from attn_doctor.failure_modes.shared import building
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import dotted

_WHEELS = ("nvidia-cuda-nvcc", "nvidia-nvvm", "nvidia-cuda-crt", "nvidia-cuda-cccl")
_MAJOR = 13


def fix(facts: Facts) -> Fix | None:
    """Return the fix that installs nvcc of CUDA 13 by pip and sets CUDA_HOME.

    None if torch is for another CUDA, if its CUDA or site-packages is not known, if the system is not a Linux with glibc, on a Jetson, or if
    conda made the environment.
    """
    cuda, site = cuda_toolkits.torch_cuda(facts), facts.interpreter.site_packages
    if cuda is None or cuda[0] != _MAJOR or not isinstance(site, str) or facts.system.os != "linux":
        return None
    if places.environment_tool(facts) or places.jetson(facts) or not isinstance(facts.system.glibc, str):
        return None
    home = f"{site}/nvidia/cu{_MAJOR}"
    release = dotted(cuda)
    steps = (
        commands.install(
            *(f"{name}=={release}.*" for name in _WHEELS),
            why="NVIDIA's compiler as wheels: all four have to be of the same CUDA release as torch",
            changes=f"adds nvcc of CUDA {release} to this environment",
            takes="about 180 MB",
        ),
        commands.by_hand(
            ("ln", "-s", f"libcudart.so.{_MAJOR}", f"{home}/lib/libcudart.so"),
            "makes a link libcudart.so: the linker looks for this name, and the wheels do not have it",
            "adds a link",
        ),
        commands.variable("CUDA_HOME", home, "the toolkit in this environment; g++ has to be installed too"),
    )
    return Fix(title=f"Put nvcc {release} into this environment", steps=steps, verify=building.verify(facts))
