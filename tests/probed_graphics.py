"""Machines with an NVIDIA card, and the probe of GPUs asked about one of them."""

from __future__ import annotations

from kit import Gpu, Machine

from attn_doctor.model.facts import Graphics
from attn_doctor.probes.graphics import graphics

LAPTOP = Gpu("NVIDIA GeForce RTX 4060 Laptop GPU", "8.9", 8188, free_mib=7800, power_watts=80.5)
A100 = Gpu("NVIDIA A100-SXM4-80GB", "8.0", 81920, mig=False, ecc=True, power_watts=400)


def probe(machine: Machine, deadline: float = 20.0) -> Graphics:
    return graphics(machine.root, machine.environ, deadline)[0]


def with_card(machine: Machine, module: str = "550.120") -> Machine:
    machine.pci("8086", "a7a0", driver="i915")
    machine.pci("10de", "28e0", driver="nvidia")
    machine.driver(module)
    return machine
