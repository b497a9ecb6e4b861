"""Answer what PyTorch's releases need and contain: CUDA builds, GPU code, ABI, Python, numpy, torchvision.

All answers are about the wheels of the PyTorch project. A torch from conda-forge, from NGC or built from source can
differ in every point; values measured in the target have precedence over these tables.
"""

from __future__ import annotations

import functools

from attn_doctor.knowledge import cuda as cuda_rules
from attn_doctor.knowledge.rows import NumpyPair, TorchAbi, TorchBuild, TorchRelease, Torchvision
from attn_doctor.knowledge.tables import load, unlisted
from attn_doctor.knowledge.yes_no_unknown import Judgement, no, yes
from attn_doctor.model.facts import OsName, Unknown
from attn_doctor.model.requirements import allowed
from attn_doctor.model.versions import Pair, dotted, local, pair, parse

LINUX = "linux_x86_64"


def flavour(cuda: str) -> str:
    """Return a CUDA version as PyTorch writes it in local versions and index names: "cu132" for "13.2"."""
    return "cu" + cuda.replace(".", "")


def release(torch: str) -> TorchRelease | Unknown:
    """Return the row of a torch version, found by its minor. A nightly ("2.16.0a0+git4c71eef") has no row: Unknown."""
    minor = pair(torch)
    version = parse(torch)
    if minor is None or version is None or version.is_prerelease or version.is_devrelease:
        return unlisted(f"torch {torch}")
    return _releases().get(minor) or unlisted(f"torch {torch}")


def builds(torch: str, platform: str = LINUX) -> tuple[TorchBuild, ...]:
    """Return the recorded CUDA builds of a torch minor. Empty for Windows: its builds are not recorded."""
    minor = pair(torch)
    return tuple(row for row in load(TorchBuild) if pair(row.torch) == minor and row.platform == platform)


def archs(torch: str, cuda: str, platform: str = LINUX) -> tuple[str, ...] | Unknown:
    """Return the GPU code, such as ("sm_80", "sm_90"), in torch's wheel for this CUDA ("12.8").

    Unknown if nobody has read it: what is only inferred does not count.
    """
    wanted = pair(cuda)
    for row in builds(torch, platform):
        if pair(row.cuda) == wanted and row.verified:
            return row.archs
    return unlisted(f"the GPU code of torch {torch} for CUDA {cuda} on {platform}")


def pypi_cuda(torch: str, platform: str = LINUX) -> str | Unknown | None:
    """Return the CUDA version ("12.8") of the torch wheel on PyPI; None for a CPU build, Unknown if the table lacks torch or platform."""
    row = release(torch)
    if isinstance(row, Unknown):
        return row
    key = "macosx" if platform.startswith("macosx") else platform
    if key not in row.pypi_cuda:
        return unlisted(f"what PyPI has of torch {torch} for {platform}")
    return row.pypi_cuda[key]


def cxx11_abi(torch: str, cuda: str | None = None, platform: str = LINUX) -> Judgement:
    """Return whether the wheel of this torch is built with the new C++ ABI.

    The local part of the version decides ("+cu126"). If there is none, `cuda` decides.
    """
    minor = pair(torch)
    if minor is None:
        return unlisted(f"torch {torch}")
    name = local(torch) or (flavour(cuda) if cuda else None)
    for row in load(TorchAbi):
        first, last = pair(row.first), pair(row.last)
        if first is None or last is None or not first <= minor <= last:
            continue
        if row.platforms and platform not in row.platforms:
            continue
        if row.flavours and (name is None or not name.startswith(row.flavours)):
            continue
        why = f"torch {dotted(minor)}{' ' + name if row.flavours and name else ''} is built with cxx11abi "
        return yes(why + "TRUE") if row.cxx11_abi else no(why + "FALSE")
    return unlisted(f"the C++ ABI of torch {torch} on {platform}")


def supports_python(torch: str, python: str) -> Judgement:
    """Return whether this torch has wheels for this Python ("3.12")."""
    row = release(torch)
    version = pair(python)
    if isinstance(row, Unknown) or version is None:
        return row if isinstance(row, Unknown) else Unknown(f"cannot read the Python version {python!r}")
    known = [pair(text) for text in row.pythons]
    if version in known:
        return yes(f"torch {row.minor} has wheels for Python {dotted(version)}")
    return no(f"torch {row.minor} has wheels for Python {row.pythons[0]} to {row.pythons[-1]}, here {dotted(version)}")


