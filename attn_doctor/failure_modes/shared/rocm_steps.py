"""Make the fixes for AMD GPUs: show the GPU and torch's list of GPUs, install ROCm's parts or a newer ROCm, and use attention there. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared import package_cures, subject, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import has_composable_kernels
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import amd
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step


def look(facts: Facts) -> tuple[Step, ...]:
    """Return the two steps that show whether the installed torch has code for the AMD GPU: torch's list of GPUs, and the GPU's gfx number."""
    windows = facts.system.os == "windows"
    asked = "import torch; print(torch.__version__, torch.version.hip, torch.cuda.get_arch_list())"
    held = commands.by_hand(
        (*commands.starting(facts), "-c", asked),
        "prints the ROCm of torch, and the GPUs (gfxNNNN) that it has code for",
        "nothing",
        "none",
    )
    neighbour = (
        "" if windows else f", or set HSA_OVERRIDE_GFX_VERSION to a similar GPU that is in the list ({amd.overrides()})"
    )
    card = commands.by_hand(
        ("hipInfo.exe",) if windows else ("rocminfo",),
        f"prints the GPU, gfxNNNN. If it is not in that list: install a torch that has it{neighbour}. If it is in the list: ROCm and the driver do not "
        "fit each other; upgrade the older of the two",
        "nothing",
        "none",
    )
    return held, card


def sdk(facts: Facts) -> Step:
    """Return the step that installs ROCm's compiler, headers and libraries for programmers."""
    fedora = facts.system.distribution == "fedora"
    words = ("dnf", "install", "rocm-hip-devel") if fedora else ("apt", "install", "rocm-hip-sdk")
    argv = places.as_root(facts, *words)
    of = (
        "Fedora's package"
        if fedora
        else "from AMD's repository (https://rocm.docs.amd.com/projects/install-on-linux/en/latest/)"
    )
    return commands.by_hand(
        argv,
        f"{of}; if ROCm is not in /opt/rocm, set ROCM_HOME to its folder",
        "adds ROCm's compiler and headers",
        takes="several GB",
    )


def compiler(facts: Facts) -> Fix:
    """Return the fix that installs hipcc, which a torch for ROCm does not contain."""
    return Fix(title="Install ROCm's compiler", steps=(sdk(facts),), verify=commands.check(facts))


def of_flash_attn(facts: Facts, *, build: bool = False) -> tuple[Fix, ...]:
    """Return two fixes for a program that wants flash-attn on an AMD GPU: its Triton backend, and torch's own attention.

    On Windows, and for cards with Composable Kernel, torch's own attention comes first. `build`: flash-attn is not installed yet, so the
    first fix installs it.
    https://github.com/Dao-AILab/flash-attention#amd-rocm-support
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
    """Return the step that sets the variable by which flash-attn uses its backend in Triton."""
    return commands.variable(
        "FLASH_ATTENTION_TRITON_AMD_ENABLE",
        "TRUE",
        "switches on flash-attn's backend for cards other than MI200, MI300 and MI350 (these have Composable Kernel); set it for the build and for each run",
    )


def for_the_build(facts: Facts) -> Fix:
    """Return the fix that sets ROCM_HOME for a build of flash-attn, which looked for CUDA because torch found no ROCm.

    Without a GPU for Composable Kernel, it also switches on flash-attn's Triton backend.
    """
    rocm = commands.variable(
        "ROCM_HOME",
        "/opt/rocm",
        "the folder that contains bin/hipcc: if torch finds no ROCm, flash-attn's setup.py builds for CUDA, even for its Triton backend",
    )
    steps = (rocm,) if has_composable_kernels(facts) else (rocm, triton())
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    return Fix(title="Tell the build where ROCm is", steps=steps, verify=verify)


def own_attention(facts: Facts) -> Fix:
    """Return the fix that uses torch's own attention in place of flash-attn."""
    own = commands.by_hand(
        (),
        'use PyTorch\'s scaled_dot_product_attention (attn_implementation="sdpa"): it comes with torch for ROCm, runs on every card that '
        "torch runs on, and needs no package",
        "the settings of the program",
        "none",
    )
    return Fix(title="Use PyTorch's own attention", steps=(own,), verify=commands.check(facts))


