"""Apply CUDA_VISIBLE_DEVICES to a list of GPUs, to find those that a program sees. Pure.

The rules: https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html. Cases that are missing
there follow PyTorch's own reading of the variable (torch/cuda/__init__.py), which agrees with the driver.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from attn_doctor.model.facts import Flag, Unknown


class Identity(NamedTuple):
    """Hold the names by which CUDA_VISIBLE_DEVICES can select a GPU. `model` is equal for GPUs of one model."""

    uuid: str | None
    mig_uuids: tuple[str, ...] = ()
    model: object = None


def visible(gpus: Sequence[Identity], setting: str | None, bus_order: bool) -> list[Flag]:
    """Return for each GPU whether a program sees it.

    `gpus` is in the order of the PCI bus; `setting` is the value of CUDA_VISIBLE_DEVICES (None: not set). `bus_order`:
    CUDA_DEVICE_ORDER is PCI_BUS_ID. Otherwise CUDA gives number 0 to the fastest GPU; NVIDIA does not document how that GPU is found,
    so the answer is Unknown if the GPUs differ and only some of them are chosen by number.
    """
    if setting is None:
        return [True] * len(gpus)
    if setting.startswith(("GPU-", "MIG-")):
        return _by_uuid(gpus, setting)
    chosen = _by_index(len(gpus), setting)
    same = len({gpu.model for gpu in gpus}) <= 1
    if same or bus_order or len(chosen) in (0, len(gpus)):
        return [number in chosen for number in range(len(gpus))]
    why = (
        "CUDA numbers unlike GPUs from the fastest, NVML by their slots; CUDA_DEVICE_ORDER=PCI_BUS_ID makes them agree"
    )
    return [Unknown(why) for _ in gpus]


def _by_index(count: int, setting: str) -> list[int]:
    """Return the indexes in CUDA_VISIBLE_DEVICES, up to the first one that names no GPU.

    Of an item such as "1x" the number at its start is read. If an index is listed twice, no GPU is visible.
    """
    chosen: list[int] = []
    for item in setting.split(","):
        leading = re.match(r"\s*([+-]?\d+)", item)
        index = int(leading[1]) if leading else -1
        if not 0 <= index < count:
            break
        if index in chosen:
            return []
        chosen.append(index)
    return chosen


def _by_uuid(gpus: Sequence[Identity], setting: str) -> list[Flag]:
    """Return which GPUs are visible by their UUIDs, which can be abbreviated.

    Reading ends at a UUID that fits no GPU, or more than one.
    """
    if any(gpu.uuid is None for gpu in gpus):
        return [Unknown("CUDA_VISIBLE_DEVICES names UUIDs, and that of a GPU is not known") for _ in gpus]
    chosen: list[int] = []
    for item in (part.strip() for part in setting.split(",")):
        fitting = [number for number, gpu in enumerate(gpus) for name in _names(gpu, item) if name.startswith(item)]
        if len(fitting) != 1:
            break
        if fitting[0] in chosen and item.startswith("GPU-"):
            return [False] * len(gpus)
        chosen.append(fitting[0])
        if item.startswith("MIG-"):
            break  # a process gets only one MIG device, even if the list has more
    return [number in chosen for number in range(len(gpus))]


def _names(gpu: Identity, item: str) -> tuple[str, ...]:
    if item.startswith("MIG-GPU-"):
        # The form of drivers before R470: MIG-<UUID of the GPU>/<GPU instance>/<compute instance>
        return (item,) if gpu.uuid is not None and item.startswith(f"MIG-{gpu.uuid}/") else ()
    return gpu.mig_uuids if item.startswith("MIG-") else (gpu.uuid or "",)
