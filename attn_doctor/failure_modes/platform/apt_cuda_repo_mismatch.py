"""apt is set up with a CUDA repository for another release, or with two that contradict each other.

What it is
    NVIDIA publishes CUDA separately for each release of a distribution. Packages for another release, or a mix of
    packages from the distribution and from NVIDIA, need versions that cannot be installed together.

How it shows
    "The following packages have unmet dependencies: cuda-... : Depends: ... but it is not installable" (or "not going to be
    installed"); "nvidia-driver-... : Depends: libnvidia-gl-... but ...is to be installed"; "The repository
    'https://developer.download.nvidia.com/...' does not have a Release file", "is not signed", NO_PUBKEY A4B469963BF863CC.

Why it happens
    The line in /etc/apt/sources.list.d names ubuntu2204 on 24.04 (or the other way round); or `apt install cuda` also
    installs a driver, which conflicts with the installed driver; or the old signing key was withdrawn in April 2022.

What to do
    Remove the old repository, add the one for this release through its cuda-keyring package, and install only the
    toolkit, for example cuda-toolkit-12-8, which contains no driver.

How to reproduce
    `attn-doctor reproduce apt-cuda-repo-mismatch` lets apt resolve the dependencies of CUDA 12.3, from a repository in
    which one of them is missing. Stand-in: NVIDIA's package, with a dependency of the real one. It downloads 25 MB.

References
    https://docs.nvidia.com/cuda/cuda-installation-guide-linux/
    https://developer.nvidia.com/blog/updating-the-cuda-linux-gpg-repository-key/
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.commands import cuda_toolkits, gpu_containers, nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Apt, Recipe
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_OURS = r"(?:cuda|nvidia|nsight|libnv|libcu|libnpp|xserver-xorg-video-nvidia|hip-runtime-nvidia)[\w.+-]*"

MODE = FailureMode(
    code="AD505",
    slug="apt-cuda-repo-mismatch",
    title="apt's CUDA repository does not fit this release",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("cuda-home-unset", "nvcc-missing", "driver-missing"),
    signs=(
        Sign(
            pattern=rf"^\W*(?P<package>{_OURS})(?::\w+)? ?: (?:Pre)?Depends: (?P<wants>[\w.+:-]+)(?: \([^)]*\))?,? but",
            literal="Depends: ",
            sample=" cuda-drivers-580 : Depends: nvidia-open-580 (>= 580.65.06) but it is not going to be installed",
        ),
        Sign(
            pattern=rf"^\W*(?P<package>{_OURS})(?::\w+)? ?: Depends: (?P<wants>[\w.+:-]+)(?: \([^)]*\))? but it is not install",
            literal=" but it is not install",
            sample=" cuda-toolkit-12-3 : Depends: nsight-systems-2023.3.3 but it is not installable",
        ),
        Sign(
            pattern=r"developer\.download\.nvidia\.com/\S{3,120}.{0,80}(?:Release' does not have a Release file|does not have a Release|is not "
            r"signed|404 +Not Found)",
            literal="developer.download.nvidia.com/",
            sample="E: The repository 'https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86  Release' does not have a "
            "Release file.",
        ),
        Sign(
            pattern=r"NO_PUBKEY A4B469963BF863CC",
            literal="NO_PUBKEY A4B469963BF863CC",
            sample="W: GPG error: https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2004/x86_64  InRelease: The following "
            "signatures couldn't be verified because the public key is not available: NO_PUBKEY A4B469963BF863CC",
        ),
        Sign(
            pattern=r"Unable to locate package (?P<absent>cuda[\w.+-]*|nvidia-driver[\w.+-]*|nvidia-fabricmanager[\w.+-]*|"
            r"nvidia-container-toolkit\w*)",
            literal="Unable to locate package ",
            sample="E: Unable to locate package cuda-toolkit-12-8",
        ),
    ),
    recipe=Recipe(
        does="lets apt resolve the dependencies of CUDA 12.3, from a repository in which one of them is missing",
        of=(
            Apt(
                release="noble",
                packages=(
                    "Package: cuda-toolkit-12-3\n"
                    "Version: 12.3.2\n"
                    "Architecture: amd64\n"
                    "Depends: nsight-systems-2023.3.3\n"
                    "Filename: ./cuda-toolkit-12-3.deb\n"
                    "Size: 1\n"
                    "SHA256: 0000000000000000000000000000000000000000000000000000000000000000\n"
                ),
            ),
        ),
        run=(("apt-get", "-s", "install", "cuda-toolkit-12-3"),),
        shows="Depends: nsight-systems",
        seconds=10,
        stands_in=("NVIDIA's package, with a dependency of the real one",),
    ),
)
# There is no `detect`: no fact holds the sources of apt.


class Package(Variant, frozen=True, kw_only=True):
    """Hold the package that apt does not install: "cuda-toolkit-12-8"; None if a repository or its key is wrong."""

    name: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    matches = [m for m in seen.matches if m.groups.get("wants") != "libtinfo5"]
    if not matches:
        return None  # libtinfo5 has its own failure mode
    package, wants, absent = (
        next((m.groups[n] for m in matches if n in m.groups), None) for n in ("package", "wants", "absent")
    )
    if package:
        message = f"apt cannot install {package}: {wants}, on which it depends, cannot be installed with it."
    elif absent:
        message = f"apt finds no package {absent}: NVIDIA's repository for that release is not set up."
    else:
        message = "NVIDIA's apt repository is for another release of the distribution, or its key is old."
    lines = {m.line for m in matches}
    return Hit(
        message=message,
        evidence=tuple(e for e in evidence if e.line in lines) or evidence,
        variant=Package(name=package or absent),
        confidence=Confidence.HIGH if package and re.search("cuda|nsight", package) else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    name = hit.variant.name if isinstance(hit.variant, Package) else None
    if name and name.startswith("nvidia-container-toolkit"):
        steps = gpu_containers.toolkit(_apt(facts))
        return (Fix(title="Set up the repository of the container toolkit", steps=steps, verify=verify),)
    if (
        name
        and name.startswith(("nvidia-driver", "libnvidia", "xserver-xorg"))
        and facts.system.distribution == "ubuntu"
    ):
        return nvidia_drivers.install(facts)
    jetpack = cuda_toolkits.elsewhere(facts) if places.jetson(facts) else None
    if jetpack is not None:
        return (jetpack,)  # the repository for arm64 servers has no toolkit for the board
    look = commands.by_hand(
        ("grep", "-rn", "developer.download.nvidia.com", "/etc/apt/sources.list.d"),
        "shows which repositories are set up: remove the files that name another release than yours",
        "nothing",
        "none",
    )
    version = _release(name) or cuda_toolkits.wanted(facts)
    steps = cuda_toolkits.packaged(facts, version) if version else ()
    if not steps:
        package = (
            f"cuda-toolkit-{version[0]}-{version[1]}"
            if version
            else "the toolkit for torch's CUDA (12.8: cuda-toolkit-12-8)"
        )
        set_up = (
            "set up NVIDIA's repository for exactly this release, with its cuda-keyring package (https://developer.nvidia.com/cuda-downloads, "
            f"deb (network)), then install {package}: `cuda` without a number installs a driver too"
        )
        steps = (commands.by_hand((), set_up, "apt's list of repositories"),)
    return (Fix(title="Set up the repository of this release", steps=(look, *steps), verify=verify),)


def _apt(facts: Facts) -> Facts:
    """Return the facts, with Debian if the distribution is not known: apt printed the log."""
    if isinstance(facts.system.distribution, str):
        return facts
    return msgspec.structs.replace(
        facts, system=msgspec.structs.replace(facts.system, distribution="debian", os="linux")
    )


def _release(name: str | None) -> tuple[int, int] | None:
    found = re.search(r"-(\d\d)-(\d)$", name or "")
    return (int(found[1]), int(found[2])) if found else None
