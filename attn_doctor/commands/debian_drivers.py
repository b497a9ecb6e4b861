"""Find the NVIDIA driver in Debian's archive, decide whether the installed torch can use it, and name the source of a newer one. Pure.

https://packages.debian.org/search?keywords=nvidia-driver has the versions (security updates change no branch);
https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/ has NVIDIA's repository: nvidia-open for Turing and newer, and
driver 580 is the last branch for GPUs older than Turing.
"""

from __future__ import annotations

from attn_doctor.commands import places
from attn_doctor.commands.cuda_repositories import repository
from attn_doctor.commands.places import Argv
from attn_doctor.knowledge.cuda import driver_needed
from attn_doctor.model.facts import Facts
from attn_doctor.model.versions import pair

Lines = tuple[tuple[Argv, str], ...]  # commands that need root, each with its reason

_ARCHIVE = {11: "470.256.02", 12: "535.261.03", 13: "550.163.01"}
_CUDA_13 = 580  # the branch that came with CUDA 13
_REPOSITORIES = "https://developer.download.nvidia.com/compute/cuda/repos"


def too_old(facts: Facts) -> str | None:
    """Return the version of the driver in Debian's archive if it is too old for this torch; else None."""
    version, needed = _ARCHIVE.get(_release(facts)), _needed(facts, None)
    if facts.system.distribution != "debian" or version is None or needed is None:
        return None
    return version if _branch(version) < needed else None


def newer_exists(facts: Facts) -> bool:
    """Return whether NVIDIA's repository has a driver for this Debian release that the installed torch can use."""
    return _folder(facts, _needed(facts, None)) is not None


def newest(facts: Facts, least: str | None, *, old: bool) -> Lines:
    """Return the commands for the archive's driver if it is new enough, else for the driver of NVIDIA's repository.

    They are for the archive's driver too if the release or the needed driver is not known, or if NVIDIA's repository
    has no driver that is new enough. `least`: the oldest driver that is enough. `old`: the machine has a GPU older than
    Turing.
    """
    release, needed = _release(facts), _needed(facts, least)
    version, folder = _ARCHIVE.get(release), _folder(facts, needed)
    if version is None or needed is None or _branch(version) >= needed or folder is None:
        return archive(facts)
    architecture = "sbsa" if places.architecture(facts) == "aarch64" else "x86_64"
    key = "cuda-keyring_1.1-1_all.deb"
    why = f"Debian {release} has driver {_branch(version)}, and {needed} or newer is needed: NVIDIA's repository has it"
    package = "cuda-drivers-580" if old else "nvidia-open"
    driver = "driver 580, the last for GPUs older than Turing" if old else "the driver, with the open kernel modules"
    return (
        (("wget", f"{_REPOSITORIES}/{folder}/{architecture}/{key}"), why),
        (("dpkg", "-i", key), "sets that repository up, with its key"),
        (("apt-get", "update"), "reads its list of packages; Debian's sources need the component contrib"),
        (("apt-get", "install", "-y", package, _headers(facts)), driver),
    )


def archive(facts: Facts) -> Lines:
    """Return the commands that install the driver of Debian's own archive."""
    version = _ARCHIVE.get(_release(facts))
    have = f", driver {version}" if version else ""
    why = f"from Debian's own archive{have}: its sources need the components contrib, non-free and non-free-firmware"
    return ((("apt-get", "install", "-y", "nvidia-driver", _headers(facts)), why),)


def _folder(facts: Facts, needed: int | None) -> str | None:
    """Return the folder of NVIDIA's repository for this release; None if it lacks this branch (that of Debian 11 ends with CUDA 12.9)."""
    found = repository(facts)
    if found is None or (found.newest is not None and needed is not None and needed >= _CUDA_13):
        return None
    return found.folder


def _needed(facts: Facts, least: str | None) -> int | None:
    """Return the branch (580) of the oldest driver that is new enough: for `least` if it is given, else for the CUDA of this torch."""
    cuda = facts.torch.cuda
    floor = least or (driver_needed(cuda) if isinstance(cuda, str) else None)
    found = pair(floor) if isinstance(floor, str) else None
    return found[0] if found else None


def _branch(version: str) -> int:
    return int(version.partition(".")[0])


def _headers(facts: Facts) -> str:
    return "linux-headers-arm64" if places.architecture(facts) == "aarch64" else "linux-headers-amd64"


def _release(facts: Facts) -> int:
    """Return the release of the distribution; 0 if it is not known."""
    text = facts.system.distribution_version
    found = pair(text) if isinstance(text, str) else None
    return found[0] if found else 0
