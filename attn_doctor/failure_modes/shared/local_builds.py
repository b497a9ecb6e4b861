"""Judge pip's "could not find torch==2.3.1+cu121 (from versions: ..., 2.3.1, ...)": the release exists, and that build is on PyTorch's own index. Pure.

PyPI takes no version with a local part: https://packaging.python.org/en/latest/specifications/version-specifiers/#local-version-identifiers
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.knowledge import torch_choice
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

_BUILD = re.compile(
    r"(?P<name>torch|torchvision|torchaudio)==(?P<version>\d[\d.]*)\+(?P<flavour>cu\d{2,3}|cpu|xpu|rocm[\d.]+)"
)


# Poetry writes the version in brackets: "depends on torch (2.5.1+cu124) which doesn't match any versions".
_OF_POETRY = re.compile(
    r"(?P<name>torch|torchvision|torchaudio) \([\^~=]{0,2}(?P<version>\d[\d.]*)\+(?P<flavour>cu\d{2,3}|cpu|xpu|rocm[\d.]+)\)"
)


class OnPyTorchsIndex(Variant, frozen=True, kw_only=True):
    """Hold the build that pip did not find, "torch==2.3.1+cu121", and the name of its index, "cu121"."""

    build: str
    flavour: str
    poetry: bool = False  # Poetry searched: it reads no index but those that the project names


def of_poetry(seen: Seen) -> Hit | None:
    """Return the hit for a build of torch ("2.5.1+cu124") that Poetry did not find; None for other logs."""
    for match in seen.matches:
        found = _OF_POETRY.match(match.groups.get("requirement", ""))
        if found is not None:
            build = f"{found['name']}=={found['version']}+{found['flavour']}"
            return Hit(
                message=f"Poetry found no {build} on the indexes that the project names: builds with +{found['flavour']} are only on PyTorch's own index.",
                evidence=building.lines([match]),
                variant=OnPyTorchsIndex(build=build, flavour=found["flavour"], poetry=True),
                severity=Severity.ERROR,
                explains=("environment-pollution",),
            )
    return None


def told(ours: Sequence[Match]) -> Hit | None:
    """Return the hit for a build, "torch==2.3.1+cu121", of which pip lists the release 2.3.1 alone; None if pip does not list the release.

    `ours`: the lines in which pip says that it found no version.
    """
    for match in ours:
        found = _BUILD.match(match.groups.get("requirement", ""))
        listed = re.split(r",\s*", match.groups.get("versions", ""))
        if found is not None and found["version"] in listed:
            return Hit(
                message=f"{found[0]} is not on the index that pip asked: it has {found['version']} without +{found['flavour']}. Such builds are only on PyTorch's own index.",
                evidence=building.lines([match]),
                variant=OnPyTorchsIndex(build=found[0], flavour=found["flavour"]),
                severity=Severity.ERROR,
            )
    return None


class NotForMac(Variant, frozen=True, kw_only=True):
    """Hold the builds that were asked for on a Mac, "torch==2.4.0+cu121"."""

    builds: tuple[str, ...]


def of_mac(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a torch with an ending, "+cu121", on a Mac, for which no wheel has one; else None.

    uv has to say it, or pip of a build with "+cpu".
    """
    if facts.system.os != "darwin":
        return None
    told = [m for m in seen.matches if (found := _BUILD.match(m.groups.get("requirement", ""))) and _counts(m, found)]
    if not told:
        return None
    builds = tuple(dict.fromkeys(m.groups["requirement"].rstrip(".,") for m in told))
    ending = builds[0].partition("+")[2]
    return Hit(
        message=f"There is no {builds[0]} for macOS: PyTorch's wheels for Macs have no +{ending}, and one build computes on the CPU and on Apple's GPU.",
        evidence=building.lines(told),
        variant=NotForMac(builds=builds),
        severity=Severity.ERROR,
    )


def _counts(match: Match, found: re.Match[str]) -> bool:
    """Return whether uv says it, or pip of a build for the CPU. index_of_another_system.py has pip's other lines."""
    return match.strength == "proof" or found["flavour"] == "cpu"


def for_mac(facts: Facts, found: NotForMac) -> tuple[Fix, ...]:
    """Return the fixes: the same release without the ending, and a project file that names the build for the other systems alone.

    https://docs.astral.sh/uv/guides/integration/pytorch/, https://github.com/astral-sh/uv/issues/9036
    """
    plain = tuple(text.partition("+")[0] for text in found.builds)
    step = commands.install(
        *plain,
        why="the same release from the default index, which has the wheels for macOS",
        changes=" and ".join(plain),
    )
    build = found.builds[0]
    name, _, ending = build.partition("+")
    words = (
        f'if a file of the project asks for it: write "{build} ; sys_platform != \'darwin\'" and "{name} ; sys_platform == \'darwin\'" in place of "{build}". In pyproject.toml give the index of '
        f"+{ending} under [tool.uv.sources] marker = \"sys_platform != 'darwin'\" too; then repeat the command"
    )
    line = commands.by_hand((), words, "the file of the project", "none")
    return (Fix(title="Leave the ending out on a Mac", steps=(step, line), verify=commands.check(facts)),)


def fixes(facts: Facts, found: OnPyTorchsIndex) -> tuple[Fix, ...]:
    """Return the fix that installs the build from PyTorch's index.

    Its second step says what to write into the list of requirements. For Poetry: what to write into pyproject.toml for
    a Mac.
    """
    release = found.build.partition("==")[2].partition("+")[0]
    asked = torch_choice.same(release, "torchvision", "torchaudio") if found.build.startswith("torch==") else ()
    index = torch_choice.index_of(found.flavour)
    names = [found.build, *(text for text in asked if not text.startswith("torch=="))]
    step = commands.install(*names, index_url=index, why=f"PyTorch's index of the builds with +{found.flavour}" + ("" if found.poetry else "; then repeat your command: pip finds torch installed"), changes="torch")  # fmt: skip
    if found.poetry:
        mac = commands.by_hand(
            (),
            "if it has to install on a Mac too: write the version without its + part there, as a second entry of the list of this package with "
            "markers = \"sys_platform == 'darwin'\": no build for macOS has such a part",
            "pyproject.toml",
            "none",
        )
        return (Fix(title="Name PyTorch's index in the project", steps=(step, mac), verify=commands.check(facts)),)
    line = commands.by_hand(
        (),
        f"or write `--extra-index-url {index}` as the first line of requirements.txt; in an environment.yml as the first line below `- pip:`",
        "your list of packages",
        "none",
    )
    return (Fix(title="Take that torch from PyTorch's index", steps=(step, line), verify=commands.check(facts)),)
