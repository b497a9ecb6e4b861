"""The requested version does not exist under that name on that index.

What it is
    The index answered. It has the package, but not this version. Or a downloaded file contains another package name
    than the file name says.

How it shows
    "ERROR: Could not find a version that satisfies the requirement flash-attn==9.9.9 (from versions: 0.2.0, ...)", "ERROR: No matching
    distribution found for flash-attn==9.9.9"; uv: "Because there is no version of flash-attn==9.9.9"; conda:
    "PackagesNotFoundError"; "has inconsistent name: expected 'flashattn-hopper'".

Why it happens
    The version was never published, or only as a wheel on GitHub (2.8.3+cu12torch2.8...). Or `--only-binary :all:` is
    set, and PyPI has flash-attn only as source. Or the index is not PyPI. Or the package has another name (of
    flash-attn-3 PyPI has only an empty release, which was withdrawn). Or a folder of a repository was typed as a bare
    name, which pip always looks up on the index. Or there are no wheels for an ARM processor (Jetson), and no sources.

    Beware: pip prints the same words after every network failure. If there is a "Retrying" or SSL warning above them,
    that is the cause.

What to do
    Install a version from the list in the error, or install the wheel by its address. A folder is installed by its path
    (`./simple-knn`). A package without a wheel for the processor is built from its repository.

How to reproduce
    `attn-doctor reproduce no-matching-distribution` asks pip for a release of flash-attn that never existed. It
    downloads 1 MB.

References
    https://pypi.org/project/flash-attn/#history
    https://pip.pypa.io/en/stable/cli/pip_install/#argument-handling
    https://github.com/traveller59/spconv/issues/698 (no wheel for a Jetson)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import PIP, Recipe
from attn_doctor.failure_modes.shared import (
    asked_by_another,
    building,
    checkout,
    index_of_another_system,
    local_builds,
    not_on_the_index,
    one_index,
    package_cures,
    package_wheels,
    packages_for_gpus,
    subject,
    torch_steps,
    uv_index,
    wheel_without_compiling,
)
from attn_doctor.failure_modes.shared.subject import FLASH_ATTN
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.steps import Step, name_of
from attn_doctor.model.versions import parse

# Packages that are published only as wheels: for them "from versions: none" means none for this Python or platform, see python-too-new-no-wheel.
BINARY = re.compile(
    r"^(?:torch|torchvision|torchaudio|numpy|scipy|xformers|triton|ultralytics|opencv-[\w-]+|nvidia-[\w-]+)(?![\w-])",
    re.IGNORECASE,
)

MODE = FailureMode(
    code="AD204",
    slug="no-matching-distribution",
    title="There is no such version",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED, "environment-pollution"),
    signs=(
        Sign(
            pattern=r"Could not find a version that satisfies the requirement (?P<requirement>[^\s(;]{1,120}).{0,200}"
            r"\(from versions: (?P<versions>[^)]{0,4000})",
            literal="Could not find a version that satisfies",
            sample="ERROR: Could not find a version that satisfies the requirement flash-attn==9.9.9 (from versions: 0.2.0, 0.2.1)",
            strength="hint",
        ),
        Sign(
            pattern=r"No matching distribution found for (?P<requirement>[^\s(;]{1,120})",
            literal="No matching distribution found for ",
            sample="ERROR: No matching distribution found for flash-attn==9.9.9",
            strength="hint",
        ),
        Sign(
            pattern=r"[Bb]ecause there (?:is|are) no versions? of (?P<requirement>[^\s(;]{1,120})",
            literal="ecause there ",
            sample="  ╰─▶ Because there is no version of flash-attn==9.9.9 and you require flash-attn==9.9.9, we can conclude",
        ),
        Sign(
            pattern=r"[Bb]ecause (?P<requirement>[\w.-]{1,60}) was not found in the (?:package registry|provided package locations)",
            literal=" was not found in the ",
            sample="  ╰─▶ Because flash-attn-3 was not found in the package registry and you require flash-attn-3, we can conclude",
        ),
        Sign(
            pattern=r"has inconsistent name: expected '(?P<requirement>[^']{1,60})'",
            literal="has inconsistent name",
            sample="Discarding file:///build: Requested flash-attn from file:///build has inconsistent name: expected 'flashattn-hopper'",
        ),
        *one_index.SIGNS,
        *not_on_the_index.SIGNS,
        *index_of_another_system.SIGNS,
        *(
            Sign(
                pattern=rf"^- (?P<of_conda>(?:{names})(?:[=<>][=<>\w.*]{{1,80}})?)$",
                literal=literal,
                sample=sample,
                strength="context",
            )
            for names, literal, sample in (
                ("pytorch-cuda|pytorch", "- pytorch", "- pytorch-cuda=12.4"),
                ("torchvision|torchaudio", "- torch", "- torchvision==0.16.0"),
                ("cudatoolkit|cuda-toolkit|cuda-nvcc", "- cuda", "- cudatoolkit=11.8"),
                ("xformers", "- xformers", "- xformers"),
                ("faiss-gpu", "- faiss-gpu", "- faiss-gpu=1.8"),
            )
        ),
        Sign(
            pattern=r"PackagesNotFoundError|ResolvePackageNotFound",
            literal="NotFound",
            sample="PackagesNotFoundError: The following packages are not available from current channels:",
        ),
        Sign(
            pattern=r"[Bb]ecause (?P<requirement>[\w.-]{1,60})==\S{1,40} was yanked .{0,80}and only ",
            literal=" was yanked ",
            sample="Because flash-attn-3==0.0.0 was yanked (reason: Empty release) and only flash-attn-3==0.0.0 is available, we can",
        ),
        Sign(
            pattern=r"depends on (?P<requirement>[\w.-]{1,60} \([^)]{1,60}\)) which doesn't match any versions",
            literal="which doesn't match any versions",
            sample="Because app depends on flash-attn (9.9.9) which doesn't match any versions, version solving failed.",
        ),
    ),
    recipe=Recipe(
        does="asks pip for a release of flash-attn that never existed",
        run=((*PIP, "download", "--no-deps", "flash-attn==9.9.9"),),
        shows="No matching distribution found",
        downloads=1,
        seconds=8,
    ),
)
# There is no `detect`: only the index knows its versions.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if (mac := local_builds.of_mac(facts, seen)) is not None:
        return mac
    if (other := uv_index.told(seen)) is not None:
        return other
    if (of_poetry := local_builds.of_poetry(seen)) is not None:
        return of_poetry
    if index_of_another_system.told(facts, seen, [m for m in seen.matches if m.groups.get("requirement")]) is not None:
        return None  # python-too-new-no-wheel reports it
    special = _special(facts, seen)
    if special is not None:
        return special
    proofs = tuple(m for m in seen.matches if m.strength == "proof" and not _of_python(m))
    if proofs:
        wanted = next((m.groups["requirement"] for m in proofs if m.groups.get("requirement")), None)
        return Hit(
            message=f"The index or folder that was searched has no {wanted}." if wanted else MODE.title + ".",
            evidence=building.lines(proofs),
            variant=_asked(wanted),
        )
    elsewhere = any(other_index(m) for m in seen.matches)
    ours = tuple(
        m for m in seen.matches if m.strength == "hint" and (elsewhere or not _of_python(m)) and not _refused(seen, m)
    )
    if not ours:
        return None
    if (brought := asked_by_another.told(ours)) is not None:
        return brought
    if (build := local_builds.told(ours)) is not None:
        return build
    if (for_gpus := packages_for_gpus.told(facts, ours)) is not None:
        return for_gpus
    if (unknown := not_on_the_index.told(facts, seen, ours)) is not None:
        return unknown
    wanted = ours[0].groups["requirement"].rstrip(".,")
    empty = any(m.groups.get("versions", "").startswith("none") for m in ours)
    listed = any(m.groups.get("versions") for m in ours) and not empty
    if empty:
        message = f"The index has nothing called {wanted} that this pip can install. Check the index, and whether --only-binary is set."
    else:
        message = f"There is no {wanted} on the index."
    return Hit(
        message=message,
        evidence=building.lines(ours),
        variant=_asked(wanted, seen.group("versions") or ""),
        confidence=Confidence.HIGH if listed else Confidence.MEDIUM,
    )


class Backslash(Variant, frozen=True, kw_only=True):
    """Hold a folder that was typed with a backslash in a POSIX shell, which removed it: "submodules/simple-knn"."""

    folder: str


class OnlyTorch(Variant, frozen=True, kw_only=True):
    """Hold PyTorch's index, which pip asked alone for a package that only PyPI has, and the typed command without that index."""

    index: str  # "https://download.pytorch.org/whl/cu124"
    command: str  # "pip install ultralytics"


