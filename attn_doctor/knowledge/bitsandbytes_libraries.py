"""Answer which CUDA libraries a release of bitsandbytes contains. Pure.

Up to 0.49.2, bitsandbytes loads libbitsandbytes_cudaXYZ of exactly torch's CUDA, and has no library if that file is missing. From 0.50.0 on it
takes the nearest one of the same CUDA major: get_cuda_bnb_library_path in bitsandbytes/cextension.py, read in the wheels of both releases.
"""

from __future__ import annotations

from typing import ClassVar

from packaging.version import Version

from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load
from attn_doctor.model.versions import parse


class BitsandbytesRelease(Row, frozen=True, kw_only=True):
    """Describe the CUDA releases for which bitsandbytes has a library, from a release on."""

    TABLE: ClassVar[str] = "bitsandbytes"

    first: str  # "0.43.0"
    cuda: tuple[str, ...]  # ("11.7", "11.8", "12.0")


_NEAREST = "0.50.0"  # from here on a library serves all releases of its CUDA major


def contains(release: str) -> tuple[str, ...] | None:
    """Return the CUDA releases ("11.8", "12.1") for which this release of PyPI has a library; None if it was not read."""
    version = parse(release)
    if version is None or version >= Version(_NEAREST):
        return None
    rows = reversed(load(BitsandbytesRelease))
    return next((row.cuda for row in rows if version >= Version(row.first)), None)


def first_with(cuda: str) -> str:
    """Return the first release that has a library for this CUDA and for newer ones up to it: "0.48.0" for "13.0"."""
    return next((row.first for row in load(BitsandbytesRelease) if cuda in row.cuda), _NEAREST)
