"""Make a plan: render the ways for the chosen installer, and ask its resolver about each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.commands.installers import (
    KEEPERS,
    Context,
    InstallerName,
    chosen,
    context,
    in_order,
    keeps_books,
    kept_by_project,
    of_packages,
    plain,
)
from attn_doctor.fixes import before_a_way, installer_settings, pins
from attn_doctor.fixes.alternatives import drafts
from attn_doctor.fixes.plan import NOT_ASKED, Cause, Draft, Plan, PlannedStep, Unsigned, Way, variables
from attn_doctor.fixes.resolve import Resolved
from attn_doctor.fixes.step_effects import changes_in_order, records
from attn_doctor.judging import foresight
from attn_doctor.judging.diagnose import implied
from attn_doctor.model.facts import Distribution, Facts, Unknown
from attn_doctor.model.findings import Finding, Goal
from attn_doctor.model.steps import Install, Step, Uninstall

SHELLS = ("bash", "fish", "powershell")
NAMES = "ABCDEFGHIJ"
# A function that asks pip or uv for the changes of a step, with the variables that the way sets.
Resolver = Callable[[Install | Uninstall, Mapping[str, str | None]], Resolved]


def unresolved(step: Install | Uninstall, variables: Mapping[str, str | None]) -> Resolved:  # noqa: ARG001
    """Return the answer "not asked" for a plan that is made offline, or for another machine."""
    return Resolved(None, NOT_ASKED)


def make(
    facts: Facts,
    findings: Sequence[Finding],
    goal: Goal,
    *,
    installer: InstallerName | None = None,
    resolver: Resolver = unresolved,
) -> Plan:
    """Make the plan for the root causes of the findings. Nothing is tried.

    `installer`: the one that the user named; None: the one that manages the environment. `resolver`: answers what a step would
    change.
    """
    name, why = chosen(facts, installer)
    here = context(facts, name)
    made, notes = drafts(facts, findings, goal)
    unordered: list[Way] = []
    for draft in made:
        way, against = _foreseen(facts, findings, draft, lambda one: _way(facts, one, here, resolver))
        if against is None:
            first = before_a_way.steps(facts, way.steps)
            before = tuple(planned(step, way.steps[-1].verify) for step in in_order(here, first)) if first else ()
            told = before_a_way.notes(facts, way.steps)
            unordered.append(msgspec.structs.replace(way, steps=(*before, *way.steps), notes=(*way.notes, *told)))
        else:
            notes += (f"Left out, because {against.rstrip('.')}: {draft.title}.",)
    # Ways without a solution come last; before them, ways that break a requirement. All others keep their order.
    ordered = sorted(unordered, key=lambda way: (way.impossible() is not None, bool(way.breaks)))
    ordered = _not_unsigned_first(ordered)
    ways = tuple(msgspec.structs.replace(way, name=NAMES[i]) for i, way in enumerate(ordered))
    beside = [lock for lock in here.locks if name not in KEEPERS.values() and lock in KEEPERS]
    notes += tuple(
        f"{lock} says what is in this environment: the next run of {KEEPERS[lock]} removes or replaces what it did not install itself"
        for lock in beside
    )
    notes += installer_settings.notes(facts, (one.step for way in ways for one in way.steps))
    return Plan(
        target=here.python,
        goal=goal,
        installer=name,
        installer_why=why,
        causes=tuple(_cause(f) for f in findings if f.root_cause),
        ways=ways,
        notes=notes,
    )


def _not_unsigned_first(ways: Sequence[Way]) -> list[Way]:
    """Return the ways, with one first that needs no stranger's wheel, if there is such a way. The first way is the default."""
    first = next((way for way in ways if way.unsigned is None), None)
    return [*([first] if first else []), *(way for way in ways if way is not first)]


def _cause(finding: Finding) -> Cause:
    return Cause(code=finding.code, slug=finding.slug, message=finding.message, severity=finding.severity.value)


