"""Answer questions that the rules about the health of GPUs share, and make their fixes: the judged GPUs, their names, reset, replace. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers, places
from attn_doctor.model.facts import Facts, Gpu
from attn_doctor.model.findings import Evidence, Fix, fact

# NVIDIA's product names of GPUs that `nvidia-smi --gpu-reset` can reset are those for data centres; others need a reboot.
_DATA_CENTRE = (
    "A100",
    "A800",
    "H100",
    "H200",
    "H800",
    "B200",
    "B300",
    "GH200",
    "GB200",
    "V100",
    "P100",
    "A30",
    "A40",
    "L40",
    "A10",
    "L4",
    "T4",
)


def judged(facts: Facts) -> list[tuple[int, Gpu]]:
    """Return the NVIDIA GPUs of this machine with their index in the facts; empty if they are not known, or if only a log states them.

    GPUs that CUDA_VISIBLE_DEVICES hides are among them. A health value that is unknown is no sign of a failure. It is not
    reported as undetermined, because most machines lack some of these values.
    """
    gpus = facts.graphics.gpus
    if not isinstance(gpus, tuple) or facts.graphics.stated is True:
        return []
    return list(enumerate(gpus))


def name(gpu: Gpu) -> str:
    """Return the name of a GPU in a message: "GPU 3 (NVIDIA A100-SXM4-80GB)"."""
    return f"GPU {gpu.index} ({gpu.name})" if isinstance(gpu.name, str) else f"GPU {gpu.index}"


def names(gpus: Iterable[Gpu]) -> str:
    """Return the names of one or more GPUs as a list in a sentence: "GPU 0 (T4), GPU 1 (T4) and GPU 2 (T4)"."""
    told = [name(gpu) for gpu in gpus]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def value(facts: Facts, index: int, field: str, text: str) -> Evidence:
    """Return a health value of a GPU as evidence. `field`: of `GpuHealth`. `text`: the words to print."""
    return fact(facts, f"graphics.gpus.{index}.health.{field}", text)


def positive(count: object) -> int:
    """Return a count if it is a number above 0; else 0 (also if it is not known)."""
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0


def reset(facts: Facts, gpu: Gpu | None, why: str) -> Fix:
    """Return the fix that resets a GPU: `nvidia-smi --gpu-reset` for the GPU of a data centre on a Linux of your own.

    Else, or if `gpu` is None: a reboot, or what this machine has instead of it (a new container, session or node). `why`: what the reset
    does, "makes the repair of the memory active".
    """
    ours = not (places.container(facts) or places.on_cluster(facts) or places.hosted(facts) or places.wsl(facts))
    named = gpu.name if gpu is not None and isinstance(gpu.name, str) else ""
    parts = named.replace("-", " ").replace("/", " ").split()
    if gpu is None or not ours or facts.system.os != "linux" or not any(part in _DATA_CENTRE for part in parts):
        return nvidia_drivers.restart(facts, why)
    step = commands.by_hand(
        places.as_root(facts, "nvidia-smi", "--gpu-reset", "-i", str(gpu.index)),
        f"{why}; first end every program on this GPU (a reboot does the same)",
        f"GPU {gpu.index} starts anew",
        "medium",
        risk_text="GPUs that NVLink connects are reset together: leave -i out, and end the programs on all of them",
    )
    return Fix(title=f"Reset GPU {gpu.index}", steps=(step,), verify=commands.check(facts))


def replace(facts: Facts, why: str) -> Fix:
    """Return the fix for a GPU that fails: ask for a test and a replacement.

    `why`: the sentence that begins the text. On the user's own Linux the step also runs nvidia-bug-report.sh, whose file the seller or the
    maker needs. In a container, on a cluster and at a provider the step is only the text, and names the administrators.
    """
    theirs = places.container(facts) or places.on_cluster(facts) or places.hosted(facts)
    whom = "the administrators or the provider of this machine" if theirs else "the seller or the maker of the GPU"
    argv = () if theirs or facts.system.os != "linux" else places.as_root(facts, "nvidia-bug-report.sh")
    step = commands.by_hand(
        argv,
        f"{why}: ask {whom} to test and replace it" + (", and send them this file" if argv else ""),
        "nothing",
        "none",
    )
    return Fix(title="Have the GPU tested", steps=(step,), verify=commands.check(facts))
