"""Choose the torch that an upgrade brings to this machine: the newest that its driver, GPU and Python run. Pure.

The registry's newest torch is built for the newest CUDA, which an older driver refuses: an upgrade without a version would
cause driver-too-old.
"""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor.failure_modes.shared import cuda_start
from attn_doctor.failure_modes.shared.fact_queries import index_url
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.pytorch import Choice
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import Facts, Unknown


def choice(facts: Facts) -> Choice | Unknown:
    """Return the newest torch for the driver here. Unknown where no driver is known, or the tables have no torch for it."""
    driver, gpus, python = facts.graphics.driver, facts.graphics.gpus, key_of(facts).python
    if not isinstance(driver, str):
        return Unknown("no driver is known")
    capabilities = [g.compute_capability for g in gpus] if isinstance(gpus, tuple) else []
    return pytorch.newest(
        capability=next((c for c in capabilities if isinstance(c, str)), None),
        driver=driver,
        os=cuda_start.driver_os_or_none(facts) or "linux",
        python=python if isinstance(python, str) else None,
    )


class Wanted(NamedTuple):
    """Hold requirements, and the options with which they are installed."""

    requirements: tuple[str, ...]
    index_url: str | None = None
    upgrade: bool = False  # without versions: to the newest that there is


def requirements(facts: Facts, *beside: str) -> Wanted | None:
    """Return what is installed for the newest torch and its torchvision; None where no torch is known for the driver here.

    `beside`: what else the resolver chooses with them. Without a driver the flavour stays what it is.
    """
    if isinstance(facts.graphics.driver, str):
        found = choice(facts)
        if isinstance(found, Unknown):
            return None
        vision = f"torchvision=={found.torchvision}" if isinstance(found.torchvision, str) else "torchvision"
        index = None if found.pypi else f"https://download.pytorch.org/whl/{found.flavour}"
        return Wanted((f"torch=={found.torch}", vision, *beside), index)
    have = facts.torch.version
    index = index_url(have) if isinstance(have, str) else None
    return Wanted(("torch", "torchvision", *beside), index, upgrade=True)
