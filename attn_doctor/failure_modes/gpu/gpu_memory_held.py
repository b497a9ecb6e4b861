"""Other programs hold most of the memory of a GPU.

What it is
    Less than a quarter of the memory of a GPU is free before the training begins. A training that fits elsewhere fails here with "out of
    memory", or only a small batch fits; if the other program computes too, both are slow.

How it shows
    "CUDA out of memory. Tried to allocate ... GPU 0 has a total capacity of 23.64 GiB of which 1.20 GiB is free. Process 1234 has ...";
    nvidia-smi lists the programs at its end. nvidia-smi or gpustat show memory in use and list nobody, or a process that `kill` does not find:
    "No such process".

Why it happens
    Another training, a notebook whose kernel still runs, a server of a model, or a program that was stopped with Ctrl-Z or whose workers did not end. nvidia-smi does not
    list the processes of other containers, and lists none inside a container or WSL. Rarely the driver did not free the memory of a dead process.

What to do
    End the program if it is yours, restart the kernel of the notebook, or choose another GPU with CUDA_VISIBLE_DEVICES. `sudo fuser -v
    /dev/nvidia*` lists processes that nvidia-smi does not list. If no process is left: reset the GPU, or restart the machine.

How to reproduce
    There is no recipe: a program must fill a GPU. `nvidia-smi` shows who does.

References
    https://docs.pytorch.org/docs/stable/notes/cuda.html#memory-management
    https://docs.nvidia.com/deploy/nvidia-smi/
    https://github.com/pytorch/pytorch/issues/4031
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit
from attn_doctor.failure_modes.shared import building, gpu_health, held_memory
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Gpu
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD445",
    slug="gpu-memory-held",
    title="GPU memory that other programs hold",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    explains=("out-of-memory-gpu",),
    signs=held_memory.SIGNS,
)

_LEAST_FREE = 0.25  # of the memory
_SHOWN = 3  # programs in a message
_SMALL = 0.02  # of the memory: a program with less is not named


def detect(facts: Facts) -> Hit | None:
    visible = [(i, g) for i, g in gpu_health.judged(facts) if g.visible is not False and g.mig is not True]
    full = [(i, g) for i, g in visible if _free(g) < _LEAST_FREE]
    if not full:
        return None
    gpu = full[0][1]
    left = [g for _, g in visible if g not in [one for _, one in full]]
    more = (
        f" {gpu_health.names(left)} has room."
        if len(left) == 1
        else f" {len(left)} other GPUs have room."
        if left
        else ""
    )
    return Hit(
        message=f"Other programs hold most of the memory of {gpu_health.names(g for _, g in full)}: {_free(gpu):.0%} of it is free{_held_by(gpu)}."
        + more,
        evidence=tuple(e for i, g in full for e in _evidence(facts, i, g)),
        certainty=Certainty.OBSERVED,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = held_memory.told(facts, seen)
    if told is None:
        return None
    return Hit(
        message=told.sentence,
        evidence=building.lines(told.matches[:4]),
        variant=told.held,
        confidence=Confidence.HIGH if told.sure else Confidence.MEDIUM,
        severity=Severity.ERROR if told.sure else None,
    )


def _free(gpu: Gpu) -> float:
    """Return the free share of the memory; 1 if it is not known."""
    free, total = gpu.free_bytes, gpu.memory_bytes
    return free / total if isinstance(free, int) and isinstance(total, int) and total > 0 else 1.0


def _programs(gpu: Gpu) -> list[str]:
    """Return the programs that hold much memory, with their process numbers: "python (process 4711, 20.1 GB)"."""
    listed = gpu.health.processes if isinstance(gpu.health.processes, tuple) else ()
    total = gpu.memory_bytes if isinstance(gpu.memory_bytes, int) else 0
    told = []
    for one in listed:
        if isinstance(one.used_bytes, int) and one.used_bytes < total * _SMALL:
            continue
        used = f", {one.used_bytes / 1e9:.1f} GB" if isinstance(one.used_bytes, int) else ""
        told.append(f"{one.name if isinstance(one.name, str) else 'a program'} (process {one.pid}{used})")
    return told


def _held_by(gpu: Gpu) -> str:
    told = _programs(gpu)
    if not told:
        return ", and this user or container cannot see the programs"
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return f", held by {', '.join(told[:_SHOWN])}{more}"


def _evidence(facts: Facts, index: int, gpu: Gpu) -> tuple[Evidence, ...]:
    free, total = gpu.free_bytes, gpu.memory_bytes
    assert isinstance(free, int)
    assert isinstance(total, int)
    text = f"GPU {gpu.index}: {free / 1e9:.1f} of {total / 1e9:.1f} GB are free"
    return (fact(facts, f"graphics.gpus.{index}.free_bytes", text),)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, held_memory.Held):
        return held_memory.fixes(facts, hit.variant)
    verify = commands.check(facts)
    gpus = [g for _, g in gpu_health.judged(facts) if g.visible is not False and g.mig is not True]
    room = next((g for g in gpus if _free(g) >= _LEAST_FREE), None)
    look = commands.by_hand(("nvidia-smi",), "lists the programs on each GPU at its end", "nothing", "none")
    end = commands.by_hand(
        (),
        "end those that are yours: stop the training, shut down the notebook's kernel, or `kill` its number",
        "the other program",
        "medium",
    )
    ended = Fix(title="End the other program", steps=(look, end), verify=verify)
    if room is None or not isinstance(room.uuid, str):
        return (ended,)
    other = commands.variable(
        "CUDA_VISIBLE_DEVICES", room.uuid, f"lets programs use {gpu_health.name(room)} alone, which has room"
    )
    return (Fix(title="Use another GPU", steps=(other,), verify=verify), ended)
