"""List the wheels of FlashAttention that other people than its authors built, and judge them by their names for a key.

A file name is no certain fact about the content: `attn-doctor inspect FILE` reads the content. The files are not signed, and the
authors of attn-doctor have run none of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from attn_doctor.knowledge import flash_attention, pytorch, wheel_parts
from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.wheel_key import Candidate, Key, numbers
from attn_doctor.knowledge.wheel_parts import AGREES
from attn_doctor.knowledge.yes_no_unknown import Judgement, no, yes
from attn_doctor.model.facts import Record, Unknown
from attn_doctor.model.versions import dotted, parse

FLASH_ATTN = "flash_attn"


class File(msgspec.Struct, frozen=True, array_like=True):
    """Describe files whose names differ only in the Python. In the table a file is a JSON array, because there are thousands."""

    tag: str  # of the release on the builder's page; "" where there is none
    cuda: str  # "12.8"
    torch: str  # "2.8", or "2.8.0" where the name has the whole version
    suffix: str  # a commit in the name, "gite2743ab"
    platform: str  # as in the name, "manylinux_2_24_x86_64.manylinux_2_28_x86_64"
    tags: str  # "cp311-cp311 cp313-cp313t"


class CommunityWheels(Row, frozen=True, kw_only=True):
    """Describe the wheels of one release of a package by one builder."""

    TABLE: ClassVar[str] = "community_wheels"

    builder: str
    package: str  # as in the name: "flash_attn", "flash_attn_3"
    release: str  # "2.8.3"
    page: str  # the address of a page for people
    url: str  # of a file, with {tag} and {name}
    name: str  # with {package}, {release}, {cuda}, {torch}, {suffix}, {tags} and {platform}
    files: tuple[File, ...]


class CommunityWheel(Record, frozen=True, kw_only=True):
    """Describe one wheel file. `listed`: its builder lists the file; False: only other people give its address."""

    builder: str
    package: str
    release: str
    tag: str
    cuda: str
    torch: str
    python: str  # "3.12", "3.13t"; "abi3" runs under every Python from 3.9 on
    platform: str
    filename: str
    url: str
    listed: bool


def rows() -> tuple[CommunityWheels, ...]:
    """Return the rows of the table."""
    return load(CommunityWheels)


@functools.cache
def community() -> tuple[CommunityWheel, ...]:
    """Return every file of the table."""
    return tuple(_files())


def _files() -> Iterator[CommunityWheel]:
    for row in rows():
        for file in row.files:
            for tags in file.tags.split():
                name = row.name.format(
                    package=row.package,
                    release=row.release,
                    cuda=file.cuda.replace(".", ""),
                    torch=file.torch,
                    suffix=file.suffix,
                    tags=tags,
                    platform=file.platform,
                )
                yield CommunityWheel(
                    builder=row.builder,
                    package=row.package,
                    release=row.release,
                    tag=file.tag,
                    cuda=file.cuda,
                    torch=file.torch,
                    python=python_of(tags),
                    platform=file.platform,
                    filename=name,
                    url=row.url.format(tag=file.tag, name=name.replace("+", "%2B")),
                    listed=row.verified,
                )


def python_of(tags: str) -> str:
    """Return the Python of a pair of tags: "3.13t" for "cp313-cp313t", "abi3" for "cp39-abi3"."""
    abi = tags.partition("-")[2]
    return abi if abi == "abi3" else f"{abi[2]}.{abi[3:]}"


def candidates(
    key: Key, *, release: str | None = None, among: Iterable[CommunityWheel] | None = None
) -> tuple[Candidate, ...]:
    """Return the best file of each package and release, best first: those that fit, that perhaps fit, that do not fit.

    Among files that fit equally, FlashAttention 2 comes before other packages. Files for another platform than the key's are left
    out. `release`: only this release. `among`: the files to choose from, in place of those in the table.
    """
    best: dict[tuple[str, str], tuple[tuple[object, ...], Candidate]] = {}
    for wheel in community() if among is None else among:
        if release is not None and wheel.release != release:
            continue
        if isinstance(key.platform, str) and _platform(wheel) != key.platform:
            continue  # thousands of files are for other platforms; a list of them would not help
        fits, reasons = judge(wheel, key)
        rank = (*_order(fits), len(reasons), *_away(wheel, key))
        place = (wheel.package, wheel.release)
        if place not in best or rank < best[place][0]:
            best[place] = rank, _candidate(wheel, fits, reasons)
    made = sorted(best.values(), key=lambda pair: (pair[1].package != FLASH_ATTN, *_newest(pair[1].release)))
    return tuple(candidate for _, candidate in sorted(made, key=lambda pair: _order(pair[1].fits)))


@functools.cache
def of_torch(torch: str, python: str) -> tuple[CommunityWheel, ...]:
    """Return the files of FlashAttention 2 for this minor of torch and this Python ("3.12"). No other file can fit."""
    ours = (w for w in community() if w.package == FLASH_ATTN and numbers(w.torch) == numbers(torch))
    return tuple(wheel for wheel in ours if wheel.python in (python, "abi3"))


def cudas(torch: str, platform: str) -> tuple[str, ...]:
    """Return the CUDA versions ("12.8") of the wheels of FlashAttention 2 for this minor of torch and this platform ("linux_x86_64")."""
    ours = (w for w in community() if w.package == FLASH_ATTN and numbers(w.torch) == numbers(torch))
    return tuple(dict.fromkeys(wheel.cuda for wheel in ours if _platform(wheel) == platform))


def _order(fits: bool | None) -> tuple[int]:
    return ({True: 0, None: 1, False: 2}[fits],)


def _newest(release: str) -> tuple[bool, object]:
    """Return a key that sorts the newest release first; 2.7.4.post1 is newer than 2.7.4."""
    version = parse(release)
    return (version is None, tuple(-n for n in (*version.release, version.post or 0)) if version else ())


def _away(wheel: CommunityWheel, key: Key) -> tuple[object, ...]:
    """Return the sort key of a file, the best one first.

    In this order: distance in torch, distance in CUDA, listed files, manylinux files, newest build.
    """
    torch = numbers(key.torch) if isinstance(key.torch, str) else None
    cuda = numbers(key.cuda) if isinstance(key.cuda, str) else None
    return (
        abs(_steps(numbers(wheel.torch)) - _steps(torch)) if torch else -_steps(numbers(wheel.torch)),
        abs(_steps(numbers(wheel.cuda)) - _steps(cuda)) if cuda else -_steps(numbers(wheel.cuda)),
        not wheel.listed,
        not wheel.platform.startswith("manylinux"),
        tuple(-int(n) for n in re.findall(r"\d+", wheel.tag)),
    )


def _steps(version: tuple[int, int]) -> int:
    return 100 * version[0] + version[1]


def _candidate(wheel: CommunityWheel, fits: bool | None, reasons: tuple[str, ...]) -> Candidate:
    how = "" if wheel.listed else ", named by others"
    return Candidate(
        release=wheel.release,
        filename=wheel.filename,
        url=wheel.url,
        source=f"built by {wheel.builder}, unsigned{how}",
        fits=fits,
        reasons=reasons,
        kind="community",
        package=wheel.package,
        builder=wheel.builder,
    )


def judge(wheel: CommunityWheel, key: Key) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether the name of this file fits this key, and the reasons.

    True: it fits, and there are no reasons. False: the reasons against it; each names the value of the file and that of the key.
    None: nothing is against it, and the reasons name what is not known.
    """
    return wheel_parts.joined(_parts(wheel, key))


