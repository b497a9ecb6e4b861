"""Give the fixes for an installed package that does not fit, and the ABI that flash-attn should have. Pure.

For flash-attn they are the wheel that fits, and doing without it.
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.commands.installers import own
from attn_doctor.failure_modes.mode import Unsure, present
from attn_doctor.failure_modes.shared import package_cures, subject
from attn_doctor.failure_modes.shared.fact_queries import holds
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import finder, other_wheel_sources, pytorch, torch_choice, wheels
from attn_doctor.knowledge.wheel_key import Candidate, key_of
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, Step


def torch_abi(facts: Facts) -> bool:
    """Say whether torch has the new C++ ABI: by its own answer, or by the table of its releases where it was not asked."""
    if isinstance(facts.torch.cxx11_abi, bool):
        return facts.torch.cxx11_abi
    cuda = facts.torch.cuda if isinstance(facts.torch.cuda, str) else None
    return holds(pytorch.cxx11_abi(present(facts.torch.version), cuda))


def torch_abi_or_none(facts: Facts) -> bool | None:
    try:
        return torch_abi(facts)
    except Unsure:
        return None


def fixes(facts: Facts, because: str, *, abi: bool | None = None) -> tuple[Fix, ...]:
    """Return the fixes for an installed package that does not fit: flash-attn, or the one that a log names.

    `because`: why the installed one has to go, for the step that removes it. `abi`: torch's, as the error shows it.
    """
    if subject.is_flash_attn(facts):
        return flash_attn_fixes(facts, because, abi=abi)
    return package_cures.again(facts, because, abi=torch_abi_or_none(facts) if abi is None else abi)


def flash_attn_fixes(facts: Facts, because: str, *, abi: bool | None = None) -> tuple[Fix, ...]:
    """Return the fixes for an installed flash-attn that does not fit: the wheel that does, or doing without it."""
    made = []
    wheel = fitting(facts) or likely(facts, abi)
    if wheel is not None:
        steps = (*_removal(facts, because), _installation(facts, wheel))
        made.append(Fix(title="Install the flash-attn wheel that fits", steps=steps, verify=_verify(facts)))
    elif isinstance(facts.torch.version, Unknown) or facts.grade == "stated":
        found = look_it_up(facts)
        # What does not fit goes first: programs that can do without it run from then on.
        gone = (
            ()
            if any(isinstance(step, Install) for step in found.steps)
            else _removal(facts, f"{because}: programs that can do without it run then")
        )
        title = found.title if not gone else f"Remove flash-attn; then {found.title[0].lower()}{found.title[1:]}"
        made.append(msgspec.structs.replace(found, title=title, steps=(*gone, *found.steps)))
    removal = _removal(facts, f"{because}, and PyTorch's own fused attention needs no package")
    if removal:
        made.append(Fix(title="Do without flash-attn", steps=removal, verify=commands.check(facts)))
    return tuple(made)


def fitting(facts: Facts) -> Candidate | None:
    """Return the best official wheel of which every part is known to agree with this machine; None where there is none."""
    best = finder.find(key_of(facts)).candidates[:1]
    return best[0] if best and best[0].fits and best[0].filename else None


def likely(facts: Facts, abi: bool | None = None) -> Candidate | None:
    """Return the wheel for a machine that a log describes, where torch and Python are stated and the rest follows from them.

    PyPI's build of a torch has one CUDA and one C++ ABI. `abi`: torch's, as the error shows it. The C library and the GPU, which logs
    seldom name, are taken to be new enough. None where too little is stated, or no wheel fits.
    """
    key, torch = key_of(facts), facts.torch.version
    if facts.grade != "stated" or not isinstance(torch, str) or not isinstance(key.python, str) or not official(facts):
        return None
    if torch_choice.by_others(torch) or machine_of(facts).maker == "amd":
        return None
    cuda = (
        key.cuda if isinstance(key.cuda, str) else pytorch.pypi_cuda(torch) if isinstance(key.cuda, Unknown) else None
    )
    if not isinstance(cuda, str):
        return None
    known = abi if abi is not None else key.cxx11_abi if isinstance(key.cxx11_abi, bool) else None
    answer = pytorch.cxx11_abi(torch, cuda)
    if known is None and not isinstance(answer, Unknown):
        known = answer.yes
    key = msgspec.structs.replace(
        key,
        cuda=cuda,
        cxx11_abi=known,
        platform=key.platform if isinstance(key.platform, str) else machine_of(facts).platform,
        glibc=key.glibc if isinstance(key.glibc, str) else _NEW_GLIBC,
        gpus=() if isinstance(key.gpus, Unknown) else key.gpus,
    )
    release = subject.pinned(facts) if subject.is_flash_attn(facts) else None
    asked = finder.find(key, release=release).candidates[:1] if release else ()
    return next((c for c in (*asked, *finder.find(key).candidates[:1]) if c.fits and c.filename), None)


_NEW_GLIBC = "2.39"  # of Ubuntu 24.04: what a log does not name is taken to be new


def official(facts: Facts) -> bool:
    """Say whether flash-attn's own wheels may exist for this platform: they do not for Windows, macOS and Jetson boards."""
    platform = key_of(facts).platform
    if facts.system.board == "jetson":
        return False  # wheels for ARM servers are not for its GPU
    if isinstance(platform, str):
        return any(wheel.platform == platform for wheel in wheels.official())
    return facts.system.os not in ("windows", "darwin")


