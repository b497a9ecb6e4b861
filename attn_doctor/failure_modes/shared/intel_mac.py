"""Cure a Mac with an Intel processor whose user asks for a torch after 2.2.2, the last one with wheels for it. Pure.

https://github.com/pytorch/pytorch/issues/114602
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_install
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Confidence, Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import dotted, pair

# The last releases with wheels for Macs with an Intel processor.
LAST = {"torch": "2.2.2", "torchvision": "0.17.2", "torchaudio": "2.2.2"}
_LAST_PYTHON = (3, 12)  # torch 2.2.2 has wheels for Python 3.8 to 3.12: https://pypi.org/project/torch/2.2.2/#files
SIGNS = (
    # uv names the platform of this Mac as an example.
    Sign(
        pattern=r"(?:e\.g\., |You're on macOS \()[`'](?P<intel>macosx_\d+_\d+_x86_64)",
        literal="_x86_64",
        sample="torch==2.6.0 has no wheels with a matching platform tag (e.g., `macosx_15_0_x86_64`) and you require torch==2.6.0",
        strength="context",
    ),
    *(
        Sign(pattern=pattern, literal=literal, sample=sample, strength="context")
        for pattern, literal, sample in (
            (
                r"(?P<intel>\b(?:iMac|MacBook(?: Pro| Air)?|Mac(?: mini| Pro)?|macOS|OS X)\b.{0,60}\bIntel\b|\bIntel(?: Core i\d)? (?:based )?(?:Macs?|iMac|MacBook)\b)",
                "Intel",
                "MacBook Pro 2019 (Intel), macOS 14.5",
            ),
            # Homebrew is in /opt/homebrew on Apple silicon: https://docs.brew.sh/Installation
            (
                r"(?P<intel>/usr/local/(?:Cellar|opt)/)",
                "/usr/local/",
                "  at /usr/local/Cellar/poetry/1.8.3_2/libexec/lib/python3.12/site-packages/poetry/installation/chooser.py:74",
            ),
            (r"(?P<intel>Darwin\b.{0,160}\bx86_64)\b", "Darwin", "Darwin iMac.local 23.6.0 Darwin Kernel Version 23.6.0 x86_64"),
        )
    ),
    Sign(
        pattern=r"\b(?P<asked>torch|torchvision|torchaudio)==(?P<asked_version>[\d.]+\d)[^\s`]* has no wheels with a matching platform tag",
        literal=" has no wheels with a matching platform",
        sample="Because torch==2.6.0 has no wheels with a matching platform tag (e.g., `macosx_15_0_x86_64`)",
        strength="context",
    ),
    Sign(
        pattern=r"\ball versions of (?P<asked>torch|torchvision|torchaudio) have no wheels with a matching platform tag",
        literal=" have no wheels with a matching platform",
        sample="Because all versions of torch have no wheels with a matching platform tag (e.g., `macosx_12_0_x86_64`)",
        strength="context",
    ),
    Sign(
        pattern=r"Unable to find installation candidates for (?P<asked>torch|torchvision|torchaudio) \((?P<asked_version>[\d.]+\d)",
        literal="Unable to find installation candidates for",
        sample="Unable to find installation candidates for torch (2.4.0)",
        strength="context",
    ),
)  # fmt: skip


class Intel(Variant, frozen=True, kw_only=True):
    """Hold the package that was asked for, and its exact or lowest version. `sure`: the log shows that the Mac has an Intel processor."""

    package: str
    version: str | None = None
    sure: bool = True


def told(facts: Facts, seen: Seen, lines: Sequence[Match]) -> Hit | None:
    """Return the hit for an Intel Mac whose user asks for a newer torch than there is; None for all others.

    `lines`: those that say that there is no such release.
    """
    asked = _asked(seen)
    if not lines or asked is None or facts.system.machine == "arm64":
        return None
    name, version = asked
    listed = [text for m in seen.matches if (text := m.groups.get("versions"))]
    newest = re.split(r",\s*", listed[0].strip())[-1] if listed else ""
    mac = facts.system.os == "darwin" or (seen.group("intel") is not None and isinstance(facts.system.os, Unknown))
    sure = facts.system.machine == "x86_64" or seen.group("intel") is not None or newest == LAST[name]
    by_poetry = any("installation candidates" in m.text for m in seen.matches)
    if not mac or not (sure or by_poetry):
        return None
    if version is not None and (pair(version) or (0, 0)) <= (pair(LAST[name]) or (0, 0)):
        return None
    if version is None and newest and newest != "none":
        return None
    which = f"{name} {version}" if version else f"newer {name}"
    message = f"There is no {which} for a Mac with an Intel processor (x86_64): {LAST[name]} is the last {name} with wheels for it. Another Python does not change that."
    here = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    if version is None and here is not None and here > _LAST_PYTHON:
        message = f"There is no {name} for Python {dotted(here)} on a Mac with an Intel processor (x86_64): {LAST[name]} is the last {name} with wheels for it, and they are for Python 3.8 to 3.12."
    if not sure:
        message = f"There is no {which} for that Mac. If it has an Intel processor (x86_64), {LAST[name]} is the last {name} with wheels for it."
    return Hit(
        message=message,
        evidence=building.lines(list(lines)),
        variant=Intel(package=name, version=version, sure=sure),
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
    )


_REQUIREMENT = re.compile(r"(?P<name>torch|torchvision|torchaudio)(?P<rest>[<>=!~].*)?$")


def _asked(seen: Seen) -> tuple[str, str | None] | None:
    """Return the package of torch's family that was asked for, and its lowest version; None if another package was."""
    for match in seen.matches:
        if (name := match.groups.get("asked")) is not None:
            return name, match.groups.get("asked_version")
    for match in seen.matches:
        found = _REQUIREMENT.match(match.groups.get("requirement", "").rstrip(".,"))
        if found:
            floor = re.search(r"(?:==|>=|~=|>)\s?(\d[\d.]*)", found["rest"] or "")
            return found["name"], floor[1] if floor else None
    return None


