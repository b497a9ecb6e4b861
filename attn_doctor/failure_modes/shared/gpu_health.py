"""Answer what the rules about the health of GPUs share: which GPUs are judged, their names, and how one is reset or replaced. Pure."""

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
    """Return the NVIDIA GPUs of this machine with their index in the facts, those that CUDA_VISIBLE_DEVICES hides too.

    A health value that is unknown is no sign of a failure: it is not reported as undetermined, since most machines do not have them all.
    """
    gpus = facts.graphics.gpus
    if not isinstance(gpus, tuple) or facts.graphics.stated is True:
        return []
    return list(enumerate(gpus))


def name(gpu: Gpu) -> str:
    """Return how a message calls a GPU: "GPU 3 (NVIDIA A100-SXM4-80GB)"."""
    return f"GPU {gpu.index} ({gpu.name})" if isinstance(gpu.name, str) else f"GPU {gpu.index}"


def names(gpus: Iterable[Gpu]) -> str:
    """Return the names of GPUs as a list in a sentence."""
    told = [name(gpu) for gpu in gpus]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def value(facts: Facts, index: int, field: str, text: str) -> Evidence:
    """Return a health value of a GPU as evidence. `text`: what to print."""
    return fact(facts, f"graphics.gpus.{index}.health.{field}", text)


def positive(count: object) -> int:
    """Return a count that is known and above 0, else 0."""
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0


def reset(facts: Facts, gpu: Gpu | None, why: str) -> Fix:
    """Return the fix that starts a GPU anew: `nvidia-smi --gpu-reset` for one of a data centre, else a reboot or what replaces it here."""
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
    """Return the fix for hardware that fails: the report that NVIDIA's support asks for, and whom to ask."""
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
