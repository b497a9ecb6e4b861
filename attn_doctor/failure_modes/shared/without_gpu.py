"""Judge a program that requests a GPU on a machine that has none. Neither a driver nor another build of torch can help. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, fact
from attn_doctor.model.machine import nvidia_present, only_intel

# How programs are told to compute on the CPU.
ON_THE_CPU = 'device=cpu, --device cpu; torch.load with map_location="cpu"; a WebUI: --skip-torch-cuda-test --precision full --no-half'


class Absent(Variant, frozen=True, kw_only=True):
    """Mark the case that the machine has no GPU that torch can use."""


def absent(facts: Facts) -> bool:
    """Return whether this machine was examined and has no GPU of NVIDIA or AMD.

    Only for Linux, WSL not included. A log alone never shows that.
    """
    no_gpu = nvidia_present(facts) is False and facts.graphics.amd == ()
    return no_gpu and facts.system.dxg is not True and facts.system.os == "linux"


def hit(facts: Facts, asked: str, proofs: Sequence[Match], explains: tuple[str, ...] | None = None) -> Hit:
    """Return the hit for a program that requested a GPU where there is none.

    `asked`: the device, "device 0". `proofs`: the lines of the log. `explains`: the consequences; None: those of the failure mode.
    """
    none = fact(facts, "graphics.pci", "no NVIDIA or AMD device on the PCI bus")
    return Hit(
        message=f"The program asked for {asked}, and this machine has no GPU that torch can use.",
        evidence=(*building.lines(tuple(proofs)), none),
        variant=Absent(),
        explains=explains,
    )


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes: compute on the CPU, or on a machine with a GPU."""
    words = f"tell the program to use the CPU ({ON_THE_CPU}): it is many times slower, and some programs refuse it"
    if only_intel(facts):
        words += (
            ". An Intel Arc, or the graphics of a Core Ultra, computes with PyTorch's build for Intel GPUs (XPU) if the program supports "
            "device=xpu"
        )
    step = commands.by_hand((), words, "the settings of the program", "none")
    cpu = Fix(
        title="Compute on the CPU, or run the program where there is a GPU", steps=(step,), verify=commands.check(facts)
    )
    session = nvidia_drivers.session_with_gpu(facts)
    return (session, cpu) if session else (cpu,)
