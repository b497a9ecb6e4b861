"""Predict the source build of flash-attn in a plan: refuse a build that cannot succeed, set variables for one that can. Pure."""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes import that_stop
from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import build_tools, building
from attn_doctor.fixes.plan import Draft
from attn_doctor.judging.after_steps import after
from attn_doctor.judging.diagnose import implied
from attn_doctor.knowledge import finder, flash_attention, wheels
from attn_doctor.knowledge.build import GIGABYTE, Cost
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.steps import Install, SetVariable, Step, action

# The finished library is several hundred megabytes, and its objects lie beside it until it is linked.
_OBJECTS_BYTES = 2 * GIGABYTE


def build_in(facts: Facts, draft: Draft) -> Draft | str:
    """Return the way with the variables and the cost of its build, or a sentence why the build cannot succeed.

    A way without a build is returned unchanged. A build for ROCm, and one for which setup.py finds a finished wheel,
    get no variables and no cost. If setup.py imports packages that are missing, a step before the build installs them.
    """
    place = next((i for i, step in enumerate(draft.steps) if compiles(step)), None)
    if place is None:
        return draft
    step = draft.steps[place]
    unreleased = is_unreleased(step)
    then = after(facts, draft.steps[:place]).facts  # an earlier step may have installed another torch
    draft = _with_tools(then, draft, place)
    place = draft.steps.index(step)
    release = building.wanted_release(facts)
    refused = None if unreleased else _downloaded_in_vain(then, release)
    if building_finds_wheel(then) and not unreleased and refused is None:
        return draft
    if isinstance(then.torch.hip, str):
        return draft  # the forecast and its variables are for nvcc only
    against = _never(then, release, unreleased=unreleased)
    if not _same_again(facts, step):
        against = against or _stopped(after(facts, draft.steps[:place]).facts, draft)
    if against:
        return f"a source build cannot succeed: {against.rstrip('.')}"
    foreseen = building.foreseen(then, release) or building.foreseen(facts, release)
    if foreseen is None:
        return draft
    settings = foreseen.settings.variables() if foreseen.settings else {}
    why = "so that the compilers fit into this machine's memory"
    named = {step.name for step in draft.steps if isinstance(step, SetVariable)}
    variables = [commands.variable(name, value, why) for name, value in settings.items() if name not in named]
    if refused and FORCE_BUILD not in named:
        variables = [commands.variable(FORCE_BUILD, "TRUE", refused), *variables]
    built = msgspec.structs.replace(step, takes=cost_text(foreseen.cost) or step.takes)
    notes = [*draft.notes, foreseen.tmpdir]
    if isinstance(foreseen.fits_memory, Answer) and not foreseen.fits_memory.yes:
        notes.append(foreseen.fits_memory.why)
    short = disk(facts)
    if short:
        notes.append(short)
    steps = (*draft.steps[:place], *variables, built, *draft.steps[place + 1 :])
    return msgspec.structs.replace(draft, steps=steps, notes=tuple(notes))


FORCE_BUILD = "FLASH_ATTENTION_FORCE_BUILD"  # setup.py compiles, and does not look for a finished wheel


def _downloaded_in_vain(facts: Facts, release: str) -> str | None:
    """Return why the finished wheel that setup.py would download cannot be loaded here; None if no reason is known.

    setup.py compares neither glibc nor the kind of Python: for "cp313t" it asks for the wheel of cp313, and renames it.
    """
    if facts.interpreter.free_threaded is True:
        return "setup.py would download the wheel for a Python with GIL, which this Python cannot import"
    glibc = facts.system.glibc
    # The table may not have the newest release yet: its wheels are built as those of the newest release in the table.
    listed = next((row.release for row in flash_attention.releases() if wheels.of_release(row.release)), release)
    known = release if wheels.of_release(release) else listed
    fits = finder.glibc_fits(known, glibc) if isinstance(glibc, str) else None
    return f"the wheel that setup.py would download {fits.why}" if isinstance(fits, Answer) and not fits.yes else None


def _same_again(facts: Facts, step: Step) -> bool:
    """Return whether a step installs the release that is already installed. pip may still have the wheel of that time."""
    have = facts.flash_attention.version
    return (
        isinstance(step, Install)
        and isinstance(have, str)
        and not step.no_cache
        and f"flash-attn=={have.partition('+')[0]}" in step.requirements
    )


def _stopped(then: Facts, draft: Draft) -> str | None:
    """Return the cause that would stop the build and that the earlier steps of the way do not fix; None if there is none."""
    done = {action(step) for step in draft.steps}
    for finding in implied(then, Goal.FLASH_ATTN):
        held = any(all(action(step) in done for step in fix.steps) for fix in finding.fixes)
        if (
            finding.slug in that_stop("build")
            and finding.slug not in _JUDGED
            and finding.severity.rank == _ERROR
            and not held
        ):
            return finding.message
    return None