def fixes(facts: Facts, found: Intel) -> tuple[Fix, ...]:
    """Return the fixes: the last torch for this processor, and conda-forge, which builds newer ones."""
    here = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    python: tuple[Step, ...] = ()
    if here is not None and here > _LAST_PYTHON:
        mac = msgspec.structs.replace(facts, system=msgspec.structs.replace(facts.system, os="darwin"))
        python = new_pythons.another(mac, dotted(_LAST_PYTHON), "torch 2.2.2 has no wheels for a newer Python")
    names = ("torch", "torchvision", "torchaudio") if found.package == "torchaudio" else ("torch", "torchvision")
    install = commands.install(
        *(f"{name}=={LAST[name]}" for name in names),
        "numpy<2",
        why="the last torch with wheels for this processor; they are for Python 3.8 to 3.12, and were built for NumPy 1",
        changes="torch and numpy",
    )
    steps = (*_look(found), *python, *_in_the_file(facts, found, install), install)
    last = Fix(title=f"Take torch {LAST['torch']}", steps=steps, verify=commands.check(facts))
    forge = commands.by_hand(
        torch_install.of_conda_forge(),
        "if the program needs a newer torch: conda-forge builds it for Intel Macs (osx-64) itself; in an environment of conda",
        "the packages of the conda environment",
        "medium",
    )
    return (last, Fix(title="Take a newer torch from conda-forge", steps=(forge,), verify=commands.check(facts)))


def _look(found: Intel) -> tuple[Step, ...]:
    if found.sure:
        return ()
    words = "if it prints x86_64, go on here. If it prints arm64, take a Python for which that torch has wheels, 3.12 or older"
    return (commands.by_hand(("uname", "-m"), words, "nothing", "none"),)


def _in_the_file(facts: Facts, found: Intel, install: Step) -> tuple[Step, ...]:
    """Return the step that changes the file of requirements which names the newer torch; empty if the command, or a project's tool, names it."""
    command = facts.subject.command if isinstance(facts.subject.command, str) else ""
    if found.version is None or "add" in commands.rendered(facts, install).argv[:2] or found.package in command:
        return ()
    file = re.search(r"\s-r[ =]?(\S+)", command)
    where = file[1] if file else "the file of requirements that you install from"
    words = f"in {where}: write {found.package}=={LAST[found.package]} in place of {found.package}=={found.version}, and numpy<2"
    return (commands.by_hand((), words, "the file of requirements", "none"),)
