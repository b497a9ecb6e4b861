"""Name the packages of the distribution for libraries that torch for a Jetson, and torch of a distribution, take from it, and make the fix. Pure.

https://docs.nvidia.com/deeplearning/frameworks/install-pytorch-jetson-platform/index.html (libopenblas-dev; JetPack 4: libopenmpi-dev)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Variant
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_PACKAGES = {"libopenblas.so": "libopenblas-dev", "libmpi_cxx.so": "libopenmpi-dev", "libmpi.so": "libopenmpi-dev"}


class OfDistribution(Variant, frozen=True, kw_only=True):
    """Hold apt's package of a library that torch takes from the system, "libopenblas-dev"."""

    package: str


def package_of(library: str) -> OfDistribution | None:
    """Return the package of a library, "libopenblas.so.0"; None if it does not come from the distribution."""
    package = _PACKAGES.get(library.partition(".so")[0] + ".so")
    return OfDistribution(package=package) if package else None


def fix(facts: Facts, found: OfDistribution) -> Fix:
    """Return the fix that installs the package with apt. A torch that takes a library from the system is for a Jetson, Debian or Ubuntu."""
    get = commands.by_hand(
        places.as_root(facts, "apt-get", "install", "-y", found.package),
        "this torch takes the library from the system; in an image, write the line into its Dockerfile. In an environment of conda: conda install -c conda-forge "
        f"{'libopenblas' if 'openblas' in found.package else 'openmpi'}",
        f"adds {found.package}",
    )
    return Fix(title=f"Install {found.package}", steps=(get,), verify=(*commands.starting(facts), "-c", "import torch"))
