"""Find the nearest version of torch that has an official flash-attn wheel, and the packages that a change to it would break."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from attn_doctor.knowledge import finder, pytorch, wheels
from attn_doctor.knowledge.rows import TorchBuild
from attn_doctor.knowledge.torch_choice import Machine, fitting_builds
from attn_doctor.knowledge.wheel_key import Key
from attn_doctor.knowledge.wheels import Wheel
from attn_doctor.knowledge.yes_no_unknown import Answer, no
from attn_doctor.model.facts import OsName, Record, Unknown
from attn_doctor.model.versions import pair


class Nearest(Record, frozen=True, kw_only=True):
    """Describe a torch to change to, and the wheel that fits it."""

    torch: str  # "2.8.0"
    cuda: str  # "12.8"
    flavour: str  # "cu128"
    pypi: bool  # PyPI has this build; False: it is on PyTorch's own index
    torchvision: str | Unknown  # the release that belongs to it: "0.23.0"
    wheel: Wheel
    breaks: tuple[str, ...]  # the packages that have to change too, in words: "numpy 2.1 must become older than 2"


def nearest_torch(
    key: Key,
    *,
    driver: str | None = None,
    os: OsName = "linux",
    torchvision: str | None = None,
    numpy: str | None = None,
    xformers: str | None = None,
) -> Nearest | Answer | Unknown:
    """Return the nearest torch to the installed one that has an official flash-attn wheel and can run on this machine.

    Python, platform, glibc, GPU and driver must allow it. If there is none: an Answer "no" with the reason. Unknown if
    the Python or the platform is not known. If the installed torch is not known, the newest counts as the nearest.
    `driver`: its version, "550.54.14"; None: not known, so it excludes nothing. `os`: the system of the driver, under
    WSL "windows". `torchvision`, `numpy` and `xformers`: installed versions, for `breaks`; None: not installed, or not
    known.
    """
    if isinstance(key.python, Unknown):
        return key.python
    if isinstance(key.platform, Unknown):
        return key.platform
    have = pair(key.torch) if isinstance(key.torch, str) else None
    best: tuple[tuple[int, bool, bool, int], TorchBuild, Wheel] | None = None
    order = {release: place for place, release in enumerate(wheels.releases())}
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


@functools.lru_cache(maxsize=32)  # several failure modes ask for the same machine, and a search needs 0.1 s
def _pairs(key: Key, driver: str | None, os: OsName) -> tuple[tuple[Wheel, TorchBuild], ...]:
    """Return each wheel with each torch build for which it was made, if this machine can run both."""
    platform = str(key.platform)
    machine = Machine(
        os="windows" if platform.startswith("win") else "darwin" if platform.startswith("macos") else "linux",
        machine=next((name for name in ("aarch64", "arm64") if platform.endswith(name)), "x86_64"),
        maker="nvidia",
        capabilities=key.gpus if isinstance(key.gpus, tuple) else (),
        driver=driver,
        driver_os=os,
        python=key.python if isinstance(key.python, str) else None,
        glibc=key.glibc if isinstance(key.glibc, str) else None,
    )
    found = []
    for build in fitting_builds(machine):
        if not build.verified or build.platform != platform:
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
        yield f"xformers {xformers} must become a release for torch {torch}"
