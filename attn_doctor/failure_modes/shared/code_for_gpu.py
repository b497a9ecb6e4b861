"""Build the cures for a torch, or another binary, that has no code for the GPU."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.knowledge import gpu
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import capability, dotted


def on_jetson(facts: Facts) -> Fix:
    """Return the fix for an extension that was compiled on a Jetson for the GPUs of servers.

    The Jetson's GPU does not run such code. https://docs.nvidia.com/cuda/cuda-c-programming-guide/#binary-compatibility (not
    between Tegra and other GPUs)
    """
    asked = "import torch; print(torch.cuda.get_device_capability(), torch.cuda.get_arch_list())"
    look = commands.by_hand(
        (*commands.starting(facts), "-c", asked),
        "(8, 7) is an Orin, (7, 2) a Xavier. If the list contains that number (sm_87), torch is right, and stays: the compiled library lacks it",
        "nothing",
        "none",
    )
    arch = "8.7" if str(facts.system.jetpack).startswith("6") or not isinstance(facts.system.jetpack, str) else None
    named = (
        commands.variable("TORCH_CUDA_ARCH_LIST", arch, "an Orin; write 7.2 for a Xavier")
        if arch
        else commands.by_hand(
            (), "set TORCH_CUDA_ARCH_LIST to the number that the first line printed, as 7.2", "the build", "none"
        )
    )
    pip = (
        *commands.starting(facts),
        "-m",
        "pip",
        "install",
        "--no-build-isolation",
        "--no-cache-dir",
        "--force-reinstall",
        "--no-deps",
        ".",
    )
    words = (
        "in the folder of the sources of that library: compiles it again, for this GPU. The setup.py of flash-attn does not read that variable: add the line "
        'cc_flag += ["-gencode", "arch=compute_87,code=sm_87"] beside its other -gencode lines first'
    )
    build = commands.by_hand(pip, words, "the library", takes="minutes to hours")
    return Fix(
        title="Compile the library for the Jetson's GPU", steps=(look, named, build), verify=commands.check(facts)
    )


def torch_or_another(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes if it is not known whether torch or another package lacks code for the GPU.

    The first step of the first fix lets torch print the GPUs that it has code for.
    """
    asked = "import torch; print(torch.__version__, torch.cuda.get_device_capability(), torch.cuda.get_arch_list())"
    look = commands.by_hand(
        (*commands.starting(facts), "-c", asked),
        "(6, 1) means sm_61. If the list has that number, or a lower one with the same first digit, torch is right, and stays: the package "
        "that is called in the lines above the error lacks it (mamba-ssm, causal-conv1d, xformers, a project's own extension)",
        "nothing",
        "none",
    )
    build = commands.by_hand(
        (),
        "then compile that package from its source for this GPU: TORCH_CUDA_ARCH_LIST=6.1 and pip install --no-build-isolation; where its setup.py "
        "has a list of its own, add  -gencode arch=compute_61,code=sm_61  there (with the number of your GPU)",
        "that package",
        takes="minutes to hours",
    )
    ask = Fix(title="See whether torch has code for the GPU", steps=(look, build), verify=commands.check(facts))
    made = torch_steps.newest(facts, "If it has none: install a torch that supports the card", why=WHY, reinstall=True)
    return (ask, *made)


