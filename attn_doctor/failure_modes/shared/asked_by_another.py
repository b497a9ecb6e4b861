"""Cure a requirement that an installed or asked-for package brings, and of which the index has only other releases for this Python. Pure.

pip writes the package behind the requirement: "cumm<0.5.0,>=0.4.5 (from spconv) (from versions: 0.5.0, 0.6.3)". To install another release of the
requirement does not help: the package refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building, unbuilt_cures
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.requirements import allowed
from attn_doctor.model.versions import pair

_BY = re.compile(r"\(from (?P<by>[A-Za-z][\w.-]{1,60})(?:[<>=!~][^)]{0,80})?\)")
_USUAL = ("3.11", "3.10")


class ByAnother(Variant, frozen=True, kw_only=True):
    """Hold the requirement, "cumm<0.5.0,>=0.4.5", its package, "cumm", and the package that brings it, "spconv"."""

    requirement: str
    name: str
    by: str


def told(ours: Sequence[Match]) -> Hit | None:
    """Return the hit for a requirement that another package brings, and that no release on the index fulfils; None for other logs.

    Example: spconv requires "cumm<0.5.0,>=0.4.5", and the index has 0.5.0 and 0.6.3. `ours`: the lines in which pip says so.
    """
    for match in ours:
        requirement = match.groups.get("requirement", "").rstrip(".,")
        split = re.match(r"(?P<name>[A-Za-z][\w.-]*?)(?P<range>[<>=!~].*)$", requirement)
        by, versions = _BY.search(match.text), match.groups.get("versions", "")
        listed = [text for text in re.split(r",\s*", versions) if re.match(r"\d", text)]
        if split is None or by is None or not listed or split["name"].lower() == by["by"].lower():
            continue
        fits = [allowed(split["range"], version) for version in listed]
        if any(one is not False for one in fits):
            continue
        message = f"{by['by']} needs {requirement}, and the index has only other releases of {split['name']} for this Python: the newest is {listed[-1]}."
        found = ByAnother(requirement=requirement, name=split["name"], by=by["by"])
        return Hit(message=message, evidence=building.lines(list(ours)), variant=found)
    return None


def fixes(facts: Facts, found: ByAnother) -> tuple[Fix, ...]:
    """Return the fixes: install the newest release of the package that brings the requirement, or use another Python.

    For spconv there is one fix: install its finished wheel, spconv-cu126.
    """
    if found.by == "spconv":
        return (unbuilt_cures.spconv(facts),)
    verify = commands.check(facts)
    newest = commands.install(
        found.by,
        upgrade=True,
        why=f"its newest release may take a {found.name} that there is; pip takes the release of {found.by} whose requirements it finds",
        changes=found.by,
    )
    here = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    python = next((text for text in _USUAL if here is None or (pair(text) or here) < here), _USUAL[-1])
    words = f"https://pypi.org/project/{found.name}/#files shows for which Pythons {found.requirement} has files (cp310 means 3.10)"
    look = commands.by_hand((), words, "nothing", "none")
    other = new_pythons.another(
        facts, python, "creates an environment with an older Python; then repeat the installation in it"
    )
    return (
        Fix(title=f"Install the newest {found.by}", steps=(newest,), verify=verify),
        Fix(title="Use a Python for which there is one", steps=(look, *other), verify=verify),
    )