def look_it_up(facts: Facts) -> Fix:
    """Return the fix for a machine of which too little is known: how to find the finished wheel.

    Where flash-attn's own releases have none for the platform, it names those that others build.
    """
    if not official(facts):
        return _elsewhere(facts)
    python = facts.interpreter.python
    target = ("--target", python) if isinstance(python, str) and re.search(r"[\\/]", python) else ()
    again = "`uv pip install --reinstall`" if own(facts) == "uv" else "`pip install --force-reinstall`"
    step = commands.by_hand(
        ("attn-doctor", "wheels", *target),
        f"names the wheel for the torch, CUDA, Python and C++ ABI there: install the address that it prints by {again}",
        "nothing",
        "none",
    )
    return Fix(title="Take the flash-attn wheel that fits", steps=(step,), verify=_verify(facts))


def _elsewhere(facts: Facts) -> Fix:
    """Return the fix for a platform without official wheels: community builds that may fit, else PyTorch's own attention."""
    key = key_of(facts)
    if isinstance(key.platform, Unknown):
        key = msgspec.structs.replace(key, platform="win_amd64" if facts.system.os == "windows" else "macosx")
    jetson = facts.system.board == "jetson"
    where = "a Jetson" if jetson else "Windows" if key.platform == "win_amd64" else "this platform"
    found = [
        c
        for c in other_wheel_sources.pointers(key)
        if not jetson
        and c.release == "flash-attn"
        and c.fits is not False
        and c.source.startswith(("community", "conda"))
    ]
    if not found:
        words = f"use {_SDPA}: flash-attn's own releases have no wheel for {where}"
        step = commands.by_hand((), words, "nothing", "none")
        return Fix(title="Do without flash-attn", steps=(step,), verify=commands.check(facts))
    exact = _for_windows(facts) if key.platform == "win_amd64" else None
    if exact is not None:
        step = commands.install(
            exact,
            no_deps=True,
            reinstall=facts.subject.doing in ("importing", "running"),
            why=f"flash-attn's own releases have no wheel for Windows: this is another person's, for this torch and Python (not checked by anybody here). "
            f"Or do without: {_SDPA}",
            changes="adds flash-attn, built by others",
            risk="medium",
        )
        return Fix(title="Take a community wheel of flash-attn for Windows", steps=(step,), verify=_verify(facts))
    addresses = " or ".join(c.url for c in found[:2])
    words = (
        f"flash-attn's own releases have no wheel for {where}; other people's have (not checked by anybody here): take the file "
        f"for your torch, CUDA and Python from {addresses}. Or do without: {_SDPA}"
    )
    step = commands.by_hand((), words, "adds flash-attn, built by others", "medium")
    return Fix(title=f"Take a community wheel of flash-attn for {where}", steps=(step,), verify=_verify(facts))


def _for_windows(facts: Facts) -> str | None:
    """Return the address of a community wheel for the torch and the Python that are stated; None where one is not, or no wheel is known."""
    torch, python, cuda = facts.torch.version, key_of(facts).python, facts.torch.cuda
    if not isinstance(torch, str) or not isinstance(python, str) or cuda is None or torch.endswith("+cpu"):
        return None
    if isinstance(cuda, str) and not cuda.startswith("12."):
        return None
    return other_wheel_sources.windows_wheel(torch, python)


_SDPA = "PyTorch's own attention (SDPA, scaled_dot_product_attention), which needs no package"


def _installation(facts: Facts, wheel: Candidate) -> Step:
    return commands.install(
        wheel.url,
        why="built for this torch, CUDA, Python and C++ ABI: nothing is compiled",
        changes=f"flash-attn {wheel.release}",
        takes="about 250 MB",
    )


def _removal(facts: Facts, because: str) -> tuple[Step, ...]:
    if facts.flash_attention.version is None:
        return ()
    return (commands.uninstall("flash-attn", why=because),)


def _verify(facts: Facts) -> tuple[str, ...]:
    return commands.check(facts, "--goal", "flash-attn", "--no-trial")
