"""Find the official wheels for a key, best first, with every reason why a wheel does not fit.

`fits` is True only if every part of the key is known and agrees; False if a known part disagrees; None if nothing disagrees, but
a part is unknown. Builds by other people are only links; their `fits` is never True.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attn_doctor.knowledge import flash_attention, other_wheel_sources, wheel_parts, wheels
from attn_doctor.knowledge.tables import unlisted
from attn_doctor.knowledge.wheel_key import Candidate, Key, numbers
from attn_doctor.knowledge.wheel_parts import AGREES
from attn_doctor.knowledge.wheels import Wheel
from attn_doctor.knowledge.yes_no_unknown import Judgement, no
from attn_doctor.model.facts import Record, Unknown
from attn_doctor.model.versions import Pair

_SOURCE = {
    "matrix": "official",
    "by hand": "official, added by hand",
    "reported": "official, reported once",
    "asked for": "the name that setup.py asks for",
}


class Found(Record, frozen=True, kw_only=True):
    """Hold the key and the candidates, as `wheels --json` prints them."""

    key: Key
    candidates: tuple[Candidate, ...]


@functools.lru_cache(maxsize=64)  # every cure that installs flash-attn asks for the same key
def find(key: Key, *, release: str | None = None) -> Found:
    """Return the candidates, best first: wheels that fit, that perhaps fit, links to wheels of other builders, then wheels that do not fit.

    Of each release only the wheel nearest to the key is listed. If the wheels of a release are not known, it is the name that its
    setup.py would ask for. If `release` is given, every wheel of that release is judged, and no other wheel. Wheels that do not
    fit are sorted by the number of reasons; links that do not fit are the last.
    """
    if release is None:
        known, releases = _known(key), [row.release for row in flash_attention.releases()]
        stand_ins = [_nearest(release, known) or _asked(release, key) for release in releases]
        ours = [_judged(wheel, key) for wheel in stand_ins if wheel is not None]
        others = list(other_wheel_sources.pointers(key))
    else:
        named = wheels.of_release(release) or tuple(filter(None, [_asked(release, key)]))
        ours, others = [_judged(wheel, key) for wheel in named], []
    refused = sorted((c for c in ours if c.fits is False), key=lambda candidate: len(candidate.reasons))
    return Found(
        key=key,
        candidates=(
            *(c for c in ours if c.fits is True),
            *(c for c in ours if c.fits is None),
            *(c for c in others if c.fits is None),
            *refused,
            *(c for c in others if c.fits is False),
        ),
    )


def judge(wheel: Wheel, key: Key) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether this wheel fits this key, and the reasons.

    True: it fits, and there are no reasons. False: the reasons against it; each names the value of the wheel and that of the key.
    None: nothing is against it, and the reasons name what is not known.
    """
    return wheel_parts.joined(_parts(wheel, key))


def _parts(wheel: Wheel, key: Key) -> Iterator[Judgement]:
    yield wheel_parts.compare(key.platform, wheel.platform, f"built for {wheel.platform}", "the platform")
    yield wheel_parts.compare(key.python, wheel.python, f"built for Python {wheel.python}", "the Python version")
    yield wheel_parts.of_torch(wheel.torch, key.torch)
    yield _cuda(wheel, key.cuda)
    yield _abi(wheel, key.cxx11_abi)
    if key.platform == wheel.platform or isinstance(key.platform, Unknown):
        yield _glibc(wheel, key.glibc)
    yield _gpus(wheel, key.gpus)
    if isinstance(key.torch, str):
        yield _same_kind(wheel, key.torch)
    if wheel.grounds == "reported":
        yield Unknown("named in public, and nothing else is known of it")
    if wheel.grounds == "asked for":
        yield unlisted(f"which wheels flash-attn {wheel.release} has")


def _same_kind(wheel: Wheel, torch: str) -> Judgement:
    """Return whether wheel and torch are of the same kind: both releases, or both nightlies.

    A nightly can have other symbols than a release. NGC's versions, such as "2.6.0a0+...", count as nightlies.
    """
    if wheel.built_against is not None and torch.partition("+")[0] == wheel.built_against:
        return AGREES
    if wheel.nightly:
        return Unknown(f"built against the nightly {wheel.built_against}: undefined symbols are possible with yours")
    if wheel_parts.prerelease(torch):
        return Unknown(f"built for releases of torch, yours is the pre-release {torch}: undefined symbols are possible")
    return AGREES


def _cuda(wheel: Wheel, cuda: str | Unknown | None) -> Judgement:
    built = f"built for CUDA {wheel.cuda_major}"
    if isinstance(cuda, Unknown):
        return Unknown(f"{built}, and the CUDA of torch is not known: {cuda.why}")
    if cuda is None:
        return no(f"{built}, your torch is built without CUDA")
    return AGREES if numbers(cuda)[0] == wheel.cuda_major else no(f"{built}, your torch is built for CUDA {cuda}")


def _abi(wheel: Wheel, abi: bool | Unknown | None) -> Judgement:
    label, really = ("TRUE" if value else "FALSE" for value in (wheel.cxx11_abi, wheel.really))
    built = f"built with cxx11abi {really}" if label == really else f"labelled abi{label} but really {really}"
    if isinstance(abi, Unknown):
        return Unknown(f"{built}, and the ABI of torch is not known: {abi.why}")
    if abi is None:
        return no(f"{built}, and torch has no such ABI here")
    return AGREES if wheel.really is abi else no(f"{built}, your torch has {'TRUE' if abi else 'FALSE'}")


