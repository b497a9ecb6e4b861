"""The link between a GPU and the machine is narrower or slower than it could be, under load.

What it is
    A GPU is connected by PCI Express: a number of lanes (16 for most) of a generation (4 means 16 GT/s a lane). Every batch crosses this link. With a
    quarter of the lanes, loading data and exchanging gradients between GPUs take four times as long.

How it shows
    Training waits for data although the CPU is not busy; nvidia-smi -q shows "Link Width: Current 4x, Max 16x" while the GPU works.

Why it happens
    The card is not seated well, or its slot has fewer lanes (a second slot, a riser, an adapter); dirty contacts; an error on the link, after which
    it stays at a lower speed; a setting of the BIOS.

What to do
    Seat the card again, use the first slot, leave out the riser, look at the setting of the BIOS. An idle GPU lowers the link to save power:
    only a value under load counts.

How to reproduce
    There is no recipe: it needs a card in a narrow slot. `nvidia-smi -q -d PCIE` shows both values, if its driver knows this option;
    `nvidia-smi --query-gpu=pcie.link.gen.current,pcie.link.gen.max,pcie.link.width.current,pcie.link.width.max --format=csv` always does.

References
    https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
    https://man.archlinux.org/man/extra/nvidia-utils/nvidia-smi.1.en
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit
from attn_doctor.failure_modes.shared import gpu_health
from attn_doctor.model.facts import Facts, Gpu
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity
from attn_doctor.model.trials import Trials

MODE = FailureMode(
    code="AD444",
    slug="gpu-pcie-degraded",
    title="A slow link to a GPU",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
)

_BUSY = 50  # percent of the time with a kernel on the GPU: below it, the GPU may have lowered the link to save power


def detect(facts: Facts) -> Hit | None:
    slow = [
        (i, g)
        for i, g in gpu_health.judged(facts)
        if gpu_health.positive(g.health.busy_percent) >= _BUSY
        and _less(g.health.pcie_generation, g.health.pcie_width, g)
    ]
    if not slow:
        return None
    return Hit(
        message=f"The link of {gpu_health.names(g for _, g in slow)} is slower than it could be, although the GPU works: "
        f"{_link(slow[0][1].health.pcie_generation, slow[0][1].health.pcie_width)} of {_most(slow[0][1])}.",
        evidence=tuple(
            gpu_health.value(
                facts,
                i,
                "pcie_width",
                f"GPU {g.index}: {_link(g.health.pcie_generation, g.health.pcie_width)} of {_most(g)}, {g.health.busy_percent} % busy",
            )
            for i, g in slow
        ),
        certainty=Certainty.OBSERVED,
    )


def observe(facts: Facts, trials: Trials) -> Hit | None:
    watched = trials.run.gpu
    visible = [g for _, g in gpu_health.judged(facts) if g.visible is not False]
    if watched is None or len(visible) != 1 or not _less(watched.pcie_generation, watched.pcie_width, visible[0]):
        return None
    seen = _link(watched.pcie_generation, watched.pcie_width)
    return Hit(
        message=f"The link of {gpu_health.name(visible[0])} was slower than it could be during the whole trial: {seen} of {_most(visible[0])}.",
        evidence=(Evidence(kind="trial", path="trial_run.gpu", text=f"the fastest link that was seen: {seen}"),),
    )


def _less(generation: object, width: object, gpu: Gpu) -> bool:
    """Return whether a link is slower than GPU and slot allow: it is narrower, or of an older generation."""
    pairs = ((generation, gpu.health.pcie_generation_most), (width, gpu.health.pcie_width_most))
    return any(0 < gpu_health.positive(now) < gpu_health.positive(most) for now, most in pairs)


def _link(generation: object, width: object) -> str:
    parts = [f"generation {generation}"] if gpu_health.positive(generation) else []
    parts += [f"{width} lanes"] if gpu_health.positive(width) else []
    return ", ".join(parts)


def _most(gpu: Gpu) -> str:
    return _link(gpu.health.pcie_generation_most, gpu.health.pcie_width_most)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    look = commands.by_hand(
        (
            "nvidia-smi",
            "--query-gpu=index,utilization.gpu,pcie.link.gen.current,pcie.link.gen.max,pcie.link.width.current,pcie.link.width.max",
            "--format=csv",
        ),
        "run it while the GPU works: it shows whether the link stays slow",
        "nothing",
        "none",
    )
    theirs = places.container(facts) or places.on_cluster(facts) or places.hosted(facts)
    do = (
        "tell the administrators or the provider of this machine what it shows"
        if theirs
        else "if it does: switch the machine off, seat the card again, in the first slot and without a riser; then look at the PCIe setting of the BIOS"
    )
    title = "Tell those who own the machine" if theirs else "Check the slot"
    return (
        Fix(title=title, steps=(look, commands.by_hand((), do, "the machine", "none")), verify=commands.check(facts)),
    )
