"""Find the CUDA builds of torch that a machine runs: by its GPUs, driver, Python and C library. Pure."""

from __future__ import annotations

import functools

from attn_doctor.knowledge import cuda as cuda_rules
from attn_doctor.knowledge import gpu, pytorch
from attn_doctor.knowledge.rows import TorchBuild
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.torch_machine import Machine
from attn_doctor.knowledge.yes_no_unknown import Answer, Judgement, no, yes
from attn_doctor.model.versions import pair

# Free-threaded Pythons: first and last minor of torch whose wheels for them were seen on PyPI or on PyTorch's index.
_FREE_THREADED = {"3.13t": ((2, 7), (2, 10)), "3.14t": ((2, 9), (2, 14))}
_WINDOWS_LAST = (2, 14)  # CUDA wheels for Windows were seen on the index up to this minor


@functools.lru_cache(maxsize=64)  # every cure that installs torch asks for the same machine
def fitting_builds(machine: Machine) -> tuple[TorchBuild, ...]:
    """Return the CUDA builds that this machine can run; empty if there is none.

    Verified rows come first; among them the newest torch, and of its builds first the one on PyPI. A property of the machine that
    is not known excludes no build.
    """
    rows = [row for row in _builds(machine.platform) if all(is_yes(part) for part in _demands(row, machine))]
    return tuple(sorted(rows, key=lambda row: (row.verified, pair(row.torch), row.pypi, pair(row.cuda)), reverse=True))


def _demands(row: TorchBuild, machine: Machine) -> list[Judgement]:
    codes = [arch for arch in row.archs if arch.startswith("sm_")]
    parts: list[Judgement] = [gpu.runs(codes, card, cuda=row.cuda) for card in machine.capabilities]
    if machine.driver is not None:
        parts.append(cuda_rules.driver_covers(machine.driver, row.cuda, machine.driver_os))
    elif machine.driver_cuda is not None:
        parts.append(cuda_rules.driver_cuda_covers(machine.driver_cuda, row.cuda))
    return [*parts, takes_python(row.torch, machine.python), takes_glibc(row.glibc, machine)]


def takes_python(torch: str, python: str | None) -> Judgement:
    """Judge whether a torch has wheels for a Python ("3.13t" is free-threaded). Yes if the Python is not known."""
    minor, bounds = pair(torch), _FREE_THREADED.get(python or "")
    if python is None:
        return yes("the Python is not known")
    if not python.endswith("t"):
        return pytorch.supports_python(torch, python)
    if bounds and minor and bounds[0] <= minor <= bounds[1]:
        return yes(f"torch {torch} has wheels for the free-threaded Python {python}")
    return no(f"no wheel of torch {torch} is known for the free-threaded Python {python}")


def takes_glibc(needed: str, machine: Machine) -> Judgement:
    """Judge whether a machine has the C library that a wheel needs ("2.28").

    Yes also if its version is not known, and on Windows and macOS.
    """
    have, least = pair(machine.glibc) if machine.glibc else None, pair(needed)
    if machine.os in ("windows", "darwin") or have is None or least is None or have >= least:
        return yes(f"glibc {needed}")
    return no(f"needs glibc {needed}, here {machine.glibc}")


@functools.cache
def _builds(platform: str) -> tuple[TorchBuild, ...]:
    """Return the CUDA builds for a platform. Windows has the builds of Linux, but on PyTorch's index only."""
    if platform == "win_amd64":
        return tuple(r for r in _builds(pytorch.LINUX) if (pair(r.torch) or (0, 0)) <= _WINDOWS_LAST)
    return tuple(row for row in load(TorchBuild) if row.platform == platform)


def is_yes(part: Judgement) -> bool:
    """Return whether a judgement is "yes"; False for Unknown."""
    return isinstance(part, Answer) and part.yes
