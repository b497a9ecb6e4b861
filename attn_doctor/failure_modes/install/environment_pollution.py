"""Packages in the environment contradict each other, or modules from outside it are imported.

What it is
    One package is installed twice in the same place; or an interrupted removal left files; or requirements are not
    met; or modules come from PYTHONPATH or the user site and not from the environment.

How it shows
    "X requires torch==A, but you have torch B which is incompatible", "WARNING: Ignoring invalid distribution -orch", uv's "No
    solution found when resolving dependencies", conda's and pixi's "which does not exist (perhaps a missing channel)", "for which no candidates were found". Often there is no message, until an ABI error or a wrong version much later.

Why it happens
    Several installations, each of which needs another torch (xformers, vllm, custom nodes); an interrupted pip; a
    PYTHONPATH in a shell profile; an environment with --system-site-packages, which also sees ~/.local.

What to do
    Install everything in one command, with the torch that you want, so that pip sees all requirements together.
    Remove left-over files and PYTHONPATH. A new environment is often the quickest way.

How to reproduce
    `attn-doctor reproduce environment-pollution` installs NumPy 2 over the NumPy 1 that ultralytics 8.2.103 needs. It
    downloads 19 MB.

References
    https://github.com/vllm-project/vllm/issues/11283
    https://github.com/facebookresearch/xformers/issues/823
    https://pip.pypa.io/en/stable/cli/pip_check/
    https://github.com/prefix-dev/pixi/issues/2006 (the channel nvidia was missing)
"""

from __future__ import annotations

import os
from pathlib import Path

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.commands.installers import own
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, known
from attn_doctor.failure_modes.recipe import PIP, Packages, Recipe
from attn_doctor.failure_modes.shared import (
    contradicting_pins,
    missing_channel,
    moved_torch,
    one_folder,
    package_parts,
    pin_cures,
    stated_conflicts,
    stated_libraries,
    torch_steps,
)
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.failure_modes.shared.in_front import cure, stands_in_front
from attn_doctor.failure_modes.shared.stated_conflicts import Conflicting
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.machine import tried
from attn_doctor.model.steps import Install

MODE = FailureMode(
    code="AD212",
    slug="environment-pollution",
    title="The packages of the environment do not fit together",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    explains=(
        "torchvision-mismatch",
        "torch-install-broken",
        "import-hang",
        "requirements-missing",
        "segfault",
        "ultralytics-broken",
        "abi-mismatch-torch-version",
        "abi-mismatch-cxx11",
        "triton-version-mismatch",
    ),
    signs=(
        Sign(
            pattern=r"(?:\bconflicts\.)?(?P<package>[\w.-]{1,60}) [\w.!+-]{1,60} (?:requires|has requirement) (?P<requires>[\w-]{1,60})(?P<limits>.{0,300}), but you"
            r"(?:'ll)? have (?P<have>[\w.-]{1,60} ?[\w.!+-]{0,60})",
            literal=", but you",
            sample="torchvision 0.17.2 requires torch==2.2.2, but you have torch 2.3.0 which is incompatible.",
        ),
        Sign(
            pattern=r"Ignoring invalid distribution|due to invalid metadata entry 'name'",
            literal=" invalid ",
            sample="WARNING: Ignoring invalid distribution ~orch (/venv/lib/python3.11/site-packages)",
            strength="hint",
        ),
        Sign(
            pattern=r"ERROR: ResolutionImpossible",
            literal="ResolutionImpossible",
            sample="ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/",
        ),
        Sign(
            pattern=r"these package versions have conflicting dependencies",
            literal="have conflicting dependencies",
            sample="ERROR: Cannot install a and b==1 because these package versions have conflicting dependencies.",
        ),
        Sign(
            pattern=r"No solution found when resolving dependencies",
            literal="No solution found when resolving",
            sample="  × No solution found when resolving dependencies:",
        ),
        Sign(
            pattern=r"version solving failed",
            literal="version solving failed",
            sample="So, because app depends on both a and b, version solving failed.",
        ),
        Sign(
            pattern=r"(?:LibMamba)?UnsatisfiableError",
            literal="UnsatisfiableError",
            sample="LibMambaUnsatisfiableError: Encountered problems while solving:",
        ),
        *contradicting_pins.SIGNS,
        *missing_channel.SIGNS,
    ),
    recipe=Recipe(
        does="installs NumPy 2 over the NumPy 1 that ultralytics 8.2.103 needs",
        of=(
            Packages(requirements=("ultralytics==8.2.103",), megabytes=1, options=("--no-deps",)),
            Packages(requirements=("numpy>=2",), megabytes=18),
        ),
        run=((*PIP, "check"),),
        shows="numpy<2.0.0,>=1.23.0, but you have numpy 2",
        examine=("--static",),
        goal=Goal.TRAIN,
        seconds=25,
    ),
)

