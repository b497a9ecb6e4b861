"""Define the key of a wheel (the values that decide whether it fits) and the candidates that the finder returns.

Judges nothing.
"""

from __future__ import annotations

import functools
from typing import Literal

from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.versions import Pair, dotted, pair

UNREADABLE: Pair = (0, 0)


class Key(Record, frozen=True, kw_only=True):
    """Hold all values that decide whether a wheel fits.

    None: the thing is known to be absent (CUDA in a CPU torch, glibc beside another libc).
    """

    python: str | Unknown  # "3.12"; "3.13t" is free-threaded
    torch: str | Unknown | None  # "2.8.0+cu128"
    cuda: str | Unknown | None  # torch.version.cuda, "12.8"
    cxx11_abi: bool | Unknown | None  # whether torch is built with the new C++ ABI
    platform: str | Unknown  # "linux_x86_64", "win_amd64"
    glibc: str | Unknown | None  # "2.35"
    gpus: tuple[str, ...] | Unknown  # compute capabilities of the visible GPUs, "8.9"


class Candidate(Record, frozen=True, kw_only=True):
    """Describe one way to get FlashAttention, and whether it fits.

    `fits`: None if that cannot be decided. `reasons`: why it does not fit, and the unknown parts; for builds by other people also
    who made them. `filename`: None if there is no single file.
    """

    release: str  # of the package, "2.8.3"; for a link the name of the package
    filename: str | None
    url: str
    source: str  # who offers it, in words: "official"
    fits: bool | None
    reasons: tuple[str, ...]
    kind: Literal["official", "community", "other"]  # a wheel of the authors, of other people, or a link to a page
    package: str = "flash_attn"
    builder: str | None = None  # of a community wheel
    listed: bool = True  # False: the file is in no list; setup.py would ask for this name


def key_of(facts: Facts) -> Key:
    """Build the key from a target's facts."""
    interpreter, platform = facts.interpreter, facts.interpreter.platform
    return Key(
        python=_python(interpreter.version, interpreter.free_threaded),
        torch=facts.torch.version,
        cuda=facts.torch.cuda,
        cxx11_abi=facts.torch.cxx11_abi,
        platform=normal_platform(platform) if isinstance(platform, str) else _unknown(platform, "the platform"),
        glibc=facts.system.glibc,
        gpus=_capabilities(facts),
    )


def normal_platform(platform: str) -> str:
    """Return a platform as wheels spell it: "linux_x86_64" for "linux-x86_64" (sysconfig) and for a manylinux tag."""
    plain = platform.replace("-", "_")
    for machine in ("x86_64", "aarch64"):
        if "linux" in plain and plain.endswith(machine):
            return f"linux_{machine}"
    return plain


@functools.lru_cache(maxsize=1024)
def numbers(version: str) -> Pair:
    """Return major and minor of a version: (2, 8) for "2.8.0+cu128"; UNREADABLE if it does not begin with a number.

    Cached, because a search compares the same versions often.
    """
    return pair(version) or UNREADABLE


def _python(version: str | Unknown | None, free_threaded: bool | Unknown | None) -> str | Unknown:
    minor = pair(version) if isinstance(version, str) else None
    if minor is None:
        return _unknown(version, "the target's Python version")
    return dotted(minor) + ("t" if free_threaded is True else "")


def _capabilities(facts: Facts) -> tuple[str, ...] | Unknown:
    gpus = facts.graphics.gpus
    if isinstance(gpus, Unknown):
        return gpus
    found = [gpu.compute_capability for gpu in gpus if gpu.visible is not False]
    unknown = next((value for value in found if isinstance(value, Unknown)), None)
    return tuple(value for value in found if isinstance(value, str)) if unknown is None else unknown


def _unknown(value: str | Unknown | None, what: str) -> Unknown:
    return value if isinstance(value, Unknown) else Unknown(f"{what} is not known")