def _glibc(wheel: Wheel, glibc: str | Unknown | None) -> Judgement:
    if not wheel.platform.startswith("linux"):
        return AGREES
    if isinstance(glibc, Unknown):
        return Unknown(f"the glibc here is not known: {glibc.why}")
    return no("needs glibc, and the C library here is not glibc") if glibc is None else glibc_fits(wheel.release, glibc)


@functools.lru_cache(maxsize=1024)
def glibc_fits(release: str, glibc: str) -> Judgement:
    """Return whether this glibc is new enough. pip does not check it, because the wheels are tagged linux_x86_64, not manylinux."""
    row, have = wheels.matrix(release), numbers(glibc)
    if isinstance(row, Unknown):
        return row
    if row.needs_glibc is not None:
        return AGREES if have >= numbers(row.needs_glibc) else no(f"needs glibc {row.needs_glibc}, here {glibc}")
    if row.runner_glibc is None or have >= numbers(row.works_on_glibc or row.runner_glibc):
        return AGREES
    return Unknown(f"built on glibc {row.runner_glibc}; whether it needs that is not known, here {glibc}")


def _gpus(wheel: Wheel, gpus: tuple[str, ...] | Unknown) -> Judgement:
    if isinstance(gpus, Unknown):
        return Unknown(f"the GPU here is not known: {gpus.why}")
    return wheel_parts.of_gpus(lambda device: _gpu(wheel.release, wheel.cuda, device), gpus)


@functools.lru_cache(maxsize=4096)
def _gpu(release: str, cuda: str, device: str) -> Judgement:
    row = wheels.matrix(release)
    if isinstance(row, Unknown):
        return row
    code = (*row.sm.get(cuda, ()), *row.ptx) or None
    answer = flash_attention.runs_on(release, device, code=code, cuda=row.cuda.get(cuda))
    return answer if isinstance(answer, Unknown) or answer.yes else no(answer.why.replace("the GPU", "your GPU"))


class _Known(NamedTuple):
    """Hold the known parts of a key, which choose among the wheels of a release."""

    platform: str | None
    python: str | None
    cuda_major: int | None
    torch: Pair | None
    cxx11_abi: bool | None


def _known(key: Key) -> _Known:
    return _Known(
        platform=key.platform if isinstance(key.platform, str) else None,
        python=key.python if isinstance(key.python, str) else None,
        cuda_major=numbers(key.cuda)[0] if isinstance(key.cuda, str) else None,
        torch=numbers(key.torch) if isinstance(key.torch, str) else None,
        cxx11_abi=key.cxx11_abi if isinstance(key.cxx11_abi, bool) else None,
    )


@functools.lru_cache(maxsize=65536)
def _nearest(release: str, known: _Known) -> Wheel | None:
    """Return the wheel that is nearest to the key in a release; None if the wheels of that release are not known.

    Filters by platform, Python, CUDA, torch and ABI, in this order. A filter that would leave nothing is skipped. Of
    the wheels left, the one with the nearest torch and the newest Python is returned.
    """
    rest: Sequence[Wheel] = wheels.of_release(release)
    if known.platform is not None:
        rest = [wheel for wheel in rest if wheel.platform == known.platform] or rest
    if known.python is not None:
        rest = [wheel for wheel in rest if wheel.python == known.python] or rest
    if known.cuda_major is not None:
        rest = [wheel for wheel in rest if wheel.cuda_major == known.cuda_major] or rest
    if known.torch is not None:
        rest = [wheel for wheel in rest if numbers(wheel.torch) == known.torch] or rest
    if known.cxx11_abi is not None:
        rest = [wheel for wheel in rest if wheel.cxx11_abi is known.cxx11_abi] or rest
    return min(rest, key=lambda wheel: _distance(wheel, known.torch), default=None)


def _distance(wheel: Wheel, torch: Pair | None) -> tuple[int, bool, int, int]:
    major, minor = numbers(wheel.torch)
    here = 100 * major + minor
    away = abs(here - 100 * torch[0] - torch[1]) if torch else -here
    mislabelled = wheel.really is not wheel.cxx11_abi
    return away, mislabelled, -wheel.cuda_major, -numbers(wheel.python)[1]


def _asked(release: str, key: Key) -> Wheel | None:
    """Return the wheel whose name setup.py would request; None if the key lacks a part of that name."""
    if not (isinstance(key.torch, str) and isinstance(key.cuda, str) and isinstance(key.cxx11_abi, bool)):
        return None
    if not (isinstance(key.python, str) and isinstance(key.platform, str)):
        return None
    asked = wheels.asked_for(
        release,
        torch=key.torch,
        cuda=key.cuda,
        cxx11_abi=key.cxx11_abi,
        python=key.python,
        platform=key.platform,
    )
    return None if isinstance(asked, Unknown) else asked


def _judged(wheel: Wheel, key: Key) -> Candidate:
    fits, reasons = judge(wheel, key)
    return Candidate(
        release=wheel.release,
        filename=wheel.filename,
        url=wheel.url,
        source=_SOURCE[wheel.grounds],
        fits=fits,
        reasons=reasons,
        kind="official",
        listed=wheel.grounds != "asked for",
    )
