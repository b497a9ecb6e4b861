"""Make the fix for an architecture that nvcc no longer has: CUDA 12 left Kepler out, CUDA 13 everything before Turing. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared import building
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import pair

# The first architectures that CUDA 13 still has are Turing's: what is older was dropped, what is newer is not there yet.
_FIRST_KEPT = (7, 5)


def may_be_dropped(device: str) -> bool:
    """Return whether an nvcc exists that no longer has this compute capability."""
    return (pair(device) or _FIRST_KEPT) < _FIRST_KEPT


def without(facts: Facts, refused: str, devices: list[str], *, cmake: bool) -> Fix:
    """Return the fix that takes the refused architecture out of the list of the build.

    `refused`, `devices`: compute capabilities, "3.5"; `devices` are those of the GPUs here. `cmake`: the list is in
    CMakeLists.txt; False: in setup.py or a Makefile.
    https://docs.nvidia.com/cuda/archive/12.0.0/cuda-toolkit-release-notes/index.html, .../13.0.0/...
    """
    number = refused.replace(".", "")
    where = "CMakeLists.txt (CMAKE_CUDA_ARCHITECTURES)" if cmake else "setup.py or the Makefile"
    out = commands.by_hand(
        (),
        f"this nvcc no longer has compute capability {refused}: take compute_{number} and sm_{number} out of the list in {where}, if a list with them is written there. "
        f"Only a GPU of compute capability {refused} needs the older toolkit",
        "the list of architectures of this build",
        "none",
    )
    fine = [device for device in devices if device != refused]
    chosen = (
        commands.variable(
            "TORCH_CUDA_ARCH_LIST", ";".join(fine), "the GPU here; it replaces a list that came from this variable"
        )
        if fine
        else commands.by_hand(
            (),
            "if the list came from TORCH_CUDA_ARCH_LIST: set that to the compute capability of the GPU, as torch.cuda.get_device_capability() shows it (8.6 for an RTX 3090)",
            "the architectures that torch's builds compile for",
            "none",
        )
    )
    return Fix(
        title=f"Take compute capability {refused} out of the build", steps=(out, chosen), verify=building.verify(facts)
    )