class OfConda(Variant, frozen=True, kw_only=True):
    """Hold the packages that no channel of the command has."""

    names: tuple[str, ...]


def _special(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a requirement that exists, and was asked for in the wrong way or the wrong place; None otherwise."""
    lines = building.lines([m for m in seen.matches if m.strength != "context"])
    wanted = one_index.wanted(seen)
    command = facts.subject.command if isinstance(facts.subject.command, str) else ""
    typed = next((word for word in command.split() if "\\" in word and word.replace("\\", "") == wanted), None)
    if typed is not None:
        folder = typed.replace("\\", "/")
        message = f"The shell removed the backslash of {typed}, so pip looked for a package of that name on the index: a path has a slash here."
        return Hit(message=message, evidence=lines, variant=Backslash(folder=folder))
    only = one_index.asked_alone(facts, seen)
    if only is not None:
        name = re.split(r"[<>=!~\[(]", wanted)[0]
        message = f"{name} is not on {only}, and no other index was asked: that index has torch and what torch needs, and little else."
        return Hit(message=message, evidence=lines, variant=OnlyTorch(index=only, command=one_index.without(command)))
    conda = tuple(m.groups["of_conda"] for m in seen.matches if m.groups.get("of_conda"))
    if conda and any("NotFound" in m.text for m in seen.matches):
        message = f"None of the channels that conda searched has {', '.join(dict.fromkeys(conda))}."
        return Hit(message=message, evidence=lines, variant=OfConda(names=tuple(dict.fromkeys(conda))))
    return None


def other_index(match: Match) -> bool:
    """Return whether a build of a release was requested, "2.3.1+cu121", and the index has the release, "2.3.1".

    If so, the version of Python is not the cause.
    """
    version, _, part = match.groups.get("requirement", "").partition("==")[2].partition("+")
    return bool(part) and version in re.split(r",\s*", match.groups.get("versions", ""))


def _of_python(match: Match) -> bool:
    return bool(BINARY.match(match.groups.get("requirement", "")))


def _refused(seen: Seen, match: Match) -> bool:
    """Return whether the log shows that the version exists for other Pythons."""
    return any(
        m.file == match.file and "require a different python" in m.text for log in seen.logs for m in log.matches
    )


class Asked(Variant, frozen=True, kw_only=True):
    """Hold the requested package, and the newest version in the list that pip printed. None: the log does not show it."""

    package: str | None
    newest: str | None = None
    unknown: bool = False  # the index has no file of that name for this pip


def _asked(wanted: str | None, versions: str = "") -> Asked:
    name = name_of(re.sub(r"\s*\(.*", "", wanted)) if wanted else None
    listed = [v for v in map(parse, re.split(r",\s*", versions)) if v is not None and not v.is_prerelease]
    return Asked(package=name, newest=str(max(listed)) if listed else None, unknown=versions.startswith("none"))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, uv_index.OnAnotherIndex):
        return uv_index.fixes(facts, hit.variant)
    if isinstance(hit.variant, asked_by_another.ByAnother):
        return asked_by_another.fixes(facts, hit.variant)
    if isinstance(hit.variant, local_builds.NotForMac):
        return local_builds.for_mac(facts, hit.variant)
    if isinstance(hit.variant, local_builds.OnPyTorchsIndex):
        return local_builds.fixes(facts, hit.variant)
    if isinstance(hit.variant, packages_for_gpus.ForGpus):
        return packages_for_gpus.fixes(facts, hit.variant)
    if isinstance(hit.variant, not_on_the_index.Folder):
        return (not_on_the_index.of_folder(facts, hit.variant),)
    if isinstance(hit.variant, not_on_the_index.OnArm):
        return (not_on_the_index.on_arm(facts, hit.variant.name),)
    if isinstance(hit.variant, Backslash | OnlyTorch | OfConda):
        return _for_special(facts, hit.variant)
    asked = hit.variant if isinstance(hit.variant, Asked) else Asked(package=None)
    name = asked.package
    row = built_packages.row_of(name) if name else None
    if name is not None and row is not None and row.get is not None:
        return (package_cures.from_source(facts, name),)
    if name is None:
        words = "look up the name and the versions under which the package is published, and install one of these"
        return (
            Fix(
                title="Install a version that the package index has",
                steps=(commands.by_hand((), words, "nothing"),),
                verify=commands.check(facts),
            ),
        )
    look = commands.by_hand(
        (), f"see which versions there are: https://pypi.org/project/{name}/#history", "nothing", "none"
    )
    steps: tuple[Step, ...] = (
        look,
        commands.by_hand((), "install one of these versions, or leave the version out", "nothing"),
    )
    if asked.newest is not None:
        why = "the newest version that the index lists"
        steps = (
            look,
            commands.install(
                f"{name}=={asked.newest}",
                why=why,
                changes=f"adds {name}",
                no_build_isolation=row is not None and row.wheels in ("none", "releases"),
            ),
        )
    listed = Fix(title=f"Install a version of {name} that exists", steps=steps, verify=building.verify(facts))
    ready = wheel_without_compiling.fixes(facts) if name == FLASH_ATTN else package_wheels.ready(facts, name)
    folder = (not_on_the_index.or_a_folder(facts, name),) if asked.unknown and row is None else ()
    return (*ready, listed, *folder)


def _for_special(facts: Facts, found: Backslash | OnlyTorch | OfConda) -> tuple[Fix, ...]:
    """Return the fix for a requirement that was asked for in the wrong way or the wrong place."""
    verify = commands.check(facts)
    if isinstance(found, Backslash):
        where = checkout.Checkout(found.folder, editable=False)
        step = checkout.install(facts, where, "the same folder, with a slash", None)
        return (Fix(title="Write the path with a slash", steps=(step,), verify=verify),)
    if isinstance(found, OnlyTorch):
        asked = tuple(text for text in subject.installed_by_command(facts) if name_of(text) in one_index.TORCHS)
        torch = commands.install(
            *(asked or torch_steps.bare()), index_url=found.index, why="torch from that index", changes="torch"
        )
        words = "your command without that index: PyPI has the rest, and torch stays"
        rest = () if asked else (commands.by_hand(tuple(found.command.split()), words, "the packages of that command"),)
        return (Fix(title="Take only torch from that index", steps=(torch, *rest), verify=verify),)
    prefix = facts.interpreter.prefix
    place = ("--prefix", prefix) if isinstance(prefix, str) else ()
    channels = ("-c", "pytorch", "-c", "nvidia", "-c", "conda-forge")
    step = commands.by_hand(
        ("conda", "install", *place, *channels, *found.names),
        "pytorch-cuda and PyTorch's own builds are in the channels pytorch and nvidia, which end with torch 2.5; a newer torch is in conda-forge (pytorch-gpu)",
        "packages of conda",
        takes="up to 3 GB",
    )
    return (Fix(title="Name the channels that have it", steps=(step,), verify=verify),)
