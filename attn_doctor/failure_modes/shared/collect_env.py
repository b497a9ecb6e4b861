"""Read an output of torch's collect_env in which torch sees no GPU and nvidia-smi gave no answer, and make the fix that looks for the GPU. Pure.

collect_env asks nvidia-smi: https://github.com/pytorch/pytorch/blob/main/torch/utils/collect_env.py
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, cuda_start, torch_facts
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix, Severity
from attn_doctor.model.machine import amd_gpus
from attn_doctor.model.steps import Step

SIGNS = tuple(
    Sign(
        pattern=rf"^(?:- )?{field}: (?P<{group}>{answer})",
        literal=f"{field}: ",
        sample=f"{field}: {said}",
        strength="hint" if group == "unread" else "context",
    )
    for field, group, answer, said in (
        ("Nvidia driver version", "unread", "Could not collect", "Could not collect"),
        ("GPU models and configuration", "unlisted", "Could not collect", "Could not collect"),
        ("Is CUDA available", "unseen", "False|No", "False"),
        ("CUDA used to build PyTorch", "built", r"\d+\.\d+", "12.1"),
        ("CUDA runtime version", "toolkit", r"\d+\.\d+", "12.1.105"),
    )
)
_GROUPS = ("unread", "unlisted", "unseen", "built", "toolkit")


class Unread(Variant, frozen=True):
    """Mark the case that collect_env got no answer from nvidia-smi, and torch sees no GPU. There may be a driver problem, or no GPU."""


def is_sign(match: Match) -> bool:
    return any(name in match.groups for name in _GROUPS)


def hit(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for an output of collect_env in which neither a torch for CUDA nor nvidia-smi finds a GPU."""
    if not all(seen.group(name) for name in _GROUPS[:-1]):
        return None
    if seen.group("toolkit") is None and not torch_facts.wants_gpu(facts):
        return None  # torch was installed without a GPU in mind
    if amd_gpus(facts) or cuda_start.works(facts):
        return None
    return Hit(
        message=f"torch is built for CUDA {seen.group('built')} and sees no GPU, and nvidia-smi gave no answer: no NVIDIA driver works, or there is no NVIDIA GPU.",
        evidence=building.lines([m for m in seen.matches if any(name in m.groups for name in _GROUPS[:3])]),
        variant=Unread(),
        confidence=Confidence.LOW,
        severity=Severity.WARNING,
    )


def look(facts: Facts) -> Fix:
    """Return the fix that shows whether there is a GPU, and whether its driver works."""
    smi = commands.by_hand(
        ("nvidia-smi",),
        "must list the GPU. If it does, the driver works: the GPU is hidden from the program, or the program uses another Python. If it fails, its "
        "message names the fault",
        "nothing",
        "none",
    )
    steps: tuple[Step, ...] = (smi,)
    if facts.system.os == "linux" and not places.wsl(facts):
        line = "lspci | grep -i nvidia"
        why = (
            "prints the NVIDIA cards of the machine. If it prints nothing, there is no NVIDIA card, and no driver helps"
        )
        steps = (smi, commands.by_hand(("sh", "-c", line), why, "nothing", "none"))
    return Fix(
        title="See whether there is an NVIDIA GPU, and whether its driver answers",
        steps=steps,
        verify=commands.check(facts),
    )
