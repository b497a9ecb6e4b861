"""Make a plan: render the ways for the chosen installer, and ask its resolver about each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.commands.installers import KEEPERS, Context, chosen, context, in_order, of_packages
from attn_doctor.fixes import pins
from attn_doctor.fixes.alternatives import drafts
from attn_doctor.fixes.plan import Cause, Draft, Plan, PlannedStep, Way, variables
from attn_doctor.fixes.resolve import Resolved
from attn_doctor.fixes.step_effects import changes_in_order, records
from attn_doctor.model.facts import Distribution, Facts, Unknown
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.model.steps import Install, Step, Uninstall

SHELLS = ("bash", "fish", "powershell")
NAMES = "ABCDEFGHIJ"
# A step with its command for pip or uv, and the variables that the way sets.
Resolver = Callable[[Install | Uninstall, Mapping[str, str | None]], Resolved]


def unresolved(step: Install | Uninstall, variables: Mapping[str, str | None]) -> Resolved:  # noqa: ARG001
    """Answer for the resolver of a plan that is made offline or on another machine: the installer was not asked."""
    return Resolved(None, "the installer was not asked")


def make(
    facts: Facts,
    findings: Sequence[Finding],
    goal: Goal,
    *,
    installer: str | None = None,
    resolver: Resolver = unresolved,
) -> Plan:
    """Make the plan for the root causes of the findings."""
    name, why = chosen(facts, installer)
    here = context(facts, name)
    made, notes = drafts(facts, findings, goal)
    unordered = [_way(facts, draft, here, resolver) for draft in made]
    # Ways that the resolver excludes come last, ways that break a requirement before them; else the order stays.
    ordered = sorted(unordered, key=lambda way: (way.impossible() is not None, bool(way.breaks)))
    ways = tuple(msgspec.structs.replace(way, name=NAMES[i]) for i, way in enumerate(ordered))
    beside = [lock for lock in here.locks if name not in KEEPERS.values() and lock in KEEPERS]
    notes += tuple(
        f"{lock} says what is in this environment: the next run of {KEEPERS[lock]} takes back what it did not add itself"
        for lock in beside
    )
    return Plan(
        target=here.python,
        goal=goal,
        installer=name,
        installer_why=why,
        causes=tuple(_cause(f) for f in findings if f.root_cause),
        ways=ways,
        notes=notes,
    )


def _cause(finding: Finding) -> Cause:
    return Cause(code=finding.code, slug=finding.slug, message=finding.message, severity=finding.severity.value)


def _way(facts: Facts, draft: Draft, here: Context, resolver: Resolver) -> Way:
    settings = variables(draft.steps)
    resolved = [_resolved(planned(s, draft.verify), here, resolver, settings) for s in in_order(here, draft.steps)]
    steps = changes_in_order(resolved, records(facts), here)
    return Way(
        name="",
        title=draft.title,
        intent=draft.intent,
        goal=draft.goal,
        cures=draft.cures,
        steps=steps,
        breaks=pins.broken(facts, [(step.changes, step.step) for step in steps]),
        notes=draft.notes,
    )


def _resolved(made: PlannedStep, here: Context, resolver: Resolver, settings: Mapping[str, str | None]) -> PlannedStep:
    asking = of_packages(here).rendered(made.step)
    if not isinstance(asking, Install | Uninstall):
        return made
    asked = resolver(asking, settings)
    return msgspec.structs.replace(
        made,
        changes=asked.changes,
        unresolved=asked.why,
        impossible=asked.impossible,
        download_bytes=asked.download_bytes,
    )


def planned(step: Step, verify: tuple[str, ...]) -> PlannedStep:
    """Return a rendered step for which no resolver was asked."""
    return PlannedStep(
        step=step,
        verify=verify,
        undo=(step.undo,) if step.undo else (),
        shown={shell: line for shell in SHELLS if (line := commands.shown(step, shell)) is not None},
    )


def pip_version(facts: Facts) -> str | None:
    listed: Sequence[Distribution] = (
        () if isinstance(facts.packages.distributions, Unknown) else facts.packages.distributions
    )
    found = next((d.version for d in listed if d.name == "pip"), None)
    return found if isinstance(found, str) else None
