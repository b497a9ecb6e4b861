"""Make the ways of a plan from the root causes: which fixes are combined, in which order, and which alternatives exist. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes import no_build_here, that_stop
from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import building, fact_queries, isolated_projects, torch_install, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.fixes import build_forecast, finished_wheels, step_safety
from attn_doctor.fixes.finished_wheels import compiled, finished, with_others
from attn_doctor.fixes.joining import Choice, Helped, draft_of, intent_of, leaves
from attn_doctor.fixes.plan import WITHOUT, WORK, Draft, Intent
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.knowledge import pci_gpu, pytorch
from attn_doctor.knowledge.other_wheel_sources import torch_with_wheels
from attn_doctor.knowledge.torch_choice import Choice as TorchChoice
from attn_doctor.model.facts import Facts, Subject, Unknown
from attn_doctor.model.findings import Finding, Fix, Goal
from attn_doctor.model.machine import amd_gpus, nvidia_present
from attn_doctor.model.steps import Install, RunByHand, SetVariable, Step, action, bare

MOST = 6  # a plan shows at most this many ways (alternatives); the findings list all fixes
NO_GPU = "no-gpu-present"

_NEEDS_GPU = "There is no GPU here: flash-attn can be installed, and runs only on a machine that has a GPU. `--gpu CC` makes a plan for such a GPU."
_WITHOUT = "Training without flash-attn needs no step: PyTorch has a fused attention of its own, and `attn-doctor check` measures it."


def drafts(facts: Facts, findings: Sequence[Finding], goal: Goal) -> tuple[tuple[Draft, ...], tuple[str, ...]]:
    """Return (ways to cure the findings, the best first; notes about what is impossible or left out here).

    There are at most MOST ways. Their steps have no commands yet.
    """
    findings = [_bare(finding) for finding in findings]
    first = _variables_first(findings)
    if first is not None:
        cause, fix = first
        return (draft_of(facts, [((cause.code,), fix)], goal),), (_LOOK_AGAIN,)
    made: list[Draft]
    notes: tuple[str, ...] = ()
    hidden = _hidden_gpu(facts, findings) if goal is Goal.FLASH_ATTN else None
    if hidden is not None:
        made, notes = hidden
    elif goal is Goal.TRAIN:
        made = [draft_of(facts, chosen, goal) for chosen in _choose(_helped(findings, but=None))]
    else:
        made, notes = _working(facts, findings)
        made = [msgspec.structs.replace(d, steps=isolated_projects.line_taken_out(facts, d.steps)) for d in made]
        without = _without(facts, findings)
        if not without and facts.torch.importable is True:
            notes += (_WITHOUT,)
        made += without
    fitted = [finished_wheels.for_its_torch(facts, draft) for draft in made]
    notes += tuple(f"{_NO_WHEEL}: {one.title}." for one, fit in zip(made, fitted, strict=True) if fit is None)
    made = [draft for draft in fitted if draft is not None]
    faults = {i: why for i, draft in enumerate(made) for step in draft.steps if (why := step_safety.fault(step, facts))}
    notes += tuple(dict.fromkeys(f"A way was left out: {why}." for why in faults.values()))
    return _distinct([draft for i, draft in enumerate(made) if i not in faults]), notes


_NO_WHEEL = "Left out, because nobody is known to have built a wheel for the torch that it installs"


def _bare(finding: Finding) -> Finding:
    """Return the finding with steps that have no commands yet, because a command for one installer must not get into a plan for another."""
    fixes = [msgspec.structs.replace(fix, steps=tuple(map(bare, fix.steps))) for fix in finding.fixes]
    return msgspec.structs.replace(finding, fixes=tuple(fixes))


def _variables_first(findings: Sequence[Finding]) -> tuple[Finding, Fix] | None:
    """Return the finding about a variable such as PYTHONPATH that hides packages or libraries, and its fix; None if there is none.

    All other findings were made while the variable was set. So the plan is only to unset it: the user then examines again, before
    anything is installed.
    """
    for finding in findings:
        fix = finding.fixes[0] if finding.root_cause and finding.fixes else None
        if fix is not None and all(isinstance(s, SetVariable) and s.name in _IN_FRONT for s in fix.steps):
            return finding, fix
    return None


def _hidden_gpu(facts: Facts, findings: Sequence[Finding]) -> tuple[list[Draft], tuple[str, ...]] | None:
    """Return the ways that install a driver for a graphics card that no driver shows, and notes.

    None: a driver shows GPUs, or there is no card. It is not known whether flash-attn runs on that card. So nothing is installed
    for the card before the driver works.
    """
    if facts.graphics.gpus != () or nvidia_present(facts) is not True:
        return None
    cause = next((f for f in findings if f.root_cause and f.slug in that_stop("gpu") and f.fixes), None)
    if cause is None:
        return None
    fixes = [fix for fix in cause.fixes if not _only_looks(fix)] or list(cause.fixes)
    made = [draft_of(facts, [((cause.code,), fix)], Goal.TRAIN) for fix in fixes]
    named = pci_gpu.too_old_for_flash_attn(facts)
    if named is not None:
        return made, (f"flash-attn cannot run here, even with a driver: {named} is older than Ampere.", *(_WITHOUT,))
    return made, (_ASK_THE_CARD,)


_ASK_THE_CARD = (
    "Examine again when the driver works: only the driver shows which GPU this is, and whether flash-attn has code for it. Nothing is "
    "installed for this GPU before; if you know its compute capability CC, `--gpu CC` makes a plan for it."
)


def _only_looks(fix: Fix) -> bool:
    """Return whether a fix changes nothing and only tells the user to check something."""
    return all(isinstance(step, RunByHand) and step.changes in (None, "", "nothing") for step in fix.steps)


_IN_FRONT = ("PYTHONPATH", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH")
_LOOK_AGAIN = "Examine again after that, in the same shell: all other findings were made while foreign packages or libraries were found first."


def _helped(findings: Sequence[Finding], but: Intent | None) -> Helped:
    """Return the root causes, each with its own fixes followed by the fixes of its consequences.

    Fixes of the intent `but` are left out. If a cause stops every build here, its consequences have no fix: a compiler alone does
    not make flash-attn work with an AMD GPU.
    """
    made: Helped = []
    for cause in findings:
        if cause.root_cause:
            alone = cause.slug in no_build_here()
            follows = [f for f in findings if f.explained_by == cause.code and f.severity.rank > 0 and not alone]
            fixes = [fix for f in (cause, *follows) for fix in f.fixes if intent_of(fix.steps) != but]
            made.append((cause, tuple(fixes)))
    return made


def _working(facts: Facts, findings: Sequence[Finding]) -> tuple[list[Draft], tuple[str, ...]]:
    """Return the ways that make flash-attn work; empty if a cause has no fix."""
    helped = [(cause, fixes or _replaced(facts, cause)) for cause, fixes in _helped(findings, but=WITHOUT)]
    # Running flash-attn needs a GPU, installing it does not: on a login node, in CI, in docker build.
    hopeless = [f for f, fixes in helped if not fixes and f.severity.rank == 2 and f.slug != NO_GPU]
    helped = [(cause, fixes) for cause, fixes in helped if cause.slug != NO_GPU]
    if hopeless:
        only_builds = all(f.slug in that_stop("build") for f in hopeless)
        made = with_others(facts, helped, ()) if only_builds else []
        return made, () if made else tuple(f"flash-attn cannot be made to work here: {f.message}" for f in hopeless)
    nowhere = next((f for f, _ in helped if f.slug in no_build_here()), None)
    if nowhere is not None:
        return _without_a_build(facts, helped, nowhere)
    # No build is appended to a look: it may show another cause.
    helped = [(cause, tuple(fix for fix in fixes if not _only_looks(fix)) or fixes) for cause, fixes in helped]
    left_out: dict[str, list[str]] = {}
    made = []
    routes = [draft_of(facts, chosen, Goal.FLASH_ATTN) for chosen in (*finished(helped), *_choose(compiled(helped)))]
    if not routes and not _works(facts):
        if isinstance(facts.torch.hip, str) and not fact_queries.has_composable_kernels(facts):
            return [], (_FOR_AMD,)
        routes = [draft_of(facts, [((), fix)], Goal.FLASH_ATTN) for fix in _installations(facts)]
    for route in routes:
        whole = (
            route
            if intent_of(route.steps) == WORK or leaves(route.steps) or _works(facts)
            else _with_installation(facts, route)
        )
        foreseen = build_forecast.build_in(facts, whole)
        if isinstance(foreseen, str):
            left_out.setdefault(foreseen, []).append(whole.title)
        else:
            made.append(foreseen)
    if left_out and not any(intent_of(draft.steps) == WORK for draft in made):
        made = [*_another_torch(facts, helped), *made]
    if not _works(facts):
        made = with_others(facts, helped, made)
    notes = _of_the_board(facts) if left_out else ()
    without_gpu = (_NEEDS_GPU,) if made and facts.graphics.gpus == () and not amd_gpus(facts) else ()
    return made, without_gpu + notes + tuple(
        f"Left out, because {why}: {'; '.join(_parts(titles))}." for why, titles in left_out.items()
    )


def _without_a_build(facts: Facts, helped: Helped, nowhere: Finding) -> tuple[list[Draft], tuple[str, ...]]:
    """Return the ways for a machine on which no build of flash-attn can succeed.

    Each way has one fix of the cause `nowhere`, and no build is added to it. A fix that means another system is a
    complete way. Any other fix comes after the fixes for the other causes.
    """
    own = next(fixes for cause, fixes in helped if cause is nowhere)
    if facts.system.os != "windows":
        own = tuple(fix for fix in own if intent_of(fix.steps) == WORK or _of_the_installed(facts, fix))
    beside = [((f.code,), _with_wheels(facts, fixes[0])) for f, fixes in helped if f is not nowhere and fixes]
    made = []
    for fix in own:
        away = leaves(fix.steps)
        codes = tuple(f.code for f, _ in helped) if away else (nowhere.code,)
        first = [] if away else [draft_of(facts, beside, Goal.FLASH_ATTN)] if beside else []
        steps = tuple(step for draft in first for step in draft.steps)
        made.append(
            Draft(
                title="; ".join((*(draft.title for draft in first), fix.title)),
                intent=WORK,
                goal=Goal.FLASH_ATTN,
                cures=tuple(dict.fromkeys((*codes, *(code for draft in first for code in draft.cures)))),
                steps=(*steps, *fix.steps),
                verify=building.verify(_of_flash_attn(facts)),
            )
        )
    if made:
        return made, ()
    if nowhere.slug == "rocm-specific":
        return [], (_FOR_AMD,)
    return [], (f"flash-attn cannot be made to work here: {nowhere.message}",)


def _with_wheels(facts: Facts, fix: Fix) -> Fix:
    """Return a fix in which torch is replaced by one that has flash-attn wheels for Windows; unchanged if the fix installs no torch."""
    minor = torch_with_wheels(machine_of(facts).platform) if facts.system.os == "windows" else None
    row = pytorch.release(minor) if minor else Unknown("")
    brings = any(isinstance(step, Install) and "torch" in step.names() for step in fix.steps)
    if isinstance(row, Unknown) or not brings:
        return fix
    why = f"the newest torch for which all builders of flash-attn for Windows have wheels, torch {minor}"
    steps = torch_steps.release(facts, row.latest, why, reinstall=True)
    if not any(isinstance(step, Install) for step in steps):
        return fix
    return msgspec.structs.replace(fix, title=f"Install torch {row.latest} for CUDA", steps=tuple(map(bare, steps)))


_FOR_AMD = (
    "flash-attn for an AMD GPU is built in another way, after a torch for ROCm is installed: "
    "https://github.com/Dao-AILab/flash-attention#amd-rocm-support"
)


def _of_the_installed(facts: Facts, fix: Fix) -> bool:
    """Return whether a fix only sets variables for the installed flash-attn."""
    installed = isinstance(facts.flash_attention.version, str)
    return installed and all(isinstance(step, SetVariable) for step in fix.steps)


def _parts(titles: Iterable[str]) -> tuple[str, ...]:
    """Return the parts of joined titles, each part once."""
    return tuple(dict.fromkeys(part.removesuffix(_THEN) for title in titles for part in title.split("; ")))


def _replaced(facts: Facts, cause: Finding) -> tuple[Fix, ...]:
    """Return a fix that removes the installed, broken flash-attn before a new build.

    Empty if no fix of this cause removes flash-attn, or if this is not Linux.
    """
    removal = next((fix for fix in cause.fixes if intent_of(fix.steps) == WITHOUT), None)
    if removal is None or facts.system.os != "linux":
        return ()
    steps = tuple(msgspec.structs.replace(step, why=_GOES) for step in removal.steps)
    return (Fix(title="Remove the installed flash-attn", steps=steps, verify=removal.verify),)


_GOES = "the installed flash-attn does not work, and its files must not mix with the files of a new flash-attn"


def _installations(facts: Facts) -> tuple[Fix, ...]:
    """Return ways to install flash-attn if nothing prevents it: a finished wheel, another torch, a build."""
    facts = _of_flash_attn(facts)
    try:
        ready = building.without_compiling(facts)
    except Unsure:
        ready = ()
    build = Fix(title="Build flash-attn here", steps=(building.build(facts),), verify=building.verify(facts))
    return (*ready, build)


def _of_the_board(facts: Facts) -> tuple[str, ...]:
    """Return a note about the flash-attn that others build for a Jetson board; empty elsewhere, and if no such index is known."""
    found = torch_install.choice(facts) if facts.system.board == "jetson" else None
    index = found.index_url if isinstance(found, TorchChoice) else None
    if index is None or "jetson-ai-lab" not in index:
        return ()
    # https://github.com/Dao-AILab/flash-attention/issues/844
    return (
        f"The community of Jetson builds flash-attn with code for this board, beside its torch: look for it in {index}.",
    )


def _another_torch(facts: Facts, helped: Helped) -> list[Draft]:
    """Return the ways with a torch that has a wheel of flash-attn, if flash-attn cannot be built for the torch that the fixes install."""
    if facts.graphics.gpus == ():
        return []  # a torch of gigabytes for a package that cannot run here
    ready = [fix for fix in _installations(facts)[:-1] if finished_wheels.brings_wheel(fix)]
    return [
        draft_of(facts, chosen, Goal.FLASH_ATTN) for fix in ready for chosen in finished_wheels.with_wheel(helped, fix)
    ]


_THEN = ", then install flash-attn"


def _of_flash_attn(facts: Facts) -> Facts:
    """Return the facts in which flash-attn is the subject of the log, because a plan for this goal installs flash-attn."""
    return msgspec.structs.replace(facts, subject=Subject())


def _with_installation(facts: Facts, route: Draft) -> Draft:
    facts = _of_flash_attn(facts)
    last = building.build(facts, "now that nothing prevents it")
    return Draft(
        title=f"{route.title}{_THEN}",
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


def _without(facts: Facts, findings: Sequence[Finding]) -> list[Draft]:
    """Return the ways without flash-attn: they remove a broken flash-attn, and fix the causes that prevent training."""
    offered = [(f, fix) for f in findings if f.root_cause for fix in f.fixes if intent_of(fix.steps) == WITHOUT]
    removal: tuple[Step, ...] = offered[0][1].steps if offered else ()
    if not removal and isinstance(facts.flash_attention.version, str) and not _works(facts):
        why = "the installed flash-attn does not work, and PyTorch's own fused attention needs no package"
        removal = (commands.uninstall("flash-attn", why=why),)
    helped = _helped(
        diagnose(isolated_projects.without_line(facts) if removal else facts, Goal.TRAIN).findings, but=WORK
    )
    made = [draft_of(facts, chosen, Goal.TRAIN) for chosen in _choose(helped)]
    if not made and not removal:
        return []
    if not made:
        cures = tuple(dict.fromkeys(f.code for f, _ in offered))
        nothing_else = Draft(
            title="Do without flash-attn",
            intent=WITHOUT,
            goal=Goal.TRAIN,
            cures=cures,
            steps=removal,
            verify=commands.check(facts),
        )
        return [nothing_else]
    return [
        Draft(
            title=draft.title
            if intent_of(draft.steps) == WITHOUT or not removal
            else f"Do without flash-attn. {draft.title}",
            intent=WITHOUT,
            goal=Goal.TRAIN,
            cures=draft.cures,
            steps=draft.steps if intent_of(draft.steps) == WITHOUT else (*removal, *draft.steps),
            verify=draft.verify,
        )
        for draft in made
    ]


def _choose(all_causes: Helped) -> Iterator[list[Choice]]:
    """Yield combinations with one fix for each cause.

    First the first fix of every cause, then the second fix of every cause, and so on. After these, all first fixes with one of
    them replaced.
    """
    helped = [(cause, fixes) for cause, fixes in all_causes if fixes]
    if not helped:
        return
    deepest = max(len(fixes) for _, fixes in helped)
    for depth in range(deepest):
        yield [((f.code,), fixes[min(depth, len(fixes) - 1)]) for f, fixes in helped]
    for varied, (_, fixes) in enumerate(helped):
        for other in fixes[1:]:
            yield [((f.code,), other if i == varied else some[0]) for i, (f, some) in enumerate(helped)]


def _distinct(made: Sequence[Draft]) -> tuple[Draft, ...]:
    found: dict[tuple[Step, ...], Draft] = {}
    for draft in made:
        found.setdefault(tuple(map(action, draft.steps)), draft)
    return tuple(found.values())[:MOST]