def numpy(torch: str, numpy: str, os: OsName = "linux") -> Judgement:
    """Judge whether this torch and this numpy work together. `os`: "linux", "windows" or "darwin".

    Unknown if a version cannot be read or is not in the table.
    """
    minor, version = pair(torch), pair(numpy)
    if minor is None or version is None:
        return Unknown(f"cannot read the versions {torch!r} and {numpy!r}")
    if version < (2, 0):
        return yes(f"numpy {numpy} is older than 2, which every torch accepts")
    for row in load(NumpyPair):
        first, last = pair(row.first), pair(row.last)
        if first is not None and last is not None and first <= minor <= last and os in row.os:
            compared = f"torch {dotted(minor)} was built for numpy 1, you have numpy {numpy}"
            if row.numpy2:
                return yes(f"torch {dotted(minor)} works with numpy 2", verified=row.verified)
            return no(compared, verified=row.verified)
    return unlisted(f"whether torch {torch} works with numpy {numpy} on {os}")


def torchvision_fits(torch: str, torchvision: str) -> Judgement:
    """Return whether this torchvision belongs to this torch. Unknown if the table lacks it, or if a version cannot be read.

    If it needs one torch, any patch release of that minor will do: they are binary compatible. If it needs a lowest torch
    (">=2.14.0"), every newer one will do.
    """
    have, wanted = parse(torch), parse(torchvision)
    if have is None or wanted is None:
        return Unknown(f"cannot read the versions {torch!r} and {torchvision!r}")
    row = next((row for row in load(Torchvision) if parse(row.torchvision) == parse(wanted.base_version)), None)
    if row is None:
        return unlisted(f"torchvision {torchvision}")
    built = pair(row.torch.lstrip("=>"))
    if allowed(row.torch, have.base_version) or (row.torch.startswith("==") and built == pair(torch)):
        return yes(f"torchvision {row.torchvision} needs torch {row.torch.lstrip('=')}")
    return no(f"torchvision {row.torchvision} was built for torch {row.torch.lstrip('=')}, you have {torch}")


def triton_fits(torch: str, triton: str) -> Judgement:
    """Return whether the first two numbers of this triton's version, such as 3.1, are those that torch's Linux wheels need.

    The third number is ignored. Unknown if the table lacks this torch, or if a version cannot be read.
    """
    row, version = release(torch), pair(triton)
    if isinstance(row, Unknown):
        return row
    wanted = pair(row.triton.removeprefix("triton").lstrip("=~"))
    if version is None or wanted is None:
        return Unknown(f"cannot read the triton version {triton!r}")
    if version == wanted:
        return yes(f"torch {row.minor} needs triton {dotted(wanted)}")
    return no(f"torch {row.minor} needs triton {dotted(wanted)}, you have {triton}")


def torchvision_for(torch: str) -> str | Unknown:
    """Return the newest torchvision ("0.23.0") that was released with this torch; Unknown if the table has none."""
    version = parse(torch)
    rows = [row for row in load(Torchvision) if pair(row.built_for) == pair(torch)]
    if not rows or version is None:
        return unlisted(f"the torchvision of torch {torch}")
    exact = [row for row in rows if allowed(row.torch, version.base_version)]
    return (exact or rows)[-1].torchvision


def cxx_minimum(torch: str, compiler: str = "gcc") -> int | Unknown:
    """Return the oldest C++ standard with which this torch's headers compile: 17 or 20.

    `compiler`: "gcc", "clang" or "msvc".
    """
    row = release(torch)
    if isinstance(row, Unknown):
        return row
    return row.cxx_minimum_msvc if compiler == "msvc" else row.cxx_minimum


def first_with_cxx(standard: int) -> str | None:
    """Return the first minor of torch whose headers need this C++ standard: "2.14" for 20; None if none in the table does."""
    return next((row.minor for row in load(TorchRelease) if row.cxx_minimum >= standard), None)


def driver_needed(torch: str, os: OsName = "linux", platform: str = LINUX) -> str | Unknown | None:
    """Return the oldest driver ("525.60.13") that runs the wheel of this torch on PyPI; None if that is a CPU build.

    `os`: the system of the driver; WSL counts as "windows". `platform`: of the wheel. Unknown if a table lacks the
    torch, the platform or the CUDA.
    """
    cuda = pypi_cuda(torch, platform)
    return cuda_rules.driver_needed(cuda, os) if isinstance(cuda, str) else cuda


@functools.cache
def _releases() -> dict[Pair, TorchRelease]:
    return {minor: row for row in load(TorchRelease) if (minor := pair(row.minor)) is not None}
