"""Find the nearest torch that has an official flash-attn wheel, and the packages that the change would break."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from attn_doctor.knowledge import cuda as cuda_rules
from attn_doctor.knowledge import finder, gpu, pytorch, wheels
from attn_doctor.knowledge.rows import TorchBuild
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.wheel_key import Key
from attn_doctor.knowledge.wheels import Wheel
from attn_doctor.knowledge.yes_no_unknown import Answer, Judgement, no
from attn_doctor.model.facts import OsName, Record, Unknown
from attn_doctor.model.versions import pair


class Nearest(Record, frozen=True, kw_only=True):
    """Describe a torch to change to, and the wheel that fits it."""

    torch: str  # "2.8.0"
    cuda: str
    flavour: str  # "cu128"
    pypi: bool  # PyPI gives this build; else it is on PyTorch's own index
    torchvision: str | Unknown
    wheel: Wheel
    breaks: tuple[str, ...]


def nearest_torch(
    key: Key,
    *,
    driver: str | None = None,
    os: OsName = "linux",
    torchvision: str | None = None,
    numpy: str | None = None,
    xformers: str | None = None,
) -> Nearest | Answer | Unknown:
    """Return the torch nearest to the key's own that has an official wheel and that this machine can run.

    Python, platform, glibc, GPU and driver must allow it. An Answer (no, and why) where there is none. `torchvision`,
    `numpy` and `xformers`: installed versions, for `breaks`.
    """
    if isinstance(key.python, Unknown):
        return key.python
    if isinstance(key.platform, Unknown):
        return key.platform
    have = pair(key.torch) if isinstance(key.torch, str) else None
    best: tuple[tuple[int, bool, bool, int], TorchBuild, Wheel] | None = None
    order = {release: place for place, release in enumerate(dict.fromkeys(w.release for w in wheels.official()))}
    for wheel, build in _pairs(key, driver, os):
        minor = pair(build.torch) or (0, 0)
        away = abs(100 * (minor[0] - have[0]) + minor[1] - have[1]) if have else -100 * minor[0] - minor[1]
        rank = (away, not build.pypi, build.cuda != key.cuda, -order[wheel.release])
        if best is None or rank < best[0]:
            best = rank, build, wheel
    if best is None:
        return no(f"no official wheel for Python {key.python} on {key.platform} fits this machine with any torch")
    _, build, wheel = best
    row = pytorch.release(build.torch)
    latest = build.torch if isinstance(row, Unknown) else row.latest
    return Nearest(
        torch=latest,
        cuda=build.cuda,
        flavour=pytorch.flavour(build.cuda),
        pypi=build.pypi,
        torchvision=pytorch.torchvision_for(latest),
        wheel=wheel,
        breaks=tuple(_breaks(latest, os, torchvision, numpy, xformers)),
    )


@functools.lru_cache(maxsize=32)  # several failure modes ask for one machine, and it takes a tenth of a second
def _pairs(key: Key, driver: str | None, os: OsName) -> tuple[tuple[Wheel, TorchBuild], ...]:
    """Return the wheels with the torch builds that they fit, where this machine can run both."""
    found = []
    for build in load(TorchBuild):
        if not build.verified or build.platform != key.platform or not _machine_takes(build, key, driver, os):
            continue
        abi = pytorch.cxx11_abi(f"{build.torch}+{pytorch.flavour(build.cuda)}", platform=build.platform)
        if isinstance(abi, Unknown):
            continue
        here = Key(
            python=key.python,
            torch=build.torch,
            cuda=build.cuda,
            cxx11_abi=abi.yes,
            platform=key.platform,
            glibc=key.glibc,
            gpus=key.gpus,
        )
        for wheel in wheels.official():
            fair = wheel.really is wheel.cxx11_abi and not wheel.nightly
            if fair and wheel.torch == build.torch and finder.judge(wheel, here)[0] is not False:
                found.append((wheel, build))
    return tuple(found)


def _machine_takes(build: TorchBuild, key: Key, driver: str | None, os: OsName) -> bool:
    parts: list[Judgement] = []
    if isinstance(key.python, str):
        parts.append(pytorch.supports_python(build.torch, key.python))
    if driver is not None:
        parts.append(cuda_rules.driver_covers(driver, build.cuda, os))
    if isinstance(key.gpus, tuple) and key.gpus:
        runs = [gpu.runs(build.archs, device, cuda=build.cuda) for device in key.gpus]
        parts.append(next((run for run in runs if isinstance(run, Answer) and run.yes), runs[0]))
    return all(isinstance(part, Answer) and part.yes for part in parts)


def _breaks(torch: str, os: OsName, torchvision: str | None, numpy: str | None, xformers: str | None) -> Iterator[str]:
    if torchvision is not None:
        fits = pytorch.torchvision_fits(torch, torchvision)
        needed = pytorch.torchvision_for(torch)
        if isinstance(fits, Answer) and not fits.yes and isinstance(needed, str):
            yield f"torchvision {torchvision} must become {needed}"
    if numpy is not None:
        fits = pytorch.numpy(torch, numpy, os)
        if isinstance(fits, Answer) and not fits.yes:
            yield f"numpy {numpy} must become older than 2"
    if xformers is not None:
        yield f"xformers {xformers} must become one that takes torch {torch}"
