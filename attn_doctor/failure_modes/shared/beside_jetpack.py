"""Recognise a library that NVIDIA's torch for a Jetson needs and JetPack lacks, and install it from NVIDIA's repository. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Variant
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_LIBRARIES = ("libcusparseLt", "libcudss")


class Lacking(Variant, frozen=True, kw_only=True):
    """Hold the package of a library that NVIDIA's torch for a Jetson needs, and JetPack does not contain."""

    package: str  # apt's name, "libcusparselt0"


def lacking(facts: Facts, library: str) -> Lacking | None:
    """Return the package of this library ("libcudss.so.0") on a Jetson; None for other libraries and machines."""
    if not places.jetson(facts) or not library.startswith(_LIBRARIES):
        return None
    return Lacking(package="cudss" if "cudss" in library else "libcusparselt0")


def fix(facts: Facts, found: Lacking) -> Fix:
    """Return the fix that installs the library from NVIDIA's repository.

    https://docs.nvidia.com/deeplearning/frameworks/install-pytorch-jetson-platform/index.html, https://docs.ultralytics.com/guides/nvidia-jetson/
    """
    keyring = "cuda-keyring_1.1-1_all.deb"
    address = f"https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2204/arm64/{keyring}"
    steps = (
        commands.by_hand(
            ("wget", address),
            "NVIDIA's repository, as JetPack 6 uses it (JetPack 7: ubuntu2404 in its place)",
            "a file",
            "none",
        ),
        commands.by_hand(places.as_root(facts, "dpkg", "-i", keyring), "adds the repository", "apt's repositories"),
        commands.by_hand(places.as_root(facts, "apt-get", "update"), "reads its list of packages", "apt's lists"),
        commands.by_hand(
            places.as_root(facts, "apt-get", "install", "-y", found.package),
            "the library that NVIDIA's torch needs and JetPack lacks",
            f"adds {found.package}",
        ),
    )
    return Fix(title=f"Install {found.package} of NVIDIA's repository", steps=steps, verify=commands.check(facts))
