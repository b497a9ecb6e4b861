"""Make the fixes where the AMD GPU, or its ROCm, is not the one that a program or a package needs: another build, another system. Pure."""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import torch_choice
from attn_doctor.knowledge.torch_machine import Choice
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step


def without_amd_gpu(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes where HIP finds no AMD GPU: see which GPU is there; for an NVIDIA GPU, the same release of torch for CUDA."""
    windows = facts.system.os == "windows"
    amd = commands.by_hand(
        ("hipInfo.exe",) if windows else ("rocminfo",),
        "prints the AMD GPU, gfxNNNN. If there is an AMD GPU and it prints none: the amdgpu driver is missing, or in a container the devices /dev/kfd and /dev/dri",
        changes="nothing",
        risk="none",
    )
    nvidia = commands.by_hand(
        ("nvidia-smi",),
        "prints an NVIDIA GPU if there is one: then torch is the wrong build: see the next fix",
        changes="nothing",
        risk="none",
    )
    look = Fix(
        title="See which GPU is there: a ROCm build of torch needs an AMD GPU",
        steps=(amd, nvidia),
        verify=commands.check(facts),
    )
    torch = msgspec.structs.replace(facts.torch, hip=Unknown("to be replaced"))
    graphics = msgspec.structs.replace(facts.graphics, amd=Unknown("to be replaced"))
    other = msgspec.structs.replace(facts, torch=torch, graphics=graphics)
    title = "If the GPU is NVIDIA's: install {name} for CUDA {cuda}"
    return look, *torch_steps.kept_or_newest(other, title, reinstall=True)


# Packages whose newest source builds on ROCm, and whose last release does not, or needs a patch.
# https://github.com/state-spaces/mamba#additional-prerequisites-for-amd-cards, https://github.com/state-spaces/mamba/issues/717
_SOURCES = {
    "mamba-ssm": "git+https://github.com/state-spaces/mamba.git",
    "causal-conv1d": "git+https://github.com/Dao-AILab/causal-conv1d.git",
}


def another_package(facts: Facts) -> Fix:
    """Return the fix for another package without code for the AMD GPU: a build of its newest source for that GPU."""
    package = facts.subject.package if isinstance(facts.subject.package, str) else None
    gfx = next(iter(machine_of(facts).gfx), None)
    title = f"Build {package or 'the package'} for this GPU"
    if package is None:
        step = commands.by_hand(
            (),
            "see which AMD GPUs the newest release of the package for ROCm names, or build it with PYTORCH_ROCM_ARCH set to the gfx number that rocminfo prints",
            "the package",
            "none",
        )
        return Fix(title=title, steps=(step,), verify=commands.check(facts))
    arch: tuple[Step, ...] = (
        (
            commands.by_hand(
                (
                    "sh",
                    "-c",
                    "export PYTORCH_ROCM_ARCH=$(rocminfo | grep -om1 'gfx[0-9a-f]*'); echo $PYTORCH_ROCM_ARCH",
                ),
                "the GPU to compile for, as rocminfo names it",
                "this shell's environment only",
                "none",
            ),
        )
        if gfx is None
        else (
            commands.variable("PYTORCH_ROCM_ARCH", gfx, "the GPU to compile for"),
            *(
                (commands.variable("HIP_ARCHITECTURES", gfx, f"the same for the setup.py of {package}"),)
                if package in _SOURCES
                else ()
            ),
        )
    )
    made = commands.install(
        _SOURCES.get(package, package),
        why="its newest source, compiled here by ROCm's hipcc; see in its README whether it supports this GPU. Compiling may take hours",
        changes=package,
        reinstall=True,
        no_deps=True,
        no_build_isolation=True,
        no_cache=True,
        takes="minutes to hours",
    )
    return Fix(title=title, steps=(*arch, made), verify=commands.check(facts))


def outside_wsl(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a card that ROCm inside WSL does not support.

    Use the card in Windows itself, or with a newer ROCm for WSL or on Linux itself.
    https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/docs/compatibility/compatibilityrad/wsl/wsl_compatibility.html
    """
    verify = commands.check(facts)
    machine = msgspec.structs.replace(machine_of(facts), os="windows", wsl=False, maker="amd", python=None)
    own = torch_choice.choose(machine)
    windows: tuple[Fix, ...] = ()
    if isinstance(own, Choice) and own.index_url is not None:
        made = commands.by_hand(
            ("py", "-3.12", "-m", "pip", "install", "--index-url", own.index_url, *own.requirements()),
            f"in a terminal of Windows, with Python 3.12 of Windows (winget install Python.Python.3.12): {own.why}, and needs no WSL. The newest Adrenalin driver first: "
            "https://www.amd.com/en/support",
            "a torch in Windows",
        )
        windows = (Fix(title="Use the card in Windows itself", steps=(made,), verify=verify),)
    page = "https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/docs/compatibility/compatibilityrad/wsl/wsl_compatibility.html"
    newer = commands.by_hand(
        (),
        f"if AMD's list for WSL has the card ({page}): install the Adrenalin driver and the ROCm for WSL that this page names. If it has not: a Linux that starts by itself, beside "
        "Windows. No HSA_OVERRIDE_GFX_VERSION, group or kernel module helps in WSL",
        "the driver of Windows, and ROCm in WSL",
        "medium",
    )
    return (
        *windows,
        Fix(title="Use a ROCm for WSL that supports the card, or Linux itself", steps=(newer,), verify=verify),
    )
