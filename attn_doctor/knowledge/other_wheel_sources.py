"""List other sources of FlashAttention than the official releases, and an alternative to FlashAttention.

They are only links: the authors of attn-doctor have tried none of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from attn_doctor.knowledge import flash_attention, wheel_parts
from attn_doctor.knowledge.rows import Elsewhere
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.wheel_key import UNREADABLE, Candidate, Key, numbers
from attn_doctor.knowledge.yes_no_unknown import Judgement, names, no, yes
from attn_doctor.model.facts import Unknown
from attn_doctor.model.versions import capability, dotted


def pointers(key: Key) -> tuple[Candidate, ...]:
    """Return one candidate for each source in the table `elsewhere`.

    `fits`: False if the source has nothing for the versions, the platform or the GPUs of this key; else None, because it was not
    tested.
    """
    return tuple(_pointer(row, key) for row in load(Elsewhere))


def torch_with_wheels(platform: str) -> str | None:
    """Return the newest minor of torch ("2.8") for which each community builder of flash-attn has wheels for this platform.

    Example: of two builders for "win_amd64", one ends with torch 2.14 and one with torch 2.8: "2.8". None if no builder of the kind
    "community" has wheels for this platform.
    """
    rows = [
        row
        for row in load(Elsewhere)
        if row.package == flash_attention.FLASH_ATTN and row.kind == "community" and platform in row.platforms
    ]
    lasts = [row.torch_last for row in rows if row.torch_last is not None]
    return min(lasts, key=numbers, default=None)


def _pointer(row: Elsewhere, key: Key) -> Candidate:
    parts = list(_parts(row, key))
    against = [part.why for part in parts if not isinstance(part, Unknown) and not part.yes]
    unknown = [part.why for part in parts if isinstance(part, Unknown)]
    return Candidate(
        release=row.package,
        filename=None,
        url=row.url,
        source=f"{row.kind}: {row.name}",
        fits=False if against else None,
        reasons=(*against, *unknown, row.trust),
        kind="other",
        package=row.package.replace("-", "_"),
    )


def _parts(row: Elsewhere, key: Key) -> Iterator[Judgement]:
    """Yield a judgement for each known part of the key. An unknown part yields nothing."""
    if isinstance(key.platform, str) and row.platforms and key.platform not in row.platforms:
        yield no(f"has builds for {names(row.platforms)}, you have {key.platform}")
    if isinstance(key.torch, str):
        yield _torch(row, key.torch)
    if row.package == "torch":
        yield no("there is no torch here") if key.torch is None else yes("needs nothing but torch")
        return
    if key.torch is None or key.cuda is None:
        yield no("needs a torch that is built with CUDA")
    if isinstance(key.cuda, str) and row.cuda_majors and numbers(key.cuda)[0] not in row.cuda_majors:
        yield no(f"has builds for CUDA {names(map(str, row.cuda_majors))}, your torch is built for CUDA {key.cuda}")
    if isinstance(key.python, str) and row.pythons and key.python not in row.pythons:
        yield Unknown(f"was seen for Python {row.pythons[0]} to {row.pythons[-1]}, you have {key.python}")
    if not isinstance(key.gpus, Unknown):
        yield wheel_parts.of_gpus(functools.partial(_gpu, row), key.gpus)


def _torch(row: Elsewhere, torch: str) -> Judgement:
    have = numbers(torch)
    if have == UNREADABLE:
        return Unknown(f"cannot read the torch version {torch!r}")
    if row.torch_first is not None and have < numbers(row.torch_first):
        return no(f"has builds for torch {row.torch_first} and newer, you have {dotted(have)}")
    if row.torch_last is not None and have > numbers(row.torch_last):
        return Unknown(f"was seen for torch {row.torch_first} to {row.torch_last}, you have {dotted(have)}")
    return yes("no bound on torch is broken")


def _gpu(row: Elsewhere, device: str) -> Judgement:
    if row.capabilities:
        only = names(row.capabilities)
        return (
            yes(f"is for {device}")
            if device in row.capabilities
            else no(f"is for compute capability {only}, your GPU is {device}")
        )
    if row.package != flash_attention.FLASH_ATTN:
        return flash_attention.package_runs_on(row.package, device)
    # These builds choose their own architectures; only the GPUs that the code itself refuses are known.
    oldest = flash_attention.latest().min_capability
    if capability(device) < capability(oldest):
        return no(f"FlashAttention 2 needs compute capability {oldest} or newer, the GPU is {device}")
    return yes(f"{device} is not too old for FlashAttention 2")
