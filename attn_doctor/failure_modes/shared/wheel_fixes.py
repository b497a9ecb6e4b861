"""Make the fixes for an installed package that does not fit torch, and read torch's C++ ABI. Pure.

The fixes for flash-attn are: install the wheel that fits, or do without flash-attn.
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.commands.installers import own
from attn_doctor.failure_modes.mode import Unsure, present
from attn_doctor.failure_modes.shared import package_cures, package_wheels, subject
from attn_doctor.failure_modes.shared.fact_queries import holds
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import community_wheels, finder, other_wheel_sources, pytorch, torch_choice, wheels
from attn_doctor.knowledge.wheel_key import Candidate, Key, key_of, numbers
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Install, Step
from attn_doctor.model.versions import pair


def torch_abi(facts: Facts) -> bool:
    """Return whether torch has the new C++ ABI: as torch itself reported, else by the table of its releases.

    Raises Unsure if neither of the two contains it.
    """
    if isinstance(facts.torch.cxx11_abi, bool):
        return facts.torch.cxx11_abi
    cuda = facts.torch.cuda if isinstance(facts.torch.cuda, str) else None
    return holds(pytorch.cxx11_abi(present(facts.torch.version), cuda))


def torch_abi_or_none(facts: Facts) -> bool | None:
    """Return whether torch has the new C++ ABI; None if that is not known."""
    try:
        return torch_abi(facts)
    except Unsure:
        return None


def fixes(facts: Facts, because: str, *, abi: bool | None = None) -> tuple[Fix, ...]:
    """Return the fixes for an installed package that does not fit torch: flash-attn, or the package that a log names.

    `because`: what is wrong with the package, "it has another C++ ABI than this torch". `abi`: whether torch has the new C++ ABI, as the
    error shows it; None: see `torch_abi`.
    """
    if subject.is_flash_attn(facts) or (facts.grade == "stated" and subject.package(facts) is None and _unfit(facts)):
        return flash_attn_fixes(facts, because, abi=abi)
    return package_cures.again(facts, because, abi=torch_abi_or_none(facts) if abi is None else abi)


def _unfit(facts: Facts) -> bool:
    """Return whether the name of the installed flash-attn wheel shows another torch or another C++ ABI than those of the installed torch."""
    flash, torch, abi = facts.flash_attention, facts.torch.version, torch_abi_or_none(facts)
    other = isinstance(flash.wheel_torch, str) and isinstance(torch, str) and pair(flash.wheel_torch) != pair(torch)
    return other or (isinstance(flash.wheel_abi, bool) and abi is not None and flash.wheel_abi is not abi)


def flash_attn_fixes(facts: Facts, because: str, *, abi: bool | None = None) -> tuple[Fix, ...]:
    """Return the fixes for an installed flash-attn that does not fit: install the wheel that fits, or do without flash-attn."""
    made = []
    wheel = fitting(facts) or likely(facts, abi)
    if wheel is not None:
        steps = (*_removal(facts, because), installation(facts, wheel))
        made.append(Fix(title="Install the flash-attn wheel that fits", steps=steps, verify=_verify(facts)))
    elif facts.grade == "stated" and (other := _of_the_other_abi(facts, abi)):
        made.extend(other)
    elif isinstance(facts.torch.version, Unknown) or facts.grade == "stated":
        found = look_it_up(facts)
        # First remove the package that does not fit: programs that do not need it work after that.
        gone = (
            ()
            if any(isinstance(step, Install) for step in found.steps)
            else _removal(facts, f"{because}; without it, programs that do not need flash-attn work")
        )
        title = found.title if not gone else f"Remove flash-attn; then {found.title[0].lower()}{found.title[1:]}"
        made.append(msgspec.structs.replace(found, title=title, steps=(*gone, *found.steps)))
    removal = _removal(facts, f"{because}, and PyTorch's own fused attention needs no package")
    if removal:
        made.append(Fix(title="Do without flash-attn", steps=removal, verify=commands.check(facts)))
    return tuple(made)


def _of_the_other_abi(facts: Facts, abi: bool | None) -> tuple[Fix, ...]:
    """Return the fix with the installed wheel's twin of the other C++ ABI; empty for the releases whose twin for torch 2.6 has a wrong name.

    https://github.com/Dao-AILab/flash-attention/issues/1717
    """
    build = facts.flash_attention.wheel_torch
    if isinstance(build, str) and pair(build) == (2, 6) and str(facts.flash_attention.version).startswith("2.8"):
        return ()
    return package_wheels.of_the_other_abi(facts, subject.FLASH_ATTN, abi)


def fitting(facts: Facts) -> Candidate | None:
    """Return the best official wheel that is known to fit this machine in every part; None if there is none."""
    best = finder.find(key_of(facts)).candidates[:1]
    return best[0] if best and best[0].fits and best[0].filename else None


def likely(facts: Facts, abi: bool | None = None) -> Candidate | None:
    """Return the wheel for a machine that a log describes, if the log names the versions of torch and Python; else None.

    The CUDA and the C++ ABI follow from torch, as PyPI has one build of each torch. `abi`: torch's C++ ABI, as the error shows it. Logs
    seldom name the C library and the GPU: they are assumed to be new enough. None also if no wheel fits.
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


