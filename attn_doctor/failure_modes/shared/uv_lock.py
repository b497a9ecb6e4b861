"""Report a uv.lock that contains a package without a wheel for this system, and make the fix. Pure.

On an index of PyTorch a version without a local part ("2.5.1", not "2.5.1+cu124") is for another platform: Linux on ARM, or macOS. uv
locked such a version for the systems of the project, and finds no wheel for this system.
https://docs.astral.sh/uv/guides/integration/pytorch/, https://github.com/astral-sh/uv/issues/10693
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign, Variant
from attn_doctor.failure_modes.shared import intel_mac
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

# python-too-new-no-wheel has a sign for the same line. It reports the line only if `told` returns None.
SIGNS = (
    Sign(
        pattern=r"Distribution `(?P<locked>[\w.-]+)==(?P<version>[\w.+!]+) @ registry\+(?P<index>[^`]{1,200})` can't be installed because it doesn't "
        r"have a source distribution or wheel for the current platform",
        literal="source distribution or wheel for the current platform",
        sample="error: Distribution `triton==3.2.0 @ registry+https://pypi.org/simple` can't be installed because it doesn't have a "
        "source distribution or wheel for the current platform",
        strength="hint",
    ),
    Sign(
        pattern=r"You're on (?P<system>[^,]{1,60}), but `(?P<locked>[\w.-]+)` \(v(?P<version>[\w.+!]+)\) only has wheels for the following platforms?: "
        r"(?P<platforms>[^;]{1,300})",
        literal="only has wheels for the following platform",
        sample="hint: You're on Windows (`win_amd64`), but `torch` (v2.6.0) only has wheels for the following platform: `linux_aarch64`",
        strength="hint",
    ),
)
_INDEX = re.compile(r"https://download\.pytorch\.org/whl/(?P<flavour>\w[\w.]*)/?$")


_INTEL_MAC = re.compile(r"macosx_\d+_\d+_x86_64")


class Locked(Variant, frozen=True, kw_only=True):
    """Hold the package in uv.lock that has no wheel for this system."""

    package: str  # "torch"
    version: str  # "2.5.1"
    index: str | None  # PyTorch's index from which it came; None: another index
    platforms: str | None  # the platforms of its wheels, as uv prints them; None: not printed
    intel_mac: bool = False  # this system is a Mac with an Intel processor


def told(matches: tuple[Match, ...]) -> Locked | None:
    """Return the locked package in uv's lines; None if they do not show that the platform is the cause (it may be the Python)."""
    groups: dict[str, str] = {}
    for match in matches:
        groups = {**{name: text for name, text in match.groups.items() if text}, **groups}
    if "locked" not in groups:
        return None
    index = groups.get("index", "")
    of_another = _INDEX.match(index) is not None and "+" not in groups["version"]
    if "platforms" not in groups and not of_another:
        return None
    return Locked(
        package=groups["locked"],
        version=groups["version"],
        index=index if _INDEX.match(index) else None,
        platforms=groups.get("platforms"),
        intel_mac=_INTEL_MAC.search(groups.get("system", "")) is not None,
    )


def sentence(locked: Locked) -> str:
    """Return the message: which package uv.lock contains, and for which systems it has wheels."""
    name = f"{locked.package} {locked.version}"
    if locked.intel_mac and locked.package in intel_mac.LAST:
        last = f"{locked.package} {intel_mac.LAST[locked.package]}"
        return f"uv.lock contains {name}, which has no wheel for a Mac with an Intel processor (macosx x86_64): {last} was the last that had one."
    if locked.platforms is not None:
        only = locked.platforms.replace("`", "").strip().rstrip(".")
        return f"uv.lock contains {name}, which has wheels only for {only}: the lock was not made for this system."
    return f"uv.lock contains {name} from {locked.index}: without a local part (+cu124) this version is for another system, ARM or macOS."


def fixes(facts: Facts, locked: Locked) -> tuple[Fix, ...]:
    """Return the fix for a locked package without a wheel for this system.

    If PyTorch's index is known: name it for this system in pyproject.toml, and lock again. Else: require a version that
    has a wheel. On a Mac with an Intel processor: the last torch for it, or conda-forge's.
    """
    name, verify = locked.package, commands.check(facts)
    if locked.intel_mac and name in intel_mac.LAST:
        return _on_an_intel_mac(facts)
    found = _INDEX.match(locked.index or "")
    again = commands.by_hand(
        ("uv", "lock", "--upgrade-package", name),
        f"chooses {name} again, for the systems that pyproject.toml names",
        "uv.lock",
    )
    sync = commands.by_hand(("uv", "sync"), "installs the packages of the new uv.lock", "the project's environment")
    if found is None:
        words = (
            f"look which versions of {name} have a wheel for this system (its list of files on https://pypi.org), and require one of these in "
            "pyproject.toml. If pyproject.toml has [tool.uv] environments, the list of systems for uv's lock, this system has to be in it"
        )
        asked = commands.by_hand((), words, "pyproject.toml")
        return (
            Fix(
                title=f"Lock a version of {name} that has a wheel for this system",
                steps=(asked, again, sync),
                verify=verify,
            ),
        )
    label = f"pytorch-{found['flavour']}"
    words = (
        f'in pyproject.toml, under [tool.uv.sources]: {name} = [{{ index = "{label}", marker = "sys_platform == \'win32\' or sys_platform == '
        f'\'linux\'" }}]; and a table [[tool.uv.index]] with name = "{label}", url = "{locked.index}", explicit = true. The marker has to be true '
        "on this system. Write the same line for torchvision. If [tool.uv] environments is set, it has to contain this system"
    )
    source = commands.by_hand((), words, "pyproject.toml")
    title = f"Name the index of {name} for this system, and lock again"
    return (Fix(title=title, steps=(source, again, sync), verify=verify),)


def _on_an_intel_mac(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a Mac with an Intel processor: the last torch of PyTorch, or the newer one that conda-forge builds.

    https://docs.astral.sh/uv/reference/cli/#uv-add, https://anaconda.org/conda-forge/pytorch/files (osx-64)
    """
    verify = commands.check(facts)
    torch = intel_mac.LAST["torch"]
    add = commands.by_hand(
        ("uv", "add", f"torch=={torch}", "numpy<2"),
        f"writes torch {torch} into pyproject.toml, locks and installs it: it has wheels for Python 3.8 to 3.12, and was built for NumPy 1. If uv says that "
        "another package of the project needs a newer torch, that package does not run on this Mac with PyTorch's wheels: see the next fix",
        "pyproject.toml and uv.lock",
    )
    conda = commands.by_hand(
        ("conda", "create", "-n", "torch", "-c", "conda-forge", "python=3.12", "pytorch", "torchvision"),
        "conda-forge builds newer releases of torch for Intel Macs; then install the project there with pip, or use an Apple-silicon Mac or Linux",
        "a new environment",
    )
    return (
        Fix(title=f"Take torch {torch}, the last for Intel Macs", steps=(add,), verify=verify),
        Fix(title="Take the torch of conda-forge", steps=(conda,), verify=verify),
    )
