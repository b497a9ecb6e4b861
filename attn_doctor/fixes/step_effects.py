"""Compute the changes of each step after the steps before it, because the resolver knows only the present state. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from attn_doctor.commands.installers import Context
from attn_doctor.fixes.plan import Change, PlannedStep
from attn_doctor.fixes.resolve import by_hand, wanted
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.requirements import read_requirement
from attn_doctor.model.steps import Install, Uninstall

Records = dict[str, list[str]]  # normal name -> versions of all its records, in the order in which Python finds them


def records(facts: Facts) -> Records:
    """Return normal name -> versions of the installed packages. A package that is installed twice has two versions."""
    found: Records = {}
    listed = facts.packages.distributions
    for item in () if isinstance(listed, Unknown) else listed:
        found.setdefault(item.name, []).append(item.version if isinstance(item.version, str) else "(version not known)")
    return found


def changes_in_order(steps: Sequence[PlannedStep], have: Records, here: Context) -> tuple[PlannedStep, ...]:
    """Return the steps, each with its changes after the earlier steps, and with the commands that undo these changes by hand."""
    left: Records = {name: list(versions) for name, versions in have.items()}
    made: list[PlannedStep] = []
    for planned in steps:
        step = planned.step
        if planned.changes is None or not isinstance(step, Install | Uninstall):
            made.append(planned)
            continue
        changes = _removed(step, left) if isinstance(step, Uninstall) else _installed(planned.changes, step, left, have)
        # A package that has two records (two dist-info folders) cannot be put back with commands: only `fix --undo` restores both.
        doubled = any(len(have.get(change.package, ())) > 1 for change in changes)
        undo = () if doubled or not changes else by_hand(changes, here)
        made.append(msgspec.structs.replace(planned, changes=changes, undo=undo))
    return tuple(made)


def _removed(step: Uninstall, left: Records) -> tuple[Change, ...]:
    """Remove the first record of each package from `left`, and return the changes."""
    return tuple(Change(package=n, before=left[n].pop(0), after=None) for n in step.names() if left.get(n))


def _installed(said: Sequence[Change], step: Install, left: Records, have: Records) -> tuple[Change, ...]:
    after = {change.package: change.after for change in said}
    for name in step.names():
        if (
            not left.get(name) and name not in after
        ):  # installed now, so the resolver saw nothing to do, but removed by an earlier step
            after[name] = _exactly(wanted(step).get(name)) or next(iter(have.get(name, ())), None)
    changes = []
    for name, version in after.items():
        before = next(iter(left.get(name, ())), None)
        if before != version or step.reinstall:
            changes.append(Change(package=name, before=before, after=version))
        left[name] = [] if version is None else [version]
    return tuple(changes)


def _exactly(requirement: str | None) -> str | None:
    asked = read_requirement(requirement or "")
    if asked is None:
        return None
    exact = [s.version for s in asked.specifier if s.operator == "==" and "*" not in s.version]
    return exact[0] if len(exact) == 1 else None