# Failure modes that only a hidden package can cause. A requirement that is not met cannot cause them.
_OF_STRANGERS = ("import-hang", "requirements-missing", "segfault")
# If another release hides one of these packages, this is a warning even if everything imports.
_CORE = ("torch", "torchvision", "ultralytics", "numpy")


def detect(facts: Facts) -> Hit | None:
    listed = one_folder.found(facts) or stated_libraries.found(facts)
    return listed or stands_in_front(facts, PUT_BY_PYTHON) or _contradicts(facts)


PUT_BY_PYTHON = ("PYTHONPATH", "user site")


def _contradicts(facts: Facts) -> Hit | None:
    """Return a hit if requirements are not met, packages are there twice or damaged, or a folder hides packages; else None."""
    packages = facts.packages
    evidence: list[Evidence] = []
    wrong: list[str] = []
    conflicts = [(i, c) for i, c in enumerate(known(packages.conflicts)) if package_parts.ours(c)]
    for index, conflict in conflicts:
        text = f"{conflict.package} requires {conflict.requires}, and you have {conflict.found}"
        evidence.append(fact(facts, f"packages.conflicts.{index}.requires", text))
    if conflicts:
        first = conflicts[0][1]
        wrong.append(f"{first.package} requires {first.requires}, and {first.found} is installed")
    for path, values, text in (
        ("packages.duplicates", known(packages.duplicates), "installed twice, one over the other"),
        ("packages.remnants", known(packages.remnants), "left over from an interrupted removal"),
        ("packages.broken", known(packages.broken), "without readable metadata"),
    ):
        if values:
            wrong.append(f"{', '.join(values)}: {text}")
            evidence.append(fact(facts, path))
    strangers = [s for s in known(facts.interpreter.differs_isolated) if " hides " in s]
    if strangers:
        wrong.append(f"{strangers[0]} (PYTHONPATH or the user site)")
        evidence.append(fact(facts, "interpreter.differs_isolated"))
    standard = facts.interpreter.standard_hidden if isinstance(facts.interpreter.standard_hidden, tuple) else ()
    if standard:
        modules = ", ".join(Path(path).name for path in standard[:4])
        wrong.insert(0, f"{modules} on PYTHONPATH hides the module of the same name in the standard library")
        evidence.insert(0, fact(facts, "interpreter.standard_hidden", f"on PYTHONPATH: {', '.join(standard[:4])}"))
    if not wrong:
        return None
    grave = bool(conflicts or known(packages.duplicates) or standard or any(_core_by_path(facts, s) for s in strangers))
    more = f", and {len(evidence) - 1} more" if len(evidence) > 1 else ""
    return Hit(
        message=f"{wrong[0]}{more}.",
        evidence=tuple(evidence[:6]),
        certainty=Certainty.OBSERVED,
        # Hidden packages and left-over files alone do no harm: if every import worked, this is only a notice.
        severity=None if grave or not _all_import(facts) else Severity.INFO,
        explains=_consequences(facts)
        if strangers or standard
        else tuple(slug for slug in MODE.explains if slug not in _OF_STRANGERS),
    )


def _core_by_path(facts: Facts, stranger: str) -> bool:
    """Return whether a folder of PYTHONPATH hides one of the packages in _CORE.

    `stranger`: "numpy: /x/numpy ... hides ...". The user site does not count, because users install packages into it.
    """
    name, _, place = stranger.partition(": ")
    value = variable(facts, "PYTHONPATH") if isinstance(facts.environment, tuple) else None
    return name in _CORE and any(folder and place.startswith(folder) for folder in (value or "").split(os.pathsep))


def _consequences(facts: Facts) -> tuple[str, ...]:
    """Return the failure modes that hidden packages explain; none if an import also failed without PYTHONPATH."""
    in_vain = [a for a in tried(facts) if a.ok is False and a.works_without is None]
    if in_vain or (facts.torch.importable is False and facts.torch.works_without is None):
        return ()
    return MODE.explains


