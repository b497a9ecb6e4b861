"""Name the parts of a torch build: its index, and the torchvision, torchaudio and NumPy that belong to it.

Chooses nothing. Pure. https://pytorch.org/get-started/previous-versions/
"""

from __future__ import annotations

import re

from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.torch_machine import Choice, Machine
from attn_doctor.model.facts import OsName, Unknown
from attn_doctor.model.versions import local, pair

INDEX = "https://download.pytorch.org/whl"
STABLE = f"{INDEX}/torch_stable.html"  # the page of the builds before torch 1.11
_FLAVOUR = re.compile(r"cpu|xpu|cu\d{2,3}|rocm[\d.]+")


def index_of(flavour: str) -> str:
    """Return the address of the index for a build: "cu126", "cpu", "rocm7.2", "xpu"."""
    return f"{INDEX}/{flavour}"


def index_of_build(torch: str, machine: Machine | None = None) -> str | None:
    """Return the index that has exactly this build, by the local part of the version.

    None: PyPI has the build, or no index is known. A build by other people ("2.1.0a0+41361538.nv23.06") is on no index of
    PyTorch. `machine`: decides which build PyPI has for it; None: Linux on x86-64.
    """
    flavour = local(torch)
    if flavour is None or not _FLAVOUR.fullmatch(flavour):
        return None
    default = pytorch.pypi_cuda(torch)
    on_registry = machine is None or (machine.os in ("linux", None) and machine.platform == "linux_x86_64")
    if on_registry and isinstance(default, str) and flavour == pytorch.flavour(default):
        return None
    return index_of(flavour)


def by_others(torch: str) -> bool:
    """Return whether a torch was built by NVIDIA (for its containers, for Jetson boards) or by the user, and not by the PyTorch project."""
    part = local(torch)
    return part is not None and _FLAVOUR.fullmatch(part) is None


def same(torch: str, *names: str) -> tuple[str, ...]:
    """Return the requirements of exactly this torch, and of the packages in `names` that belong to it.

    Example: ("torch==2.8.0", "torchvision==0.23.0") for "2.8.0+cu128" and "torchvision".
    """
    return _family(torch).requirements("torch", *names)


def vision_for(torch: str) -> str:
    """Return the requirement of the torchvision that belongs to this torch: "torchvision==0.23.0"; without a version if it is not known."""
    return _family(torch).requirements("torchvision")[0]


def _family(torch: str) -> Choice:
    bare = torch.partition("+")[0]
    return Choice(torch=bare, torchvision=torchvision(torch), flavour=local(torch), index_url=None, why="")


def numpy_for(torch: str, specifier: str = "", os: OsName = "linux") -> str:
    """Return the requirement of a NumPy that works with this torch: "numpy<2" for torch 2.2.

    `specifier`: a range in which NumPy has to stay, ">=1.23". A torch that was built for NumPy 1 cannot use the arrays of NumPy
    2, and no metadata of torch says so: https://github.com/pytorch/pytorch/issues/107302. A range that has no NumPy 1, ">=2", is
    left out for such a torch: no version would satisfy both.
    """
    works_with_numpy_2 = pytorch.numpy(torch, "2.0.0", os)
    if isinstance(works_with_numpy_2, Unknown) or works_with_numpy_2.yes:
        return f"numpy{specifier}"
    return "numpy" + ",".join(filter(None, [specifier if _has_numpy_1(specifier) else "", "<2"]))


def _has_numpy_1(specifier: str) -> bool:
    """Return whether a range has versions of NumPy 1: its lowest version is older than 2."""
    lowest = (found[1] for part in specifier.split(",") if (found := _LOWEST.match(part)))
    return all((pair(version) or (0, 0)) < (2, 0) for version in lowest)


_LOWEST = re.compile(r"\s*(?:>=|>|==|~=)\s*([\d.]+)")


def torchvision(torch: str) -> str | None:
    """Return the version of the torchvision that belongs to this torch; None if it is not known."""
    found = pytorch.torchvision_for(torch)
    return found if isinstance(found, str) else None
