"""Choose the CUDA build of a torch before 2.0. Pure.

The tables of `torch_choice` begin with 2.0. A user of an older torch usually needs exactly that release, and a driver of that
time runs no newer CUDA. So the same release is chosen if the machine runs it, else the newest release that its driver runs.
https://pytorch.org/get-started/previous-versions/
"""

from __future__ import annotations

import msgspec

from attn_doctor.knowledge import cuda as cuda_rules
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.rows import OldTorch
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.torch_builds import is_yes
from attn_doctor.knowledge.torch_machine import Machine, exactly
from attn_doctor.model.facts import Record, Unknown
from attn_doctor.model.versions import capability, pair

_ELEVEN = (11, 0)
_AMPERE, _HOPPER, _OLDEST = (8, 0), (9, 0), (3, 7)


class OldBuild(Record, frozen=True, kw_only=True):
    """Describe a CUDA build of an old torch: its release, its CUDA, and whether the version in its wheel's name contains the CUDA."""

    row: OldTorch
    cuda: str

    @property
    def requirements(self) -> tuple[str, str]:
        """Return the requirements of torch and torchvision, such as "torch==1.6.0+cu101"."""
        part = "" if self.plain else f"+{pytorch.flavour(self.cuda)}"
        return exactly("torch", self.row.torch + part), exactly("torchvision", self.row.torchvision + part)

    @property
    def torchaudio(self) -> str:
        """Return the requirement of the torchaudio for this torch: "torchaudio==0.9.0" for torch 1.9.0. It has no part such as "+cu111"."""
        return exactly("torchaudio", "0.7.2" if self.row.torch == "1.7.1" else f"0.{self.row.torch.partition('.')[2]}")

    @property
    def plain(self) -> bool:
        """Return whether the version of this build's wheel has no local part, such as "+cu101"."""
        return self.cuda == self.row.plain


def build(torch: str, machine: Machine) -> OldBuild | None:
    """Return the CUDA build of exactly this release ("1.6.0") that the machine can run; None if there is none.

    None also for releases newer than 1.13.
    """
    bare = torch.partition("+")[0]
    return next(
        (found for row in load(OldTorch) if row.torch in (bare, f"{bare}.0") and (found := _of(row, machine))), None
    )


# Builds whose cuBLAS and cuDNN do not start on many GPUs, and the release in which this is mended.
# https://github.com/pytorch/pytorch/issues/53336, https://github.com/pytorch/pytorch/issues/53896
_MENDED_IN = {("1.8.0", "10.2"): "1.8.1"}


def mended(torch: str, cuda: str, machine: Machine) -> OldBuild | None:
    """Return the build of a later release in which a known fault of this build is mended, if this machine can run it.

    Example: torch 1.8.1 for 1.8.0 with CUDA 10.2, whose cuBLAS does not start on many GPUs. The result is for the same
    CUDA if possible. None if no fault of this build is known.
    """
    wanted = _MENDED_IN.get((torch.partition("+")[0], cuda))
    row = next((row for row in load(OldTorch) if row.torch == wanted), None)
    if row is None:
        return None
    same = _of(msgspec.structs.replace(row, cudas=(cuda,)), machine) if cuda in row.cudas else None
    return OldBuild(row=row, cuda=cuda) if same is not None else _of(row, machine)


def newest(machine: Machine) -> OldBuild | None:
    """Return the newest torch before 2.0 that runs with the driver, the GPU and the Python.

    None if none does, or if the driver is not known.
    """
    if not machine.knows_driver:
        return None
    rows = [row for row in load(OldTorch) if machine.python is None or machine.python in row.pythons]
    return next((found for row in rows if (found := _of(row, machine))), None)


def for_python(machine: Machine) -> OldBuild | None:
    """Return the newest torch before 2.0 for a Python that is too old for torch 2: it has wheels for this Python and runs on this GPU.

    A system that is not known counts as Linux on x86_64. None if no release fits, or if the Python or the GPU is not known.
    """
    here = msgspec.structs.replace(machine, os=machine.os or "linux", machine=machine.machine or "x86_64")
    if machine.python is None or not machine.capabilities:
        return None
    rows = [row for row in load(OldTorch) if machine.python in row.pythons]
    return next((found for row in rows if (found := _of(row, here))), None)


def for_toolkit(cuda: str, machine: Machine) -> OldBuild | None:
    """Return the newest torch before 2.0 that was built for this CUDA toolkit ("10.2"); None if there is none.

    It has wheels for this Python and runs on this GPU. The driver does not matter. None also for an unknown Python.
    """
    rows = [row for row in load(OldTorch) if machine.python in row.pythons and cuda in row.cudas]
    ours = msgspec.structs.replace(machine, maker="unknown", driver=None, driver_cuda=None)
    only = ((row, msgspec.structs.replace(row, cudas=(cuda,))) for row in rows)
    return next((OldBuild(row=row, cuda=cuda) for row, this in only if _of(this, ours)), None)


def _of(row: OldTorch, machine: Machine) -> OldBuild | None:
    if machine.platform not in ("linux_x86_64", "win_amd64") or machine.maker in ("amd", "intel") or machine.board:
        return None
    absent = row.not_on_windows if machine.os == "windows" else ()
    cudas = [cuda for cuda in row.cudas if cuda not in absent and _runs(cuda, machine)]
    return OldBuild(row=row, cuda=cudas[0]) if cudas else None


def _runs(cuda: str, machine: Machine) -> bool:
    cards = [capability(card) for card in machine.capabilities]
    if any(
        card >= _HOPPER or card < _OLDEST or (card >= _AMPERE and (pair(cuda) or _ELEVEN) < _ELEVEN) for card in cards
    ):
        return False
    if machine.driver is not None:
        return is_yes(cuda_rules.driver_covers(machine.driver, cuda, machine.driver_os))
    return machine.driver_cuda is None or is_yes(cuda_rules.driver_cuda_covers(machine.driver_cuda, cuda))


def pythons(torch: str) -> tuple[str, ...]:
    """Return the versions of Python ("3.10") for which this release of torch, old or new, has wheels; empty if no table contains the release."""
    old = next((row.pythons for row in load(OldTorch) if row.torch == torch), ())
    row = pytorch.release(torch)
    return tuple(old) or (() if isinstance(row, Unknown) else tuple(row.pythons))
