"""From root causes to ways out: which fixes go together, in which order, and what the alternatives are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attn_doctor import commands
from attn_doctor.diagnose import diagnose
from attn_doctor.facts import Facts
from attn_doctor.failure_modes import building
from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.findings import Finding, Fix, Goal, Step
from attn_doctor.fixes import foresee
from attn_doctor.fixes.installers import parse
from attn_doctor.fixes.plan import RIGHT, WITHOUT, WORK, Draft, Intent

MOST = 6  # ways; who wants more reads the findings
FLASH_PACKAGES = frozenset({"flash-attn", "flash-attn-3", "flash-attn-4"})

# What has to be in place before what: a torch that is replaced takes its torchvision and every extension with it.
_ORDER = ("pip", "torch", "torchvision", "torchaudio", "triton", "numpy")


def drafts(facts: Facts, findings: Sequence[Finding], goal: Goal) -> tuple[tuple[Draft, ...], tuple[str, ...]]:
    """Ways best first, and notes on what is not possible here."""
    if goal is Goal.TRAIN:
        made = [_draft(facts, chosen, goal) for chosen in _choose(_helped(findings, but=None))]
        return _distinct(made), ()
    working, notes = _working(facts, findings)
    return _distinct([*working, *_without(facts)]), notes


Helped = list[tuple[Finding, tuple[Fix, ...]]]


def _helped(findings: Sequence[Finding], but: Intent | None) -> Helped:
    """Root causes with what helps against them, but for fixes of one intent: their own fixes, then those of what follows."""
    made: Helped = []
    for cause in findings:
        if cause.root_cause:
            follows = [f for f in findings if f.explained_by == cause.code and f.severity.rank > 0]
            fixes = [fix for f in (cause, *follows) for fix in f.fixes if intent_of(fix.steps) != but]
            made.append((cause, tuple(fixes)))
    return made


def intent_of(steps: Iterable[Step]) -> Intent:
    """What a fix is about, from what it installs and removes."""
    added: set[str] = set()
    removed: set[str] = set()
    for step in steps:
        request = parse(step.argv) if step.kind == "run" else None
        if request:
            (added if request.verb == "install" else removed).update(request.names())
    if added & FLASH_PACKAGES:
        return WORK
    return WITHOUT if removed & FLASH_PACKAGES else RIGHT


def _working(facts: Facts, findings: Sequence[Finding]) -> tuple[list[Draft], tuple[str, ...]]:
    """Ways to a flash-attn that works. One cause that nothing helps against, and there is none."""
    helped = _helped(findings, but=WITHOUT)
    hopeless = [f for f, fixes in helped if not fixes and f.severity.rank == 2]
    if hopeless:
        return [], tuple(f"flash-attn cannot be made to work here: {f.message}" for f in hopeless)
    made: list[Draft] = []
    notes: list[str] = []
    routes = [_draft(facts, chosen, Goal.FLASH_ATTN) for chosen in _choose(helped)]
    if not routes and not _works(facts):
        routes = [_draft(facts, [((), fix)], Goal.FLASH_ATTN) for fix in _installations(facts)]
    for route in routes:
        whole = route if intent_of(route.steps) == WORK or _works(facts) else _with_installation(facts, route)
        foreseen = foresee.build_in(facts, whole)
        if isinstance(foreseen, str):
            notes.append(f"{whole.title}: {foreseen}")
        else:
            made.append(foreseen)
    return made, tuple(dict.fromkeys(notes))


def _installations(facts: Facts) -> tuple[Fix, ...]:
    """Ways to put flash-attn in where nothing stands against it: a finished wheel, another torch, a build."""
    if facts.graphics.gpus == ():
        return ()  # nothing could run it
    try:
        ready = building.without_compiling(facts)
    except Unsure:
        ready = ()
    build = Fix(title="Build flash-attn here", steps=(building.build(facts),), verify=building.verify(facts))
    return (*ready, build)


def _with_installation(facts: Facts, route: Draft) -> Draft:
    last = building.build(facts, "now that nothing stands in its way")
    return Draft(
        title=f"{route.title}, then install flash-attn",
        intent=WORK,
        goal=route.goal,
        cures=route.cures,
        steps=(*route.steps, last),
        verify=building.verify(facts),
    )


def _works(facts: Facts) -> bool:
    try:
        return building.works(facts)
    except Unsure:
        return False


def _without(facts: Facts) -> list[Draft]:
    """Ways that take the wish back: remove what is broken, and put right what stands in the way of training."""
    helped = _helped(diagnose(facts, Goal.TRAIN).findings, but=WORK)
    removal: tuple[Step, ...] = ()
    if isinstance(facts.flash_attention.version, str) and not _works(facts):
        why = "it does not work, and PyTorch's own fused attention needs no package"
        removal = (commands.uninstall(facts, "flash-attn", why=why),)
    made = [_draft(facts, chosen, Goal.TRAIN) for chosen in _choose(helped)]
    if not made and not removal:
        return []
    if not made:
        title, cures = "Do without flash-attn", ()
        return [
            Draft(
                title=title, intent=WITHOUT, goal=Goal.TRAIN, cures=cures, steps=removal, verify=commands.check(facts)
            )
        ]
    return [
        Draft(
            title=draft.title if intent_of(draft.steps) == WITHOUT else f"Do without flash-attn. {draft.title}",
            intent=WITHOUT,
            goal=Goal.TRAIN,
            cures=draft.cures,
            steps=draft.steps if intent_of(draft.steps) == WITHOUT else (*removal, *draft.steps),
            verify=draft.verify,
        )
        for draft in made
    ]


Choice = tuple[tuple[str, ...], Fix]  # codes that it cures


def _choose(all_causes: Helped) -> Iterator[list[Choice]]:
    """One fix for each cause: the first of all, the second of all ..., then one cause at a time another."""
    helped = [(cause, fixes) for cause, fixes in all_causes if fixes]
    if not helped:
        return
    deepest = max(len(fixes) for _, fixes in helped)
    for depth in range(deepest):
        yield [((f.code,), fixes[min(depth, len(fixes) - 1)]) for f, fixes in helped]
    for varied, (_, fixes) in enumerate(helped):
        for other in fixes[1:]:
            yield [((f.code,), other if i == varied else some[0]) for i, (f, some) in enumerate(helped)]


def _draft(facts: Facts, chosen: Sequence[Choice], goal: Goal) -> Draft:
    ordered = sorted(chosen, key=lambda choice: _rank(choice[1]))
    steps: tuple[Step, ...] = ()
    for _, fix in ordered:
        steps += tuple(step for step in fix.steps if step not in steps)  # what another fix does already
    titles = list(dict.fromkeys(fix.title for _, fix in ordered))
    return Draft(
        title="; ".join(titles),
        intent=intent_of(steps),
        goal=goal,
        cures=tuple(dict.fromkeys(code for codes, _ in chosen for code in codes)),
        steps=_pip_first(steps),
        verify=ordered[-1][1].verify or commands.check(facts),
    )


def _pip_first(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """A missing pip is put in once, and before everything that needs it."""
    brings = [step for step in steps if "ensurepip" in step.argv]
    return (*brings[:1], *(step for step in steps if "ensurepip" not in step.argv))


def _rank(fix: Fix) -> int:
    """By hand and environment first, then removals, then what others are built on, flash-attn last."""
    requests = [r for step in fix.steps if step.kind == "run" and (r := parse(step.argv))]
    if not requests:
        return 0
    names = [name for request in requests for name in request.names()]
    if FLASH_PACKAGES & set(names):
        return 2 + len(_ORDER) + 1
    known = [_ORDER.index(name) for name in names if name in _ORDER]
    return 2 + (min(known) if known else len(_ORDER))


def _distinct(made: Sequence[Draft]) -> tuple[Draft, ...]:
    found: dict[tuple[tuple[str, ...], ...], Draft] = {}
    for draft in made:
        found.setdefault(tuple(step.argv or (step.why,) for step in draft.steps), draft)
    return tuple(found.values())[:MOST]
