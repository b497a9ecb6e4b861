"""Choose the ways of a plan that install a finished wheel of FlashAttention, from the causes and their fixes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from attn_doctor.failure_modes import that_stop
from attn_doctor.failure_modes.shared import wheel_fixes
from attn_doctor.fixes import build_forecast
from attn_doctor.fixes.joining import FLASH_PACKAGES, Choice, Helped, draft_of, intent_of
from attn_doctor.fixes.plan import WORK, Draft
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Goal
from attn_doctor.model.steps import Install, Uninstall, name_of


def finished(helped: Helped) -> Iterator[list[Choice]]:
    """Yield, for each fix that installs a finished wheel, the fixes of one way.

    These are the installation, and one fix for each other cause that prevents more than a build. `helped`: the root
    causes with their fixes.
    """
    ready = {fix.steps: fix for _, fixes in helped for fix in fixes if brings_wheel(fix)}
    for fix in ready.values():
        yield from _with(helped, fix)


def _with(helped: Helped, fix: Fix) -> Iterator[list[Choice]]:
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
    texts = [text for step in fix.steps if isinstance(step, Install) for text in step.requirements]
    return any(text.endswith(".whl") and name_of(text) in FLASH_PACKAGES for text in texts)


def with_others(facts: Facts, helped: Helped, made: Sequence[Draft]) -> list[Draft]:
    """Return the ways and one more: a wheel by other people, if they built one for this torch and the authors did not.

    This way comes after the authors' wheels and before the builds. It is the first way only if there is no other.
    """
    fix = wheel_fixes.of_others(facts) if wheel_fixes.fitting(facts) is None else None
    if fix is None:
        return list(made)
    routes = [draft_of(facts, chosen, Goal.FLASH_ATTN) for chosen in _with(helped, fix)]
    builds = (i for i, draft in enumerate(made) if any(map(build_forecast.compiles, draft.steps)))
    place = max(next(builds, len(made)), min(len(made), 1))
    return [*made[:place], *routes, *made[place:]]
