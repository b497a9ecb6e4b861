"""Choose the torch for a machine: versions that belong together, and the index that has them; or why none fits. Pure.

Only this module, and torch_jetson for NVIDIA's boards, turn the facts of a machine into requirements and an index. The rules:

- Linux x86-64 with an NVIDIA GPU: the newest torch that the driver runs and that has code for every GPU. Its index is named, unless
  the registry (PyPI) has exactly this build.
- Windows with an NVIDIA GPU: the same versions, always with the index: the registry's torch for Windows is a CPU build.
- aarch64 with an NVIDIA GPU (GH200, DGX Spark): always with the index. A Jetson has a torch of its own, from NVIDIA.
- AMD and Intel GPUs: the index of their build. A CPU build is offered only to a machine without a GPU.
- A driver that is not known counts as one of CUDA 12, the least that torch's newest builds need.

https://pytorch.org/get-started/locally/, https://pytorch.org/get-started/previous-versions/ (indexes and versions);
https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html (drivers)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from attn_doctor.knowledge import amd, pytorch, torch_jetson, torch_reasons
from attn_doctor.knowledge import cuda as cuda_rules
from attn_doctor.knowledge.rows import FlavourBuild, TorchBuild, TorchRelease
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.torch_builds import fitting_builds, is_yes, takes_glibc, takes_python
from attn_doctor.knowledge.torch_machine import Choice, Machine, NoTorch, exactly
from attn_doctor.knowledge.torch_names import (
    INDEX,
    STABLE,
    by_others,
    index_of,
    index_of_build,
    numpy_for,
    same,
    torchvision,
    vision_for,
)
from attn_doctor.model.facts import Unknown
from attn_doctor.model.versions import pair

START = "https://pytorch.org/get-started/locally/"
_AMD = "https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/docs/install/installrad"
_NEWEST_OF_AMD = "2.11.0"  # https://repo.amd.com/rocm/whl/gfx110X-all/torch/; the index has one for each Python
_TITLE = "Install torch and torchvision"
# A family of gfx, and the version whose code a card of it can be told to use. https://github.com/comfyanonymous/ComfyUI#amd-gpus-linux
_NEIGHBOURS = {"gfx101": "10.3.0", "gfx103": "10.3.0", "gfx110": "11.0.0"}
_OLD_PYTHON = "3.9"

_Row = TypeVar("_Row", TorchBuild, FlavourBuild)


def choose(machine: Machine, *, below: str | None = None) -> Choice | NoTorch:
    """Return the torch for this machine, or why there is none. `below`: with an NVIDIA GPU, only an older minor than this one ("2.6").

    If the Python is not known, only the index is chosen, and pip chooses the version: torch 2.14 has no wheel for Python 3.9.
    """
    found = _chosen(machine, below)
    if isinstance(found, NoTorch) or found.torch is None or machine.python is not None:
        return found
    chosen = pair(found.torch) or (0, 0)
    older = [text for text in (machine.before, below) if text and (pair(text) or chosen) > chosen]
    return msgspec.structs.replace(
        found, pinned=False, below=min(older, key=lambda text: pair(text) or (0, 0), default=None)
    )


def _chosen(machine: Machine, below: str | None) -> Choice | NoTorch:
    if machine.musl:
        words = "use a system with glibc, such as the image python:3.12-slim: PyTorch has no wheels for musl (Alpine)"
        return NoTorch(title=_TITLE, words=words, elsewhere=True)
    if machine.narrow:
        words = "make an environment with a 64-bit Python, and install there: PyTorch has no wheels for 32 bits"
        return NoTorch(title="Use a 64-bit Python", words=words)
    if machine.board == "jetson":
        return torch_jetson.of_board(machine)
    if machine.os == "darwin":
        return _of_macos(machine)
    if machine.maker == "amd":
        return _of_amd(machine)
    if machine.maker == "intel" and machine.platform in ("linux_x86_64", "win_amd64"):
        rows = [row for row in load(FlavourBuild) if row.flavour == "xpu"]
        return _listed(machine, rows, "built for Intel GPUs") or _no_python(machine)
    if machine.maker == "none" or machine.platform == "win_arm64":
        return _cpu(machine)
    return _of_nvidia(machine, below)


def choose_release(machine: Machine, torch: str, cuda: str | None = None) -> Choice | NoTorch:
    """Return a torch of exactly this release ("2.5.1"), in a build that the machine can run; NoTorch if there is none.

    `cuda`: only a build for this CUDA ("12.4"), because another package needs it. A GPU of an unknown maker counts as
    NVIDIA's.

    On macOS, on a Jetson, with musl, and without `cuda` also for an AMD or Intel GPU or none, the index is the one of
    `choose`: it may lack this release. Example: NVIDIA's index for a Jetson, for which the result names no release
    (`torch` is None).
    """
    ordinary = machine.os != "darwin" and machine.board != "jetson" and not machine.musl
    if (cuda is not None or machine.maker in ("nvidia", "unknown")) and ordinary:
        minor, machine = pair(torch), msgspec.structs.replace(machine, maker="nvidia")
        rows = [row for row in _best(machine) if pair(row.torch) == minor and cuda in (None, row.cuda)]
        if rows:
            return _as_choice(rows[0], torch, machine)
        here = f"driver {machine.driver}" if machine.driver else "this machine"
        words = f"no build of torch {torch} is for {here} with its GPU and Python"
        return NoTorch(title=f"Find a torch {torch} for this machine", words=words)
    newest = choose(machine)
    if isinstance(newest, NoTorch) or newest.torch is None:
        return newest
    return msgspec.structs.replace(
        newest, torch=torch, torchvision=torchvision(torch), beside=_beside(torch, machine), pinned=True
    )


def archs_of(choice: Choice) -> tuple[str, ...]:
    """Return the AMD GPUs for which PyTorch's build has code ("gfx1100"); empty for a build of another index, or for other GPUs."""
    rows = (row for row in load(FlavourBuild) if index_of(row.flavour) == choice.index_url)
    return next((row.archs for row in rows), ())


