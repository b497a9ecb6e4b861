"""List the official wheels of flash-attn, and compute the file name that setup.py would look for, including setup.py's errors.

A wheel "exists" if the release workflow was set to build it, or if somebody uploaded it by hand and other people use it. Release
pages are not read here; the fields `absent` and `verified` of a row show how certain it is.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import NamedTuple

from attn_doctor.knowledge import flash_attention
from attn_doctor.knowledge.attention_rows import Combination, WheelMatrix
from attn_doctor.knowledge.tables import load, unlisted
from attn_doctor.knowledge.yes_no_unknown import Judgement, no, yes
from attn_doctor.model.facts import Record, Unknown
from attn_doctor.model.versions import dotted, pair, parse

URL = "https://github.com/Dao-AILab/flash-attention/releases/download/v{release}/{filename}"


class Wheel(Record, frozen=True, kw_only=True):
    """Describe one official wheel file, and the evidence that it exists.

    `cxx11_abi` is the ABI in its name, `really` the ABI of its code. `grounds` is the evidence: "matrix" (the release workflow
    was set to build it), "by hand" (uploaded by a person), "reported" (named in public, nothing else known), "asked for" (only
    setup.py makes up this name; perhaps the file does not exist).
    """

    release: str
    cuda: str  # as in its name: "cu122", "cu12"
    torch: str  # minor, "2.8"
    cxx11_abi: bool
    really: bool
    python: str  # "3.12"
    platform: str  # "linux_x86_64"
    grounds: str
    built_against: str | None = None  # the exact torch

    @property
    def filename(self) -> str:
        tag = "cp" + self.python.replace(".", "")
        abi = "TRUE" if self.cxx11_abi else "FALSE"
        build = f"{self.cuda}torch{self.torch}cxx11abi{abi}"
        return f"flash_attn-{self.release}+{build}-{tag}-{tag}-{self.platform}.whl"

    @property
    def url(self) -> str:
        return URL.format(release=self.release, filename=self.filename)

    @property
    def cuda_major(self) -> int:
        """Return the CUDA major: 11 for "cu118" and "cu11"; the spelling changed with 2.7.0."""
        return int(self.cuda[2:4])

    @property
    def nightly(self) -> bool:
        return self.built_against is not None and "dev" in self.built_against


def asked_for(
    release: str, *, torch: str, cuda: str | None, cxx11_abi: bool, python: str, platform: str = "linux_x86_64"
) -> Wheel | Unknown:
    """Return the wheel that setup.py of this release would look for, even where setup.py asks for the wrong one.

    `cuda` is torch.version.cuda, never nvcc's version. Unknown if torch is a CPU build, because setup.py then fails before it
    looks for a wheel. `python`: "3.12"; for a free-threaded "3.13t" setup.py looks for cp313 too.
    """
    row = flash_attention.release(release)
    minor = pair(torch)
    if isinstance(row, Unknown):
        return row
    if minor is None:
        return Unknown(f"cannot read the torch version {torch!r}")
    major = pair(cuda) if cuda else None
    if major is None:
        return Unknown("torch is built without CUDA: setup.py ends before it asks for a wheel")
    return Wheel(
        release=row.release,
        cuda=row.wheel_tag.get(str(major[0]), row.wheel_tag["else"]),
        torch=dotted(minor),
        cxx11_abi=cxx11_abi,
        really=cxx11_abi,
        python=python.rstrip("t"),
        platform=platform,
        grounds="asked for",
    )


@functools.cache
def official(*, unreleased: bool = False) -> tuple[Wheel, ...]:
    """Return every known official wheel, release by release. `unreleased`: also those of releases that are only prepared."""
    return tuple(
        wheel for matrix in load(WheelMatrix) if matrix.released or unreleased for wheel in of_release(matrix.release)
    )


@functools.cache
def releases() -> tuple[str, ...]:
    """Return the releases of flash-attn that have official wheels, in the order of the table."""
    return tuple(dict.fromkeys(wheel.release for wheel in official()))


@functools.cache
def torches(python: str | None, release: str | None = None) -> tuple[str, ...]:
    """Return the minors of torch for which official wheels for Linux on x86-64 were built, the newest first: "2.8", "2.7".

    `python`: only minors with a wheel for this Python; None: not known, so only minors with wheels for most Pythons. `release`:
    only wheels of this flash-attn release; if it is None or not in the table, wheels of all releases.
    """
    pythons: dict[str, set[str]] = {}
    for wheel in (of_release(release) if release else ()) or official():
        if wheel.platform == "linux_x86_64" and not wheel.nightly:
            pythons.setdefault(wheel.torch, set()).add(wheel.python)
    few = max(map(len, pythons.values())) // 2
    fit = [torch for torch, have in pythons.items() if (python in have if python else len(have) > few)]
    return tuple(sorted(fit, key=lambda torch: pair(torch) or (0, 0), reverse=True))


def matrix(release: str) -> WheelMatrix | Unknown:
    """Return the row with the wheels of a flash-attn release ("2.8.3"); Unknown if the table lacks the release."""
    wanted = parse(release)
    row = _matrices().get(wanted.public) if wanted is not None else None
    return row or unlisted(f"which wheels flash-attn {release} has")


@functools.cache
def of_release(release: str) -> tuple[Wheel, ...]:
    """Return the wheels of one release; empty if they are not known."""
    row = matrix(release)
    if isinstance(row, Unknown):
        return ()
    axes = itertools.product(row.cuda, row.torch, row.cxx11_abi, row.pythons, row.platforms)
    built = [
        parts for parts in itertools.starmap(Parts, axes) if not any(_covers(part, parts) for part in row.excludes)
    ]
    by_hand = [
        _wheel(row, Parts(p.cuda, p.torch, p.cxx11_abi, p.python, p.platform), "by hand" if p.verified else "reported")
        for p in row.added
        if p.cuda and p.torch and p.python and p.platform and p.cxx11_abi is not None
    ]
    return (*(_wheel(row, parts, "matrix") for parts in built), *by_hand)


def exists(filename: str) -> Judgement:
    """Return whether an official wheel with exactly this file name exists. Unknown if the wheels of its release are not known."""
    release = filename.removeprefix("flash_attn-").partition("+")[0]
    row = matrix(release)
    if isinstance(row, Unknown):
        return row
    if not row.known:
        return unlisted(f"which wheels flash-attn {row.release} has")
    if not row.released:
        return no(f"flash-attn {row.release} is not released")
    wheel = _by_name().get(filename)
    if wheel is not None and wheel.grounds == "reported":
        return Unknown(f"{filename} is named in public, and nothing else is known of it")
    if wheel is not None:
        how = "was added by hand to" if wheel.grounds == "by hand" else "is in the build matrix of"
        return yes(f"{filename} {how} flash-attn {row.release}")
    parts = _parts(filename)
    looked_for = parts is not None and any(_covers(part, parts) for part in row.absent)
    # Where wheels were uploaded by hand, more may follow: only a wheel that was looked for is known to be absent.
    sure = looked_for or not row.added
    return no(f"{filename} is not among the wheels of flash-attn {row.release}", verified=sure)


class Parts(NamedTuple):
    """Hold the parts of a wheel's name after its release."""

    cuda: str
    torch: str
    cxx11_abi: bool
    python: str
    platform: str


