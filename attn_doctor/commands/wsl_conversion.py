"""Build the steps that make a distribution of WSL 1 one of WSL 2, which alone reaches a GPU. Pure.

https://learn.microsoft.com/en-us/windows/wsl/basic-commands, https://learn.microsoft.com/en-us/windows/ai/directml/gpu-cuda-in-wsl (Windows 11, or Windows 10 21H2)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step

_WITH_GPU = 19044  # the build of Windows 10 21H2: older ones give WSL no GPU
_KERNEL = re.compile(r"-(?P<build>\d{5})-Microsoft")  # WSL 1 has the build of Windows in the name of its kernel


def to_wsl_2(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that convert this distribution, all of them for a terminal of Windows."""
    title = facts.system.distribution_name if isinstance(facts.system.distribution_name, str) else ""
    known = facts.system.distribution
    name = title.partition(" ")[0] or (known.capitalize() if isinstance(known, str) else "Ubuntu")
    update = commands.by_hand(
        ("wsl.exe", "--update"), "in a terminal of Windows: the newest kernel of WSL 2, which shows the GPU", "WSL"
    )
    names = commands.by_hand(
        ("wsl.exe", "--list", "--verbose"), "there too: prints the name of the distribution", "nothing", "none"
    )
    convert = commands.by_hand(
        ("wsl.exe", "--set-version", name, "2"),
        f"{name} is the usual name: write the one that was printed. If the Virtual Machine Platform is missing: wsl.exe --install --no-distribution, and restart Windows",
        "converts this distribution",
        takes="some minutes",
    )
    return *_windows(facts), update, names, convert


def _windows(facts: Facts) -> tuple[Step, ...]:
    """Return the step that updates Windows, unless the kernel says that its build shows WSL a GPU."""
    kernel = facts.system.kernel
    found = _KERNEL.search(kernel) if isinstance(kernel, str) else None
    if found is not None and int(found["build"]) >= _WITH_GPU:
        return ()
    where = "Settings > Update & Security > Windows Update"
    needs = f"Windows 11, or Windows 10 from 21H2 (build {_WITH_GPU}) on"
    why = (
        f"this Windows is build {found['build']}, too old: WSL has a GPU in {needs}. First update it: {where}, until this command shows such a build"
        if found
        else f"shows the build of Windows: WSL has a GPU in {needs}. First update an older one: {where}"
    )
    return (commands.by_hand(("winver",), why, "Windows", "medium", takes="an hour"),)
