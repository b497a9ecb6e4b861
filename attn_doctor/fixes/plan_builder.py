"""Makes a plan: ways out in the words of the chosen installer, with what its resolver says of each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.fixes import pins
from attn_doctor.fixes.alternatives import drafts
from attn_doctor.fixes.installers import Context, as_pip, chosen, context, parse, translated
from attn_doctor.fixes.plan import Cause, Draft, Plan, PlannedStep, Way
from attn_doctor.fixes.resolve import Resolved
from attn_doctor.fixes.step_effects import in_order, records
from attn_doctor.model.facts import Distribution, Facts, Unknown
from attn_doctor.model.findings import Finding, Goal, Step

SHELLS = ("bash", "fish", "powershell")
NAMES = "ABCDEFGHIJ"
Resolver = Callable[[Sequence[str], Mapping[str, str | None]], Resolved]  # (argv, variables that the way sets)


def unresolved(argv: Sequence[str], variables: Mapping[str, str | None]) -> Resolved:  # noqa: ARG001
    """The resolver of a plan that is made away from its machine, or offline."""
    return Resolved(None, "the installer was not asked")


def make(
    facts: Facts,
    findings: Sequence[Finding],
    goal: Goal,
    *,
    installer: str | None = None,
    locks: Sequence[str] = (),
    resolver: Resolver = unresolved,
) -> Plan:
    """The plan for what the findings name as root causes."""
    name, why = chosen(facts, installer, locks)
    here = context(facts, name)
    made, notes = drafts(facts, findings, goal)
    unordered = [_way(facts, draft, here, resolver) for draft in made]
    # What the resolver rules out comes last, what goes against a pin of the project before that; else the order stays.
    ordered = sorted(unordered, key=lambda way: (way.impossible() is not None, bool(way.breaks)))
    ways = tuple(msgspec.structs.replace(way, name=NAMES[i]) for i, way in enumerate(ordered))
    if "uv.lock" in locks:
        notes += ("uv.lock says what is in this environment: `uv sync` takes back what is not added with `uv add`",)
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
    variables = {s.argv[0]: s.argv[1] if len(s.argv) > 1 else None for s in draft.steps if s.kind == "environment"}
    pairs = _for_installer(draft.steps, here)
    planned_steps = (planned(step, original, draft.verify, here) for step, original in pairs)
    resolved = [_resolved(step, resolver, variables) for step in planned_steps]
    steps = in_order(resolved, records(facts), here.python)
    return Way(
        name="",
        title=draft.title,
        intent=draft.intent,
        goal=draft.goal,
        cures=draft.cures,
        steps=steps,
        breaks=pins.broken(facts, [(step.changes, parse(step.tried_as or step.argv)) for step in steps]),
        notes=draft.notes,
    )


def _for_installer(steps: Sequence[Step], here: Context) -> list[tuple[Step, Step]]:
    """The steps in the installer's words, each with what it was; without a pip that nobody needs any more."""
    made = [(translated(step, here), step) for step in steps]
    needs_pip = any(step.argv[:3] == (here.python, "-m", "pip") for step, _ in made)
    return [pair for pair in made if needs_pip or "ensurepip" not in pair[0].argv]


def _resolved(made: PlannedStep, resolver: Resolver, variables: Mapping[str, str | None]) -> PlannedStep:
    argv = made.tried_as or made.argv
    if made.kind != "run" or parse(argv) is None:
        return made
    asked = resolver(argv, variables)
    return msgspec.structs.replace(
        made,
        changes=asked.changes,
        unresolved=asked.why,
        impossible=asked.impossible,
        download_bytes=asked.download_bytes,
    )


def planned(step: Step, original: Step, verify: tuple[str, ...], here: Context) -> PlannedStep:
    """A step that nobody was asked about. `original`: what it was before it was put into the installer's words."""
    tried = as_pip(original, here).argv if step.kind == "run" and parse(step.argv) is None else step.argv
    return PlannedStep(
        kind=step.kind,
        argv=step.argv,
        why=step.why,
        what=step.changes,
        risk=step.risk,
        takes=step.takes,
        verify=verify,
        undo=(step.undo,) if step.undo else (),
        shown={shell: line for shell in SHELLS if (line := commands.shown(step, shell)) is not None},
        tried_as=tried if tried != step.argv else (),
    )


def pip_version(facts: Facts) -> str | None:
    listed: Sequence[Distribution] = (
        () if isinstance(facts.packages.distributions, Unknown) else facts.packages.distributions
    )
    found = next((d.version for d in listed if d.name == "pip"), None)
    return found if isinstance(found, str) else None