def _platform(wheel: CommunityWheel) -> str:
    """Return the platform of a wheel in the spelling of keys: "linux_x86_64" for a manylinux tag."""
    if "linux" in wheel.platform:
        return "linux_aarch64" if wheel.platform.endswith("aarch64") else "linux_x86_64"
    return wheel.platform


def _parts(wheel: CommunityWheel, key: Key) -> Iterator[Judgement]:
    platform = _platform(wheel)
    yield wheel_parts.compare(key.platform, platform, f"built for {platform}", "the platform")
    yield _of_python(wheel, key.python)
    yield wheel_parts.of_torch(dotted(numbers(wheel.torch)), key.torch)
    if isinstance(key.torch, str) and wheel_parts.prerelease(key.torch):
        yield Unknown(
            f"built for releases of torch, yours is the pre-release {key.torch}: undefined symbols are possible"
        )
    yield _of_cuda(wheel, key.cuda)
    if platform.startswith("linux"):
        yield _of_abi(wheel, key)
        yield _of_glibc(wheel, key.glibc)
    yield _of_gpus(wheel, key.gpus)


def _of_python(wheel: CommunityWheel, python: str | Unknown) -> Judgement:
    if wheel.python != "abi3" or isinstance(python, Unknown):
        return wheel_parts.compare(python, wheel.python, f"built for Python {wheel.python}", "the Python version")
    if python.endswith("t"):
        return no(f"built for the stable ABI, which a free-threaded Python lacks: you have {python}")
    return AGREES if numbers(python) >= (3, 9) else no(f"built for Python 3.9 and newer, you have {python}")


