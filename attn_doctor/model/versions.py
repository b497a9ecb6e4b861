"""Parse versions so that they can be compared.

Versions are never compared as texts or floats: "2.10" comes after "2.9".
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

Pair = tuple[int, int]
LONGEST = 1000  # characters of a version or a requirement. int() raises ValueError for more than 4,300 digits: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Version | None:
    """Return the version at the beginning of a text: of "2.0.0.nv23.05" it is 2.0.0. None if the text does not begin with a number."""
    version = strict(text)
    if version is None and len(text) <= LONGEST:
        leading = re.match(r"\s*v?([0-9]+(?:\.[0-9]+)*)", text)
        return Version(leading[1]) if leading else None
    return version


def strict(text: str) -> Version | None:
    """Return the version that a text is, by PEP 440; None for any other text."""
    if len(text) > LONGEST:
        return None
    try:
        return Version(text)
    except InvalidVersion:
        return None


def before_release(text: str) -> bool:
    """Return whether a version is from before its release, as those of nightlies and of builds from source: "2.6.0.dev20241112+cu124", "1.7.0a0+9ddd3df"."""
    version = parse(text)
    return version is not None and version.is_prerelease


@functools.lru_cache(maxsize=4096)
def pair(text: str) -> Pair | None:
    """Return major and minor of a version: (2, 15) for "2.15.0+cu132", (13, 0) for "13".

    None if the text does not begin with a number.
    """
    version = parse(text)
    return (version.major, version.minor) if version else None


def local(text: str) -> str | None:
    """Return the local part of a version, the text after "+": "cu132" of "2.15.0+cu132". None if there is no "+".

    Upper and lower case are not changed: "cu12torch2.8cxx11abiTRUE" of a flash-attn wheel.
    """
    return text.partition("+")[2] or None


def capability(text: str) -> Pair:
    """Return a compute capability as a pair: (8, 9) for "8.9". Raises ValueError for anything else."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def dotted(numbers: Pair) -> str:
    """Return a pair as text: "8.9" for (8, 9)."""
    return f"{numbers[0]}.{numbers[1]}"


def sm(text: str) -> Pair | None:
    """Return the capability of an arch name: (8, 9) for "sm_89", (12, 0) for "sm_120a". None for any other text."""
    match = re.fullmatch(r"(?:sm|compute)_(\d{1,4})(\d)[af]?", text)
    return (int(match[1]), int(match[2])) if match else None


class FlashBuild(NamedTuple):
    """Describe the build of a flash-attn wheel: the torch, the CUDA and the C++ ABI that the local part of its version names."""

    torch: str  # "2.8"
    cuda: str  # "12", or "12.2" where the wheel names the minor
    cxx11_abi: bool | None


# cu12torch2.8cxx11abiTRUE: official since 2.7.0; cu122torch2.3cxx11abiFALSE before; cu128torch2.7 and
# cu124torch2.6.0cxx11abiFALSE: builds by others. https://github.com/Dao-AILab/flash-attention (setup.py)
_FLASH_BUILD = re.compile(r"cu(\d+)torch(\d+\.\d+)(?:\.\d+)*(?:cxx11abi(TRUE|FALSE))?", re.IGNORECASE)


def flash_build(text: str | None) -> FlashBuild | None:
    """Return the build that a text names: a local version, a file name or an address; None if it names no build."""
    match = _FLASH_BUILD.search(text or "")
    if match is None:
        return None
    digits, torch, abi = match.groups()
    cuda = digits if len(digits) <= 2 else f"{digits[:2]}.{digits[2:]}"
    return FlashBuild(torch, cuda, None if abi is None else abi.upper() == "TRUE")


def at_least(version: str, floor: str) -> bool:
    """Return whether a version is `floor` or newer.

    Only major and minor count: "2.8.1" and "2.8" are equal, and "13" and "13.0". False if one of the texts is no
    version.
    """
    have, need = pair(version), pair(floor)
    return have is not None and need is not None and have >= need
