"""Predict the result of a fix before it is carried out: the faults that stay, and the faults that it would cause. Pure.

`after_steps` predicts the facts after the steps, and these facts are diagnosed without logs. A fix is rejected if its own cause
stays. If a new error would appear, the fix gets the steps against that error too, or is rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from attn_doctor.failure_modes import that_stop
from attn_doctor.judging.after_steps import Versions, after, as_installed_now
from attn_doctor.model.facts import Facts, Record
from attn_doctor.model.findings import Finding, Fix
from attn_doctor.model.requirements import both_of, oldest, read_requirement
from attn_doctor.model.steps import Install, RunByHand, Step, action

# (facts) -> the findings that these facts alone imply, with raw fixes: see `judging.diagnose.implied`.
Diagnose = Callable[[Facts], Sequence[Finding]]
ROUNDS = 2  # how many times a cure may get further steps


class Foreseen(Record, frozen=True, kw_only=True):
    """Hold the predicted facts and findings after the steps."""

    facts: Facts
    left: tuple[Finding, ...] = ()  # causes that the steps should cure, but do not
    new: tuple[Finding, ...] = ()  # errors that the steps cause

    @property
    def against(self) -> str | None:
        """Return why these steps would not cure: a cause stays, or a new error appears. None if neither happens."""
        if self.left:
            return f"{self.left[0].slug} would still be there"
        return f"{self.new[0].slug} would follow: {self.new[0].message}" if self.new else None


class Now(Record, frozen=True, kw_only=True):
    """Hold the present machine: its facts, the findings that these facts show, and a function that diagnoses other facts."""

    facts: Facts
    findings: tuple[Finding, ...]
    diagnose: Diagnose


def foreseen(
    now: Now, steps: Sequence[Step], slugs: Iterable[str], told: Mapping[int, Versions] | None = None
) -> Foreseen:
    """Return the predicted facts and findings after the steps.

    `slugs`: the failure modes that the steps should cure. `told`: the versions that the installer predicted, by the
    index of the step. `left` is empty if the effect of a step is not known. `new` has no error that stops only a build,
    because flash-attn can also be installed without a build.
    """
    then = after(now.facts, steps, told)
    found = now.diagnose(then.facts)
    known = {finding.slug for finding in now.findings} | {*that_stop("build")}
    wanted = set(slugs) & {finding.slug for finding in now.findings}
    left = () if then.vague else tuple(f for f in found if f.slug in wanted and f.severity.rank > 0)
    new = tuple(f for f in found if f.severity.rank == 2 and f.root_cause and f.slug not in known)
    if new:
        # A rule that compares versions is silent while the import is seen to work. After the steps that is unknown, so it may speak for
        # the first time: no fault that the steps make.
        already = {f.slug for f in now.diagnose(as_installed_now(now.facts, then.facts))}
        new = tuple(f for f in new if f.slug not in already)
    return Foreseen(facts=then.facts, left=left, new=new)


def completed(now: Now, fix: Fix, slug: str) -> Fix | None:
    """Return a fix together with the steps against the errors that it would cause; None if it would still not cure.

    `slug`: the failure mode that the fix is for.
    """
    made = fix
    for _ in range(ROUNDS):
        seen = foreseen(now, made.steps, (slug,))
        if seen.against is None:
            return made
        further = next((other.fixes[0] for other in seen.new if other.fixes), None)
        if seen.left or further is None or any(isinstance(step, RunByHand) for step in further.steps):
            return None
        steps = joined(made.steps, further.steps)
        if steps is None:
            return None
        made = msgspec.structs.replace(made, title=f"{made.title}, then {lower(further.title)}", steps=steps)
    return made if foreseen(now, made.steps, (slug,)).against is None else None


def lower(title: str) -> str:
    """Return a title with a small first letter, to stand after ", then": "install NumPy 1" for "Install NumPy 1"."""
    return title[:1].lower() + title[1:]


def joined(first: Sequence[Step], more: Sequence[Step]) -> tuple[Step, ...] | None:
    """Return the steps of both lists; None if they request two different exact versions of one package.

    If both request a range of versions of one package, the ranges are joined, so that it is installed once.
    """
    made = list(first)
    for step in more:
        if any(action(step) == action(other) for other in made):
            continue
        place = next((at for at, other in enumerate(made) if _same_package(other, step)), None)
        if place is None:
            made.append(step)
            continue
        narrowed = _narrowed(made[place], step)
        if narrowed is None:
            return None
        made[place] = narrowed
    return tuple(made)


def _same_package(one: Step, other: Step) -> bool:
    if not isinstance(one, Install) or not isinstance(other, Install):
        return False
    plain = one.options() | other.options() <= {"upgrade"}
    named = all(len(step.names()) == len(step.requirements) for step in (one, other))
    return plain and named and set(other.names()) <= set(one.names()) and bool(other.names())


def _narrowed(one: Step, other: Step) -> Step | None:
    assert isinstance(one, Install)
    assert isinstance(other, Install)
    ranges = dict(zip(other.names(), other.requirements, strict=True))
    texts = tuple(
        _both(text, ranges[name]) if name in ranges else text
        for name, text in zip(one.names(), one.requirements, strict=True)
    )
    if any(text is None for text in texts):
        return None
    found = tuple(text for text in texts if text is not None)
    return msgspec.structs.replace(one, requirements=found, changes=", ".join(found))


def _both(one: str, other: str) -> str | None:
    """Return one requirement that joins both: numpy>=1.23 and numpy<2 give numpy<2,>=1.23. None if they name two different exact versions."""
    first, second = read_requirement(one), read_requirement(other)
    both = both_of(first.specifier, second.specifier) if first and second else None
    if first is None or both is None:
        return other
    exact = {s.version for s in both if s.operator == "=="}
    if len(exact) > 1:
        return None
    lowest = oldest(both)
    kept = [str(s) for s in both if s.operator != ">=" or (lowest is not None and s.version == lowest.version)]
    return first.name + ",".join(sorted(kept))