def newer(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that installs a newer ROCm: in a container a newer image, else a torch from a newer index."""
    if facts.system.os == "windows" or not isinstance(facts.system.container, str):
        return torch_steps.newest(facts, "Install the torch of a newer ROCm", maker="amd")
    pull = commands.by_hand(
        ("docker", "pull", "rocm/pytorch:latest"),
        "run this on the host: it downloads the newest container image, because the present image keeps its old ROCm. Then start a new container from the new "
        "image. The amdgpu driver of the host must be about as new as the image: cat /sys/module/amdgpu/version shows its version",
        "the image",
        "none",
        takes="20 GB",
    )
    return (Fix(title="Use a container image with a newer ROCm", steps=(pull,), verify=commands.check(facts)),)


def of_hip(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a HIP error that does not say that code is missing: see whether torch is for the GPU, a newer ROCm, see the call."""
    verify = commands.check(facts)
    named = commands.variable(
        "AMD_SERIALIZE_KERNEL",
        "3",
        "HIP then waits for every kernel, so that the traceback ends at the call that failed. If HSA_OVERRIDE_GFX_VERSION is set, unset it "
        "first: code for another GPU can fail in the same way",
    )
    return (
        Fix(title="See whether this torch is for the GPU", steps=look(facts), verify=verify),
        *newer(facts),
        Fix(title="See which call fails", steps=(named,), verify=verify),
    )


def of_miopen(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a failure of MIOpen: delete its cache, or do without it.

    The third shows whether this torch is for the GPU.
    https://rocm.docs.amd.com/projects/MIOpen/en/latest/how-to/find-and-immediate.html
    """
    verify = commands.check(facts)
    if facts.system.os == "windows":
        gone = commands.by_hand(
            (
                *commands.starting(facts),
                "-c",
                r"import os, shutil; shutil.rmtree(os.path.expanduser(r'~\.miopen'), ignore_errors=True)",
            ),
            "deletes MIOpen's cache: its kernels are compiled again at their next use (minutes)",
            "MIOpen's cache",
        )
    else:
        gone = commands.by_hand(
            ("sh", "-c", "rm -rf ~/.cache/miopen ~/.config/miopen"),
            "deletes MIOpen's cache: its kernels are compiled again at their next use (minutes). End all programs that use the GPU first",
            "MIOpen's cache",
        )
    local = commands.variable(
        "MIOPEN_USER_DB_PATH",
        "%TEMP%\\miopen" if facts.system.os == "windows" else "/tmp/miopen",  # noqa: S108 - a path for a command
        "on a cluster or a network drive: MIOpen then writes its database to a local disk, where locks work",
    )
    off = commands.by_hand(
        (),
        "write  torch.backends.cudnn.enabled = False  below  import torch  in your program: torch then computes convolutions without MIOpen, slower (ComfyUI: a custom node, or "
        "the same line in main.py)",
        "your program",
        "none",
    )
    return (
        Fix(title="Delete MIOpen's cache", steps=(gone, local), verify=verify),
        Fix(title="Do without MIOpen", steps=(off,), verify=verify),
        Fix(title="See whether this torch is for the GPU", steps=look(facts), verify=verify),
    )


_HIP_BIN = "C:\\Program Files\\AMD\\ROCm\\6.2\\bin"
# The GPUs for which AMD's HIP SDK contains the libraries. https://rocm.docs.amd.com/projects/install-on-windows/en/latest/reference/system-requirements.html
_OF_THE_SDK = ("gfx1030", "gfx1100", "gfx1101", "gfx1102")
_LIBRARIES = "https://github.com/likelovewant/ROCmLibs-for-gfx1103-AMD780M-APU/releases"


def hip_sdk(facts: Facts) -> tuple[Fix, ...]:
    """Return the two fixes for an AMD GPU on Windows: ZLUDA with AMD's HIP SDK, or AMD's own torch, which needs neither.

    https://github.com/patientx/ComfyUI-Zluda/issues/5, https://vladmandic.github.io/sdnext-docs/ZLUDA (libraries for other GPUs)
    """
    look = commands.by_hand(
        ("hipInfo.exe",),
        "in a new prompt: it has to print the AMD GPU. If hipInfo.exe is not found, run the next line. If it runs and prints no GPU, install "
        "AMD's newest driver, and remove the rest of an NVIDIA driver",
        "nothing",
        "none",
    )
    words = f'[Environment]::SetEnvironmentVariable("Path", [Environment]::GetEnvironmentVariable("Path", "User") + ";{_HIP_BIN}", "User")'
    path = commands.by_hand(
        ("powershell", "-Command", words),
        "instead of 6.2 write the release of the installed HIP SDK. If no HIP SDK is installed, first install the release that the README of your ZLUDA names: "
        "https://www.amd.com/en/developer/resources/rocm-hub/hip-sdk.html. Then open a new prompt",
        "PATH of this user",
    )
    gfx = next(iter(machine_of(facts).gfx), None)
    steps: tuple[Step, ...] = (look, path)
    if gfx is not None and gfx not in _OF_THE_SDK:
        steps = (*steps, _libraries(gfx))
    own = torch_steps.newest(facts, "Install AMD's torch for Windows", maker="amd")
    return (Fix(title="Put AMD's HIP SDK on PATH", steps=steps, verify=commands.check(facts)), *own)


def without_cudnn(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for ZLUDA where it does not serve cuDNN or a call of cuBLAS: torch without cuDNN, or AMD's own torch.

    https://github.com/lshqqytiger/ZLUDA/issues/53 (DISABLE_ADDMM_CUDA_LT), https://github.com/pytorch/pytorch/pull/91436, https://github.com/lshqqytiger/ZLUDA/issues/81,
    https://github.com/vosen/ZLUDA#pytorch
    """
    off = commands.by_hand(
        (),
        "write these lines behind `import torch` in the program: torch.backends.cudnn.enabled = False; torch.backends.cuda.enable_flash_sdp(False); "
        "torch.backends.cuda.enable_math_sdp(True); torch.backends.cuda.enable_mem_efficient_sdp(False). ZLUDA has no cuDNN, unless HIP's MIOpen was added to it",
        "four lines of the program",
        "none",
    )
    lt = commands.variable(
        "DISABLE_ADDMM_CUDA_LT", "1", "torch then multiplies by cuBLAS, and not by cuBLASLt, which ZLUDA lacks"
    )
    own = torch_steps.newest(facts, "Install AMD's torch for Windows", maker="amd")
    without = Fix(title="Let torch do without cuDNN and cuBLASLt", steps=(off, lt), verify=commands.check(facts))
    return (without, *own)


def _libraries(gfx: str) -> Step:
    return commands.by_hand(
        (),
        f"the HIP SDK has no rocBLAS for {gfx}: make a copy of its folder bin\\rocblas\\library, then put the files for {gfx} and this release of the "
        f"SDK into the copy, together with the rocblas.dll that comes with them ({_LIBRARIES}: not built by AMD)",
        "libraries of the HIP SDK",
        "medium",
        risk_text="these files are not built by AMD",
    )
