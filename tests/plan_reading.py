"""What tests read of a plan's steps, in one place: a change to how a step is kept changes these functions alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attn_doctor.fixes.plan import PlannedStep, Way
from attn_doctor.model.findings import Diagnosis
from attn_doctor.model.steps import Install, RunByHand, SetVariable, Step, Uninstall, action

Either = Step | PlannedStep


def bare(step: Either) -> Step:
    """Return the step itself, of a draft or of a plan."""
    return step.step if isinstance(step, PlannedStep) else step


def installs(step: Either) -> tuple[str, ...]:
    """Return the names of the packages that a step installs, in the order in which it names them."""
    it = bare(step)
    return it.names() if isinstance(it, Install) else ()


def uninstalls(step: Either) -> tuple[str, ...]:
    """Return the names of the packages that a step removes."""
    it = bare(step)
    return it.names() if isinstance(it, Uninstall) else ()


def variable(step: Either) -> tuple[str, str | None] | None:
    """Return name and value of the variable that a step sets; the value is None where it unsets it."""
    it = bare(step)
    return (it.name, it.value) if isinstance(it, SetVariable) else None


def run_by_doctor(way: Way) -> tuple[PlannedStep, ...]:
    """Return the steps that `fix --apply` runs itself."""
    return way.runnable()


def is_of_the_system(step: Either) -> bool:
    """Whether only the user can take a step: it needs root, a reboot, another machine."""
    return isinstance(bare(step), RunByHand)


def said(step: Either) -> Step:
    """Return what tells one step from another: what it does, or its words where it has no command."""
    return action(bare(step))


def places(steps: Sequence[Either], read: Callable[[Either], Sequence[str]], name: str) -> Iterator[int]:
    """Return the places of the steps that install, or remove, a package: `places(way.steps, installs, "torch")`."""
    return (index for index, step in enumerate(steps) if name in read(step))


def fixed_twice(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return slug and title of each fix that has the reader do what another one of its finding does, has its title, or repeats a step."""
    found = []
    for finding in diagnosis.findings:
        done, titles = set[tuple[Step, ...]](), set[str]()
        for fix in finding.fixes:
            steps = tuple(map(action, fix.steps))
            if steps in done or fix.title in titles or len(set(steps)) < len(steps):
                found.append((finding.slug, fix.title))
            done.add(steps)
            titles.add(fix.title)
    return found
