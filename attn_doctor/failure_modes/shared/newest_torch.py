"""Which torch an upgrade would bring to this machine: the newest that its driver, GPU and Python run. Pure.

The registry's newest torch is built for the newest CUDA, which an older driver refuses: an upgrade without a version would
put driver-too-old in the place of what it cures.
"""

from __future__ import annotations

from attn_doctor.failure_modes.shared import cuda_start
from attn_doctor.failure_modes.shared.fact_queries import index_options
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.pytorch import Choice
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.model.facts import Facts, Unknown


def choice(facts: Facts) -> Choice | Unknown:
    """The newest torch for the driver that is known here. Unknown where no driver is, or the tables have none for it."""
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


def requirements(facts: Facts, *beside: str) -> tuple[str, ...]:
    """What pip is given for the newest torch and its torchvision; empty where no torch is known for the driver here.

    `beside`: what else the resolver chooses with them. Without a driver the flavour stays what it is.
    """
    if isinstance(facts.graphics.driver, str):
        found = choice(facts)
        if isinstance(found, Unknown):
            return ()
        vision = f"torchvision=={found.torchvision}" if isinstance(found.torchvision, str) else "torchvision"
        index = () if found.pypi else ("--index-url", f"https://download.pytorch.org/whl/{found.flavour}")
        return (f"torch=={found.torch}", vision, *beside, *index)
    have = facts.torch.version
    return ("--upgrade", "torch", "torchvision", *beside, *(index_options(have) if isinstance(have, str) else ()))
