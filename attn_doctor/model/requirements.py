"""Read requirements and names of wheels that strangers wrote: metadata, logs, project files, saved reports.

What cannot be read is None. All exceptions of packaging are ValueErrors, and one more comes from Python itself: int() refuses more than
4,300 digits (https://docs.python.org/3/library/stdtypes.html#int-max-str-digits). A marker in a thousand brackets is a RecursionError.
So no other module calls packaging's readers (ruff forbids it: TID251 in pyproject.toml). `model.versions` reads versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from attn_doctor.model.versions import LONGEST, strict

__all__ = [
    "Requirement",
    "SpecifierSet",
    "WheelName",
    "allowed",
    "allows",
    "both_of",
    "holds",
    "oldest",
    "read_requirement",
    "read_wheel_name",
]
_LONGEST_FILE = 255  # characters of a file's name on all usual disks. "a.a.a-b.b.b-c.c.c" are 27 tags: 1,000 characters could be millions
_UNREADABLE = (ValueError, RecursionError)


class WheelName(NamedTuple):
    """Hold what the file name of a wheel says."""

    name: str  # normalised: "flash-attn"
    version: Version
    tags: frozenset[Tag]


def read_requirement(text: str) -> Requirement | None:
    """Return what a text asks for, "torch>=2.8; python_version > '3.9'"; None if it is no requirement."""
    if len(text) > LONGEST:
        return None
    try:
        return Requirement(text)
    except _UNREADABLE:
        return None


def read_wheel_name(text: str) -> WheelName | None:
    """Return what the file name of a wheel says, or the end of its address, where "+" is "%2B"; None if it is no name of a wheel."""
    file = text.rpartition("/")[2].replace("%2B", "+")
    if len(file) > _LONGEST_FILE:
        return None
    try:
        name, version, _, tags = parse_wheel_filename(file)
    except _UNREADABLE:
        return None
    return WheelName(name, version, tags)


def allows(specifier: SpecifierSet, version: str) -> bool | None:
    """Return whether a specifier allows a version, pre-releases too, as `pip check` does; None if the version does not follow PEP 440."""
    have = strict(version)
    if have is None:
        return None
    try:
        return specifier.contains(have, prereleases=True)
    except _UNREADABLE:
        return None


def allowed(specifier: str, version: str) -> bool | None:
    """Return whether a specifier, ">=3.9,<3.13", allows a version; None if one of the two cannot be read."""
    if len(specifier) > LONGEST:
        return None
    try:
        return allows(SpecifierSet(specifier), version)
    except _UNREADABLE:
        return None


def both_of(one: SpecifierSet, other: SpecifierSet) -> SpecifierSet | None:
    """Return the specifier that asks for both; None if one allows pre-releases and the other does not."""
    try:
        return one & other
    except _UNREADABLE:
        return None


def oldest(specifier: SpecifierSet) -> Specifier | None:
    """Return the part ">=" with the highest version: that of the oldest version which all parts ">=" allow. None without such a part."""
    return max((s for s in specifier if s.operator == ">="), key=lambda s: Version(s.version), default=None)


def holds(asked: Requirement, variables: Mapping[str, str]) -> bool | None:
    """Return whether the marker of a requirement holds, without an extra; True without a marker, None if it cannot be judged.

    `variables`: the values of a marker's variables, {"python_version": "3.11"}.
    """
    if asked.marker is None:
        return True
    try:
        return asked.marker.evaluate({**variables, "extra": ""})
    except _UNREADABLE:
        return None
