"""Compare the parts of a wheel's name (torch, Python, CUDA, GPU) with the key of this machine (see wheel_key).

The rules are the same for all builders.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from attn_doctor.knowledge.wheel_key import UNREADABLE, numbers
from attn_doctor.knowledge.yes_no_unknown import Judgement, no, yes
from attn_doctor.model.facts import Unknown
from attn_doctor.model.versions import dotted, parse

AGREES = yes("agrees")


def joined(parts: Iterable[Judgement]) -> tuple[bool | None, tuple[str, ...]]:
    """Join the judgements of the parts: False with the reasons against the wheel, None with the unknown parts, or True."""
    against: list[str] = []
    unknown: list[str] = []
    for part in parts:
        if isinstance(part, Unknown):
            unknown.append(part.why)
        elif not part.yes:
            against.append(part.why)
    if against:
        return False, tuple(against)
    return (None, tuple(unknown)) if unknown else (True, ())


def compare(have: str | Unknown, built_for: str, built: str, what: str) -> Judgement:
    """Judge whether a part of the key (`have`) equals the value for which a wheel was built.

    `built`: the beginning of the reason, "built for Python 3.12". `what`: the name of the part in the reason, "the Python version".
    """
    if isinstance(have, Unknown):
        return Unknown(f"{built}, and {what} here is not known: {have.why}")
    return AGREES if have == built_for else no(f"{built}, you have {have}")


def of_torch(minor_built: str, torch: str | Unknown | None) -> Judgement:
    """Judge whether this torch has the minor for which a wheel was built. Symbols change from minor to minor."""
    built = f"built for torch {minor_built}"
    if isinstance(torch, Unknown):
        return Unknown(f"{built}, and the torch here is not known: {torch.why}")
    if torch is None:
        return no(f"{built}, and there is no torch here")
    minor = numbers(torch)
    if minor == numbers(minor_built):
        return AGREES
    return no(f"{built}, you have {dotted(minor) if minor != UNREADABLE else torch}")


def of_gpus(judged: Callable[[str], Judgement], gpus: tuple[str, ...]) -> Judgement:
    """Judge a wheel for all GPUs: one GPU that runs it is enough. Yes also if there is no GPU.

    `judged`: judges the wheel for one compute capability ("8.9").
    """
    if not gpus:
        return yes("no GPU is here that could refuse it")  # a login node, CI, docker build
    answers = [judged(device) for device in gpus]
    able = [answer for answer in answers if not isinstance(answer, Unknown) and answer.yes]
    unknown = [answer for answer in answers if isinstance(answer, Unknown)]
    return (able or unknown or answers)[0]


@functools.lru_cache(maxsize=1024)
def prerelease(version: str) -> bool:
    """Return whether this torch is a nightly or another pre-release."""
    parsed = parse(version)
    return parsed is not None and parsed.is_prerelease
