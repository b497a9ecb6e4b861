"""Choose the ways of a plan that install a finished wheel of FlashAttention, from the causes and their fixes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from attn_doctor.failure_modes import that_stop
from attn_doctor.failure_modes.shared import wheel_fixes
from attn_doctor.fixes import build_forecast
from attn_doctor.fixes.joining import FLASH_PACKAGES, Choice, Helped, draft_of, intent_of
from attn_doctor.fixes.plan import WORK, Draft
from attn_doctor.judging.after_steps import after
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Goal
from attn_doctor.model.steps import Install, Step, Uninstall, action, bare, name_of
from attn_doctor.model.versions import pair


def finished(helped: Helped) -> Iterator[list[Choice]]:
    """Yield, for each fix that installs a finished wheel, the fixes of one way.

    These are the installation, and one fix for each other cause that prevents more than a build. `helped`: the root
    causes with their fixes.
    """
    ready = {fix.steps: fix for _, fixes in helped for fix in fixes if brings_wheel(fix)}
    for fix in ready.values():
        yield from with_wheel(helped, fix)


def with_wheel(helped: Helped, fix: Fix) -> Iterator[list[Choice]]:
    """Yield the way with this wheel; nothing if a cause prevents more than a build and all its fixes are wheels."""
    others = [
        (f, fixes)
        for f, fixes in helped
        if f.slug not in that_stop("build") and all(x.steps != fix.steps for x in fixes)
    ]
    if all(any(not brings_wheel(x) for x in fixes) for _, fixes in others):
        moot = tuple(f.code for f, _ in helped if all(f is not other for other, _ in others))
        yield [((f.code,), _beside_wheel(fixes)) for f, fixes in others] + [(moot, fix)]


def _beside_wheel(fixes: Sequence[Fix]) -> Fix:
    """Return the fix of another cause that goes with a wheel: the first one that installs no FlashAttention of its own.

    If each of them installs it, only the removals of the first one are kept: the wheel takes the place of the build. Example:
    "glibc-too-old" is cured by a build, and a wheel for an older glibc cures it, too.
    """
    own = [fix for fix in fixes if not brings_wheel(fix)]
    fix = next((fix for fix in own if intent_of(fix.steps) != WORK), None)
    if fix is not None:
        return fix
    removals = tuple(step for step in own[0].steps if isinstance(step, Uninstall))
    return msgspec.structs.replace(own[0], title="Remove the installed flash-attn", steps=removals)


def compiled(helped: Helped) -> Helped:
    """Return the same causes without the fixes that install a wheel; empty if a cause loses all its fixes by that."""
    left = [(f, tuple(fix for fix in fixes if not brings_wheel(fix))) for f, fixes in helped]
    return [] if any(not fixes and whole for (_, fixes), (_, whole) in zip(left, helped, strict=True)) else left


def brings_wheel(fix: Fix) -> bool:
    """Return whether a fix installs a finished wheel of FlashAttention."""
    return any(map(_is_wheel, fix.steps))


def for_its_torch(facts: Facts, draft: Draft) -> Draft | None:
    """Return the way with the wheel for the torch that its earlier steps install; None if there is no such wheel.

    Example: a step installs torch 2.8, and the wheel of the way is for the torch 2.6 of today: the wheel for torch 2.8 takes its place.
    """
    place = next((i for i, step in enumerate(draft.steps) if _is_wheel(step)), None)
    step = draft.steps[place] if place is not None else None
    if place is None or not isinstance(step, Install):
        return draft
    then = after(facts, draft.steps[:place]).facts
    if (then.torch.version, then.torch.cuda) == (facts.torch.version, facts.torch.cuda) or _is_for(step, then):
        return draft
    steps = _wheel_steps(then, by_others=step.built_by is not None)
    if not steps:
        return None
    known = {action(one) for one in draft.steps}
    new = [one for one in steps if action(one) not in known]
    built_by = new[-1].built_by if new and isinstance(new[-1], Install) else None
    return msgspec.structs.replace(
        draft,
        title=draft.title.replace(f"that {step.built_by} built", f"that {built_by} built"),
        steps=(*draft.steps[:place], *new, *draft.steps[place + 1 :]),
    )


def _wheel_steps(facts: Facts, *, by_others: bool) -> tuple[Step, ...]:
    """Return the steps that install a wheel for this torch, by others or by the authors; empty if there is none."""
    if by_others:
        fix = wheel_fixes.of_others(facts)
        return tuple(map(bare, fix.steps)) if fix else ()
    wheel = wheel_fixes.fitting(facts)
    return (bare(wheel_fixes.installation(facts, wheel)),) if wheel else ()


def _is_wheel(step: Step) -> bool:
    texts = step.requirements if isinstance(step, Install) else ()
    return any(text.endswith(".whl") and name_of(text) in FLASH_PACKAGES for text in texts)


# "cu12torch2.8" of the authors, "cu128torch2.6" of others
_BUILT_FOR = re.compile(r"cu(?P<major>1[1-9])\d?torch(?P<torch>\d+\.\d+)")


def _is_for(step: Install, facts: Facts) -> bool:
    """Return whether the name of the wheel has this torch and this major of CUDA. A name without them, or an unknown torch, counts as right."""
    named = _BUILT_FOR.search(step.requirements[-1])
    torch, cuda = facts.torch.version, facts.torch.cuda
    if named is None or not isinstance(torch, str):
        return True
    same_cuda = not isinstance(cuda, str) or cuda.partition(".")[0] == named["major"]
    return pair(torch) == pair(named["torch"]) and same_cuda


def with_others(facts: Facts, helped: Helped, made: Sequence[Draft]) -> list[Draft]:
    """Return the ways and one more: a wheel by other people, if they built one for this torch and the authors did not.

    This way comes after the authors' wheels and before the builds. It is the first way only if there is no other.
    """
    fix = wheel_fixes.of_others(facts) if wheel_fixes.fitting(facts) is None else None
    if fix is None:
        return list(made)
    routes = [draft_of(facts, chosen, Goal.FLASH_ATTN) for chosen in with_wheel(helped, fix)]
    builds = (i for i, draft in enumerate(made) if any(map(build_forecast.compiles, draft.steps)))
    place = max(next(builds, len(made)), min(len(made), 1))
    return [*made[:place], *routes, *made[place:]]
