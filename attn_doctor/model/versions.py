"""Parse versions so that they can be compared. Never compare versions as strings or floats."""

from __future__ import annotations

import functools
import re

from packaging.version import InvalidVersion, Version

Pair = tuple[int, int]


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Version | None:
    """Return a version, odd ones too: "2.0.0.nv23.05", "2.1.0a0+32f93b1". None if the text does not begin with a number."""
    try:
        return Version(text)
    except InvalidVersion:
        leading = re.match(r"\s*v?(\d+(?:\.\d+)*)", text)
        return Version(leading[1]) if leading else None


@functools.lru_cache(maxsize=4096)
def pair(text: str) -> Pair | None:
    """Return major and minor of a version: (2, 15) for "2.15.0+cu132", (13, 0) for "13". None if there is no number."""
    version = parse(text)
    return (version.major, version.minor) if version else None


def local(text: str) -> str | None:
    """Return the local part: "cu132" of "2.15.0+cu132", "cu12torch2.8cxx11abiTRUE" of a flash-attn wheel (case kept)."""
    return text.partition("+")[2] or None


def capability(text: str) -> Pair:
    """Return a compute capability as a pair: (8, 9) for "8.9". Raises ValueError for anything else."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def dotted(numbers: Pair) -> str:
    return f"{numbers[0]}.{numbers[1]}"


def sm(text: str) -> Pair | None:
    """Return the capability of an arch name: (8, 9) for "sm_89", (12, 0) for "sm_120a". None for others."""
    match = re.fullmatch(r"(?:sm|compute)_(\d+)(\d)[af]?", text)
    return (int(match[1]), int(match[2])) if match else None