def neighbour_of(gfx: str) -> str | None:
    """Return the HSA_OVERRIDE_GFX_VERSION with which a card runs the code of a similar card: "10.3.0" for "gfx1031".

    None if no value is known.
    """
    return _NEIGHBOURS.get(gfx[:6])


def _best(machine: Machine) -> tuple[TorchBuild, ...]:
    """Return the builds for this machine, the best first.

    If the driver is not known, builds that run with every driver of CUDA 12 come first.
    """
    if machine.knows_driver:
        return fitting_builds(machine)
    return (
        *fitting_builds(msgspec.structs.replace(machine, driver_cuda=machine.assumed_cuda)),
        *fitting_builds(machine),
    )


def _of_nvidia(machine: Machine, below: str | None) -> Choice | NoTorch:
    limit = pair(below) if below else None
    rows = [row for row in _best(machine) if limit is None or (pair(row.torch) or limit) < limit]
    rows = _before(machine, rows) or rows
    if not rows:
        return _no_build(machine)
    row = rows[0] if machine.python is not None else _for_most_pythons(machine, rows)
    release = pytorch.release(row.torch)
    latest = release.latest if isinstance(release, TorchRelease) else row.torch
    return _as_choice(row, latest, machine)


def _for_most_pythons(machine: Machine, rows: Sequence[TorchBuild]) -> TorchBuild:
    """Return the build to choose for a machine whose Python is not known: its index also has a torch for old Pythons.

    Example: the index cu126 has one, cu130 begins with Python 3.10. PyPI has a torch for each Python. A DGX Spark has Python
    3.12.
    """
    newest = rows[0]
    if _of_registry(newest, machine) or machine.board == "dgx-spark":
        return newest
    old = [row for row in rows if is_yes(takes_python(row.torch, _OLD_PYTHON)) and not _of_registry(row, machine)]
    return newest if not old or any(row.cuda == newest.cuda for row in old) else old[0]


def _before(machine: Machine, rows: Sequence[_Row]) -> list[_Row]:
    """Return the builds with a torch older than `machine.before`, because a program of that machine does not run with a newer torch.

    The list can be empty, because a newer GPU needs a newer torch. Then the caller uses all builds.
    """
    limit = pair(machine.before) if machine.before else None
    return [row for row in rows if limit is None or (pair(row.torch) or limit) < limit]


def _as_choice(row: TorchBuild, torch: str, machine: Machine) -> Choice:
    flavour, plain = pytorch.flavour(row.cuda), _of_registry(row, machine)
    return Choice(
        torch=torch,
        torchvision=torchvision(torch),
        flavour=flavour,
        cuda=row.cuda,
        index_url=None if plain else index_of(flavour),
        why=torch_reasons.why(row, machine),
        beside=_beside(torch, machine),
        doubt=torch_reasons.doubt(row, machine),
    )


def _of_registry(row: TorchBuild, machine: Machine) -> bool:
    return row.pypi and machine.os == "linux" and machine.platform == "linux_x86_64"


