"""Answers that several rooms need of the facts: which GPU there is, which imports went how, whether flash-attn works, the goal. Pure.

Each is worked out here and nowhere else. No answer raises: it is Unknown where the facts do not tell.
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.model.facts import AmdGpu, Facts, Gpu, Import, PciDevice, Unknown
from attn_doctor.model.findings import Goal

_FLASH_REQUIREMENT = re.compile(r"(?i)^flash[-_]attn\b|(?:^|/)flash_attn-")
NVIDIA, AMD, INTEL = "10de", "1002", "8086"  # PCI vendors, https://pci-ids.ucw.cz

NAMELESS = "the stated GPU"  # the name of a GPU of which only the compute capability was stated (--gpu 8.9)

FlashAttn = Literal["absent", "fails", "works", "not tried"]


def nvidia_on_bus(facts: Facts) -> tuple[PciDevice, ...] | Unknown:
    """Return the NVIDIA devices on the PCI bus. Under WSL none shows there, although the machine has one."""
    bus = facts.graphics.pci
    return bus if isinstance(bus, Unknown) else tuple(device for device in bus if device.vendor == NVIDIA)


def nvidia_present(facts: Facts) -> bool | Unknown:
    """Return whether the machine has an NVIDIA GPU, whether or not anything can use it."""
    gpus, on_bus = facts.graphics.gpus, nvidia_on_bus(facts)
    for seen in (gpus, on_bus):
        if isinstance(seen, tuple) and seen:
            return True
    # Under WSL only the driver can tell, and without it nobody can.
    return gpus if isinstance(gpus, Unknown) else on_bus if isinstance(on_bus, Unknown) else False


def amd_gpus(facts: Facts) -> tuple[AmdGpu, ...]:
    """Return the AMD GPUs that somebody may mean to compute on: none beside an NVIDIA GPU.

    The graphics of a processor, as in most laptops with a Ryzen, shows as an AMD GPU too.
    """
    amd = facts.graphics.amd
    return () if isinstance(amd, Unknown) or nvidia_present(facts) is True else amd


def first_gpu(facts: Facts) -> tuple[int, Gpu, str] | None:
    """Return place, GPU and compute capability of the first NVIDIA GPU that programs see; None where none is known."""
    for index, gpu in enumerate(facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()):
        if gpu.visible is not False and isinstance(gpu.compute_capability, str):
            return index, gpu, gpu.compute_capability
    return None


def tried(facts: Facts) -> tuple[Import, ...]:
    """Return the imports that were tried; none where nothing was imported."""
    return facts.imports if isinstance(facts.imports, tuple) else ()


def failed_flash_attn(facts: Facts) -> Import | None:
    """Return the import of flash-attn 2 that failed: of the package or of its extension."""
    return next((i for i in tried(facts) if i.module in ("flash_attn", "flash_attn_2_cuda") and i.ok is False), None)


def extension_tried(facts: Facts) -> bool:
    """Return whether the extension of flash-attn 2 was imported here, well or badly: then its name predicts nothing any more."""
    return any(i.module == "flash_attn_2_cuda" and isinstance(i.ok, bool) for i in tried(facts))


def flash_attn(facts: Facts) -> FlashAttn | Unknown:
    """Return what became of flash-attn 2: its import, or where nothing was imported what its file says.

    "not tried": it is there, and nothing speaks against it.
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
    """Return whether, where nothing was imported, the file of flash-attn 2 says that it cannot load."""
    files = facts.binaries if isinstance(facts.imports, Unknown) and isinstance(facts.binaries, tuple) else ()
    return any(binary.module == "flash_attn_2_cuda" and binary.verdict == "fails" for binary in files)


def implied_goal(facts: Facts) -> tuple[Goal, str]:
    """Return the goal that this machine's state implies, and the reason in one phrase."""
    failed = failed_flash_attn(facts)
    if failed is not None:
        installed = isinstance(facts.flash_attention.version, str)
        what = "flash-attn is installed but" if installed else f"a module {failed.module} is there, which"
        return Goal.FLASH_ATTN, f"{what} does not import"
    if flash_attn_cannot_load(facts):
        return Goal.FLASH_ATTN, "flash-attn is installed, and by its files it cannot load"
    for pin in () if isinstance(facts.project.pins, Unknown) else facts.project.pins:
        if _FLASH_REQUIREMENT.search(pin.requirement):
            return Goal.FLASH_ATTN, f"{pin.file} line {pin.line} requires {pin.requirement}"
    if facts.yolo.kind == "fork":
        return Goal.FLASH_ATTN, "the installed ultralytics is a fork that uses flash-attn"
    return Goal.TRAIN, "train and predict with what is here"
