"""Read lists of installed packages from a text: pip list, pip freeze, conda list, uv pip list. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from packaging.utils import canonicalize_name

from attn_doctor.model.stated_facts import FEWEST_FROZEN, Place, StatedPackage

Line = tuple[int, str]  # its number, and its text

_VERSION = r"\d[\w.!+-]{0,60}"
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,80}[A-Za-z0-9])?"
# A list ends at the first line that does not match its pattern. Such a line (a prompt, pip's notice of a new release) never
# stands between two rows of a list.
_TABLE_HEAD = re.compile(r"^Package\s+Version(?:\s+(?:Editable project )?[Ll]ocation)?(?:\s+Installer)?$")
_RULE = re.compile(r"^-{4,}\s+-{4,}[-\s]*$")
_ROW = re.compile(rf"^(?P<name>{_NAME})\s+(?P<version>{_VERSION})(?:\s+\S.*)?$")
_SHOWN = re.compile(rf"^Name: (?P<name>{_NAME})$")
_VERSION_LINE = re.compile(rf"^Version: (?P<version>{_VERSION})$")
_CONDA_HEAD = re.compile(r"^#\s+Name\s+Version\s+Build(?:\s+Channel)?$")
_CONDA_ROW = re.compile(rf"^(?P<name>_?{_NAME})\s+(?P<version>{_VERSION})\s+(?P<build>\S+)(?:\s+(?P<channel>\S+))?$")
_FROZEN = re.compile(rf"^(?P<name>{_NAME})(?:==(?P<version>{_VERSION})| @ \S+)$|^-e \S+$|^# Editable install")
_NOT_FROZEN = ("pip", "setuptools", "wheel")
# A list is sorted by name. If it ends before this name, it may have been cut: packages with later names may be installed.
_LATE = "ultralytics"
# A package's name in conda's channels -> its name on PyPI.
_PYPI_NAMES = {"pytorch": "torch", "opencv": "opencv-python", "py-opencv": "opencv-python"}
_BUILD = re.compile(r"cuda(?P<dotted>\d+\.\d+)|cuda_?(?P<short>\d{3})|(?P<cpu>cpu)")


class PackageList(NamedTuple):
    """Hold the packages of one list. `whole`: the list is complete, so a package that it lacks is not installed."""

    packages: tuple[StatedPackage, ...]
    whole: bool
    python: str | None = None  # the version of Python in a conda environment
    cuda: str | None = None  # the CUDA of conda's torch: "12.1"; "" for a CPU build
    place: Place | None = None  # the line of conda's torch


def package_lists(lines: Sequence[Line], file: str) -> Iterator[PackageList]:
    """Yield each list of packages in these lines. `lines`: (number, text). `file`: the name of the log, for `Place`."""
    at = 0
    while at < len(lines):
        text = lines[at][1].strip()
        if _TABLE_HEAD.match(text) and at + 1 < len(lines) and _RULE.match(lines[at + 1][1].strip()):
            rows = _rows(lines, at + 2, _ROW)
            yield _plain(rows, file, whole=_is_late(rows))
        elif _CONDA_HEAD.match(text):
            rows = _rows(lines, at + 1, _CONDA_ROW)
            yield _conda(rows, file)
        elif (shown := _SHOWN.match(text)) and (version := _after(lines, at)):
            name = canonicalize_name(shown["name"])
            place = Place(file=file, line=version[0], text=f"{name} {version[1]}")
            yield PackageList((StatedPackage(name=name, version=version[1], place=place),), whole=False)
            at += 2
            continue
        elif _FROZEN.match(text):
            rows = _rows(lines, at, _FROZEN)
            if len(rows) >= FEWEST_FROZEN:
                yield _with_tools(_plain(rows, file, whole=_is_late(rows)), lines[at][0], file)
        else:
            at += 1
            continue
        at += max(len(rows), 1)


def _after(lines: Sequence[Line], at: int) -> tuple[int, str] | None:
    """Return (number of the line, version) of the line "Version: ..." that follows a name, as `pip show` prints them."""
    number, text = lines[at + 1] if at + 1 < len(lines) else (0, "")
    found = _VERSION_LINE.match(text.strip())
    return (number, found["version"]) if found else None


Row = tuple[int, str, "re.Match[str]"]


def _rows(lines: Sequence[Line], start: int, pattern: re.Pattern[str]) -> list[Row]:
    """Return the lines from `start` on that match the pattern, up to the first that does not."""
    rows: list[Row] = []
    for number, text in lines[start:]:
        found = pattern.match(text.strip())
        if found is None:
            break
        rows.append((number, text.strip(), found))
    return rows


def _is_late(rows: Sequence[Row]) -> bool:
    """Return whether the last package is late in the alphabet. Else the end of the list may have been cut off."""
    return bool(rows) and canonicalize_name(rows[-1][2]["name"] or "") >= _LATE


def _plain(rows: Sequence[Row], file: str, *, whole: bool) -> PackageList:
    """Return the packages of rows whose pattern has the groups "name" and "version"."""
    packages = tuple(
        StatedPackage(
            name=canonicalize_name(row["name"]),
            version=row["version"],
            place=Place(file=file, line=number, text=text),
        )
        for number, text, row in rows
        if row["version"]
    )
    return PackageList(packages, whole)


def _with_tools(found: PackageList, line: int, file: str) -> PackageList:
    """Add the packages that pip freeze leaves out, with an unknown version: https://pip.pypa.io/en/stable/cli/pip_freeze/."""
    named = {package.name for package in found.packages}
    place = Place(file=file, line=line, text="")
    hidden = (StatedPackage(name=name, version="", place=place) for name in _NOT_FROZEN if name not in named)
    return found._replace(packages=(*found.packages, *hidden))


def _conda(rows: Sequence[Row], file: str) -> PackageList:
    """Return the list of a conda environment. In such a list, packages that pip installed have the channel "pypi"."""
    packages, python, cuda, torch = [], None, None, None
    for number, text, row in rows:
        name, place = canonicalize_name(row["name"]), Place(file=file, line=number, text=text)
        if name == "python":
            python = row["version"]
        own = row["channel"] != "pypi"
        if own and name == "pytorch" and (build := _BUILD.search(row["build"])):
            short = build["short"]
            cuda, torch = build["dotted"] or (f"{short[:-1]}.{short[-1]}" if short else ""), place
        packages.append(
            StatedPackage(
                name=_PYPI_NAMES.get(name, name) if own else name,
                version=row["version"],
                place=place,
                installer="conda" if own else "pip",
            )
        )
    return PackageList(tuple(packages), python is not None and _is_late(rows), python, cuda, torch)
