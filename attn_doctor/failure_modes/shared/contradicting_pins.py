"""Read which pins contradict each other, from the messages of pip, uv and conda, and say which pin has to change. Pure.

A new environment does not help there: the same list contradicts itself in each environment.
https://pip.pypa.io/en/stable/topics/dependency-resolution/, https://mamba.readthedocs.io/en/latest/advanced_usage/package_resolution.html
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.knowledge import torch_choice
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts, Record
from attn_doctor.model.findings import Fix
from attn_doctor.model.requirements import Requirement, allowed, read_requirement
from attn_doctor.model.steps import Step

_NAME = r"[A-Za-z][\w.-]{0,60}"
_LIMITS = r"[=<>!~][^,;:()]{0,60}(?:,\s?[=<>!~][^,;:()]{0,60})*"
SIGNS = (
    Sign(
        pattern=rf"^The user requested (?:\(constraint\) )?(?P<wished>{_NAME}(?:\[[\w,]+\])?\s?{_LIMITS})$",
        literal="The user requested ",
        sample="The user requested torch==2.1.0",
        strength="context",
    ),
    Sign(
        pattern=rf"^(?P<dependent>{_NAME})(?:\[[\w,]+\])? (?P<release>\d[\w.+!-]*) depends on (?P<needs>{_NAME})\s?(?P<limits>{_LIMITS})$",
        literal=" depends on ",
        sample="torchvision 0.16.0 depends on torch==2.1.0",
        strength="context",
    ),
    Sign(
        pattern=rf"(?:[Bb]ecause|and) (?P<dependent>{_NAME})==(?P<release>\d[\w.+!]*) depends on (?P<needs>{_NAME})(?P<limits>{_LIMITS}?) and "
        rf"(?:you require|your project depends on) (?P<wished>{_NAME}==[\w.+!*]+)",
        literal=" depends on ",
        sample="  ╰─▶ Because xformers==0.0.26.post1 depends on torch==2.3.0 and you require torch==2.1.0, we can conclude that",
        strength="context",
    ),
    # The line of a requirements file from which pip took a package, and those that it cannot install together.
    Sign(
        pattern=rf"^(?:Collecting|Requirement already satisfied:) (?P<taken>{_NAME})\S* .{{0,120}}\(from -r (?P<file>\S{{1,200}}) \(line (?P<at>\d+)\)\)",
        literal="(from -r ",
        sample="Collecting torch==2.1.0 (from -r ./requirements.txt (line 1))",
        strength="context",
    ),
    Sign(
        pattern=r"^(?:ERROR: )?Cannot install (?P<together>.{1,600}) because these package versions have conflicting",
        literal="Cannot install ",
        sample="ERROR: Cannot install -r r.txt (line 2), -r r.txt (line 3) and torch==2.1.0 because these package versions have conflicting dependencies.",
        strength="context",
    ),
    # conda and mamba
    Sign(
        pattern=rf"─ (?P<asked>{_NAME}) (?P<spec>[=<>~]{{0,2}}\d[\w.*]*|\d[\w.*]*\|\S+)(?:\s+\S+)?\s+is requested and can be installed",
        literal=" is requested and can be installed",
        sample="├─ pytorch-cuda ==12.1 ha16c6d3_5 is requested and can be installed;",
        strength="context",
    ),
    Sign(
        pattern=rf"─ (?P<refused>{_NAME}) (?P<spec>[=<>~]{{0,2}}\d[\w.*]*)(?:\s+\S+)?\s+is (?:not installable|uninstallable) because",
        literal="installable because",
        sample="└─ torchaudio 2.0.2  is not installable because there are no viable options",
        strength="context",
    ),
    Sign(
        pattern=rf"─ (?P<wants>{_NAME}) (?P<spec>[=<>~]{{0,2}}\d[\w.*]*)(?:\s+\S+)?\s?, which conflicts with any installable versions",
        literal=", which conflicts with any",
        sample="│  └─ pytorch-cuda 11.8.* , which conflicts with any installable versions previously reported;",
        strength="context",
    ),
)


class Pin(Record, frozen=True, kw_only=True):
    """Hold a pin that a list has: its package, its version, and file and line where the log shows them."""

    name: str
    version: str
    place: str = ""  # "requirements.txt, line 3"


class Contradicting(Variant, frozen=True, kw_only=True):
    """Hold a package that is asked for in versions that exclude each other."""

    name: str  # "torch"
    kept: str  # the version that the list asks for: "2.1.0"
    wrong: tuple[Pin, ...]  # the pins that need another version of it
    needs: tuple[str, ...]  # the versions that those pins need: "==2.3.0"; "11.7", "11.8" for conda
    conda: bool = False


def told(seen: Seen) -> Hit | None:
    """Return the hit for a log that names two pins which contradict each other; None if it does not name them."""
    return _of_pip(seen) or _of_conda(seen)


def _of_pip(seen: Seen) -> Hit | None:
    dependents = [m for m in seen.matches if m.groups.get("dependent")]
    wished = {}
    for match in seen.matches:
        asked = read_requirement(match.groups.get("wished", ""))
        if asked is not None and (version := _exact(asked)):
            wished[canonicalize_name(asked.name)] = (version, match)
    for name, (version, line) in wished.items():
        against = [m for m in dependents if canonicalize_name(m.groups["needs"]) == name and not _allows(m, version)]
        against = [m for m in against if canonicalize_name(m.groups["dependent"]) != name]
        if not against:
            continue
        pins = tuple(
            Pin(
                name=canonicalize_name(m.groups["dependent"]),
                version=m.groups["release"],
                place=_place(seen, m, against),
            )
            for m in against
        )
        needs = tuple(dict.fromkeys(m.groups["limits"].strip() for m in against))
        first = pins[0]
        where = f" ({first.place})" if first.place else ""
        return Hit(
            message=f"The list contradicts itself: it asks for {name}=={version} and for {first.name} {first.version}{where}, which needs {name}{needs[0]}. "
            "It does so in a new environment too: one of the two pins has to change.",
            evidence=building.lines([*_proof(seen), line, *against]),
            variant=Contradicting(name=name, kept=version, wrong=pins, needs=needs),
        )
    return None


def _proof(seen: Seen) -> list[Match]:
    """Return the line of pip, uv or conda which says that the lines below it are an error."""
    return [m for m in seen.matches if m.strength == "proof"][:1]


def _exact(requirement: Requirement) -> str | None:
    exact = [s.version for s in requirement.specifier if s.operator in ("==", "===") and "*" not in s.version]
    return exact[0] if len(exact) == 1 else None


def _allows(match: Match, version: str) -> bool:
    return allowed(match.groups["limits"], version) is not False


def _place(seen: Seen, match: Match, against: Sequence[Match]) -> str:
    """Return the file and line of a dependent's pin: as pip says it, or the only line in pip's list that no other package has."""
    taken = {canonicalize_name(m.groups["taken"]): m.groups for m in seen.matches if m.groups.get("taken")}
    if (own := taken.get(canonicalize_name(match.groups["dependent"]))) is not None:
        return f"{_short(own['file'])}, line {own['at']}"
    together = seen.group("together") or ""
    listed = re.findall(r"-r (\S+) \(line (\d+)\)", together)
    others = {groups["at"] for groups in taken.values()}
    free = [(file, line) for file, line in listed if line not in others]
    if len(free) == 1 and len(against) == 1:
        return f"{_short(free[0][0])}, line {free[0][1]}"
    return ""


def _short(file: str) -> str:
    return file.removeprefix("./").removeprefix(".\\")


def _of_conda(seen: Seen) -> Hit | None:
    asked = {m.groups["asked"]: m for m in seen.matches if m.groups.get("asked")}
    refused = [m for m in seen.matches if m.groups.get("refused")]
    wants = [m for m in seen.matches if m.groups.get("wants") in asked]
    if not refused or not wants:
        return None
    name = next(
        (m.groups["wants"] for m in wants if m.groups["wants"] in ("pytorch-cuda", "cudatoolkit", "pytorch", "python")),
        wants[0].groups["wants"],
    )
    kept = _bare(asked[name].groups["spec"])
    last = refused[-1].groups
    needs = tuple(dict.fromkeys(_bare(m.groups["spec"]) for m in wants if m.groups["wants"] == name))
    package = Pin(name=last["refused"], version=_bare(last["spec"]))
    return Hit(
        message=f"The list contradicts itself: it asks for {name} {kept} and for {package.name} {package.version}, which exists only for {name} "
        f"{' and '.join(needs)}. One of the two lines has to change; conda cannot solve it in any environment.",
        evidence=building.lines(
            [*_proof(seen), asked[name], refused[-1], *(m for m in wants if m.groups["wants"] == name)]
        ),
        variant=Contradicting(name=name, kept=kept, wrong=(package,), needs=needs, conda=True),
    )


def _bare(spec: str) -> str:
    return spec.lstrip("=<>~").rstrip("*.")


def fixes(facts: Facts, found: Contradicting) -> tuple[Fix, ...]:
    """Return two fixes: change the pin that needs another version, or change the version that the rest of the list asks for."""
    verify = commands.check(facts)
    names = ", ".join(pin.name for pin in found.wrong)
    if found.conda:
        return _of_conda_file(facts, found)
    changed = tuple(commands.by_hand((), _change(found, pin), "your list of packages", "none") for pin in found.wrong)
    again = _again(facts)
    other = _release(found.needs[0])
    follows = _family(other) if found.name == "torch" and other else ""
    takes = commands.by_hand(
        (),
        f"write {found.name}{found.needs[0]} in the place of {found.name}=={found.kept}{follows}",
        "your list of packages",
        "none",
    )
    return (
        Fix(
            title=f"Change the pin of {names}, and keep {found.name} {found.kept}",
            steps=(*changed, *again),
            verify=verify,
        ),
        Fix(title=f"Keep {names}, and change the pin of {found.name}", steps=(takes, *again), verify=verify),
    )


def _change(found: Contradicting, pin: Pin) -> str:
    where = f"{pin.place}: " if pin.place else "in your list: "
    right = ""
    if found.name == "torch" and pin.name in ("torchvision", "torchaudio"):
        same = torch_choice.same(found.kept, pin.name)
        right = next((text for text in same if text.startswith(pin.name)), "")
    if "==" in right:
        return (
            f"{where}write {right} in the place of {pin.name}=={pin.version}: it is the release for torch {found.kept}"
        )
    return (
        f"{where}write {pin.name} without a version in the place of {pin.name}=={pin.version}: pip then takes the newest release that accepts "
        f"{found.name} {found.kept}"
    )


def _family(torch: str) -> str:
    same = [
        text
        for text in torch_choice.same(torch, "torchvision", "torchaudio")
        if "==" in text and not text.startswith("torch==")
    ]
    return f", and the releases that belong to it, as far as they are in the list: {', '.join(same)}" if same else ""


def _release(limits: str) -> str | None:
    return limits.removeprefix("==") if limits.startswith("==") and "," not in limits else None


def _again(facts: Facts) -> tuple[Step, ...]:
    """Return the step that repeats the user's own installation, if the log shows it."""
    command = facts.subject.command
    if not isinstance(command, str) or not re.match(r"(?:pip|uv|python|py|conda|mamba|micromamba)\b", command):
        return (commands.by_hand((), "then repeat the installation", "the packages", "none"),)
    try:
        words = tuple(shlex.split(command, posix=facts.system.os != "windows"))
    except ValueError:
        words = ()
    return (commands.by_hand(words, "then repeat the installation", "the packages"),)


def _of_conda_file(facts: Facts, found: Contradicting) -> tuple[Fix, ...]:
    pin, verify = found.wrong[0], commands.check(facts)
    newest = max(found.needs, key=lambda text: [int(part) for part in re.findall(r"\d+", text)])
    takes = commands.by_hand(
        (),
        f"in the list: write {found.name}={newest} in the place of {found.name}={found.kept}, without a build string: {pin.name} {pin.version} exists for it",
        "your list of packages",
        "none",
    )
    drops = commands.by_hand(
        (),
        f"in the list: write {pin.name} without version and build in the place of {pin.name}={pin.version}: conda then looks for the release that fits "
        f"{found.name} {found.kept}. pytorch, torchvision and torchaudio belong together: take the versions away from all that are in the list",
        "your list of packages",
        "none",
    )
    again = _again(facts)
    return (
        Fix(
            title=f"Change {found.name} to {newest}, and keep {pin.name} {pin.version}",
            steps=(takes, *again),
            verify=verify,
        ),
        Fix(
            title=f"Keep {found.name} {found.kept}, and take the pin of {pin.name} away",
            steps=(drops, *again),
            verify=verify,
        ),
    )