def _of_amd(machine: Machine) -> Choice | NoTorch:
    served_no_more = next((row for gfx in machine.gfx if (row := amd.override(gfx)) and row.dropped), None)
    if served_no_more:
        words = f"ROCm has not served {served_no_more.gfx} since {served_no_more.dropped}, and no torch has code for it: use the CPU or a newer GPU"
        if machine.os == "windows":
            words += "; torch-directml (pip install torch-directml; ComfyUI: --directml) computes on it, for programs that know DirectML"
        return NoTorch(title="Compute on the CPU, or on a newer GPU", words=words)
    if machine.os == "windows" and (own := _own_of_amd(machine)) is not None:
        return own
    if machine.os == "windows" or machine.wsl:
        place, name = ("windows", "Windows") if machine.os == "windows" else ("wsl", "WSL")
        url = next((url for gfx in machine.gfx if (url := amd.own_index(gfx))), None) if place == "windows" else None
        line = f"in an environment with Python 3.12: pip install --index-url {url} torch torchvision; " if url else ""
        words = f"take AMD's own torch for Radeon and Ryzen: {line}{_AMD}/{place}/install-pytorch.html (PyTorch's ROCm builds are for Linux itself)"
        return NoTorch(title=f"Install AMD's torch for {name}", words=words)
    host = pair(machine.rocm) if machine.rocm else None
    rows = [row for row in load(FlavourBuild) if row.flavour.startswith("rocm")]
    older = [row for row in rows if host is None or (pair(row.flavour.removeprefix("rocm")) or (0, 0)) <= host]
    choice = _listed(machine, older or rows, "built for AMD GPUs with ROCm")
    if choice is None:
        return _no_python(machine)
    if machine.gfx and not set(machine.gfx) <= set(archs_of(choice)):
        return _own_of_amd(machine) or choice
    if choice.doubt is None and machine.rocm is None:
        unknown = "the ROCm there is not known: cat /opt/rocm/.info/version shows it, and an older one has an index of its own"
        return msgspec.structs.replace(choice, doubt=unknown)
    return choice


def _own_of_amd(machine: Machine) -> Choice | None:
    """Return AMD's own torch for the GPUs of a family, which contains its own ROCm; None if AMD has none for them and this Python."""
    url = next((url for gfx in machine.gfx if (url := amd.own_index(gfx))), None)
    if url is None or machine.python not in (None, *amd.OWN_PYTHONS) or machine.platform == "linux_aarch64":
        return None
    return Choice(
        torch=_NEWEST_OF_AMD,
        torchvision=None,
        flavour="rocm",
        index_url=url,
        why=f"AMD's own torch for {', '.join(machine.gfx)}, for Python {amd.OWN_PYTHONS[0]} to {amd.OWN_PYTHONS[-1]}; it contains its own ROCm",
        pinned=False,
    )


def _listed(machine: Machine, rows: Iterable[FlavourBuild], why: str) -> Choice | None:
    """Return the newest listed build for this Python and platform. Builds with code for the GPU come first. None if there is no build."""
    found = [
        row for row in rows if machine.platform in row.platforms and is_yes(takes_python(row.torch, machine.python))
    ]
    found = _before(machine, found) or found
    holding = [row for row in found if not row.archs or set(machine.gfx) <= set(row.archs)]
    if not found:
        return None
    row, doubt = (holding or found)[0], None
    if not holding:
        near = next((theirs for card in machine.gfx if (theirs := neighbour_of(card))), None)
        hint = f"; HSA_OVERRIDE_GFX_VERSION={near} makes it use the code of a neighbour" if near else ""
        doubt = f"it holds no code for {', '.join(machine.gfx)}{hint}"
    return Choice(
        torch=row.torch,
        torchvision=row.torchvision,
        flavour=row.flavour,
        index_url=index_of(row.flavour),
        why=f"{why} {row.flavour.removeprefix('rocm')}" if row.flavour.startswith("rocm") else why,
        beside=_beside(row.torch, machine),
        doubt=doubt,
    )


def _of_macos(machine: Machine) -> Choice | NoTorch:
    """Return PyPI's torch for macOS. For Intel processors the last one is 2.2: https://github.com/pytorch/pytorch/issues/114602."""
    intel = machine.machine == "x86_64"
    why = (
        f"the last torch for a Python for x86_64, and this Mac has Apple silicon: newer ones need a Python for arm64. {ARM_PYTHON}"
        if machine.translated
        else "the last torch for Macs with an Intel processor"
        if intel
        else "PyTorch's builds for macOS hold the Apple GPU's backend"
    )
    return _plain(machine, why, None, last="2.2" if intel else None)


