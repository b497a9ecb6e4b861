"""Answer which CUDA versions drivers, toolkits and host compilers support. Nothing here examines the machine.

There are three CUDA versions: that of torch's build (torch.version.cuda), that of the toolkit (nvcc), and the highest one that
the driver supports. Only the majors must agree. Within one major an older driver runs newer programs, but does not compile their
PTX. https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
"""

from __future__ import annotations

import functools

from packaging.version import Version

from attn_doctor.knowledge.rows import Driver, Floor, Nvcc
from attn_doctor.knowledge.tables import load, unlisted
from attn_doctor.knowledge.yes_no_unknown import Answer, Judgement, no, yes
from attn_doctor.model.facts import OsName, Unknown
from attn_doctor.model.versions import capability, dotted, pair, parse, sm


class Coverage(Answer, frozen=True, kw_only=True):
    """Answer whether a driver runs programs of a CUDA version."""

    needs: str  # the oldest driver that runs them: "525.60.13"
    # The driver released with this CUDA. It compiles PTX of this CUDA too, as newer drivers do; None: not known
    paired: str | None
    compiles_ptx: bool | None  # None: not known


def driver_needed(cuda: str, os: OsName = "linux") -> str | Unknown:
    """Return the oldest driver ("525.60.13") for programs built with this CUDA ("12.4"); Unknown if the table lacks the CUDA.

    `os`: "linux" or "windows" (WSL counts as Windows).
    """
    floor = _floor(cuda)
    if isinstance(floor, Unknown):
        return floor
    return floor.windows if os == "windows" else floor.linux


def driver_covers(driver: str, cuda: str, os: OsName = "linux") -> Coverage | Unknown:
    """Judge whether this driver runs programs built with this CUDA.

    Under WSL the driver of the Windows host counts: pass os="windows". A cuda-compat package installs a newer libcuda:
    pass the version of that libcuda as `driver`.
    """
    needs = driver_needed(cuda, os)
    if isinstance(needs, Unknown):
        return needs
    have, floor = parse(driver), parse(needs)
    if have is None or floor is None:
        return Unknown(f"the driver version {driver!r} cannot be read")
    paired = _paired(cuda, os)
    if have < floor:
        return Coverage(
            yes=False,
            why=f"CUDA {cuda} needs driver {needs} or newer, here {driver}",
            needs=needs,
            paired=paired,
            compiles_ptx=False,
        )
    compiles = None if paired is None else have >= Version(paired)
    why = f"driver {driver} runs CUDA {cuda}"
    if compiles is False:
        why += f" by minor-version compatibility, but does not compile its PTX (that needs {paired})"
    return Coverage(yes=True, why=why, needs=needs, paired=paired, compiles_ptx=compiles)


_COMPATIBLE_FROM = 11  # the first CUDA major whose minors all run on any driver for this major


def driver_cuda_covers(driver_cuda: str, cuda: str) -> Judgement:
    """Return whether a driver runs this CUDA, from the CUDA version that the driver reports ("CUDA Version: 12.2")."""
    have, need = pair(driver_cuda), pair(cuda)
    if have is None or need is None:
        return Unknown(f"cannot read the CUDA versions {driver_cuda!r} and {cuda!r}")
    if have >= need:
        return yes(f"a driver for CUDA {driver_cuda} runs CUDA {cuda}")
    if have[0] >= need[0] >= _COMPATIBLE_FROM:
        return yes(f"a driver for CUDA {driver_cuda} runs CUDA {cuda}: the major is not newer")
    return no(f"built for CUDA {cuda}, the driver supports CUDA {driver_cuda} at most")


def releases() -> tuple[Nvcc, ...]:
    """Return the CUDA releases whose nvcc is known, the oldest first."""
    return tuple(sorted(load(Nvcc), key=lambda row: pair(row.cuda) or (0, 0)))


# Releases of nvcc before the table. Newest gcc: CUDA_GCC_VERSIONS of
# https://github.com/pytorch/pytorch/blob/main/torch/utils/cpp_extension.py, but 11.4 to 11.6 cannot read the headers of the gcc 11 that they
# accept: https://github.com/NVIDIA/nccl/issues/650. Newest architecture: the release notes, https://docs.nvidia.com/cuda/archive/
_BEFORE_THE_TABLE = {
    (10, 2): (8, "7.5"),
    (11, 0): (9, "8.0"),
    (11, 1): (10, "8.6"),
    (11, 2): (10, "8.6"),
    (11, 3): (10, "8.6"),
    (11, 4): (10, "8.6"),
    (11, 5): (10, "8.6"),
    (11, 6): (10, "8.6"),
    (11, 7): (11, "8.6"),
}


