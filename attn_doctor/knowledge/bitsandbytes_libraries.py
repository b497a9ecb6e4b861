"""Answer which CUDA libraries a release of bitsandbytes contains. Pure.

Up to 0.49.2, bitsandbytes loads libbitsandbytes_cudaXYZ of exactly torch's CUDA, and has no library if that file is missing. From 0.50.0 on it
takes the nearest one of the same CUDA major: get_cuda_bnb_library_path in bitsandbytes/cextension.py, read in the wheels of both releases.
"""

from __future__ import annotations

from packaging.version import Version

from attn_doctor.model.versions import parse

_TO_123 = ("11.7", "11.8", "12.0", "12.1", "12.2", "12.3")
_TO_125 = (*_TO_123, "12.4", "12.5")
_TO_126 = (*_TO_125, "12.6")
_TO_128 = (*_TO_126[1:], "12.8")  # without 11.7
# The first release -> the CUDA of its libraries, read in the wheels for Linux and Windows of https://pypi.org/project/bitsandbytes/#files on
# 2026-12-01. Between 0.45.1 and 0.45.3 the library for 12.8 came; 0.45.2 was not read, and counts as having it.
_CONTAINS = (
    ("0.41.1", ("11.0", "11.1", "11.4", "11.5", *_TO_123[:-1])),
    ("0.42.0", ("11.0", "11.1", "11.4", "11.5", *_TO_123)),
    ("0.43.0", _TO_123),
    ("0.43.2", _TO_125),
    ("0.45.0", _TO_126),
    ("0.45.2", ("11.7", *_TO_128)),
    ("0.46.0", _TO_128),
    ("0.46.1", (*_TO_128, "12.9")),
    ("0.48.0", (*_TO_128, "12.9", "13.0")),
)
_NEAREST = "0.50.0"  # from here on a library serves all releases of its CUDA major


def contains(release: str) -> tuple[str, ...] | None:
    """Return the CUDA releases ("11.8", "12.1") for which this release of PyPI has a library; None if it was not read."""
    version = parse(release)
    if version is None or version >= Version(_NEAREST):
        return None
    return next((cudas for first, cudas in reversed(_CONTAINS) if version >= Version(first)), None)


def first_with(cuda: str) -> str:
    """Return the first release that has a library for this CUDA and for newer ones up to it: "0.48.0" for "13.0"."""
    return next((first for first, cudas in _CONTAINS if cuda in cudas), _NEAREST)