def _of_cuda(wheel: CommunityWheel, cuda: str | Unknown | None) -> Judgement:
    """Return whether the CUDA of the wheel fits the CUDA of the key.

    A wheel for another minor of the same major usually loads (minor-version compatibility), but its name cannot promise that.
    """
    built = f"built for CUDA {wheel.cuda}"
    if isinstance(cuda, Unknown):
        return Unknown(f"{built}, and the CUDA of torch is not known: {cuda.why}")
    if cuda is None:
        return no(f"{built}, your torch is built without CUDA")
    if numbers(cuda) == numbers(wheel.cuda):
        return AGREES
    if numbers(cuda)[0] == numbers(wheel.cuda)[0]:
        return Unknown(f"{built}, your torch is built for CUDA {cuda}: within one major it mostly loads")
    return no(f"{built}, your torch is built for CUDA {cuda}")


def _of_abi(wheel: CommunityWheel, key: Key) -> Judgement:
    """Return whether the C++ ABI of the wheel fits the ABI of torch.

    File names do not contain the ABI: it is the ABI of the torch with which the wheel was built.
    """
    built = pytorch.cxx11_abi(wheel.torch, wheel.cuda, _platform(wheel))
    if isinstance(built, Unknown) or not isinstance(key.cxx11_abi, bool) or built.yes is key.cxx11_abi:
        return yes("nothing is known against it")
    have, has = ("TRUE" if value else "FALSE" for value in (key.cxx11_abi, built.yes))
    return no(f"built with a torch of cxx11abi {has}, your torch has {have}")


# The images and machines that built the files for Linux: manylinux_2_28 for x86-64 from v0.7.0 on, before that and for ARM Ubuntu 22.04.
# https://github.com/mjun0812/flash-attention-prebuild-wheels/blob/main/.github/workflows/build.yml
_WITH_IMAGES, _IMAGE, _UBUNTU = "mjun0812", "2.28", "2.35"


def _of_glibc(wheel: CommunityWheel, glibc: str | Unknown | None) -> Judgement:
    """Return whether the glibc is new enough: by the oldest of the manylinux tags, else by the system that built the file."""
    if isinstance(glibc, Unknown):
        return Unknown(f"the glibc here is not known: {glibc.why}")
    if glibc is None:
        return no("needs glibc, and the C library here is not glibc")
    promised = [f"{a}.{b}" for a, b in re.findall(r"manylinux_(\d+)_(\d+)_", wheel.platform)]
    if promised:
        oldest = min(promised, key=numbers)
        return AGREES if numbers(glibc) >= numbers(oldest) else no(f"needs glibc {oldest}, here {glibc}")
    if wheel.builder != _WITH_IMAGES:
        return Unknown(f"the glibc of the system that built it is not known, here {glibc}")
    image = wheel.platform == "linux_x86_64" and numbers(wheel.tag.lstrip("v") or "0.0") >= (0, 7)
    built = _IMAGE if image else _UBUNTU
    if numbers(glibc) >= numbers(built):
        return yes("as new as the glibc of the system that built the wheel")
    return Unknown(f"built on glibc {built}; whether it needs that is not known, here {glibc}")


def _of_gpus(wheel: CommunityWheel, gpus: tuple[str, ...] | Unknown) -> Judgement:
    """Judge the wheel for all GPUs: one GPU that runs it is enough.

    A file name does not contain the GPU code, so "no" is only for GPUs that no version of the package supports.
    """
    if isinstance(gpus, Unknown):
        return Unknown(f"the GPU here is not known: {gpus.why}")
    return wheel_parts.of_gpus(lambda gpu: _of_gpu(wheel, gpu), gpus)


def _of_gpu(wheel: CommunityWheel, gpu: str) -> Judgement:
    if wheel.package != FLASH_ATTN:
        return flash_attention.package_runs_on(wheel.package.replace("_", "-"), gpu)
    row = flash_attention.release(wheel.release)
    if isinstance(row, Unknown):  # "2.7.4", which PyPI never had
        row = flash_attention.latest()
        if numbers(gpu) >= (10, 0):
            return Unknown(f"its GPU code is not known, your GPU is {gpu}")
    code = tuple(f"sm_{arch}" for arch in row.archs if numbers(wheel.cuda) >= _NVCC_FROM.get(arch, (0, 0)))
    return flash_attention.runs_on(row.release, gpu, code=code, cuda=wheel.cuda)


_NVCC_FROM = {"90": (11, 8), "100": (12, 8), "120": (12, 8)}  # the first CUDA whose compiler knows the architecture