def newest_gcc(cuda: str) -> int | None:
    """Return the major version of the newest gcc that the nvcc of this CUDA release accepts; None if it is not known."""
    row, version = _nvcc(cuda), pair(cuda)
    if not isinstance(row, Unknown):
        return row.max_gcc
    return _BEFORE_THE_TABLE[version][0] if version in _BEFORE_THE_TABLE else None


def first_release_for(device: str) -> str | None:
    """Return the oldest CUDA release whose nvcc compiles for this compute capability: "11.8" for "8.9"; None if it is not known.

    Releases before 10.2 are not considered: "10.2" for "7.0".
    """
    wanted = capability(device)
    for version, (_, newest) in _BEFORE_THE_TABLE.items():
        if wanted <= capability(newest):
            return dotted(version)
    return next((row.cuda for row in releases() if f"sm_{device.replace('.', '')}" in row.archs), None)


# Compute capabilities of boards (Xavier, Orin, Thor), https://developer.nvidia.com/cuda-gpus: no other GPU runs code for them.
_OF_BOARDS = frozenset({(5, 3), (6, 2), (7, 2), (8, 7), (10, 1), (11, 0)})


def newest_device_of(cuda: str, device: str) -> str | None:
    """Return the newest compute capability for which the nvcc of this CUDA compiles and which is not newer than `device`: "8.6" for "8.9".

    The GPU can run this code, at least as PTX. For a CUDA before the table `device` does not matter. None if it is not known.
    """
    row, version = _nvcc(cuda), pair(cuda)
    if isinstance(row, Unknown):
        return _BEFORE_THE_TABLE[version][1] if version in _BEFORE_THE_TABLE else None
    known = [found for arch in row.archs if (found := sm(arch)) and found not in _OF_BOARDS]
    newest = max((found for found in known if found <= capability(device)), default=None)
    return dotted(newest) if newest else None


def nvcc_for_torch(nvcc: str, torch_cuda: str) -> Judgement:
    """Return whether torch lets this nvcc compile an extension.

    torch refuses a different major, and warns about a different minor.
    """
    have, need = pair(nvcc), pair(torch_cuda)
    if have is None or need is None:
        return Unknown(f"cannot read the CUDA versions {nvcc!r} and {torch_cuda!r}")
    if have[0] != need[0]:
        return no(f"nvcc is {dotted(have)}, torch was built with CUDA {torch_cuda}: the majors differ")
    return yes(f"nvcc {dotted(have)} and torch's CUDA {torch_cuda} have the same major")


def host_compiler(nvcc: str, compiler: str, version: str) -> Judgement:
    """Return whether this nvcc ("12.4") accepts this version of a host compiler: "gcc", "g++" or "clang".

    nvcc checks only an upper bound. Unknown for other compilers, and for an nvcc that the table lacks.
    """
    row = _nvcc(nvcc)
    if isinstance(row, Unknown):
        return row
    limit = row.max_gcc if compiler in {"gcc", "g++"} else row.max_clang if compiler.startswith("clang") else None
    have = parse(version)
    if limit is None or have is None:
        return unlisted(f"whether nvcc {row.cuda} accepts {compiler} {version}")
    sure = "max_gcc" not in row.inferred
    if have.major <= limit:
        return yes(f"nvcc {row.cuda} accepts {compiler} up to {limit}, here {version}", verified=sure)
    return no(f"nvcc {row.cuda} accepts {compiler} up to {limit}, here {version}", verified=sure)


def _floor(cuda: str) -> Floor | Unknown:
    version = pair(cuda)
    for row in load(Floor):
        if version is not None and row.major == version[0] and row.minor in (None, version[1]):
            return row
    return unlisted(f"which driver CUDA {cuda} needs")


@functools.cache
def _paired(cuda: str, os: OsName) -> str | None:
    """Return the oldest driver of any update release of this CUDA minor."""
    version = pair(cuda)
    named = [row.windows if os == "windows" else row.linux for row in load(Driver) if pair(row.cuda) == version]
    return min((text for text in named if text is not None), key=Version, default=None)


def _nvcc(version: str) -> Nvcc | Unknown:
    wanted = pair(version)
    for row in load(Nvcc):
        if pair(row.cuda) == wanted:
            return row
    return unlisted(f"nvcc {version}")


_SINCE = 420  # above this branch, the numbers of Linux branches end with 0 or 5


def only_windows_has(driver: str) -> bool:
    """Return whether only Windows has a driver with this number ("451.67"). Linux shows such a number only in WSL.

    https://www.nvidia.com/en-us/drivers/unix/, https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/ (table 3: "450.51.06" and "451.82",
    "550.54.14" and "551.61")
    """
    branch, *rest = driver.split(".")
    return len(rest) == 1 and branch.isdigit() and int(branch) > _SINCE and int(branch) % 5 != 0
