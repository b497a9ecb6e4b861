"""Try ways in throw-away copies of the target until one works. The target itself is never changed."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from attn_doctor.commands.installers import KEEPERS, Context, in_order, keeps_books, plain
from attn_doctor.errors import NoAnswer
from attn_doctor.fixes import after_fix_verdict, first_import, step_runner, step_safety, unsigned
from attn_doctor.fixes.after_fix_verdict import Say
from attn_doctor.fixes.alternatives import drafts
from attn_doctor.fixes.plan import RUNNABLE, Attempt, Change, Plan, PlannedStep, Way
from attn_doctor.fixes.plan_builder import planned, unsigned_in
from attn_doctor.fixes.target_paths import BOOKS, Cannot, Places, own, versions
from attn_doctor.fixes.throwaway_copy import Mirror, mirrored
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal
from attn_doctor.model.report import Report
from attn_doctor.model.steps import Run, RunByHand, Step, action, bare, moved
from attn_doctor.system import leftovers

MORE_ROUNDS = 2  # how many times a way may get more steps from the findings after its last step
STEP_DEADLINE = 3 * 3600.0  # seconds: a step may download gigabytes over a slow line, or compile


class Trying(NamedTuple):
    """Hold the inputs of `attempt`, except the way."""

    places: Places
    goal: Goal
    here: Context
    timeout: float  # seconds for one import or one trial
    say: Say
    environ: Mapping[str, str]  # the user's
    root: str = "/"
    gpu: str | None = None  # judge for this GPU, which is in another machine
    facts: Facts = Facts()  # of the target, for the check of a wheel
    trusted: Sequence[str] = ()  # builders of unsigned wheels whom the user has named


def verify(plan: Plan, trying: Trying) -> Plan:
    """Try the ways in order until one works; return the plan with that way first. If none works, their order stays."""
    tried: list[Way] = []
    for index, way in enumerate(plan.ways):
        if tried and tried[-1].attempt and tried[-1].attempt.verified:
            tried += plan.ways[index:]
            break
        trying.say(f"trying {way.name} in a copy: {way.title}")
        tried.append(attempt(way, trying))
    ordered = sorted(tried, key=lambda way: not (way.attempt and way.attempt.verified))
    return msgspec.structs.replace(plan, ways=tuple(ordered))


def attempt(way: Way, trying: Trying) -> Way:
    """Try a way in a copy, and return the way with the outcome.

    If the examination afterwards suggests further steps, they are added to the way.
    """
    began = time.monotonic()
    hopeless = _not_to_be_tried(way)
    if hopeless is None and way.unsigned is not None:
        way, hopeless = unsigned.proven(way, _proving(trying))
        trying = trying._replace(here=plain(trying.here))
    if hopeless:
        return msgspec.structs.replace(way, attempt=Attempt(verified=False, summary=hopeless))
    try:
        with mirrored(trying.places) as mirror:
            carried, made = _in_copy(way, trying, mirror)
    except (Cannot, NoAnswer) as error:
        carried, made = way, Attempt(verified=False, summary=f"could not be tried: {error}")
    if way.by_hand() and not made.verified:
        made = msgspec.structs.replace(made, summary=f"{made.summary} (tried without the steps that only you can do)")
    made = msgspec.structs.replace(made, seconds=round(time.monotonic() - began, 1))
    return msgspec.structs.replace(carried, attempt=made)


def _proving(trying: Trying) -> unsigned.Proving:
    return unsigned.Proving(
        trying.facts, trying.places, trying.here, trying.environ, trying.timeout, trying.say, trying.trusted
    )


def _not_to_be_tried(way: Way) -> str | None:
    if way.runnable() or way.variables():
        return None
    return "only you can do these steps: none of them can be tried in a copy"


def _in_copy(way: Way, trying: Trying, mirror: Mirror) -> tuple[Way, Attempt]:
    plain = _environ(mirror, trying, {})
    first_look = _examined(mirror, trying.goal, plain, trying)
    before = after_fix_verdict.remaining(first_look)
    missing = set(way.cures) - {f.code for f in before} - _only_by_hand(way)
    if missing and not set(way.cures) & {f.code for f in before}:
        return way, Attempt(
            verified=False,
            summary=f"could not be tried: a copy of this environment does not show {', '.join(sorted(missing))}",
        )
    had = versions(own(first_look.facts))
    first = way
    with tempfile.TemporaryDirectory(dir=leftovers.folder()) as folder:
        pending = list(way.runnable())
        for more in range(MORE_ROUNDS + 1):
            environ = _environ(mirror, trying, way.variables())
            failed = unsigned.altered(way) or _run(pending, trying, mirror, environ, Path(folder))
            if failed:
                return first, Attempt(verified=False, summary=failed)
            if way.unsigned is not None:
                environ = first_import.cleared(environ, Path(folder) / "home")
            report = _examined(mirror, way.goal, environ, trying)
            why = after_fix_verdict.verdict(way, before, report)
            if why is None:
                break
            # A wheel was checked against the installed packages: steps that change it are another way.
            extends = more < MORE_ROUNDS and way.unsigned is None
            further = _further(way, report, mirror, trying) if extends else []
            if not further:
                return first, _failed(why, report, had)
            pending = [planned for planned in further if isinstance(planned.step, RUNNABLE)]
            way = msgspec.structs.replace(way, steps=(*way.steps, *further))
        trial = after_fix_verdict.tried(mirror.python, way, environ, trying.timeout, trying.root)
    against, remark = None, None
    if way.unsigned is not None:
        against, remark = after_fix_verdict.unchecked(trial, elsewhere=trying.gpu is not None)
    if against is not None:
        return first, _failed(against, report, had)
    return way, _succeeded(report, after_fix_verdict.ran(trial), had, remark)


def _only_by_hand(way: Way) -> set[str]:
    return set(way.cures) if not way.runnable() and not way.variables() else set()


def _examined(mirror: Mirror, goal: Goal, environ: Mapping[str, str], trying: Trying) -> Report:
    return after_fix_verdict.examine(mirror.python, goal, environ, trying.timeout, gpu=trying.gpu, root=trying.root)


def _environ(mirror: Mirror, trying: Trying, variables: Mapping[str, str | None]) -> dict[str, str]:
    conda = trying.places.kind == "conda"
    made = step_runner.environment(trying.environ, mirror.prefix, mirror.scripts, variables, conda=conda)
    # The project's tool installs into the copy, but not the project itself, whose source is not copied.
    return {**made, "UV_PROJECT_ENVIRONMENT": mirror.prefix, "UV_NO_INSTALL_PROJECT": "1", "PDM_NO_SELF": "1"}


def _run(
    steps: Sequence[PlannedStep], trying: Trying, mirror: Mirror, environ: Mapping[str, str], folder: Path
) -> str | None:
    """Run the steps. Return the reason of a failure; None if all succeed."""
    project = _project(trying.here, folder)
    for step in _for_copy([one.step for one in steps], trying, mirror, project):
        said = step.changes or step.why
        trying.say(f"in the copy: {said}")
        log = folder / "step.log"
        done = step_runner.run(
            step.argv, environ, log, deadline=STEP_DEADLINE, on_line=trying.say, cwd=str(project) if project else None
        )
        if not done.ok:
            return f"a step fails ({said}): {after_fix_verdict.explain(log, trying.goal)}"
    return None


def _project(here: Context, folder: Path) -> Path | None:
    """Return a copy of the project's own files, for a tool that writes into them; None for any other tool.

    pixi would make a new environment for such a copy, so pip tries the steps of pixi.
    """
    if not keeps_books(here) or not here.folder or here.installer == "pixi":
        return None
    copy = folder / "project"
    if not copy.is_dir():
        copy.mkdir()
        for name in BOOKS:
            if name != ".pdm-python" and (Path(here.folder) / name).is_file():
                shutil.copyfile(Path(here.folder) / name, copy / name)
    return copy


def _for_copy(steps: Sequence[Step], trying: Trying, mirror: Mirror, project: Path | None) -> Sequence[Step]:
    """Return the steps with commands that work on the copies of the environment and of the project's files.

    A step that empties a cache is left out: the cache is the user's own, and a try must not change it.
    """
    steps = [step for step in steps if not step_safety.empties_a_cache(step, trying.here.python)]
    here = msgspec.structs.replace(trying.here, python=mirror.python, prefix=mirror.prefix)

    def word(text: str) -> str:
        return str(project) if project and text == trying.here.folder else mirror.word(text, trying.here.python)

    there = [moved(step, word) for step in steps]
    if project is not None:
        return in_order(msgspec.structs.replace(here, folder=str(project)), [bare(step) for step in there])
    of_tool = [
        step for step in there if isinstance(step, Run) and keeps_books(here) and step.argv[0] in KEEPERS.values()
    ]
    return in_order(plain(here), [bare(step) for step in there if step not in of_tool])


def _further(way: Way, report: Report, mirror: Mirror, trying: Trying) -> list[PlannedStep]:
    """Return the next steps that the examination of the copy suggests, with the target's own paths.

    Steps that were already done are left out.
    """
    done = {action(planned.step) for planned in way.steps}
    for draft in drafts(report.facts, report.findings, way.goal)[0]:
        if unsigned_in(draft.steps) is not None:
            continue  # nobody has checked it
        steps = [moved(step, lambda word: mirror.word_back(word, trying.here.python)) for step in draft.steps]
        new = [step for step in steps if action(step) not in done and not _only_words(step)]
        if any(isinstance(step, RUNNABLE) for step in new):
            verify = tuple(mirror.word_back(word, trying.here.python) for word in draft.verify)
            return [planned(step, verify) for step in in_order(trying.here, new)]
    return []


def _only_words(step: Step) -> bool:
    """Return whether a step only tells the user in words what to do."""
    return isinstance(step, RunByHand) and not step.argv


def _succeeded(report: Report, backends: Sequence[str], had: Mapping[str, str], remark: str | None = None) -> Attempt:
    left = after_fix_verdict.remaining(report)
    errors = [f for f in left if f.severity.rank == 2]
    parts = [f"{len(left)} finding{'' if len(left) == 1 else 's'}"]
    if errors:
        parts.append(f"{errors[0].slug} is still there, and this plan does not treat it")
    served = [name for name in backends if name != "eager"] or list(backends)
    if served:
        parts.append(f"{' and '.join(served)} run{'s' if len(served) == 1 else ''}")
    parts += [remark] if remark else []
    return Attempt(
        verified=True,
        summary=f"after this plan {', '.join(parts)}",
        left=tuple(f"{f.code} {f.slug}: {f.message}" for f in left),
        ran=tuple(backends),
        changes=difference(had, versions(own(report.facts))),
    )


def _failed(why: str, report: Report, had: Mapping[str, str]) -> Attempt:
    return Attempt(
        verified=False,
        summary=f"after this plan {why}",
        left=tuple(f"{f.code} {f.slug}: {f.message}" for f in after_fix_verdict.remaining(report)),
        changes=difference(had, versions(own(report.facts))),
    )


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    """Return the changes that really happened, from the versions before and after, by normal package names."""
    return tuple(
        Change(package=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )
