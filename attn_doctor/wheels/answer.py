"""Find the flash-attn wheels that fit a machine. Pure.

The machine is described by a key (`knowledge.wheels.Key`): torch, CUDA, Python, ABI, platform, glibc and GPUs. The parts of the key
are read from the command line, and the others from the target's facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from attn_doctor.errors import Refused
from attn_doctor.failure_modes.shared import building
from attn_doctor.judging import stated_gpu
from attn_doctor.knowledge import community_wheels, flash_attention, pytorch, wheels
from attn_doctor.knowledge.build import Prediction
from attn_doctor.knowledge.finder import Found, find
from attn_doctor.knowledge.nearest_torch import Nearest, nearest_torch
from attn_doctor.knowledge.tables import knowledge_date
from attn_doctor.knowledge.wheel_key import Candidate, Key, key_of, normal_platform, numbers
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.trials import Trial
from attn_doctor.model.versions import local, pair


class Wanted(Record, frozen=True, kw_only=True):
    """Hold the parts of the key (`knowledge.wheels.Key`) that the user typed.

    A part that is None, or `gpus` if it is empty, is read from the target.
    """

    torch: str | None = None
    cuda: str | None = None
    python: str | None = None
    abi: bool | None = None
    platform: str | None = None
    glibc: str | None = None
    gpus: tuple[str, ...] = ()
    release: str | None = None  # of flash-attn, "2.8.3"; not a part of the key: None means all releases

    @property
    def whole(self) -> bool:
        """Return whether the key is complete without a target."""
        libc = self.glibc or (self.platform and _of_tag(self.platform))
        return bool(self.torch and self.python and self.platform and libc and self.gpus)


class Asked(Record, frozen=True, kw_only=True):
    """Describe the wheel file that the setup.py of one flash-attn release would look for. `why` explains `exists`."""

    release: str
    filename: str
    exists: bool | None  # None: not known
    why: str


class Answered(Record, frozen=True, kw_only=True):
    """Hold the complete answer of `attn-doctor wheels` for the machine that the key describes.

    `sources`: part of the key -> where it was read: "torch": "the command line".
    """

    key: Key
    sources: dict[str, str]
    candidates: tuple[Candidate, ...]
    fits: bool | None  # whether a finished flash-attn fits; None: not known
    # True: a wheel of the authors fits. False: only a wheel that somebody else built. None: no wheel fits.
    official: bool | None
    asked: tuple[Asked, ...]
    too_old: str | None = None  # the GPU is too old for FlashAttention 2, whatever the wheel
    nearest: Nearest | None = None
    nearest_why: str | None = None  # why `nearest` is None
    build: Prediction | None = None  # for a source build, if no finished wheel fits
    knowledge_date: str
    notes: tuple[str, ...] = ()


def _of_tag(platform: str) -> dict[str, str | None]:
    """Return the part `glibc` of the key that a platform tag decides: {"glibc": "2.28"} for manylinux_2_28_x86_64.

    {"glibc": None} for a system without glibc: musllinux, Windows, macOS. Empty for a tag that does not say it:
    linux_x86_64.
    """
    if "musl" in platform or "linux" not in platform:
        return {"glibc": None}
    found = re.match(r"manylinux_(\d+)_(\d+)_", platform)
    return {"glibc": f"{found[1]}.{found[2]}"} if found else {}


COMMAND_LINE, _HERE = "the command line", "the target"  # where a part of the key was read


def key_for(wanted: Wanted, facts: Facts | None) -> tuple[Key, dict[str, str]]:
    """Return the key, and the source of each part. Raises Refused if a typed part cannot be read, or if a glibc is typed for a platform without one.

    A typed torch version also decides the CUDA and the ABI, unless these are typed too. A part that nobody gives is Unknown.
    """
    _check(wanted)
    missing = Unknown("neither given as an option nor read from a target")
    here = (
        key_of(facts)
        if facts
        else Key(
            python=missing,
            torch=missing,
            cuda=missing,
            cxx11_abi=missing,
            platform=missing,
            glibc=missing,
            gpus=missing,
        )
    )
    named = {
        "python": wanted.python,
        "torch": wanted.torch,
        "cuda": wanted.cuda,
        "cxx11_abi": wanted.abi,
        "platform": normal_platform(wanted.platform) if wanted.platform else None,
        "glibc": wanted.glibc,
        "gpus": tuple(_capability(text) for text in wanted.gpus) or None,
    }
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if wanted.platform and wanted.glibc is None:
        given |= _of_tag(wanted.platform)
    sources = {name: COMMAND_LINE if name in given else _HERE for name in named}
    key = msgspec.structs.replace(here, **given)
    if wanted.torch and wanted.cuda is None:
        key = msgspec.structs.replace(key, cuda=_cuda_of(wanted.torch, key.platform))
        sources["cuda"] = "its local version" if local(wanted.torch) else "PyPI's build of this torch"
    if wanted.abi is None and (wanted.torch or not isinstance(key.cxx11_abi, bool)) and isinstance(key.torch, str):
        key = msgspec.structs.replace(key, cxx11_abi=_abi_of(key))
        sources["cxx11_abi"] = "the table: the ABI of this torch's wheels"
    return key, sources


def _check(wanted: Wanted) -> None:
    """Raise Refused if a text is no version or no platform tag, or if a glibc is given for musl, Windows or macOS."""
    for option, text in (
        ("torch", wanted.torch),
        ("cuda", wanted.cuda),
        ("python", wanted.python),
        ("glibc", wanted.glibc),
    ):
        if text is not None and not re.fullmatch(r"\d+\.\d+[\w.+-]*", text):
            raise Refused(f"--{option} {text!r} is not a version")
    if wanted.platform and not re.fullmatch(r"\w+", wanted.platform.replace("-", "_")):
        raise Refused(f"--platform {wanted.platform!r} is not a platform tag")
    if wanted.glibc and wanted.platform and _of_tag(wanted.platform) == {"glibc": None}:
        raise Refused(f"--platform {wanted.platform} has no glibc, but --glibc {wanted.glibc} is given")


def _capability(text: str) -> str:
    """Return the compute capability, "8.9", of a text: a capability, or the name of a GPU in the table.

    Raises Refused for any other text.
    """
    return stated_gpu.read(text)[1]


def _cuda_of(torch: str, platform: str | Unknown) -> str | Unknown | None:
    flavour = local(torch)
    if flavour is None:
        return pytorch.pypi_cuda(torch, platform if isinstance(platform, str) else pytorch.LINUX)
    if flavour == "cpu":
        return None
    builds = pytorch.builds(torch, platform if isinstance(platform, str) else pytorch.LINUX)
    found = next((row.cuda for row in builds if pytorch.flavour(row.cuda) == flavour), None)
    if found is None and flavour.startswith("cu") and flavour[2:].isdigit():
        return f"{flavour[2:-1]}.{flavour[-1]}"
    return found or Unknown(f"the CUDA of torch {torch} cannot be read from its version")


def _abi_of(key: Key) -> bool | Unknown:
    assert isinstance(key.torch, str)
    answer = pytorch.cxx11_abi(
        key.torch,
        key.cuda if isinstance(key.cuda, str) else None,
        key.platform if isinstance(key.platform, str) else pytorch.LINUX,
    )
    return answer if isinstance(answer, Unknown) else answer.yes


def answer(
    wanted: Wanted,
    facts: Facts | None,
    trials: Sequence[Trial] = (),
    seen: Sequence[Candidate] = (),
    notes: tuple[str, ...] = (),
) -> Answered:
    """Return which wheels fit. `facts`: those of the target; None: only the command line describes the machine.

    `trials`: rows of a trial on this machine. `seen`: candidates that were found online, newer than the tables. `notes`: sentences
    that the answer shall contain too. Raises Refused if a typed part of the key cannot be read.
    """
    if wanted.release and pair(wanted.release) is None:
        raise Refused(f"--release {wanted.release!r} is not a version")
    key, sources = key_for(wanted, facts)
    found: Found = find(key, release=wanted.release)
    candidates = _merged((*found.candidates, *community_wheels.candidates(key, release=wanted.release)), seen)
    kinds = {c.kind for c in candidates if c.fits and c.filename and c.package == community_wheels.FLASH_ATTN}
    fits = "official" in kinds
    nearest = None if fits or wanted.release else _nearest(key, facts)
    ours = facts is not None and sources["torch"] == _HERE
    release = wanted.release or (building.wanted_release(facts) if facts else flash_attention.latest().release)
    build = building.foreseen(facts, release) if facts is not None and ours and not fits else None
    return Answered(
        key=key,
        sources=sources,
        candidates=candidates,
        fits=True if kinds else None if any(map(_may_fit, candidates)) else False,
        official=fits if kinds else None,
        too_old=_too_old(key),
        asked=_asked(key, wanted.release),
        nearest=nearest if isinstance(nearest, Nearest) else None,
        nearest_why=None if nearest is None or isinstance(nearest, Nearest) else nearest.why,
        build=build,
        knowledge_date=knowledge_date(),
        notes=(*notes, *_nowhere(key), *_newer(key, wanted.release), *_worth(trials)),
    )


def _merged(ours: Sequence[Candidate], seen: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates, best first: those that fit, those that may fit, those that do not fit.

    In each group flash-attn 2 comes first, then other packages. Of each package, the authors' wheels come first, then
    the wheels of other people, then links. `seen`: candidates that were found online; they take the place of those of
    the tables with the same file name.
    """
    names = {c.filename for c in seen}
    rest = [c for c in ours if c.filename is None or c.filename not in names]
    return tuple(sorted([*seen, *rest], key=_rank))


def _rank(candidate: Candidate) -> tuple[int, bool, int]:
    fits = {True: 0, None: 1, False: 2}[candidate.fits]
    kind = ("official", "community", "other").index(candidate.kind)
    return fits, candidate.package != community_wheels.FLASH_ATTN, kind


def _may_fit(candidate: Candidate) -> bool:
    """Return whether a listed wheel may fit: a value of the machine is not known, or the wheel's name does not contain all values."""
    ours = candidate.package == community_wheels.FLASH_ATTN
    return candidate.fits is None and candidate.filename is not None and candidate.listed and ours


def _nearest(key: Key, facts: Facts | None) -> Nearest | Answer | Unknown:
    versions: dict[str, str] = {}
    if facts is not None and isinstance(facts.packages.distributions, tuple):
        versions = {d.name: d.version for d in facts.packages.distributions if isinstance(d.version, str)}
    driver = facts.graphics.driver if facts else None
    os = facts.system.os if facts else None
    return nearest_torch(
        key,
        driver=driver if isinstance(driver, str) else None,
        os=os if isinstance(os, str) else "linux",
        torchvision=versions.get("torchvision"),
        numpy=versions.get("numpy"),
        xformers=versions.get("xformers"),
    )


def _asked(key: Key, release: str | None) -> tuple[Asked, ...]:
    """Return the wheel name that setup.py would request, for each release; empty if the key lacks a part."""
    parts = (key.torch, key.cxx11_abi, key.python, key.platform)
    if any(part is None or isinstance(part, Unknown) for part in parts) or isinstance(key.cuda, Unknown):
        return ()
    releases = [release] if release else [row.release for row in flash_attention.releases()]
    return tuple(asked for r in releases if (asked := _asked_of(r, key)) is not None)


def _asked_of(release: str, key: Key) -> Asked | None:
    assert isinstance(key.torch, str)
    assert isinstance(key.python, str)
    assert isinstance(key.platform, str)
    assert isinstance(key.cxx11_abi, bool)
    cuda = key.cuda if isinstance(key.cuda, str) else None
    made = wheels.asked_for(
        release, torch=key.torch, cuda=cuda, cxx11_abi=key.cxx11_abi, python=key.python, platform=key.platform
    )
    if isinstance(made, Unknown):
        return None
    there = wheels.exists(made.filename)
    known = isinstance(there, Answer)
    return Asked(
        release=release,
        filename=made.filename,
        exists=there.yes if isinstance(there, Answer) and known else None,
        why=there.why,
    )


def _nowhere(key: Key) -> tuple[str, ...]:
    """Return the note for a machine without a GPU: the answers are for the GPU that will run flash-attn."""
    oldest = flash_attention.latest().min_capability
    note = f"There is no NVIDIA GPU here: flash-attn needs one of compute capability {oldest} or newer (--gpu CC judges for such a GPU)."
    return (note,) if key.gpus == () else ()


def _too_old(key: Key) -> str | None:
    """Return the sentence for GPUs that are too old for every FlashAttention 2 (Turing and older); None if one GPU is newer, or not known."""
    oldest = flash_attention.latest().min_capability
    if not isinstance(key.gpus, tuple) or not key.gpus or any(numbers(gpu) >= numbers(oldest) for gpu in key.gpus):
        return None
    return (
        f"flash-attn 2 never runs on a GPU of compute capability {max(key.gpus, key=numbers)}: it needs {oldest} (Ampere) or newer. PyTorch's own "
        "attention (SDPA) runs there, with its memory-efficient kernel."
    )


def _newer(key: Key, release: str | None) -> tuple[str, ...]:
    """Return a note for each version of torch or flash-attn that is not in the tables.

    Such a version may be newer than the tables: no wheel is excluded for it.
    """
    torch = pytorch.release(key.torch) if isinstance(key.torch, str) else None
    flash = flash_attention.release(release) if release else None
    return tuple(
        f"{row.why}. The table may be too old: a wheel may still fit."
        for row in (torch, flash)
        if isinstance(row, Unknown)
    )


def _worth(trials: Sequence[Trial]) -> tuple[str, ...]:
    """Return a sentence about the most that flash-attn could save: attention's share of a training step with `sdpa-flash`.

    Empty without such a row in the trial.
    """
    rows = [
        row for row in trials if row.status == "ok" and row.backend == "sdpa-flash" and row.attention_share is not None
    ]
    if not rows or rows[0].attention_share is None:
        return ()
    share = round(100 * rows[0].attention_share)
    where = f"{rows[0].model or 'YOLO12 attention'} on {rows[0].device}"
    return (
        f"In the trial of {where}, attention takes {share} % of a training step with sdpa-flash: no other kernel can save more.",
    )