_NEW_GLIBC = "2.39"  # the glibc of Ubuntu 24.04: assumed if a log does not name the glibc


def official(facts: Facts) -> bool:
    """Return whether flash-attn's own wheels may exist for this platform: there are none for Windows, macOS and Jetson boards."""
    platform = key_of(facts).platform
    if facts.system.board == "jetson":
        return False  # the wheels for ARM servers have no code for a Jetson's GPU
    if isinstance(platform, str):
        return any(wheel.platform == platform for wheel in wheels.official())
    return facts.system.os not in ("windows", "darwin")


def look_it_up(facts: Facts) -> Fix:
    """Return the fix for a machine of which too little is known: the command that finds the wheel.

    If flash-attn's own releases have no wheel for the platform, the fix names wheels that other people build.
    """
    if not official(facts):
        return _elsewhere(facts)
    target = ("--target", _path(facts)) if _path(facts) else ()
    again = "`uv pip install --reinstall`" if own(facts) == "uv" else "`pip install --force-reinstall`"
    step = commands.by_hand(
        ("attn-doctor", "wheels", *target),
        f"prints the address of the wheel for the torch, CUDA, Python and C++ ABI of this environment: install this address with {again}",
        "nothing",
        "none",
    )
    return Fix(title="Take the flash-attn wheel that fits", steps=(step,), verify=_verify(facts))


def _elsewhere(facts: Facts) -> Fix:
    """Return the fix for a platform without official wheels: wheels that other people build, else PyTorch's own attention."""
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
    exact = by_others(facts)
    if exact is not None:
        why = (
            f"flash-attn's own releases have no wheel for {where}: {exact.builder} built this wheel for this torch and Python. It is unsigned, and "
            f"nobody has checked it: `attn-doctor wheels --prove URL` reads it before it is installed. Or do without flash-attn: {_SDPA}"
        )
        step = _of_others(exact, why, reinstall=facts.subject.doing in ("importing", "running"))
        return Fix(title=f"Take a community wheel of flash-attn for {where}", steps=(step,), verify=_verify(facts))
    addresses = " or ".join(c.url for c in found[:2])
    title = f"Take a community wheel of flash-attn for {where}"
    if facts.grade == "stated" and facts.system.os == "windows":
        target = ("--target", _path(facts)) if _path(facts) else ()
        look = commands.by_hand(
            ("attn-doctor", "wheels", *target),
            f"finds the wheel for this torch, its CUDA and this Python among those that other people built for {where} (flash-attn's own releases have "
            "none; these are not checked), and prints the line that installs it, under 'install it by its address': run that line",
            "nothing",
            "none",
        )
        words = f"if it names no wheel, look for a newer one at {addresses}. Or do without flash-attn: {_SDPA}"
        step = commands.by_hand((), words, "adds a flash-attn that other people built", "medium")
        return Fix(title=title, steps=(look, step), verify=_verify(facts))
    words = (
        f"flash-attn's own releases have no wheel for {where}. Other people build some, which are not checked: install the file "
        f"for your torch, CUDA and Python from {addresses}. Or do without flash-attn: {_SDPA}"
    )
    step = commands.by_hand((), words, "adds a flash-attn that other people built", "medium")
    return Fix(title=title, steps=(step,), verify=_verify(facts))


def _path(facts: Facts) -> str | None:
    """Return the path of the Python in a log; None if only a name is known."""
    python, prefix = facts.interpreter.python, facts.interpreter.prefix
    if facts.system.os == "windows" and places.environment_tool(facts) == "conda" and isinstance(prefix, str):
        return prefix.replace("/", "\\") + "\\python.exe"
    return python if isinstance(python, str) and re.search(r"[\\/]", python) else None