_ERROR = Severity.ERROR.rank
# The first two are answered by `_never`, the third by the variables that the way gets.
_JUDGED = ("flash-attn-cxx20-required", "flash-attn-newer-than-torch", "out-of-memory-build")


def _with_tools(then: Facts, draft: Draft, place: int) -> Draft:
    """Return the way with one more step before the build: it installs missing packages that setup.py imports."""
    step, listed = draft.steps[place], then.packages.distributions
    if isinstance(listed, Unknown) or not isinstance(step, Install) or not step.no_build_isolation:
        return draft
    there = {distribution.name for distribution in listed}
    if isinstance(then.toolchain.ninja, str):
        there.add("ninja")
    absent = [name for name in build_tools.NEEDED if name not in there]
    if not absent:
        return draft
    why = "setup.py imports these packages, and a build without isolation finds only installed packages"
    tools = commands.install(*absent, why=why, changes="adds build tools")
    return msgspec.structs.replace(draft, steps=(*draft.steps[:place], tools, *draft.steps[place:]))


def compiles(step: Step) -> bool:
    """Return whether a step may compile flash-attn: it names the package, and no finished wheel."""
    if not isinstance(step, Install) or "flash-attn" not in step.names():
        return False
    return not any(text.endswith(".whl") for text in step.requirements)


def building_finds_wheel(facts: Facts) -> bool:
    """Return whether setup.py would find a finished wheel. Then nothing is compiled."""
    try:
        found = building.wheel_is_there(facts, building.wanted_release(facts))
    except Unsure:
        return False
    return isinstance(found, Answer) and found.yes


def is_unreleased(step: Step) -> bool:
    """Return whether a step builds flash-attn from its repository: the main branch, which is ahead of all releases."""
    return isinstance(step, Install) and any("git+https://" in text for text in step.requirements)


def _never(facts: Facts, release: str, *, unreleased: bool = False) -> str | None:
    """Return why no build of this release can succeed, whatever the steps change; None if one can.

    The reason can be torch's build, the C++ standard, the Python or the GPU. `unreleased`: the main branch, which passes the C++
    standard that torch's headers need (flash-attention#2879). No table contains the Pythons that it supports.
    """
    key = key_of(facts)
    if facts.torch.cuda is None and facts.torch.hip is None and isinstance(key.torch, str):
        return f"torch {key.torch} is a CPU build, and flash-attn needs a GPU build"
    answers = []
    if isinstance(key.torch, str) and not unreleased:
        header = facts.torch.header_cxx if isinstance(facts.torch.header_cxx, int) else None
        answers.append(flash_attention.source_compiles(release, key.torch, header_cxx=header))
    if isinstance(key.python, str) and not unreleased:
        answers.append(flash_attention.supports_python(release, key.python))
    devices = key.gpus if isinstance(key.gpus, tuple) else ()
    answers += [flash_attention.runs_on(release, device, cuda=_compiled_by(facts)) for device in devices]
    return next((a.why for a in answers if isinstance(a, Answer) and not a.yes), None)


def _compiled_by(facts: Facts) -> str | None:
    """Return the CUDA version of a build here ("12.6"): that of nvcc, else that of torch, which accepts no other major; None if unknown."""
    try:
        version = building.nvcc(facts)
    except Unsure:
        version = None
    return version or (facts.torch.cuda if isinstance(facts.torch.cuda, str) else None)


def cost_text(cost: Cost | None) -> str | None:
    """Return the time, the work and the memory of a build as one text; None if the cost is not known."""
    if cost is None:
        return None
    about = "" if cost.verified else " (measured on another release)"
    return (
        f"about {cost.duration} ({cost.cpu_hours:g} CPU hours for {len(cost.archs)} architecture"
        f"{'s' if len(cost.archs) > 1 else ''}) and {cost.gigabytes:g} GB of memory{about}"
    )


def disk(facts: Facts) -> str | None:
    """Return a sentence if the folder for temporary files has less than 2 GB left: a build may need more. Else None."""
    disks = facts.system.disks
    for place in () if isinstance(disks, Unknown) else disks:
        if place.purpose == "tmp" and isinstance(place.free_bytes, int) and place.free_bytes < _OBJECTS_BYTES:
            free = place.free_bytes / GIGABYTE
            return f"{place.path} has {free:.1f} GB left; a build may need more: set TMPDIR to a folder with more space"
    return None