def _all_import(facts: Facts) -> bool:
    """Return whether torch and every other module that was tried did import."""
    return facts.torch.importable is True and bool(tried(facts)) and all(attempt.ok is True for attempt in tried(facts))


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Read the conflicts that pip reports. A conflict of a package that attention needs is a warning, any other a notice."""
    pairs = [m for m in seen.matches if m.groups.get("have")]
    others = [m for m in seen.matches if m.strength == "proof" and not m.groups.get("have")]
    ours = [m for m in pairs if package_parts.OURS.match(canonicalize_name(m.groups["requires"]))]
    if pairs and not ours and not others:
        return Hit(
            message="Some packages do not fit together, but attention needs none of them.",
            evidence=evidence,
            variant=stated_conflicts.reported(pairs),
            severity=Severity.INFO,
        )
    moved = moved_torch.of_pip(ours)
    if moved is not None:
        message = moved_torch.sentence(moved)
        lines = tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in ours[:4])
        # torchvision of ROCm beside a torch for CUDA: torchvision-mismatch is the cause.
        of_rocm = any(m.groups.get("of_rocm") for log in seen.logs for m in log.of("torchvision-mismatch"))
        return Hit(message=message, evidence=lines, variant=moved, severity=Severity.INFO if of_rocm else None)
    if ours:
        # A line that was joined may also contain the sentence before it: keep the shortest line for each conflict.
        least = {(m.groups["package"], m.groups["requires"]): m for m in sorted(ours, key=lambda m: -len(m.text))}
        ours = sorted(least.values(), key=lambda m: m.line)
        first = ours[0].groups
        return Hit(
            message=f"{first['package']} needs another {first['requires']} than the installed one ({first['have'].strip(' .')}).",
            evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in ours[:4]),
            variant=stated_conflicts.reported(ours),
        )
    told = [m for m in seen.matches if m.strength != "context"]
    if not told:
        return None
    evidence = tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in told[:4])
    if (contradiction := contradicting_pins.told(seen)) is not None:
        return contradiction
    if (channel := missing_channel.told(facts, seen)) is not None:
        return channel
    sure = any(m.strength == "proof" for m in told)
    return Hit(
        message="The requirements, or the installed packages, do not fit together.",
        evidence=evidence,
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    """Return one fix for all faults together: a fix for a single fault would leave the other faults.

    If PYTHONPATH or the user site hides packages, the fix only removes that: the environment has to be examined again before anything is installed.
    """
    if isinstance(hit.variant, one_folder.Shared):
        return one_folder.fixes(facts, hit.variant)
    if isinstance(hit.variant, moved_torch.Moved):
        return moved_torch.fixes(facts, hit.variant)
    if isinstance(hit.variant, contradicting_pins.Contradicting):
        return pin_cures.fixes(facts, hit.variant)
    if isinstance(hit.variant, missing_channel.NoChannel | missing_channel.OfPixi):
        return missing_channel.fixes(facts, hit.variant)
    in_front = cure(facts, PUT_BY_PYTHON)
    if in_front is not None:
        return (in_front,)
    if isinstance(hit.variant, Conflicting) and isinstance(facts.packages.conflicts, Unknown):
        told = stated_conflicts.fix(facts, hit.variant)
        return (told,) if told else ()
    parts = [package_parts.strangers(facts)]
    if not parts[0][1]:  # other packages hide this environment's: the facts do not show what is missing from it
        parts = [package_parts.left_over(facts), package_parts.doubled(facts), package_parts.asked_for(facts)]
    titles = [title for title, steps in parts if steps]
    if not titles:
        return ()
    steps = tuple(step for _, made in parts for step in made)
    title = titles[0] + "".join(f", {more[0].lower()}{more[1:]}" for more in titles[1:])
    of_torch = any(isinstance(step, Install) and "torch" in step.names() for step in steps)
    first = torch_steps.fresh_runtime(facts) if of_torch else ()
    return (*first, Fix(title=title, steps=steps, verify=commands.check(facts)))


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for a machine whose versions are not known: install everything in one command.

    It is installed into a new environment; in a notebook into the present one, and on Colab and Kaggle first into a
    fresh runtime. For conda: a new environment, with torch by pip.
    """
    told = commands.by_hand(
        (*commands.starting(facts), "-m", "pip", "check"),
        "lists the packages that do not fit together",
        "nothing",
        "none",
    )
    once = commands.by_hand(
        (),
        "then install all that you need in one command, with torch and its --index-url: the installer sees all requirements together",
        "packages",
    )
    title = "Install everything in one command into a new environment"
    if commands.shell_of(facts) == "notebook":
        title = "Install everything in one command"
        return (*torch_steps.fresh_runtime(facts), Fix(title=title, steps=(told, once), verify=commands.check(facts)))
    if stated_conflicts.of_conda_alone(facts):
        return (stated_conflicts.fresh_of_conda(facts),)
    fresh = commands.by_hand(
        ("uv", "venv", "fresh") if own(facts) == "uv" else (*commands.starting(facts), "-m", "venv", "fresh"),
        "creates a new, empty environment",
        "a new folder",
    )
    return (Fix(title=title, steps=(told, fresh, once), verify=commands.check(facts)),)