def by_others(facts: Facts) -> Candidate | None:
    """Return the wheel for this machine that somebody other than the authors of flash-attn built, chosen by its name; None if none is known.

    If there is none for the same CUDA minor, one for another minor of the same major is returned, if the GPUs and (on Linux) glibc are
    known: such a wheel usually loads. Always None on a Jetson and with an AMD GPU.
    """
    key = key_of(facts)
    if facts.system.board == "jetson" or machine_of(facts).maker == "amd":
        return None  # a wheel for ARM servers is not for the GPU of a Jetson, and all of them are for CUDA
    if facts.grade == "stated":
        key = msgspec.structs.replace(
            key,
            platform=key.platform if isinstance(key.platform, str) else machine_of(facts).platform,
            glibc=key.glibc if isinstance(key.glibc, str) else _NEW_GLIBC,
            gpus=() if isinstance(key.gpus, Unknown) else key.gpus,
        )
    if not (isinstance(key.python, str) and isinstance(key.torch, str) and isinstance(key.platform, str)):
        return None
    among = community_wheels.of_torch(key.torch, key.python)
    keys = [key] if isinstance(key.cuda, str) or key.cuda is None else _with_a_cuda(key)
    found = [candidate for one in keys for candidate in community_wheels.candidates(one, among=among)]
    ours = [candidate for candidate in found if candidate.fits is not False]
    whole = isinstance(key.gpus, tuple) and (isinstance(key.glibc, str) or key.platform == "win_amd64")
    return next((c for c in ours if c.fits), ours[0] if ours and whole else None)


def _with_a_cuda(key: Key) -> list[Key]:
    """Return keys for a torch whose CUDA is not known, one for each likely CUDA.

    The CUDA of PyPI's Linux wheel is first, because it is the usual one; then CUDA 12.
    """
    if not isinstance(key.torch, str) or not isinstance(key.platform, str) or key.torch.endswith("+cpu"):
        return []
    usual = pytorch.pypi_cuda(key.torch)
    built = community_wheels.cudas(key.torch, key.platform)
    ordered = sorted(built, key=lambda cuda: (cuda == usual, numbers(cuda)[0] == 12, numbers(cuda)), reverse=True)
    return [msgspec.structs.replace(key, cuda=cuda) for cuda in ordered]


def of_others(facts: Facts) -> Fix | None:
    """Return the fix that installs a wheel by somebody other than the authors of flash-attn; None if no such wheel is known.

    pip does not install the requirements in the metadata of such a wheel, because a stranger could name any package there. flash-attn needs
    torch and einops: a step installs einops if it is missing.
    """
    wheel = by_others(facts)
    if wheel is None:
        return None
    listed = facts.packages.distributions
    lacks = isinstance(listed, tuple) and all(distribution.name != "einops" for distribution in listed)
    needs = commands.install("einops", why="flash-attn imports it", changes="adds einops")
    step = _of_others(
        wheel,
        "nothing is compiled; `attn-doctor fix --apply` reads the file and tries it in a copy before it installs it",
    )
    steps = (*((needs,) if lacks else ()), step)
    return Fix(title=f"Install the unsigned wheel that {wheel.builder} built", steps=steps, verify=_verify(facts))


def _of_others(wheel: Candidate, why: str, *, reinstall: bool = False) -> Step:
    """Return the step that installs a flash-attn wheel of another builder than the flash-attn project."""
    return commands.install(
        wheel.url,
        no_deps=True,
        reinstall=reinstall,
        why=why,
        changes=f"adds flash-attn {wheel.release}, built by {wheel.builder}",
        risk="medium",
        risk_text="its code is not checked by anybody",
        takes="about 250 MB",
        built_by=wheel.builder,
    )


_SDPA = "PyTorch's own attention (SDPA, scaled_dot_product_attention), which needs no package"


def installation(facts: Facts, wheel: Candidate) -> Step:
    """Return the step that installs a finished wheel by the authors of flash-attn."""
    return commands.install(
        wheel.url,
        why="built for this torch, CUDA, Python and C++ ABI: nothing is compiled",
        changes=f"flash-attn {wheel.release}",
        takes="about 250 MB",
    )


def _removal(facts: Facts, because: str) -> tuple[Step, ...]:
    """Return the step that removes flash-attn; no step if it is not installed."""
    if facts.flash_attention.version is None:
        return ()
    return (commands.uninstall("flash-attn", why=because),)


def _verify(facts: Facts) -> tuple[str, ...]:
    return commands.check(facts, "--goal", "flash-attn", "--no-trial")
