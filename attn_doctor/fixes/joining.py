"""Join the fixes of several causes into one way: put them in order, and leave out steps that another step makes unnecessary. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.fixes import build_forecast
from attn_doctor.fixes.plan import RIGHT, WITHOUT, WORK, Draft, Intent
from attn_doctor.judging.after_steps import after
from attn_doctor.judging.diagnose import implied
from attn_doctor.judging.foresight import joined
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Fix, Goal
from attn_doctor.model.steps import AddPip, Install, RunByHand, SetVariable, Step, Uninstall, action, name_of

FLASH_PACKAGES = frozenset({"flash-attn", "flash-attn-3", "flash-attn-4"})
Choice = tuple[tuple[str, ...], Fix]  # codes of the causes that the fix cures
Helped = list[tuple[Finding, tuple[Fix, ...]]]  # root causes, each with the fixes to choose from

# The order of installation: replacing torch breaks its torchvision and every extension.
_ORDER = ("pip", "torch", "torchvision", "torchaudio", "triton", "numpy")


def intent_of(steps: Iterable[Step]) -> Intent:
    """Return the intent of a fix: with flash-attn (it installs flash-attn), without (it removes it), or neither."""
    added: set[str] = set()
    removed: set[str] = set()
    for step in steps:
        if isinstance(step, Install):
            added.update(step.names())
        elif isinstance(step, Uninstall):
            removed.update(step.names())
    if added & FLASH_PACKAGES:
        return WORK
    return WITHOUT if removed & FLASH_PACKAGES else RIGHT


def leaves(steps: Iterable[Step]) -> bool:
    """Return whether the user must change to another system: "use a system with glibc", "install it in WSL"."""
    return any(isinstance(step, RunByHand) and step.elsewhere for step in steps)


def draft_of(facts: Facts, chosen: Sequence[Choice], goal: Goal) -> Draft:
    """Return the chosen fixes as one way, in the order in which they must run, each step once.

    If a fix needs another system, it is the complete way: nothing else is repaired here.
    """
    away = next((fix for _, fix in chosen if leaves(fix.steps)), None)
    if away is not None:
        last = next(i for i, step in enumerate(away.steps) if leaves([step]))
        away = msgspec.structs.replace(away, steps=away.steps[: last + 1])
        chosen = [(tuple(code for codes, _ in chosen for code in codes), away)]
    parts = [part for choice in chosen for part in _parted(choice)]
    ordered = _needed(facts, sorted(parts, key=lambda choice: _rank(choice[1])), goal)
    together: list[Step] = []
    for _, fix in ordered:  # one fix may contain a step twice: a removal for each record
        known = {action(step) for step in together}
        new = [step for step in fix.steps if action(step) not in known]
        narrowed = joined(together, new) if len({action(step) for step in new}) == len(new) else None
        together = [*(narrowed or (*together, *new))]
    codes = tuple(dict.fromkeys(code for codes, _ in chosen for code in codes))
    steps = _one_torch(facts, _lean(together), codes, goal)
    kept = {action(step) for step in steps}
    titles = [fix.title for _, fix in ordered if any(action(step) in kept for step in fix.steps)]
    return Draft(
        title="; ".join(dict.fromkeys(titles)),
        intent=intent_of(steps),
        goal=goal,
        cures=codes,
        steps=_pip_first(steps),
        verify=ordered[-1][1].verify or commands.check(facts),
    )


def _parted(choice: Choice) -> tuple[Choice, ...]:
    """Split a fix that installs torch and then flash-attn in two.

    Fixes for packages that depend on torch go between the two.
    """
    codes, fix = choice
    installs = [step if isinstance(step, Install) else None for step in fix.steps]
    place = next((i for i, step in enumerate(installs) if step and FLASH_PACKAGES & set(step.names())), 0)
    if not any(step and "torch" in step.names() for step in installs[:place]):
        return (choice,)
    return tuple((codes, msgspec.structs.replace(fix, steps=steps)) for steps in (fix.steps[:place], fix.steps[place:]))


def _needed(facts: Facts, ordered: Sequence[Choice], goal: Goal) -> list[Choice]:
    """Return the choices that are still needed: the cause of some may be gone after another torch is installed.

    Example: `pip install triton==2.2.0` is for the installed torch 2.2, and breaks a newer torch that an earlier step installs.
    """
    made: list[Choice] = []
    for codes, fix in ordered:
        then = after(facts, [step for _, earlier in made for step in earlier.steps]).facts
        whole = fix.title in {other.title for _, other in ordered if intent_of(other.steps) == WORK}
        if then.torch.version != facts.torch.version and intent_of(fix.steps) == RIGHT and not whole:
            now, left = ({f.code for f in implied(those, goal)} for those in (facts, then))
            if now.issuperset(codes) and not left & set(codes):
                continue
        made.append((codes, fix))
    return made


def _lean(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps without those that another step includes. flash-attn is compiled once, at the end."""
    made: list[Step] = []
    for step in steps:
        within = isinstance(step, Install) and any(_covers(other, step) for other in steps if other is not step)
        named = isinstance(step, SetVariable) and any(isinstance(s, SetVariable) and s.name == step.name for s in made)
        if not within and not named:
            made.append(step)
    building_it = [step for step in made if build_forecast.compiles(step)]
    return (*(step for step in made if step not in building_it), *building_it[-1:])


def _one_torch(facts: Facts, steps: tuple[Step, ...], codes: Collection[str], goal: Goal) -> tuple[Step, ...]:
    """Return the steps without a torch that a later step replaces, if the later torch cures these causes as well.

    Example: torch 2.14.1 for a GPU of today's driver, then torch 2.8.0, which has a wheel of flash-attn: gigabytes for nothing.
    """
    bringing = [step for step in steps if isinstance(step, Install) and "torch" in step.names()]
    last = bringing[-1] if bringing else None
    earlier = [
        step for step in bringing if last and _torches(step) != _torches(last) and {*step.names()} <= {*last.names()}
    ]
    shorter = tuple(step for step in steps if step not in earlier)
    if not earlier or _left(facts, shorter, codes, goal) - _left(facts, steps, codes, goal):
        return steps
    return shorter


def _torches(step: Install) -> list[str]:
    """Return the requirements of torch in a step: ["torch==2.8.0"]. A build by others is named by an address."""
    return [text for text in step.requirements if name_of(text) == "torch"]


def _left(facts: Facts, steps: Iterable[Step], codes: Collection[str], goal: Goal) -> set[str]:
    """Return those of the codes whose causes are still there after the steps."""
    return {finding.code for finding in implied(after(facts, steps).facts, goal)} & {*codes}


def _covers(other: Step, step: Install) -> bool:
    """Return whether `other` installs all that `step` installs, with the same options."""
    if not isinstance(other, Install) or not set(step.requirements) < set(other.requirements):
        return False
    return action(msgspec.structs.replace(other, requirements=step.requirements)) == action(step)


def _pip_first(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps; if they need a pip that is missing, its installation is added once, before them."""
    brings = [step for step in steps if isinstance(step, AddPip)]
    return (*brings[:1], *(step for step in steps if not isinstance(step, AddPip)))


def _rank(fix: Fix) -> int:
    """Return the position of a fix: steps by hand and variables first; then packages that others depend on; flash-attn last."""
    changing = [step for step in fix.steps if isinstance(step, Install | Uninstall)]
    if not changing:
        return 0
    names = [name for step in changing for name in step.names()]
    if FLASH_PACKAGES & set(names):
        return 2 + len(_ORDER) + 1
    known = [_ORDER.index(name) for name in names if name in _ORDER]
    return 2 + (min(known) if known else len(_ORDER))
