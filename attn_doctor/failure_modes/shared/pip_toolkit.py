"""Give the fix that makes the environment of a torch for CUDA 13 a toolkit of its own, by NVIDIA's wheels. No root is needed. Pure.

Tried with torch 2.14.1+cu130 and wheels of 13.0 (2026-11-29): torch.utils.cpp_extension compiled and linked a small kernel with
CUDA_HOME at site-packages/nvidia/cu13. Two things are not as they come. nvidia-cuda-nvcc 13.0 brings the newest nvidia-nvvm, whose PTX
its ptxas refuses ("Unsupported .version 9.5; current version is '9.0'"): all four are pinned. And there is libcudart.so.13, but
no libcudart.so to link with. For CUDA 12 it is no way: nvidia-cuda-nvcc-cu12 12.8.93 holds ptxas and no nvcc.
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
    """Return the fix; None where torch is of another CUDA, this is no Linux of glibc, or the environment is one of conda."""
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
            why="NVIDIA's compiler as wheels, all of torch's own release, which have to be of one",
            changes=f"adds nvcc of CUDA {release} to this environment",
            takes="about 180 MB",
        ),
        commands.by_hand(
            ("ln", "-s", f"libcudart.so.{_MAJOR}", f"{home}/lib/libcudart.so"),
            "the wheels lack the name by which a build links",
            "adds a link",
        ),
        commands.variable("CUDA_HOME", home, "a toolkit inside this environment; g++ has to be there as well"),
    )
    return Fix(title=f"Put nvcc {release} into this environment", steps=steps, verify=building.verify(facts))
