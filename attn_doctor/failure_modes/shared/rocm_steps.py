"""Make the steps that several failures of AMD GPUs need: the look at GPU and build, and the way to a newer ROCm. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared import package_cures, subject, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import has_composable_kernels
from attn_doctor.failure_modes.shared.torch_facts import machine_of
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


def of_flash_attn(facts: Facts, *, build: bool = False) -> tuple[Fix, ...]:
    """Return the two ways of a program that wants flash-attn on an AMD GPU: its Triton backend, and torch's own attention.

    `build`: flash-attn is not there yet, and is installed by the same fix. https://github.com/Dao-AILab/flash-attention#amd-rocm-support
    """
    steps: tuple[Step, ...] = (triton(),)
    if build:
        made = commands.install(
            subject.FLASH_ATTN,
            why="with that variable its setup compiles no kernels: it takes minutes, and the kernels are compiled at their "
            "first use",
            changes="adds flash-attn",
            no_build_isolation=True,
            no_cache=True,
            reinstall=True,
            no_deps=True,
        )
        steps = (triton(), package_cures.tools(facts), made)
    backend = Fix(title="Use flash-attn's Triton backend", steps=steps, verify=commands.check(facts))
    own = own_attention(facts)
    return (own, backend) if facts.system.os == "windows" or has_composable_kernels(facts) else (backend, own)


def triton() -> Step:
    """Return the step that chooses flash-attn's backend in Triton."""
    return commands.variable(
        "FLASH_ATTENTION_TRITON_AMD_ENABLE",
        "TRUE",
        "flash-attn's backend for cards other than MI200, MI300 and MI350, for which it has Composable Kernel: when it is built, and when it runs",
    )


def own_attention(facts: Facts) -> Fix:
    """Return the fix that does without flash-attn."""
    own = commands.by_hand(
        (),
        'use PyTorch\'s scaled_dot_product_attention (attn_implementation="sdpa"): it comes with torch for ROCm, runs on every card that '
        "torch runs on, and needs no package",
        "the settings of the program",
        "none",
    )
    return Fix(title="Use PyTorch's own attention", steps=(own,), verify=commands.check(facts))


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


_HIP_BIN = "C:\\Program Files\\AMD\\ROCm\\6.2\\bin"
# The GPUs for which AMD's HIP SDK brings the libraries. https://rocm.docs.amd.com/projects/install-on-windows/en/latest/reference/system-requirements.html
_OF_THE_SDK = ("gfx1030", "gfx1100", "gfx1101", "gfx1102")
_LIBRARIES = "https://github.com/likelovewant/ROCmLibs-for-gfx1103-AMD780M-APU/releases"


def hip_sdk(facts: Facts) -> tuple[Fix, ...]:
    """Return the two ways of an AMD GPU under Windows: ZLUDA with AMD's HIP SDK, and AMD's own torch, which needs neither.

    https://github.com/patientx/ComfyUI-Zluda/issues/5, https://vladmandic.github.io/sdnext-docs/ZLUDA (libraries for other GPUs)
    """
    look = commands.by_hand(
        ("hipInfo.exe",),
        "in a new prompt: has to print the AMD GPU. Where it is not found, the next line; where it is, install the newest driver of AMD, and "
        "remove what an NVIDIA driver left",
        "nothing",
        "none",
    )
    words = f'[Environment]::SetEnvironmentVariable("Path", [Environment]::GetEnvironmentVariable("Path", "User") + ";{_HIP_BIN}", "User")'
    path = commands.by_hand(
        ("powershell", "-Command", words),
        "6.2 stands for the release of the HIP SDK that is there; where there is none, first install the one that the README of your ZLUDA names: "
        "https://www.amd.com/en/developer/resources/rocm-hub/hip-sdk.html. Then open a new prompt",
        "PATH of this user",
    )
    gfx = next(iter(machine_of(facts).gfx), None)
    steps: tuple[Step, ...] = (look, path)
    if gfx is not None and gfx not in _OF_THE_SDK:
        steps = (*steps, _libraries(gfx))
    own = torch_steps.newest(facts, "Install AMD's torch for Windows", maker="amd")
    return (Fix(title="Put AMD's HIP SDK on PATH", steps=steps, verify=commands.check(facts)), *own)


def _libraries(gfx: str) -> Step:
    return commands.by_hand(
        (),
        f"the HIP SDK has no rocBLAS for {gfx}: keep a copy of its folder bin\\rocblas\\library, and put the files for {gfx} and this release of the "
        f"SDK there, with the rocblas.dll beside them ({_LIBRARIES}: built by others than AMD)",
        "libraries of the HIP SDK",
        "medium",
        risk_text="they are built by others than AMD",
    )
