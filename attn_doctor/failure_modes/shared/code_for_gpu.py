"""Build the cures for a torch, or another binary, that has no code for the GPU."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.shared import cpu_by_program, torch_steps
from attn_doctor.knowledge import gpu
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import capability, dotted


def on_jetson(facts: Facts) -> Fix:
    """Return the fix that compiles an extension again, for the GPU of a Jetson.

    The extension was compiled on the Jetson for the GPUs of servers. The Jetson's GPU does not run such code.
    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#binary-compatibility (not between Tegra and other GPUs)
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
    known = capabilities(facts)
    asked = "import torch; print(torch.__version__, torch.cuda.get_device_capability(), torch.cuda.get_arch_list())"
    means = f"sm_{known.replace('.', '')} is the GPU here" if known and ";" not in known else "(6, 1) means sm_61"
    look = commands.by_hand(
        (*commands.starting(facts), "-c", asked),
        f"{means}. If the list has that number, or a lower one with the same first digit, torch is right, and stays: the package "
        "that is called in the lines above the error lacks it (mamba-ssm, causal-conv1d, xformers, a project's own extension)",
        "nothing",
        "none",
    )
    build = commands.by_hand(
        (*commands.starting(facts), *_AGAIN),
        "then, in the folder of the sources of that package: compiles it for this GPU",
        "that package",
        takes="minutes to hours",
    )
    steps = (look, *_arch(facts, known), own_list(facts, known), build)
    ask = Fix(title="See whether torch has code for the GPU", steps=steps, verify=commands.check(facts))
    made = torch_steps.newest(facts, "If it has none: install a torch that supports the card", why=WHY, reinstall=True)
    return (ask, *made)


_AGAIN = ("-m", "pip", "install", "--no-build-isolation", "--no-cache-dir", "--force-reinstall", "--no-deps", ".")


def capabilities(facts: Facts) -> str | None:
    """Return the compute capabilities of the GPUs, as TORCH_CUDA_ARCH_LIST takes them: "8.6", "7.0;7.5"; None if none is known.

    Of several GPUs a log seldom says on which one the program failed, and code for all of them runs on that one too.
    """
    cards = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    known = {card.compute_capability for card in cards if isinstance(card.compute_capability, str)}
    return ";".join(sorted(known, key=capability)) or None


_ASK = "import torch; print(*torch.cuda.get_device_capability(), sep='.')"


def _arch(facts: Facts, known: str | None) -> tuple[Step, ...]:
    """Return the steps that set TORCH_CUDA_ARCH_LIST to the GPU: where it is not known, torch is asked, on the machine with the GPU."""
    name = "TORCH_CUDA_ARCH_LIST"
    if known:
        return (commands.variable(name, known, "the GPU to compile for" if ";" not in known else _ALL),)
    return asked_arch(facts)


_ALL = "the GPUs that are there: the log does not say which of them has no code"


