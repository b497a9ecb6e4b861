"""A conda environment file was exported on another operating system, and its builds do not exist on this one.

What it is
    `conda env export` writes every package with its version and its build string, also those that exist on one system only. conda on another
    system finds none of these builds.

How it shows
    "nothing provides requested readline ==8.2 h5eee18b_0", "nothing provides __unix needed by ...", "ld_impl_linux-64", "libgcc-ng" under "Platform: win-64"; "vc",
    "vs2015_runtime", "ucrt", "pywin32" under linux-64; ResolvePackageNotFound with a list of such packages. mamba and the newer conda: "readline ==8.2
    h5eee18b_0 does not exist (perhaps a typo or a missing channel)", "requires __linux, which is missing on the system". pip and uv: no release of nvidia-nccl-cu12 or triton
    on Windows or a Mac. PDM: "No candidate is found for `torch` that matches the environment or hashes".

Why it happens
    The file comes from a machine with Linux and is used on Windows or a Mac, or the reverse. Its last line, `prefix:`, tells the system.

What to do
    Export only the packages that a person asked for (`conda env export --from-history`), or leave the build strings out (`--no-builds`) and delete the
    packages of the other system. Where the file cannot be exported again, take the versions of the packages that the program needs from it. On
    Windows the file of a Linux machine works in WSL.

How to reproduce
    There is no recipe: it needs conda, which attn-doctor does not install.

References
    https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html#exporting-an-environment-file-across-platforms
    https://github.com/ImprintLab/Medical-SAM2/issues/80, https://github.com/mave5/podalize/issues/13 (the words of libmamba)
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, known
from attn_doctor.failure_modes.shared import building, libmamba_words, linux_only_pins, pdm_lock
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Distribution, Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step

System = Literal["linux", "windows", "darwin"]
_LINUX = r"ld_impl_linux-(?:64|aarch64)|_libgcc_mutex|_openmp_mutex|libgcc-ng|libstdcxx-ng|libgfortran-ng|libgomp|__unix|__linux|__glibc"
_WINDOWS = r"vs2015_runtime|vs2013_runtime|vc14_runtime|vc|ucrt|pywin32|pywinpty|win_inet_pton|wincertstore|m2w64-[\w-]+|msys2-[\w-]+|__win"
_MAC = r"appnope|libcxx|llvm-openmp-osx|ld64_osx-\w+|__osx"
_OF: dict[System, str] = {"linux": _LINUX, "windows": _WINDOWS, "darwin": _MAC}
_PLATFORMS: dict[str, System] = {"win": "windows", "osx": "darwin", "linux": "linux"}
# In the list below ResolvePackageNotFound: (a text of the line, a line).
_LISTED = {
    "linux": (
        ("ld_impl_linux", "ld_impl_linux-64==2.38=h1181459_1"),
        ("libgcc", "libgcc-ng==11.2.0=h1234567_1"),
        ("libstdcxx", "libstdcxx-ng==11.2.0=h1234567_1"),
        ("libgomp", "libgomp==11.2.0=h1234567_1"),
        ("_openmp_mutex", "_openmp_mutex==5.1=1_gnu"),
    ),
    "windows": (
        ("_runtime", "vs2015_runtime==14.27.29016=h5e58377_2"),
        ("- vc=", "vc==14.2=h21ff451_1"),
        ("ucrt=", "ucrt==10.0.22621.0=h57928b3_0"),
        ("pywin", "pywin32==305=py39h2bbff1b_0"),
        ("m2w64", "m2w64-gmp==6.1.0=2"),
    ),
    "darwin": (("appnope", "appnope==0.1.2=py38hecd8cb5_1001"), ("libcxx", "libcxx==14.0.6=h9765a3e_0")),
}
_WORDS: dict[System, str] = {"linux": "Linux", "windows": "Windows", "darwin": "macOS"}

MODE = FailureMode(
    code="AD230",
    slug="environment-file-of-another-platform",
    title="The environment file is of another operating system",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("environment-pollution", "no-matching-distribution", "requirements-missing", "python-too-new-no-wheel"),
    signs=(
        # The solver, below "nothing provides", and the list of packages that were not found.
        *(
            Sign(
                pattern=rf"(?:nothing provides (?:requested )?|^\s*- (?:[\w-]+(?:/[\w-]+)?::)?)(?P<{name}>{packages})(?:[ =<>]|$)",
                literal=literal,
                sample=sample,
                strength="hint",
            )
            for name, packages, literal, sample in (
                (
                    "linux",
                    _LINUX,
                    "nothing provides ",
                    "  - nothing provides requested ld_impl_linux-64 ==2.38 h1181459_1",
                ),
                (
                    "windows",
                    _WINDOWS,
                    "nothing provides ",
                    "  - nothing provides requested vs2015_runtime ==14.27.29016 h5e58377_2",
                ),
                (
                    "darwin",
                    _MAC,
                    "nothing provides ",
                    "  - nothing provides requested appnope ==0.1.2 py38hecd8cb5_1001",
                ),
                *(("linux", _LINUX, text, f"  - {line}") for text, line in _LISTED["linux"]),
                *(("windows", _WINDOWS, text, f"  - {line}") for text, line in _LISTED["windows"]),
                *(("darwin", _MAC, text, f"  - {line}") for text, line in _LISTED["darwin"]),
            )
        ),
        *libmamba_words.SIGNS,
        *linux_only_pins.SIGNS,
        *pdm_lock.SIGNS,
        Sign(
            pattern=r"^Platform: (?P<platform>win|osx|linux)-\w+$",
            literal="Platform: ",
            sample="Platform: win-64",
            strength="context",
        ),
        *(
            Sign(
                pattern=rf"https://\S{{1,200}}/(?P<channel>{system})-(?:64|32|arm64|aarch64)\b",
                literal=f"/{system}-",
                sample=f"  - https://repo.anaconda.com/pkgs/main/{system}-64",
                strength="context",
            )
            for system in ("win", "osx", "linux")
        ),
        *(
            Sign(pattern=rf"(?P<unsolved>{words})", literal=words, sample=f"{words}:", strength="context")
            for words in (
                "ResolvePackageNotFound",
                "PackagesNotFoundError",
                "UnsatisfiableError",
                "Could not solve for environment specs",
                "The following packages are incompatible",
                "The following package could not be installed",
            )
        ),
    ),
)


class Foreign(Variant, frozen=True, kw_only=True):
    """Hold the system on which the file was exported, and the system on which it is used (None: not known)."""

    of: System
    on: System | None
    tool: str = "conda"  # the program that solved the file: "mamba", "micromamba"


def detect(facts: Facts) -> Hit | None:
    """Find packages of another system in a list that a file asks for. Only a file: an environment that is installed has no such package."""
    if facts.grade != "stated" or not isinstance(facts.packages.named, tuple):
        return None
    listed = [(at, one) for at, one in enumerate(facts.packages.named) if one.installer == "conda"]
    found = {system: at for at, one in reversed(listed) if (system := _system_of(one)) is not None}
    here = known(facts.system.os) if found else None
    others = [system for system in found if system != here]
    if here is None or not others or here in found:
        return None
    of = others[0]
    return Hit(
        message=f"The environment file is from {_WORDS[of]}: conda on {_WORDS[here]} has no {facts.packages.named[found[of]].name}, and none of its builds.",
        evidence=(
            fact(facts, f"packages.named.{found[of]}", facts.packages.named[found[of]].name),
            fact(facts, "system.os"),
        ),
        variant=Foreign(of=of, on=here),
        certainty=Certainty.PREDICTED,
    )


def _system_of(package: Distribution) -> System | None:
    name = package.name.replace("-", "_")  # the names in facts are normal: "ld-impl-linux-64"
    return next((s for s, names in _OF.items() if re.fullmatch(names.replace("-", "_"), name)), None)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if (pins := linux_only_pins.told(facts, seen)) is not None:
        return pins
    if (locked := pdm_lock.told(seen)) is not None:
        return locked
    if seen.group("unsolved") is None:
        return None
    here = _here(facts, seen)
    lines: dict[System, list[Match]] = {}
    for match in seen.matches:
        for system in _OF:
            if match.groups.get(system) or libmamba_words.system_of(match) == system:
                lines.setdefault(system, []).append(match)
    others = {system: found for system, found in lines.items() if system != here}
    # "__linux is missing on the system" says itself that the system is another one.
    virtual = {system for system in others if any(m.groups.get("virtual") for m in others[system])}
    if not others or (here is None and not virtual):
        return None
    of = (
        max(virtual or others, key=lambda system: len(others[system]))
        if here is None
        else max(others, key=lambda system: len(others[system]))
    )
    packages = [m.groups.get(of) or m.groups["absent"] for m in others[of]]
    where = [m for m in seen.matches if m.groups.get("platform") or m.groups.get("channel")][:1]
    if len(packages) < 2 and not packages[0].startswith("__"):  # one package that is old may be missing on any system
        return None
    return Hit(
        message=f"The environment file was exported on {_WORDS[of]}, and conda solves it on {_WORDS[here] if here else 'another system'}: {', '.join(dict.fromkeys(packages[:3]))} and the builds "
        f"with such strings exist only on that other platform.",
        evidence=building.lines([*where, *others[of]]),
        variant=Foreign(of=of, on=here, tool=libmamba_words.tool(seen)),
    )


def _here(facts: Facts, seen: Seen) -> System | None:
    platform = seen.group("platform") or seen.group("channel")
    if platform is not None:
        return _PLATFORMS[platform]
    return facts.system.os if isinstance(facts.system.os, str) else None


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, linux_only_pins.OfLinux):
        return linux_only_pins.fixes(facts, hit.variant)
    if isinstance(hit.variant, pdm_lock.Locked):
        return pdm_lock.fixes(facts, hit.variant)
    of: System = hit.variant.of if isinstance(hit.variant, Foreign) else "linux"
    on = hit.variant.on if isinstance(hit.variant, Foreign) else None
    tool = hit.variant.tool if isinstance(hit.variant, Foreign) else "conda"
    verify = commands.check(facts)
    words = f"on the machine with {_WORDS[of]}, in its environment"
    export = commands.by_hand(
        ("conda", "env", "export", "--from-history", "--file", "environment.yml"),
        f"{words}: writes only the packages that somebody asked for, which exist on other platforms too",
        "environment.yml",
    )
    bare = commands.by_hand(
        ("conda", "env", "export", "--no-builds", "--file", "environment.yml"),
        f"{words}: writes all packages with their versions and without build strings. Then delete the packages of {_WORDS[of]} from the file, such as {_some(of)}",
        "environment.yml",
    )
    create = commands.by_hand(
        (tool, "env", "create", "-f", "environment.yml"),
        "then here, with the new file",
        "adds an environment",
        takes="minutes",
    )
    by_hand = commands.by_hand(
        (),
        f"in the file: delete the last = with the build string in each line (zlib=1.2.13=h5eee18b_0 becomes zlib=1.2.13), delete the packages of {_WORDS[of]} "
        f"({_some(of)}), and the line that begins with prefix:",
        "the environment file",
        "none",
    )
    made = [
        Fix(title="Export the environment for other platforms", steps=(export, create), verify=verify),
        Fix(
            title="If that list is too short: export the versions without the builds",
            steps=(bare, create),
            verify=verify,
        ),
        Fix(
            title="Without that machine: take the build strings out of the file", steps=(by_hand, create), verify=verify
        ),
    ]
    if of == "linux" and on == "windows":
        wsl: Step = commands.by_hand(
            ("wsl.exe", "--install"),
            "Linux inside Windows, for which the file was made: install conda there, and create the environment there",
            "installs WSL2",
            elsewhere=True,
        )
        made.append(Fix(title="Use the file in WSL", steps=(wsl,), verify=verify))
    return tuple(made)


def _some(system: System) -> str:
    return {
        "linux": "ld_impl_linux-64, libgcc-ng, readline",
        "windows": "vs2015_runtime, vc, ucrt, pywin32",
        "darwin": "appnope, libcxx",
    }[system]
