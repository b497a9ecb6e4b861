"""Name the packages that bring shared libraries of a Linux system, and make the steps that install one or find it. Pure.

apt's names were looked up in Debian 12. Names with -dev are taken where the name of the library's own package changes from release to release (libpng16-16,
libpng16-16t64): such a package brings the library. dnf's are those of https://packages.fedoraproject.org, conda's those of https://anaconda.org/conda-forge.
"""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.commands import places, system_tools
from attn_doctor.commands.places import Manager
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step


class Brought(NamedTuple):
    """Hold the packages that bring a library."""

    apt: str
    dnf: str
    conda: str


_OPEN_MPI, _MPICH = Brought("libopenmpi-dev", "openmpi", "openmpi"), Brought("libmpich-dev", "mpich", "mpich")
# The name before ".so" -> its packages.
_BROUGHT = {
    "libsndfile": Brought("libsndfile1", "libsndfile", "libsndfile"),
    "libmpi": _OPEN_MPI,
    "libmpi_cxx": _OPEN_MPI,
    "libtbb": Brought("libtbb-dev", "tbb", "tbb"),
    "libgomp": Brought("libgomp1", "libgomp", "libgomp"),
    "libGLU": Brought("libglu1-mesa", "mesa-libGLU", "libglu"),
    "libOpenCL": Brought("ocl-icd-libopencl1", "ocl-icd", "ocl-icd"),
    "libaio": Brought("libaio-dev", "libaio", "libaio"),
    "libnuma": Brought("libnuma1", "numactl-libs", "numactl"),
    "libibverbs": Brought("libibverbs1", "libibverbs", "rdma-core"),
    "libopenslide": Brought("libopenslide-dev", "openslide", "openslide"),
    "libzbar": Brought("libzbar-dev", "zbar", "zbar"),
    "libportaudio": Brought("libportaudio2", "portaudio", "portaudio"),
    "libsox": Brought("libsox-dev", "sox", "sox"),
    "libusb-1": Brought("libusb-1.0-0", "libusb1", "libusb"),
    "libpq": Brought("libpq5", "libpq", "libpq"),
    "libpng16": Brought("libpng-dev", "libpng", "libpng"),
    "libgfortran": Brought("libgfortran5", "libgfortran", "libgfortran5"),
    "libmagic": Brought("libmagic-dev", "file-libs", "libmagic"),
}


def brought_by(library: str) -> Brought | None:
    """Return the packages of a library; None if they are not known. `library`: "libmpi.so.40"."""
    stem = library.partition(".")[0]
    # libmpi.so.12 is MPICH's and Intel MPI's, libmpi.so.40 Open MPI's: https://github.com/senp98/wdm/issues/1
    return _MPICH if library.startswith("libmpi.so.12") else _BROUGHT.get(stem)


def install(facts: Facts, library: str) -> tuple[Step, ...]:
    """Return the steps that install a library: by conda or pixi into its environment, else by the system's package manager.

    Empty if its packages are not known, and on a cluster whose Python is not from conda or pixi.
    """
    row = brought_by(library)
    if row is None:
        return ()
    why = f"brings {library}"
    if places.environment_tool(facts):
        return (
            commands.by_hand(
                places.conda_install(facts, row.conda), f"{why}, into this environment", f"adds {row.conda}"
            ),
        )
    names: dict[Manager, tuple[str, ...]] = {"apt-get": (row.apt,), "dnf": (row.dnf,)}
    found = system_tools.packages(facts, names, why, f"adds {row.apt}")
    if found or places.on_cluster(facts):
        return found
    other = f"{why}: {system_tools.every_manager(names)}; in an environment of conda: conda install -c conda-forge {row.conda}"
    return (commands.by_hand((), other, f"adds {row.apt}"),)


def search(library: str) -> tuple[Step, ...]:
    """Return the steps that look for a library on the machine, and let the loader search its folder."""
    look = commands.by_hand(
        ("sh", "-c", f"find / -name '{library.partition('.so')[0]}.so*' -not -path '/proc/*' 2>/dev/null"),
        "prints where the library is. If nothing is printed, it is not installed: see the next fix",
        "nothing",
        "none",
        takes="up to a minute",
    )
    path = commands.by_hand(
        ("sh", "-c", 'export LD_LIBRARY_PATH="/FOLDER:$LD_LIBRARY_PATH"'),
        f"write the folder that was printed in place of /FOLDER: the loader then searches it, in this shell. If a file of this name with another number is the only one, "
        f"another release of the library is installed, and the program needs the one with {library}",
        "LD_LIBRARY_PATH, only in this shell",
        "none",
    )
    cache = commands.by_hand(
        ("sudo", "ldconfig"),
        "where you compiled the library yourself and `make install` put it into /usr/local/lib: enters it into the loader's list for good",
        "the loader's list",
    )
    return look, path, cache
