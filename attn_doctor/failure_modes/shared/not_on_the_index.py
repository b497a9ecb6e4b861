"""Judge a name that the index does not have at all: a folder that was typed as a name, or a package without a wheel for this processor. Pure.

https://pip.pypa.io/en/stable/cli/pip_install/#argument-handling: an argument is a folder only if it has a separator or begins with a dot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, checkout, subject
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix
from attn_doctor.model.steps import Step, name_of

_FOLDERS = (
    "submodules",
    "third_party",
    "thirdparty",
    "third-party",
    "3rdparty",
    "external",
    "extensions",
    "libs",
    "kernels",
)
# A prompt in a folder of sources, or the command that went there.
SIGNS = tuple(
    Sign(
        pattern=rf"(?:[/\\]|\bcd (?:\S{{0,200}}[/\\])?)(?P<inside>{folder})[/\\]?(?:\s?[$#>%]|\s*$| ?&&| ?;)",
        literal=folder,
        sample=f"user@host:~/splat/{folder}$ pip install simple-knn",
        strength="context",
    )
    for folder in _FOLDERS
)


class Folder(Variant, frozen=True, kw_only=True):
    """Hold the names that were typed in a folder of sources, "simple-knn", and that folder, "submodules"."""

    names: tuple[str, ...]
    inside: str


class OnArm(Variant, frozen=True, kw_only=True):
    """Hold a package of which the index has no wheel for an ARM processor, "spconv-cu114"."""

    name: str


def told(facts: Facts, seen: Seen, ours: Sequence[Match]) -> Hit | None:
    """Return the hit for names that the index lacks altogether, if the log shows why; None for other logs.

    `ours`: the lines in which pip says that it found no version.
    """
    empty = [m for m in ours if m.groups.get("versions", "").startswith("none")]
    names = tuple(dict.fromkeys(m.groups["requirement"].rstrip(".,") for m in empty))
    if not names or any(re.search(r"[<>=~]", name) for name in names):
        return None
    inside = seen.group("inside")
    if inside is not None:
        typed = subject.installed_by_command(facts)
        others = tuple(word for word in typed if re.fullmatch(r"[\w.-]+", word) and word not in names)
        return Hit(
            message=f"pip looked for {names[0]} on the index, because a bare name is never a folder for it. The command ran in the folder {inside} of a project: "
            "most likely the folder of that name was meant.",
            evidence=building.lines(empty),
            variant=Folder(names=(*names, *(others if set(typed) & set(names) else ())), inside=inside),
        )
    name = name_of(names[0]) or names[0]
    row = built_packages.row_of(name)
    if arm(facts) and not name.startswith(subject.FLASH_ATTN) and (row is None or row.get is None):
        return Hit(
            message=f"The index has no {names[0]} for the ARM processor (aarch64) of this machine, or for this Python: it has to be built from its sources.",
            evidence=building.lines(empty),
            variant=OnArm(name=name),
            confidence=Confidence.MEDIUM,
        )
    return None


def arm(facts: Facts) -> bool:
    """Return whether this is a Linux on an ARM processor, such as a Jetson: many packages have no wheels for it."""
    return places.jetson(facts) or (facts.system.os == "linux" and facts.system.machine in ("aarch64", "arm64"))


def of_folder(facts: Facts, found: Folder) -> Fix:
    """Return the fix for folders that were typed as names: a path makes them folders."""
    windows = facts.system.os == "windows"
    filled = commands.by_hand(
        ("git", "submodule", "update", "--init", "--recursive"),
        "fills the folders, if they are empty; a folder from GitHub's 'Download ZIP' stays empty: clone the project instead",
        "the folders of the submodules",
    )
    paths = [f".\\{name}" if windows else f"./{name}" for name in found.names]
    steps: list[Step] = [
        checkout.install(
            facts,
            checkout.Checkout(path, editable=False),
            f"the folder in {found.inside}: the dot and the slash make it a path. Its build sees the torch of this environment",
            "minutes",
        )
        for path in paths
    ]
    return Fix(title="Install the folder, by its path", steps=(filled, *steps), verify=commands.check(facts))


def or_a_folder(facts: Facts, name: str) -> Fix:
    """Return the fix that installs a folder by its path, if `name` is a folder of the user.

    The log does not show whether it is one.
    """
    windows = facts.system.os == "windows"
    where = checkout.Checkout(f".\\{name}" if windows else f"./{name}", editable=False)
    words = f"if {name} is a folder of a repository that you have (a submodule): in the folder above it. A bare name is looked up on the index"
    step = checkout.install(facts, where, words, "minutes")
    return Fix(title=f"If {name} is a folder: install it by its path", steps=(step,), verify=commands.check(facts))


def on_arm(facts: Facts, name: str) -> Fix:
    """Return the fix for a package without a wheel for ARM: build it from its repository."""
    plain = re.sub(r"-(?:cu\d+|gpu|cuda\d*)$", "", name)
    verify = building.verify(facts)
    if plain in ("spconv", "cumm"):
        return Fix(title=f"Build {plain} from source, for this board", steps=_spconv(facts, plain), verify=verify)
    words = (
        f"https://pypi.org/project/{plain}/ names its repository (Homepage, Source): if there is a release for aarch64, its files are listed there too. On a Jetson "
        "with JetPack 6 look at https://pypi.jetson-ai-lab.io first, which has wheels of many packages for it"
    )
    look = commands.by_hand((), words, "nothing", "none")
    build = commands.by_hand(
        (*commands.starting(facts), "-m", "pip", "install", "--no-build-isolation", f"./{plain}"),
        f"after `git clone --recursive` of that repository, in the folder above it: builds {plain} against the packages that are installed. It takes a C++ "
        "compiler, and nvcc where it has CUDA code",
        f"adds {plain}",
        takes="minutes to an hour",
    )
    return Fix(title=f"Build {plain} from source, for this processor", steps=(look, build), verify=verify)


def _spconv(facts: Facts, plain: str) -> tuple[Step, ...]:
    """Return the steps that build cumm and spconv, whose wheels are for x86-64 only.

    https://github.com/traveller59/spconv#build-from-source, https://github.com/traveller59/spconv/issues/760 (a Jetson Orin)
    """
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    device = next((g.compute_capability for g in gpus if isinstance(g.compute_capability, str)), None)
    why = "the GPU that it is compiled for: 8.7 is the Orin, 7.2 the Xavier"
    steps: list[Step] = [
        commands.uninstall("cumm", "spconv", why="a copy that is left over would be used"),
        commands.install(
            "pccm",
            "ccimport",
            "pybind11",
            "ninja",
            "setuptools",
            "wheel",
            why="the builds import them",
            changes="build tools",
        ),
        commands.variable("CUMM_CUDA_ARCH_LIST", device or "8.7", why),
        commands.variable("CUMM_DISABLE_JIT", "1", "compiles when it is installed, and not at the first use"),
        commands.variable("SPCONV_DISABLE_JIT", "1", "the same for spconv"),
    ]
    for name, address in (("cumm", "FindDefinition/cumm"), ("spconv", "traveller59/spconv"))[
        : 1 if plain == "cumm" else 2
    ]:
        steps.append(
            commands.install(
                f"git+https://github.com/{address}.git",
                why=f"{name} from source, with the nvcc of this board; spconv needs a release of cumm that fits it (its pyproject.toml names it)",
                changes=f"adds {name}",
                no_build_isolation=True,
                takes="up to an hour",
            )
        )
    return tuple(steps)
