"""Replace the GPU in the facts by the GPU that the user names with --gpu. Pure.

This is for login nodes, CI and `docker build`, where the GPU is in another machine.
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor.errors import Refused
from attn_doctor.model.facts import Facts, Gpu, GpuClocks, GpuHealth, Unknown, all_unknown
from attn_doctor.model.machine import NAMELESS

ELSEWHERE = "the GPU is elsewhere"
_CAPABILITY = re.compile(r"(?:(?:sm|compute)_?)?(?:(\d{1,2})\.(\d)|(\d{1,2})(\d))[af]?", re.IGNORECASE)
_OLDEST, _MOST = (3, 0), (12, 9)  # range of NVIDIA's list; up to three later majors are accepted too


def read(text: str) -> tuple[str, str]:
    """Return name and compute capability of a GPU. `text`: "8.9", "sm_89", "89", or a name in the table ("RTX 4090").

    A GPU that is named by its capability alone has the name `model.machine.NAMELESS`. Raises Refused for any other text.
    """
    from attn_doctor.knowledge.gpu import model

    words = text.strip()
    match = _CAPABILITY.fullmatch(words)
    if match:
        major, minor = int(match[1] or match[3]), int(match[2] or match[4])
        if (major, minor) >= _OLDEST and major <= _MOST[0] + 3:
            return NAMELESS, f"{major}.{minor}"
    else:
        plain = re.sub(r"[\s_-]+", " ", words)
        for name in (plain, f"NVIDIA {plain}", f"NVIDIA GeForce {plain}"):
            row = model(name)
            if plain and not isinstance(row, Unknown):
                return row.name, row.capability
    raise Refused(
        f"--gpu {text!r} is neither a compute capability (8.9 or sm_89) nor the name of a GPU that is known (RTX 4090)"
    )


def accepted() -> list[str]:
    """Return the compute capabilities and names that `read` accepts, each as one word: the names of the table without "NVIDIA GeForce"."""
    from attn_doctor.knowledge.rows import GpuModel
    from attn_doctor.knowledge.tables import load

    rows = load(GpuModel)
    names = sorted({row.name.removeprefix("NVIDIA ").removeprefix("GeForce ").replace(" ", "-") for row in rows})
    return [*sorted({row.capability for row in rows}, key=float), *names]


def elsewhere(facts: Facts, text: str) -> Facts:
    """Return the facts with this GPU instead of the machine's own.

    Facts about the machine of that GPU, such as its memory, become unknown. A driver that is installed here is kept, because the
    GPU may be used with it. `text`: see `read`. Raises Refused if `text` names no known GPU.
    """
    name, capability = read(text)
    unknown_there = Unknown(ELSEWHERE)
    graphics, torch = facts.graphics, facts.torch
    gpu = Gpu(
        index=0,
        name=name,
        compute_capability=capability,
        memory_bytes=unknown_there,
        free_bytes=unknown_there,
        uuid=None,
        mig=False,
        mig_slices=None,
        ecc=None,
        power_limit_watts=None,
        visible=True,
        bus_id=None,
        health=all_unknown(GpuHealth, ELSEWHERE),
        clocks=all_unknown(GpuClocks, ELSEWHERE),
    )
    # If no driver is found here, that says nothing about the machine with the GPU.
    judged = msgspec.structs.replace(
        all_unknown(type(graphics), ELSEWHERE),
        pci=graphics.pci,
        gpus=(gpu,),
        stated=True,
        driver=graphics.driver if isinstance(graphics.driver, str) else unknown_there,
        driver_cuda=graphics.driver_cuda if isinstance(graphics.driver_cuda, str) else unknown_there,
        amd=(),
        rocm=None,
        apple=False,
    )
    unseen = msgspec.structs.replace(
        torch, available=unknown_there, devices=unknown_there, cuda_error=unknown_there, cuda_fault=None
    )
    return msgspec.structs.replace(facts, graphics=judged, torch=unseen)
