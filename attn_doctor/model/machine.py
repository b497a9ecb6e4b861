"""Answer questions that several packages ask about the facts: the GPU, the imports, whether flash-attn works, the goal. Pure.

No other module works these answers out. If the facts do not contain an answer, a function returns Unknown and does not raise.
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.model.facts import AmdGpu, Facts, Gpu, Import, PciDevice, Unknown
from attn_doctor.model.findings import Goal

_FLASH_REQUIREMENT = re.compile(r"(?i)^flash[-_]attn\b|(?:^|/)flash_attn-")
NVIDIA, AMD, INTEL = "10de", "1002", "8086"  # PCI vendors, https://pci-ids.ucw.cz

NAMELESS = "the stated GPU"  # the name of a GPU if only its compute capability was stated (--gpu 8.9)

FlashAttn = Literal["absent", "fails", "works", "not tried"]


def nvidia_on_bus(facts: Facts) -> tuple[PciDevice, ...] | Unknown:
    """Return the NVIDIA devices on the PCI bus. Under WSL the bus shows no GPU, even if the machine has one."""
    bus = facts.graphics.pci
    return bus if isinstance(bus, Unknown) else tuple(device for device in bus if device.vendor == NVIDIA)


def nvidia_present(facts: Facts) -> bool | Unknown:
    """Return whether the machine has an NVIDIA GPU, usable or not. Each Jetson and DGX Spark has one."""
    if facts.system.board in ("jetson", "dgx-spark"):
        return True
    gpus, on_bus = facts.graphics.gpus, nvidia_on_bus(facts)
    for seen in (gpus, on_bus):
        if isinstance(seen, tuple) and seen:
            return True
    # Under WSL only the driver can answer this; without a driver it is unknown.
    return gpus if isinstance(gpus, Unknown) else on_bus if isinstance(on_bus, Unknown) else False


def only_intel(facts: Facts) -> bool:
    """Return whether a GPU of Intel is known, in a machine or in a log, and neither an NVIDIA GPU nor an AMD GPU."""
    gpus, amd, bus = facts.graphics.gpus, facts.graphics.amd, facts.graphics.pci
    others = (isinstance(gpus, tuple) and gpus) or (isinstance(amd, tuple) and amd)
    vendors = {device.vendor for device in bus} if isinstance(bus, tuple) else set()
    return vendors == {INTEL} and not others


def amd_gpus(facts: Facts) -> tuple[AmdGpu, ...]:
    """Return the AMD GPUs of a machine without an NVIDIA GPU; empty if there is an NVIDIA GPU, or if the AMD GPUs are not known.

    With an NVIDIA GPU, the AMD GPU is usually the graphics unit of a Ryzen processor, on which nobody trains.
    """
    amd = facts.graphics.amd
    return () if isinstance(amd, Unknown) or nvidia_present(facts) is True else amd


def first_gpu(facts: Facts) -> tuple[int, Gpu, str] | None:
    """Return (index, GPU, compute capability "8.9") of the first NVIDIA GPU that CUDA_VISIBLE_DEVICES does not hide.

    None if there is none, or none whose compute capability is known.
    """
    for index, gpu in enumerate(facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()):
        if gpu.visible is not False and isinstance(gpu.compute_capability, str):
            return index, gpu, gpu.compute_capability
    return None


def usable_gpus(facts: Facts) -> int | Unknown:
    """Return the number of GPUs that a program can use.

    0 if torch says that CUDA is not available, else the number of devices that torch lists. If torch was not asked: the number of
    visible NVIDIA GPUs that the driver lists (NVML), or without an NVIDIA GPU, of AMD GPUs.
    """
    if isinstance(facts.torch.devices, tuple) and facts.torch.available is not False:
        return len(facts.torch.devices)
    if facts.torch.available is False:
        return 0
    gpus, amd = facts.graphics.gpus, facts.graphics.amd
    if isinstance(gpus, Unknown):
        return gpus
    unclear = next((gpu.visible for gpu in gpus if isinstance(gpu.visible, Unknown)), None)
    if unclear is not None:
        return unclear
    if gpus:
        return sum(gpu.visible is not False for gpu in gpus)
    return amd if isinstance(amd, Unknown) else len(amd)


def tried(facts: Facts) -> tuple[Import, ...]:
    """Return the imports that were tried; empty if nothing was imported."""
    return facts.imports if isinstance(facts.imports, tuple) else ()


def failed_flash_attn(facts: Facts) -> Import | None:
    """Return the failed import of the package flash_attn or of its extension flash_attn_2_cuda; None if neither failed."""
    return next((i for i in tried(facts) if i.module in ("flash_attn", "flash_attn_2_cuda") and i.ok is False), None)


def extension_tried(facts: Facts) -> bool:
    """Return whether the import of flash-attn 2's extension was tried here.

    If so, the result of the import counts, and not the judgement of the file.
    """
    return any(i.module == "flash_attn_2_cuda" and isinstance(i.ok, bool) for i in tried(facts))


def flash_attn(facts: Facts) -> FlashAttn | Unknown:
    """Return the state of flash-attn 2: from its import, or from its file if nothing was imported.

    The state "not tried" means: flash-attn is installed, and its file shows no fault.
    """
    if isinstance(facts.flash_attention.version, Unknown):
        return facts.flash_attention.version
    if facts.flash_attention.version is None:
        return "absent"
    if failed_flash_attn(facts) is not None or flash_attn_cannot_load(facts):
        return "fails"
    seen = any(i.module in ("flash_attn", "flash_attn_2_cuda") and i.ok is True for i in tried(facts))
    return "works" if seen else "not tried"


def flash_attn_cannot_load(facts: Facts) -> bool:
    """Return whether the file of flash-attn 2 shows that it cannot be loaded.

    False if flash-attn was imported: then the result of the import counts.
    """
    files = facts.binaries if isinstance(facts.imports, Unknown) and isinstance(facts.binaries, tuple) else ()
    return any(binary.module == "flash_attn_2_cuda" and binary.verdict == "fails" for binary in files)


def implied_goal(facts: Facts) -> tuple[Goal, str]:
    """Return the goal that fits the state of this machine, and the reason in one phrase.

    Example: if flash-attn is installed and cannot be imported, the goal is "flash-attn".
    """
    failed = failed_flash_attn(facts)
    if failed is not None:
        installed = isinstance(facts.flash_attention.version, str)
        what = "flash-attn is installed" if installed else f"a module {failed.module} is there"
        return Goal.FLASH_ATTN, f"{what}, but importing it fails"
    if flash_attn_cannot_load(facts):
        return Goal.FLASH_ATTN, "flash-attn is installed, and by its files it cannot load"
    for pin in () if isinstance(facts.project.pins, Unknown) else facts.project.pins:
        if _FLASH_REQUIREMENT.search(pin.requirement):
            return Goal.FLASH_ATTN, f"{pin.file} line {pin.line} requires {pin.requirement}"
    if facts.yolo.kind == "fork":
        return Goal.FLASH_ATTN, "the installed ultralytics is a fork that uses flash-attn"
    return Goal.TRAIN, "train and predict with what is here"
