"""Read which pins contradict each other, from the messages of pip, uv, Poetry and conda, and say which pin has to change. Pure.

A new environment does not help there: the same list contradicts itself in each environment.
https://pip.pypa.io/en/stable/topics/dependency-resolution/, https://mamba.readthedocs.io/en/latest/advanced_usage/package_resolution.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.utils import canonicalize_name

from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Record
from attn_doctor.model.requirements import Requirement, allowed, read_requirement

_NAME = r"[A-Za-z][\w.-]{0,60}"
_LIMITS = r"[=<>!~][^,;:()]{0,60}(?:,\s?[=<>!~][^,;:()]{0,60})*"
_SPECIFIER = r"[=<>!~]{1,3}[\w.+*]*\w(?:,\s?[=<>!~]{1,3}[\w.+*]*\w){0,6}"
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
    # uv, which may break one sentence into several lines, and Poetry
    Sign(
        pattern=rf"(?:[Bb]ecause|and) (?P<dependent>{_NAME})(?:\[[\w,]+\])?==(?P<release>\d[\w.+!]*) depends on (?P<needs>{_NAME})(?:\[[\w,-]{{1,80}}\])?(?P<limits>{_SPECIFIER})",
        literal=" depends on ",
        sample="  ╰─▶ Because xformers==0.0.26.post1 depends on torch==2.3.0 and you require torch==2.1.0, we can conclude that",
        strength="context",
    ),
    *(
        Sign(
            pattern=rf"{words} (?P<wished>{_NAME}==[\w.+!*]*[\w*])",
            literal=f"{words} ",
            sample=f"      and {words} torch==2.1.0, we can conclude that your requirements are unsatisfiable.",
            strength="context",
        )
        for words in ("you require", "your project depends on")
    ),
    Sign(
        pattern=rf"\b(?P<dependent>{_NAME}) \((?P<release>\d[\w.+]*)\) depends on (?P<needs>{_NAME}) \((?P<limits>[^()]{{1,80}})\)",
        literal=") depends on ",
        sample=" and torchvision (0.16.0) depends on torch (2.1.0), torchvision (>=0.16.0,<0.17.0) requires torch (2.1.0).",
        strength="context",
    ),
    Sign(
        pattern=rf"depends on both (?P<first>{_NAME} \(\d[\w.+]*\)) and (?P<second>{_NAME} \(\d[\w.+]*\))",
        literal="depends on both ",
        sample="So, because app depends on both torch (2.2.0) and torchvision (0.16.0), version solving failed.",
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
    wished = _wished(seen)
    dependents = {
        (canonicalize_name(m.groups["dependent"]), m.groups["release"], m.groups["needs"]): m
        for m in reversed(seen.matches)
        if m.groups.get("dependent")
    }
    for name, (version, line) in wished.items():
        against = [
            m
            for (dependent, release, needs), m in reversed(dependents.items())
            if canonicalize_name(needs) == name
            and dependent != name
            and allowed(_limits(m), version) is False
            and wished.get(dependent, (release, m))[0] == release  # a resolver also tells of releases that it tried
        ]
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
        needs = tuple(dict.fromkeys(map(_limits, against)))
        first = pins[0]
        where = f" ({first.place})" if first.place else ""
        return Hit(
            message=f"The list contradicts itself: it asks for {name}=={version} and for {first.name} {first.version}{where}, which needs {name}{needs[0]}. "
            "It does so in a new environment too: one of the two pins has to change.",
            evidence=building.lines([*_proof(seen), line, *against]),
            variant=Contradicting(name=name, kept=version, wrong=pins, needs=needs),
        )
    return None


def _wished(seen: Seen) -> dict[str, tuple[str, Match]]:
    """Return the exact versions that the list asks for: {"torch": ("2.1.0", its line)}."""
    found: dict[str, tuple[str, Match]] = {}
    for match in seen.matches:
        texts = [match.groups.get("wished"), *map(_as_pip, (match.groups.get("first"), match.groups.get("second")))]
        for text in filter(None, texts):
            asked = read_requirement(text)
            if asked is not None and (version := _exact(asked)):
                found.setdefault(canonicalize_name(asked.name), (version, match))
    return found


def _as_pip(text: str | None) -> str | None:
    """Return what Poetry writes as "torch (2.2.0)" as pip writes it: "torch==2.2.0"."""
    return text and text.replace(" (", "==").rstrip(")")


def _limits(match: Match) -> str:
    """Return the versions that a dependent accepts, as a specifier.

    Poetry writes one version without a sign, "2.1.0", and pip the last limit behind an "and": "<1.28.0 and >=1.21.6".
    """
    limits = match.groups["limits"].strip().replace(" and ", ",")
    return f"=={limits}" if limits[:1].isdigit() else limits


def _proof(seen: Seen) -> list[Match]:
    """Return the line of pip, uv or conda which says that the lines below it are an error."""
    return [m for m in seen.matches if m.strength == "proof"][:1]


def _exact(requirement: Requirement) -> str | None:
    exact = [s.version for s in requirement.specifier if s.operator in ("==", "===") and "*" not in s.version]
    return exact[0] if len(exact) == 1 else None


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