def asked_arch(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that ask torch for the GPU, and set TORCH_CUDA_ARCH_LIST to it."""
    name = "TORCH_CUDA_ARCH_LIST"
    if commands.shell_of(facts) == "bash" and facts.system.os != "windows":
        line = commands.quoted((*commands.starting(facts), "-c", _ASK), "bash")
        why = "on the machine with the GPU: the GPU to compile for, as torch names it"
        return (
            commands.by_hand(("sh", "-c", f"export {name}=$({line})"), why, f"{name}, in this shell alone", "none"),
        )
    look = commands.by_hand(
        (*commands.starting(facts), "-c", _ASK),
        "on the machine with the GPU: prints the value for the next line",
        "nothing",
        "none",
    )
    return look, commands.variable(
        name, "8.0", "8.0 is an example (A100): write the number that the first line printed"
    )


def own_list(facts: Facts, known: str | None) -> Step:
    """Return the step that writes this GPU into the list of GPUs in a setup.py.

    If `known` is None: the step that prints the list. torch does not read TORCH_CUDA_ARCH_LIST if the setup.py has a
    list of its own. `known`: the compute capability, "8.6".
    https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py (_get_cuda_arch_flags)
    """
    code = known.replace(".", "") if known and ";" not in known else None
    several = known.replace(".", "").split(";") if known and code is None else []
    windows = facts.system.os == "windows"
    if code is None:
        return commands.by_hand(
            ("findstr", "compute_ sm_", "setup.py") if windows else ("grep", "-nE", "compute_|sm_", "setup.py"),
            "in the folder of its setup.py: prints the list of GPUs that is written there, in whose place TORCH_CUDA_ARCH_LIST is not read: write "
            + (
                f"these GPUs into it ({' and '.join(f'-gencode arch=compute_{one},code=sm_{one}' for one in several)})"
                if several
                else "this GPU into it (8.6 is compute_86 and sm_86)"
            )
            + ". If nothing is printed, there is none",
            "nothing",
            "none",
        )
    script = f"import re; s = open('setup.py').read(); open('setup.py', 'w').write(re.sub(r'(compute|sm)_\\d+[a-z]?', r'\\1_{code}', s))"
    return commands.by_hand(
        (*commands.starting(facts), "-c", script)
        if windows
        else ("sed", "-i", "-E", f"s/(compute|sm)_[0-9]+[a-z]?/\\1_{code}/g", "setup.py"),
        f"in the folder of its setup.py: a list of GPUs that is written there counts in place of that variable: writes compute_{code} and sm_{code} into it. Without such a list it changes nothing",
        "setup.py",
    )


def of_an_operator(facts: Facts, binary: str, folder: str | None = None) -> Fix:
    """Return the fix for an extension of a project that was compiled for another GPU: compile it again, without the files of the old build.

    `binary`: the package; "torch" if the error names only a function. `folder`: of its setup.py, if the log shows it. Source of the folders: README.md of
    Deformable-DETR, INSTALL.md of Mask2Former (which also says to set TORCH_CUDA_ARCH_LIST where no GPU is visible).
    """
    known = capabilities(facts)
    where = (
        "in the folder of the project in which it was built (ops/make.sh: models/ops in Deformable-DETR, mask2former/modeling/pixel_decoder/ops in Mask2Former)"
        if binary == "MultiScaleDeformableAttention"
        else "in this folder"
        if folder
        else "in the folder of that extension's setup.py"
    )
    into = (
        commands.by_hand(("cd", folder), "the sources of the extension, as the log shows them", "the folder", "none")
        if folder
        else None
    )
    gone = commands.by_hand(
        ("rm", "-rf", "build") if facts.system.os != "windows" else ("rmdir", "/s", "/q", "build"),
        f"{where}: the files of the earlier build are for another GPU, and would be used again",
        "what was compiled",
    )
    build = commands.by_hand(
        (*commands.starting(facts), *_AGAIN), "in the same folder: compiles it again", "the extension", takes="minutes"
    )
    name = binary if binary != "torch" else "the extension"
    steps = (*_arch(facts, known), *((into,) if into else ()), gone, own_list(facts, known), build)
    return Fix(title=f"Compile {name} again, for this GPU", steps=steps, verify=commands.check(facts))


WHY = "a new card needs the newest torch, an old one a torch for CUDA 12.6 or older"


def lacks(facts: Facts, flags: str) -> bool:
    """Return whether a list of architectures surely has no code for one of the known GPUs.

    `flags`: "7.0, 7.5" or "sm_70 sm_75".
    """
    codes = tuple(f"sm_{found.replace('.', '')}" for found in re.findall(r"\b(?:sm_)?(\d{1,2}\.?\d)\b", flags))
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    cards = [card.compute_capability for card in gpus if isinstance(card.compute_capability, str)]
    judged = [gpu.runs(codes, card) for card in cards] if codes else []
    return any(isinstance(answer, Answer) and not answer.yes for answer in judged)


def card_is_known(facts: Facts) -> bool:
    """Return whether the compute capability of one GPU or more is known."""
    gpus = facts.graphics.gpus
    return isinstance(gpus, tuple) and any(isinstance(card.compute_capability, str) for card in gpus)


_FIRST_OF_WHEELS = (3, 7)  # the oldest compute capability of a build that https://download.pytorch.org/whl/ still has


def on_the_cpu(facts: Facts) -> Fix | None:
    """Return the fix for GPUs older than every build of PyTorch: compute on the CPU, or on a newer GPU.

    None for newer GPUs. None also if the compute capability of a GPU is not known.
    """
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    able = [capability(card.compute_capability) for card in gpus if isinstance(card.compute_capability, str)]
    if not able or len(able) < len(gpus) or max(able) >= _FIRST_OF_WHEELS:
        return None
    why = (
        "hides the GPU, so that programs that ask torch take the processor; else give the program its own option (--cpu, device=cpu). No build of PyTorch for the Pythons of today"
        f" has code for compute capability {dotted(max(able))}, and a newer driver or CUDA changes nothing"
    )
    hidden = commands.variable("CUDA_VISIBLE_DEVICES", "-1", why)
    program = cpu_by_program.step(facts)
    words = "or use another GPU: today's builds of torch for CUDA 12.6 begin with compute capability 5.0 (GTX 900)"
    other = commands.by_hand((), words, "the GPU")
    steps = (hidden, *((program,) if program else ()), other)
    return Fix(title="Compute on the CPU, or on a newer GPU", steps=steps, verify=commands.check(facts))


def of_onnxruntime(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for ONNX Runtime: the release whose code every newer GPU can compile for itself, and the newest one.

    1.22 has code of 9.0 that newer GPUs compile, 1.23 has it for Hopper alone: https://github.com/microsoft/onnxruntime/pull/26230
    """
    verify = (*commands.starting(facts), "-c", "import onnxruntime; print(onnxruntime.__version__)")
    older = commands.install(
        "onnxruntime-gpu==1.22.0",
        why="for CUDA 12 and cuDNN 9, Python 3.10 to 3.13: its code runs on GPUs from compute capability 5.2 to the newest; 1.23 has none for those after Hopper (RTX 50)",
        changes="onnxruntime-gpu",
        reinstall=True,
        no_deps=True,
    )
    newest = commands.install(
        "onnxruntime-gpu",
        upgrade=True,
        why="the newest release; it may want a newer CUDA and cuDNN than 1.22: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#requirements",
        changes="onnxruntime-gpu",
    )
    return (
        Fix(title="Install onnxruntime-gpu 1.22.0", steps=(older,), verify=verify),
        Fix(title="Or install the newest onnxruntime-gpu", steps=(newest,), verify=verify),
    )