def _wheel(row: WheelMatrix, parts: Parts, grounds: str) -> Wheel:
    labels = {(label.torch, label.label): label.really for label in row.really}
    return Wheel(
        release=row.release,
        really=labels.get((parts.torch, parts.cxx11_abi), parts.cxx11_abi),
        grounds=grounds,
        built_against=row.torch.get(parts.torch) if grounds == "matrix" else None,
        **parts._asdict(),
    )


def _covers(combination: Combination, parts: Parts) -> bool:
    return all(getattr(combination, name) in {None, value} for name, value in parts._asdict().items())


def _parts(filename: str) -> Parts | None:
    """Split the name of a wheel into its parts; None if it is not the name of a wheel."""
    match = re.search(r"\+(cu\d+)torch([\d.]+)cxx11abi(TRUE|FALSE)-cp(\d)(\d+)-[^-]+-(\w+)\.whl$", filename)
    if match is None:
        return None
    cuda, torch, abi, major, minor, platform = match.groups()
    return Parts(cuda, torch, abi == "TRUE", f"{major}.{minor}", platform)


@functools.cache
def _matrices() -> dict[str, WheelMatrix]:
    return {row.release: row for row in load(WheelMatrix)}


@functools.cache
def _by_name() -> dict[str, Wheel]:
    return {wheel.filename: wheel for wheel in official(unreleased=True)}
