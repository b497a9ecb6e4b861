"""Answer on which GPUs compiled GPU code runs, and which compute capability a GPU of a given name has.

The rules are NVIDIA's. Compiled code (sm_XY) runs on devices of the same major whose minor is not lower, with the exceptions in
the `gpu_code` table. The driver compiles PTX (compute_XY) for any device that is not older.
https://docs.nvidia.com/cuda/blackwell-compatibility-guide/
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from attn_doctor.knowledge.rows import CodeException, GpuModel
from attn_doctor.knowledge.tables import load, unlisted
from attn_doctor.knowledge.yes_no_unknown import Judgement, names, no, yes
from attn_doctor.model.facts import Record, Unknown
from attn_doctor.model.versions import Pair, at_least, capability, dotted, pair


class Code(Record, frozen=True, kw_only=True):
    """Describe one piece of GPU code, as its name states it: "sm_90a", "compute_120"."""

    name: str
    capability: Pair
    ptx: bool
    variant: str  # "", "a" (this architecture only), "f" (its family)


@functools.cache
def parse(name: str) -> Code | None:
    """Return the code with this name; None if the name is not one of NVIDIA's ("gfx942" is AMD's)."""
    match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", name)
    if match is None:
        return None
    kind, major, minor, variant = match.groups()
    return Code(name=name, capability=(int(major), int(minor)), ptx=kind == "compute", variant=variant)


def name(dotted_capability: str, *, ptx: bool = False) -> str:
    """Return the name of a piece of GPU code as `runs` expects it: "sm_90a" for "9.0a"; with `ptx` "compute_90a"."""
    return ("compute_" if ptx else "sm_") + dotted_capability.replace(".", "")


@functools.lru_cache(maxsize=4096)
def _runs(code_names: tuple[str, ...], device: str, cuda: str | None, driver_cuda: str | None) -> Judgement:
    target = capability(device)
    codes = [code for code in map(parse, code_names) if code is not None]
    refused = f"holds {names(code_names)}, the GPU is {device}"
    doubts: list[str] = []
    for code in codes:
        fits = _ptx_runs(code, target, cuda, driver_cuda) if code.ptx else _cubin_runs(code, target, cuda)
        if fits is True and code.ptx:
            return yes(f"the driver compiles the {code.name} PTX for {device}")
        if fits is True:
            exact = code.capability == target
            return yes(
                f"{code.name} code runs on {device}" + ("" if exact else ": same major, and its minor is not above")
            )
        if isinstance(fits, Unknown):
            doubts.append(fits.why)
        elif code.ptx and _reaches(code, target):
            refused += f"; the {code.name} PTX needs a driver for CUDA {cuda} or newer, here {driver_cuda}"
    return Unknown("; ".join(doubts)) if doubts else no(refused)


def runs(
    code_names: Iterable[str], device: str, *, cuda: str | None = None, driver_cuda: str | None = None
) -> Judgement:
    """Return whether a binary with this code ("sm_80", "compute_90") runs on a device of this capability ("8.9").

    `cuda`: the CUDA version of the binary's build ("13.2"). `driver_cuda`: the highest CUDA that the driver supports. If one of
    the two is missing, the answer for PTX is unknown. `cuda` also decides about some code on boards, such as 8.0 code on 8.7.
    """
    return _runs(tuple(code_names), device, cuda, driver_cuda)


def _cubin_runs(code: Code, target: Pair, cuda: str | None) -> bool | Unknown:
    if code.variant == "a":
        return code.capability == target
    exception = _exceptions().get(code.capability)
    if exception is not None and exception.only_on:
        return dotted(target) in exception.only_on
    if not _same_major(code, target):
        return False
    if exception is None or dotted(target) not in exception.not_on:
        return True
    if exception.lifted_from_cuda is None:
        return False
    if cuda is None:
        return Unknown(
            f"{code.name} code runs on {dotted(target)} only in builds for CUDA {exception.lifted_from_cuda} and newer,"
            " and the CUDA of this one is not known"
        )
    return at_least(cuda, exception.lifted_from_cuda)


def _ptx_runs(code: Code, target: Pair, cuda: str | None, driver_cuda: str | None) -> bool | Unknown:
    """Return whether the driver can compile this PTX. A driver refuses PTX of a newer CUDA, also within one major."""
    if not _reaches(code, target):
        return False
    if cuda is None or driver_cuda is None:
        return Unknown(
            f"whether the driver can compile the {code.name} PTX is not known: its CUDA or the build's is not"
        )
    return at_least(driver_cuda, cuda)


def _reaches(code: Code, target: Pair) -> bool:
    """Return whether some driver can compile this PTX for the device."""
    if code.variant == "a":
        return code.capability == target
    if code.variant == "f":
        return _same_major(code, target)
    return code.capability <= target


def _same_major(code: Code, target: Pair) -> bool:
    return code.capability[0] == target[0] and code.capability[1] <= target[1]


@functools.cache
def _exceptions() -> dict[Pair, CodeException]:
    return {capability(row.code): row for row in load(CodeException)}


# The first CUDA whose compiler knows a GPU of this major. https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/
_FIRST_CUDA = {8: (11, 0), 9: (11, 8), 10: (12, 8), 11: (13, 0), 12: (12, 8)}


def too_new_for(cuda: str, device: str) -> str | None:
    """Return the first CUDA version that supports a GPU of this capability ("8.0"), if the given CUDA ("10.2") is older; else None."""
    have, first = pair(cuda), _FIRST_CUDA.get(capability(device)[0])
    return dotted(first) if have and first and have < first else None


def model(reported: str) -> GpuModel | Unknown:
    """Return the row for a GPU name as drivers report it, "NVIDIA GeForce RTX 4060 Laptop GPU"; Unknown if the table lacks it."""
    words = _words(reported)
    best: tuple[int, GpuModel] | None = None
    for known, row in _models():
        if words[: len(known)] == known and (best is None or len(known) > best[0]):
            best = len(known), row
    return best[1] if best else unlisted(f"the GPU {reported!r}")


@functools.cache
def _models() -> tuple[tuple[tuple[str, ...], GpuModel], ...]:
    return tuple((_words(text), row) for row in load(GpuModel) for text in (row.name, *row.also))


def _words(text: str) -> tuple[str, ...]:
    """Split a GPU name into words.

    Drops the maker's name, and "Tesla", which drivers print for some cards and NVIDIA's own list does not.
    """
    words = re.split(r"[\s\-_/]+", text.lower().strip())
    return tuple(word for word in words if word not in {"nvidia", "tesla", ""})
