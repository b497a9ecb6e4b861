"""A GPU slows itself down, because it is too hot or has too little power.

What it is
    A GPU lowers its clock to protect itself: when it reaches its highest temperature, when the power supply reports a fault (power brake), or when
    the board asks for it (hardware slowdown). A power limit that is reached at full load is normal, and is not meant here.

How it shows
    The same training takes longer than before, or becomes slower after some minutes; nvidia-smi -q shows "HW Slowdown: Active", "HW
    Thermal Slowdown: Active", "SW Thermal Slowdown: Active" or "HW Power Brake Slowdown: Active".

Why it happens
    Fans that are blocked or slow, dust, a warm room, a server without the airflow that a passive GPU needs, a laptop on battery, a power
    cable that is missing or shared, a power supply that is too weak.

What to do
    Look at temperature and fan, free the airflow, check the power cables. Times that were measured meanwhile say little.

How to reproduce
    There is no recipe: it needs a hot GPU. `nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER` shows the reasons and the limits.

References
    https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Variant
from attn_doctor.failure_modes.shared import gpu_health
from attn_doctor.model.facts import Facts, Gpu
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity
from attn_doctor.model.trials import Trials

MODE = FailureMode(
    code="AD443",
    slug="gpu-throttled",
    title="A GPU that slows itself down",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
)

_POWER_CAP = "power cap"  # normal at full load


class Slowed(Variant, frozen=True, kw_only=True):
    """Hold the reason for which the GPU slows itself down: heat or power. "unknown": the hardware gives no reason."""

    by: Literal["heat", "power", "unknown"]


def detect(facts: Facts) -> Hit | None:
    slow = [(i, g) for i, g in gpu_health.judged(facts) if isinstance(g.health.slowed_by, tuple) and g.health.slowed_by]
    if not slow:
        return None
    reasons = tuple(dict.fromkeys(reason for _, g in slow for reason in _reasons(g)))
    return Hit(
        message=f"{gpu_health.names(g for _, g in slow)} slows itself down at this moment: {', '.join(reasons)}{_heat(slow[0][1])}.",
        evidence=tuple(
            gpu_health.value(facts, i, "slowed_by", f"GPU {g.index}: {', '.join(_reasons(g))}") for i, g in slow
        ),
        variant=Slowed(by=_kind(reasons)),
        certainty=Certainty.OBSERVED,
    )


def observe(facts: Facts, trials: Trials) -> Hit | None:
    watched = trials.run.gpu
    reasons = tuple(r for r in watched.slowed_by if r != _POWER_CAP) if watched else ()
    if not reasons:
        return None
    hottest = f" ({watched.celsius.high:.0f} °C)" if watched and watched.celsius else ""
    return Hit(
        message=f"The GPU slowed itself down during the trial: {', '.join(reasons)}{hottest}. The times of the trial are those of a slow GPU.",
        evidence=(Evidence(kind="trial", path="trial_run.gpu", text=f"clocks were lowered by: {', '.join(reasons)}"),),
        variant=Slowed(by=_kind(reasons)),
    )


def _reasons(gpu: Gpu) -> tuple[str, ...]:
    return gpu.health.slowed_by if isinstance(gpu.health.slowed_by, tuple) else ()


def _heat(gpu: Gpu) -> str:
    now, limit = gpu.health.celsius, gpu.health.celsius_slowdown
    if not isinstance(now, int):
        return ""
    return f" ({now} °C" + (f", its limit is {limit} °C)" if isinstance(limit, int) else ")")


def _kind(reasons: tuple[str, ...]) -> Literal["heat", "power", "unknown"]:
    if any("thermal" in reason for reason in reasons):
        return "heat"
    return "power" if "power brake" in reasons else "unknown"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    look = commands.by_hand(
        ("nvidia-smi", "-q", "-d", "PERFORMANCE,TEMPERATURE,POWER"),
        "shows the reason and the limits",
        "nothing",
        "none",
    )
    by = hit.variant.by if isinstance(hit.variant, Slowed) else "unknown"
    theirs = places.container(facts) or places.on_cluster(facts) or places.hosted(facts)
    if theirs:
        do, title = (
            "tell the administrators or the provider of this machine what it shows",
            "Tell those who own the machine",
        )
    elif by == "heat":
        do, title = (
            "clean the fans, free the airflow, cool the room; a server's GPU needs the fans of a server",
            "Cool the GPU",
        )
    elif by == "power":
        do, title = (
            "check the power cables of the GPU and the power supply; connect a laptop to its own power adapter",
            "Check the power",
        )
    else:
        do, title = "check fans, airflow, the power cables and the power supply of the GPU", "Check cooling and power"
    return (
        Fix(title=title, steps=(look, commands.by_hand((), do, "the machine", "none")), verify=commands.check(facts)),
    )
