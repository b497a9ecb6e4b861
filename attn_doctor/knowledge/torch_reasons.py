"""Say in words why a CUDA build of torch was chosen for a machine, and what of the machine was assumed. Pure."""

from __future__ import annotations

from attn_doctor.knowledge import cuda as cuda_rules
from attn_doctor.knowledge.rows import TorchBuild
from attn_doctor.knowledge.torch_machine import Machine
from attn_doctor.knowledge.torch_names import index_of
from attn_doctor.model.versions import pair

# The first driver that serves an RTX 50 or a B200, https://docs.nvidia.com/cuda/blackwell-compatibility-guide/
_BLACKWELL_DRIVER = (570, 0)


def why(row: TorchBuild, machine: Machine) -> str:
    """Return the reason, without a subject: "built for CUDA 12.6, with code for compute capability 8.9"."""
    cards = " and ".join(dict.fromkeys(machine.capabilities))
    code = f", with code for compute capability {cards}" if cards else ""
    if machine.driver:
        runs = f", which driver {machine.driver} runs"
    elif machine.driver_cuda:
        runs = f", which a driver for CUDA {machine.driver_cuda} runs"
    elif any((pair(card) or (0, 0)) >= (10, 0) for card in machine.capabilities) and (pair(row.cuda) or (13, 0)) < (
        13,
        0,
    ):
        runs = ""  # which every driver of such a GPU runs
    else:
        needs = cuda_rules.driver_needed(row.cuda, machine.driver_os)
        runs = f", which NVIDIA drivers from {needs.partition('.')[0]} on run" if isinstance(needs, str) else ""
    old = machine.before and (pair(row.torch) or (0, 0)) < (pair(machine.before) or (0, 0))
    loads = f"; older than {machine.before}, in which the YOLO there cannot load its checkpoints" if old else ""
    return f"built for CUDA {row.cuda}{code}{runs}{loads}"


def doubt(row: TorchBuild, machine: Machine) -> str | None:
    """Return a sentence about an assumed value of the machine, and how the reader can check it; None if nothing was assumed."""
    major = (pair(row.cuda) or (12, 0))[0]
    blackwell = any((pair(card) or (0, 0)) >= (10, 0) for card in machine.capabilities)
    if blackwell and major <= 12 and not machine.knows_driver:
        return None  # no driver before 570 serves such a GPU, and each of them runs CUDA 12
    shows = f"nvidia-smi has to show CUDA Version {major}.0 or newer at its top"
    known = pair(machine.driver) if machine.driver else None
    too_old_for_them = known is not None and known < _BLACKWELL_DRIVER
    serves_all = bool(machine.capabilities) or (pair(row.cuda) or (0, 0)) >= (12, 8) or too_old_for_them
    newer = "" if serves_all else "; an RTX 50 or a B200 needs cu128 or newer"
    if machine.maker == "unknown":
        return f"which GPU and driver there are is not known: {shows}{newer}; without an NVIDIA GPU take --index-url {index_of('cpu')}"
    if not machine.knows_driver:
        return f"the driver is not known: {shows}{newer}"
    return newer.removeprefix("; ") or None