def of_an_operator(facts: Facts, binary: str) -> Fix:
    """Return the fix for an extension of a project that was compiled for another GPU: compile it again, without the files of the old build.

    `binary`: the package; "torch" if the error names only a function. Source of the folder: README.md of Deformable-DETR, INSTALL.md of Mask2Former
    (which also says to set TORCH_CUDA_ARCH_LIST where no GPU is visible).
    """
    cards = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    known = next((card.compute_capability for card in cards if isinstance(card.compute_capability, str)), None)
    look = commands.by_hand(
        (*commands.starting(facts), "-c", "import torch; print(torch.cuda.get_device_capability())"),
        "run it on the machine with the GPU: (8, 0) is an A100, and means 8.0 in the next line",
        "nothing",
        "none",
    )
    arch = commands.variable(
        "TORCH_CUDA_ARCH_LIST",
        known or "8.0",
        "the GPU to compile for" if known else "write the number that the first line printed",
    )
    where = (
        "in the folder of the project in which it was built (ops/make.sh: models/ops in Deformable-DETR, mask2former/modeling/pixel_decoder/ops in Mask2Former)"
        if binary == "MultiScaleDeformableAttention"
        else "in the folder of that extension's setup.py"
    )
    gone = commands.by_hand(
        ("rm", "-rf", "build") if facts.system.os != "windows" else ("rmdir", "/s", "/q", "build"),
        f"{where}: the files of the earlier build are for another GPU, and would be used again",
        "what was compiled",
    )
    pip = ("-m", "pip", "install", "--no-build-isolation", "--no-cache-dir", "--force-reinstall", "--no-deps", ".")
    build = commands.by_hand(
        (*commands.starting(facts), *pip), "in the same folder: compiles it again", "the extension", takes="minutes"
    )
    name = binary if binary != "torch" else "the extension"
    return Fix(
        title=f"Compile {name} again, for this GPU", steps=(look, arch, gone, build), verify=commands.check(facts)
    )


def another_image(facts: Facts, *, older: bool) -> Fix:
    """Return the fix for a container image of NVIDIA that does not support the GPU: another release of the image.

    https://docs.nvidia.com/deeplearning/frameworks/support-matrix/index.html (the GPUs of each release)
    """
    which = "an older" if older else "a newer"
    words = (
        f"start the container from {which} release of the image, as nvcr.io/nvidia/pytorch:YY.MM-py3. This table has the GPUs, the CUDA and the driver of each "
        "release: https://docs.nvidia.com/deeplearning/frameworks/support-matrix/index.html"
    )
    step = commands.by_hand((), words, "the image", "none", takes="up to 20 GB")
    return Fix(title=f"Use {which} container image", steps=(step,), verify=commands.check(facts))


WHY = "a new card needs the newest torch, an old one a torch for CUDA 12.6 or older"


def lacks(facts: Facts, flags: str) -> bool:
    """Return whether a list of architectures, "7.0, 7.5" or "sm_70 sm_75", surely has no code for a known GPU."""
    codes = tuple(f"sm_{found.replace('.', '')}" for found in re.findall(r"\b(?:sm_)?(\d{1,2}\.?\d)\b", flags))
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    cards = [card.compute_capability for card in gpus if isinstance(card.compute_capability, str)]
    judged = [gpu.runs(codes, card) for card in cards] if codes else []
    return any(isinstance(answer, Answer) and not answer.yes for answer in judged)


def card_is_known(facts: Facts) -> bool:
    gpus = facts.graphics.gpus
    return isinstance(gpus, tuple) and any(isinstance(card.compute_capability, str) for card in gpus)


_FIRST_OF_WHEELS = (3, 7)  # the oldest compute capability of a build that https://download.pytorch.org/whl/ still has


def on_the_cpu(facts: Facts) -> Fix | None:
    """Return the fix for GPUs that are older than every build of PyTorch, which is to do without them; None for newer ones."""
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    able = [capability(card.compute_capability) for card in gpus if isinstance(card.compute_capability, str)]
    if not able or len(able) < len(gpus) or max(able) >= _FIRST_OF_WHEELS:
        return None
    why = (
        "hides the GPU, so that programs that ask torch take the processor; else give the program its own option (--cpu, device=cpu). No build of PyTorch for the Pythons of today"
        f" has code for compute capability {dotted(max(able))}, and a newer driver or CUDA changes nothing"
    )
    hidden = commands.variable("CUDA_VISIBLE_DEVICES", "-1", why)
    words = "or use another GPU: today's builds of torch for CUDA 12.6 begin with compute capability 5.0 (GTX 900)"
    other = commands.by_hand((), words, "the GPU")
    return Fix(title="Compute on the CPU, or on a newer GPU", steps=(hidden, other), verify=commands.check(facts))
