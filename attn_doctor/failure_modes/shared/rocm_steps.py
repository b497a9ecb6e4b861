"""Make the steps that several failures of AMD GPUs need: the look at GPU and build, and the way to a newer ROCm. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.knowledge import amd
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step


def look(facts: Facts) -> tuple[Step, ...]:
    """Return the two commands that settle whether a build is for this GPU: what it holds, and what the card is."""
    windows = facts.system.os == "windows"
    asked = "import torch; print(torch.__version__, torch.version.hip, torch.cuda.get_arch_list())"
    held = commands.by_hand(
        (*commands.starting(facts), "-c", asked),
        "prints the ROCm of torch, and the GPUs (gfxNNNN) that it has code for",
        "nothing",
        "none",
    )
    neighbour = (
        "" if windows else f", or set HSA_OVERRIDE_GFX_VERSION to a neighbour that is in the list ({amd.overrides()})"
    )
    card = commands.by_hand(
        ("hipInfo.exe",) if windows else ("rocminfo",),
        f"names the GPU, gfxNNNN. Not in that list: take a torch that has it{neighbour}. In the list: of ROCm and the driver one is older than the "
        "other; take the newer of both",
        "nothing",
        "none",
    )
    return held, card


def newer(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that brings a newer ROCm: in a container a newer image, else a torch of a newer index."""
    if facts.system.os == "windows" or not isinstance(facts.system.container, str):
        return torch_steps.newest(facts, "Install the torch of a newer ROCm", maker="amd")
    pull = commands.by_hand(
        ("docker", "pull", "rocm/pytorch:latest"),
        "on the host: the tag latest moves, and the image that is there keeps the ROCm of its day; then start a new container from it. The "
        "amdgpu driver of the host has to be of about the same age: cat /sys/module/amdgpu/version",
        "the image",
        "none",
        takes="20 GB",
    )
    return (Fix(title="Take an image of a newer ROCm", steps=(pull,), verify=commands.check(facts)),)
