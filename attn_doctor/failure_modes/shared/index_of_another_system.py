"""Cure a torch that was asked for from an index of PyTorch which has no wheels for this system: ROCm on Windows and macOS, CUDA on macOS. Pure.

https://pytorch.org/get-started/locally/ ("ROCm is not available on Windows", "CUDA is not available on MacOS")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.knowledge import torch_choice
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_ROCM = r"(?P<rocm>\+rocm[\d.]+|whl/(?:nightly/)?rocm[\d.]*|pytorch-triton-rocm)"
SIGNS = (
    *(
        Sign(pattern=_ROCM, literal=literal, sample=sample, strength="context")
        for literal, sample in (
            ("whl/", "Looking in indexes: https://download.pytorch.org/whl/rocm6.1"),
            ("+rocm", "ERROR: No matching distribution found for torch==1.13.1+rocm5.2"),
            ("pytorch-triton-rocm", "torch==2.5.1+rocm6.2 depends on pytorch-triton-rocm==3.1.0"),
        )
    ),
    *(
        Sign(pattern=r"(?P<cuda>\+cu\d{2,3}\b|whl/(?:nightly/)?cu\d{2,3}\b)", literal=literal, sample=sample, strength="context")
        for literal, sample in (
            ("whl/", "Looking in indexes: https://download.pytorch.org/whl/cu121"),
            ("+cu", "ERROR: No matching distribution found for torch==2.3.1+cu121"),
        )
    ),
    Sign(
        pattern=r"\(e\.g\., [`'](?P<windows>win_amd64)",
        literal="win_amd64",
        sample="Because torch==2.5.1+rocm6.2 has no wheels with a matching platform tag (e.g., `win_amd64`)",
        strength="context",
    ),
    *(
        Sign(
            pattern=rf"(?P<windows>(?<![A-Za-z]){drive}:\\)\w",
            literal=f"{drive}:\\",
            sample=f"PS {drive}:\\Users\\me> pip install torch",
            strength="context",
        )
        for drive in ("C", "D", "E")
    ),
    Sign(
        pattern=r"\(e\.g\., [`'](?P<mac>macosx_\d+_\d+_\w+)",
        literal="(e.g., ",
        sample="Because torch==2.5.1+cu124 has no wheels with a matching platform tag (e.g., `macosx_15_0_arm64`)",
        strength="context",
    ),
)  # fmt: skip
_OF_TORCH = ("torch", "pytorch-triton")


class Elsewhere(Variant, frozen=True, kw_only=True):
    """Hold the kind of build that was asked for, and the system that has no such wheel."""

    build: Literal["rocm", "cuda"]
    system: Literal["windows", "darwin"]


def told(facts: Facts, seen: Seen, lines: Sequence[Match]) -> Hit | None:
    """Return the hit for an index of PyTorch without wheels for this system: ROCm on Windows or macOS, CUDA on macOS. None for other logs.

    `lines`: the lines in which the installer says that there is no such release.
    """
    rocm, cuda = seen.group("rocm"), seen.group("cuda")
    os = facts.system.os if isinstance(facts.system.os, str) else None
    windows = os == "windows" or (os is None and seen.group("windows") is not None)
    mac = os == "darwin" or (os is None and seen.group("mac") is not None)
    if not lines or not any(name in m.text for m in lines for name in _OF_TORCH):
        return None
    if rocm is not None and windows:
        message = "PyTorch's ROCm builds are for Linux alone: its index has no torch with ROCm for Windows. Another version, or another Python, does not change that."
        return Hit(
            message=message, evidence=building.lines(list(lines)), variant=Elsewhere(build="rocm", system="windows")
        )
    if mac and (rocm or cuda) is not None:
        what = "ROCm" if rocm is not None else "CUDA"
        message = f"PyTorch's {what} builds are not for macOS: that index has no torch for this Mac. The torch for Macs is on the default index, and uses the GPU of Apple silicon (MPS)."
        kind: Literal["rocm", "cuda"] = "rocm" if rocm is not None else "cuda"
        return Hit(
            message=message, evidence=building.lines(list(lines)), variant=Elsewhere(build=kind, system="darwin")
        )
    return None  # fmt: skip


def fixes(facts: Facts, found: Elsewhere) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if found.system == "darwin":
        step = commands.install(
            *torch_steps.bare(), why="without an index of PyTorch: the default index has the wheels for macOS", changes="torch"
        )  # fmt: skip
        return (Fix(title="Install torch from the default index", steps=(step,), verify=verify),)
    own = torch_steps.newest(facts, "Install AMD's torch for Windows", maker="amd")
    # https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/docs/install/installrad/wsl/install-radeon.html
    linux = commands.by_hand(
        ("wsl.exe", "--install"),
        "installs Linux inside Windows: AMD's driver lets it use the Radeon RX 7000 and newer, and PyTorch's ROCm builds are for it. Older cards need a "
        "Linux that is started by itself",
        "installs WSL2",
        elsewhere=True,
    )
    # https://learn.microsoft.com/windows/ai/directml/pytorch-windows
    directml = commands.install(
        "torch-directml",
        why="Microsoft's addition to torch 2.4, for Python 3.12 and older: it uses every card with DirectX 12, also older Radeons. The program has to take torch_directml.device()",
        changes="torch, to 2.4, and adds torch-directml",
        risk="medium",
    )
    cpu = commands.install(
        *torch_steps.bare(), index_url=torch_choice.index_of("cpu"), why="computes without the GPU", changes="torch"
    )
    return (
        *own,
        Fix(title="Use Linux, in WSL2 or beside Windows", steps=(linux,), verify=verify),
        Fix(title="Use the card by DirectML", steps=(directml,), verify=verify),
        Fix(title="Compute on the CPU", steps=(cpu,), verify=verify),
    )
