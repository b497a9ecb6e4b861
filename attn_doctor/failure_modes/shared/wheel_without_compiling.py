"""Make the fixes that install flash-attn without a compiler: its finished wheel, or a torch for which a wheel exists. Pure."""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.shared import subject, torch_steps, wheel_fixes
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import wheels
from attn_doctor.knowledge.nearest_torch import Nearest, nearest_torch
from attn_doctor.knowledge.wheel_key import Key, key_of
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import pair


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that installs flash-attn's finished wheel, else a torch for which a wheel exists.

    If neither is known: for a log the command that finds the wheel, for an examined machine nothing.
    """
    wheel = wheel_fixes.fitting(facts) or wheel_fixes.likely(facts)
    if wheel is not None:
        step = commands.install(
            wheel.url,
            why="built for this torch, CUDA, Python and C++ ABI: nothing is compiled",
            changes=f"adds flash-attn {wheel.release}",
            takes="about 250 MB",
        )
        return (Fix(title="Install the finished wheel by its address", steps=(step,), verify=_verify(facts)),)
    other = _other_torch(facts)
    if other is not None:
        return (other,)
    return (wheel_fixes.look_it_up(facts),) if facts.grade == "stated" else ()


def _likely(key: Key, facts: Facts) -> Key:
    """Return the key, with x86-64 as the processor if a log does not name one and no Linux wheel exists for its torch.

    If the processor is another one, pip refuses the wheel because of its file name.
    """
    linux = facts.system.os == "linux" and isinstance(key.platform, Unknown) and facts.system.board != "jetson"
    if not linux or not isinstance(key.torch, str) or not isinstance(key.python, str):
        return key
    if any(pair(torch) == pair(key.torch) for torch in wheels.torches(key.python)):
        return key
    return msgspec.structs.replace(key, platform="linux_x86_64")


def _other_torch(facts: Facts) -> Fix | None:
    """Return the fix that installs the nearest torch with a finished flash-attn wheel, and the wheel; None if there is none."""
    graphics, system = facts.graphics, facts.system
    if machine_of(facts).maker == "amd":
        return None  # the project's wheels are for CUDA
    nearest = nearest_torch(
        _likely(key_of(facts), facts),
        driver=graphics.driver if isinstance(graphics.driver, str) else None,
        os=system.os if isinstance(system.os, str) else "linux",
    )
    if not isinstance(nearest, Nearest) or torch_steps.fresh_runtime(facts):
        return None  # no torch is known, or it is the own torch of Colab or Kaggle, which fits their driver
    why = f"the nearest version of torch for which flash-attn {nearest.wheel.release} has a finished wheel"
    torch = torch_steps.release(facts, nearest.torch, why, nearest.cuda)
    wheel = commands.install(
        nearest.wheel.url, why="nothing is compiled", changes="adds flash-attn", takes="about 250 MB"
    )
    title = (
        f"Change to torch {nearest.torch}, which has a wheel"
        if torch
        else f"Install flash-attn {nearest.wheel.release}, which has a wheel for this torch"
    )
    return Fix(title=title, steps=(*torch, wheel), verify=_verify(facts))


def _verify(facts: Facts) -> tuple[str, ...]:
    return commands.check(facts, "--goal", subject.FLASH_ATTN, "--no-trial")