def _cpu(machine: Machine) -> Choice | NoTorch:
    why = "this machine has no GPU that PyTorch can use: the CPU build is a tenth of the download"
    return _plain(machine, why, "cpu")


def _plain(machine: Machine, why: str, flavour: str | None, last: str | None = None) -> Choice | NoTorch:
    """Return the newest release, up to the minor `last`, that has wheels for the Python and the C library."""
    for row in reversed(load(TorchRelease)):
        minor = pair(row.minor) or (0, 0)
        glibc = "2.28" if minor >= (2, 7) else "2.17"
        if last is not None and minor > (pair(last) or minor):
            continue
        if machine.before is not None and minor >= (pair(machine.before) or minor):
            continue
        if is_yes(takes_python(row.minor, machine.python)) and is_yes(takes_glibc(glibc, machine)):
            return Choice(
                torch=row.latest,
                torchvision=torchvision(row.latest),
                flavour=flavour,
                index_url=index_of(flavour) if flavour else None,
                why=why,
                beside=_beside(row.latest, machine),
                takes="200 MB",
            )
    return _no_python(machine)


def _no_build(machine: Machine) -> NoTorch:
    """Return why no CUDA build fits: the condition that excludes the builds."""
    if fitting_builds(msgspec.structs.replace(machine, python=None)):
        return _no_python(machine)
    undriven = msgspec.structs.replace(machine, driver=None, driver_cuda=None)
    rows = fitting_builds(undriven)
    if rows:
        needs = cuda_rules.driver_needed(
            min((row.cuda for row in rows), key=lambda text: pair(text) or (0, 0)), machine.driver_os
        )
        here = f"driver {machine.driver}" if machine.driver else f"a driver for CUDA {machine.driver_cuda}"
        words = f"no torch with code for this GPU runs on {here}: install driver {needs} or newer first, then run this check again"
        return NoTorch(title="Install a newer driver before torch", words=words)
    if len(set(machine.capabilities)) > 1:
        words = f"no torch holds code for all of {', '.join(machine.capabilities)}: hide a GPU with CUDA_VISIBLE_DEVICES, and run this check again"
        return NoTorch(title=_TITLE, words=words)
    card = f"compute capability {machine.capabilities[0]}" if machine.capabilities else "this system"
    return NoTorch(
        title=_TITLE, words=f"no torch of the tables of this attn-doctor is for {card}: {START} names the newest"
    )


# https://docs.astral.sh/uv/concepts/python-versions/#requesting-a-version (the name of a build),
# https://conda.io/projects/conda/en/latest/user-guide/configuration/settings.html (subdir)
ARM_PYTHON = (
    "`file` with the path of a Python says for which processor it is. With uv: uv venv --python cpython-3.12-macos-aarch64; "
    "with conda: CONDA_SUBDIR=osx-arm64 conda create -n arm64 python=3.12"
)
ARM_TITLE = "Use a Python for Apple silicon"


def _no_python(machine: Machine) -> NoTorch:
    if machine.translated:
        words = f"make an environment with a Python for arm64, and install there: for x86_64 PyTorch has no wheels after 2.2.2. {ARM_PYTHON}"
        return NoTorch(title=ARM_TITLE, words=words)
    alike = choose(msgspec.structs.replace(machine, python=None)) if machine.python else None
    row = pytorch.release(alike.torch) if isinstance(alike, Choice) and alike.torch else Unknown("")
    good = "3.12" if isinstance(row, Unknown) or "3.12" in row.pythons else row.pythons[-1]
    listed = (
        ""
        if isinstance(row, Unknown)
        else f" (torch {row.latest} has wheels for Python {row.pythons[0]} to {row.pythons[-1]})"
    )
    words = f"no torch for this machine has a wheel for Python {machine.python}: make an environment with Python {good}{listed}, and install there"
    return NoTorch(title=f"Use Python {good}", words=words)


def _beside(torch: str, machine: Machine) -> tuple[str, ...]:
    """Return the requirements that this torch needs in order to work: NumPy 1 for a torch that was built for NumPy 1."""
    wanted = numpy_for(torch, os=machine.os or "linux")
    return () if wanted == "numpy" else (wanted,)


__all__ = [
    "ARM_PYTHON",
    "ARM_TITLE",
    "INDEX",
    "STABLE",
    "Choice",
    "Machine",
    "NoTorch",
    "by_others",
    "choose",
    "exactly",
    "fitting_builds",
    "index_of",
    "index_of_build",
    "numpy_for",
    "same",
    "vision_for",
]