def _foreseen(
    facts: Facts, findings: Sequence[Finding], draft: Draft, build: Callable[[Draft], Way]
) -> tuple[Way, str | None]:
    """Return (way, reason against it). The way has all further steps that it needs.

    The reason: why it would not cure; None if no reason is known.
    """
    way = build(draft)
    if facts.grade == "stated":
        return way, None
    goal = draft.goal
    now = foresight.Now(facts=facts, findings=implied(facts, goal), diagnose=lambda then: implied(then, goal))
    slugs = [finding.slug for finding in findings if finding.code in draft.cures]
    first = None
    for _ in range(foresight.ROUNDS):
        seen = foresight.foreseen(now, [one.step for one in way.steps], slugs, _told(way))
        further = next((finding for finding in seen.new if finding.fixes), None)
        first = first or seen.against
        if seen.against is None or seen.left or further is None:
            return way, seen.against and first
        steps = foresight.joined(draft.steps, further.fixes[0].steps)
        if steps is None:
            return way, first
        title = f"{draft.title}, then {foresight.lower(further.fixes[0].title)}"
        draft = msgspec.structs.replace(draft, title=title, steps=steps)
        way = build(draft)
    last = foresight.foreseen(now, [one.step for one in way.steps], slugs, _told(way)).against
    return way, last and first


def _told(way: Way) -> dict[int, dict[str, str | None]]:
    """Return the predicted versions of packages after each step, by the index of the step."""
    asked = ((place, one.changes) for place, one in enumerate(way.steps) if one.changes is not None)
    return {place: {change.package: change.after for change in changes} for place, changes in asked}


def _way(facts: Facts, draft: Draft, here: Context, resolver: Resolver) -> Way:
    settings = variables(draft.steps)
    unsigned, notes = unsigned_in(draft.steps), draft.notes
    if unsigned is not None and here.installer != "nix":
        # A project's file would name the address, and another tool would install from there a file that nobody has checked.
        if keeps_books(here):
            notes += (f"The file is not written into the project: a later run of {here.installer} may remove it.",)
        here = plain(here)
    resolved = [
        _allowed(facts, _resolved(planned(s, draft.verify), here, resolver, settings))
        for s in in_order(here, draft.steps)
    ]
    steps = changes_in_order(resolved, records(facts), here)
    return Way(
        name="",
        title=draft.title,
        intent=draft.intent,
        goal=draft.goal,
        cures=draft.cures,
        steps=steps,
        breaks=pins.broken(
            facts,
            [(step.changes, step.step) for step in steps],
            frozenset().union(*(kept_by_project(here, step.step) for step in steps)),
        ),
        notes=notes,
        unsigned=unsigned,
    )


def unsigned_in(steps: Sequence[Step]) -> Unsigned | None:
    """Return the wheel among the steps that was not built by the authors of its package; None if there is none."""
    named = [step for step in steps if isinstance(step, Install) and step.built_by]
    return Unsigned(builder=str(named[0].built_by), url=named[0].requirements[0]) if named else None


def _allowed(facts: Facts, made: PlannedStep) -> PlannedStep:
    """Return the step; it is marked as impossible if the settings of pip or uv stop it.

    The installer's own message would only be that it found nothing.
    """
    reason = installer_settings.blocks(facts, made.step) if made.changes is None else None
    return msgspec.structs.replace(made, unresolved=reason, impossible=True) if reason else made


def _resolved(made: PlannedStep, here: Context, resolver: Resolver, settings: Mapping[str, str | None]) -> PlannedStep:
    asking = of_packages(here).rendered(made.step)
    if not isinstance(asking, Install | Uninstall):
        return made
    if isinstance(asking, Install) and asking.built_by:
        return msgspec.structs.replace(
            made, unresolved=f"nothing is fetched from {asking.built_by} before you allow it"
        )
    asked = resolver(asking, settings)
    return msgspec.structs.replace(
        made,
        changes=asked.changes,
        unresolved=asked.why,
        impossible=asked.impossible,
        download_bytes=asked.download_bytes,
    )


def planned(step: Step, verify: tuple[str, ...]) -> PlannedStep:
    """Return the step for a plan, without predicted changes, because no resolver was asked.

    `verify`: the command that checks it.
    """
    return PlannedStep(
        step=step,
        verify=verify,
        undo=(step.undo,) if step.undo else (),
        shown={shell: line for shell in SHELLS if (line := commands.shown(step, shell)) is not None},
    )


def pip_version(facts: Facts) -> str | None:
    """Return the version of the target's pip; None if it has none, or the version is not known."""
    listed: Sequence[Distribution] = (
        () if isinstance(facts.packages.distributions, Unknown) else facts.packages.distributions
    )
    found = next((d.version for d in listed if d.name == "pip"), None)
    return found if isinstance(found, str) else None
