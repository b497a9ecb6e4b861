"""The index has no release of the package for this Python or platform.

What it is
    torch, torchvision and similar packages are published only as wheels, a separate wheel for each Python version.
    For this Python (too new, too old, 32 bits, free-threaded) or this platform there is no wheel, or none of the
    requested version.

How it shows
    "Could not find a version that satisfies the requirement torch==2.1.0 (from versions: none)" or with a list of newer versions
    only; "Ignored the following versions that require a different python version"; "requires a different Python"; uv: "has no wheels
    with a matching Python ABI tag", "doesn't have a source distribution or wheel for the current platform"; poetry: "Unable to find
    installation candidates for torch".

Why it happens
    The Python is newer than that torch, or so old that newer torch releases do not support it. pip also prints "(from
    versions: none)" if the index is the wrong one or cannot be reached: then there is a warning above that line.

What to do
    Create an environment with a Python for which the version has wheels, or install a version that has wheels for
    this Python.

How to reproduce
    `attn-doctor reproduce python-too-new-no-wheel` asks pip for a torch that was never built for this Python. It downloads 1
    MB.

References
    https://pytorch.org/get-started/previous-versions/
    https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/
"""

from __future__ import annotations

import re
import shlex

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.install.no_matching_distribution import BINARY, other_index
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import PIP, Recipe
from attn_doctor.failure_modes.shared import (
    absent_index,
    building,
    index_of_another_system,
    intel_mac,
    narrow_python,
    old_build_tools,
    old_torch_archive,
    one_index,
    requested_torch,
    torch_install,
    torch_steps,
    uv_lock,
)
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import old_torch, pytorch
from attn_doctor.knowledge.torch_choice import NoTorch
from attn_doctor.knowledge.wheel_key import key_of
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import dotted, pair

MODE = FailureMode(
    code="AD205",
    slug="python-too-new-no-wheel",
    title="There is no release for this Python or platform",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(
        building.FAILED,
        "no-matching-distribution",
        "environment-pollution",
        "torch-missing",
        "torch-missing-at-build",
    ),
    signs=(
        *uv_lock.SIGNS,
        Sign(
            pattern=r"Could not find a version that satisfies the requirement (?P<requirement>[^\s(;]{1,120}).{0,200}"
            r"\(from versions: (?P<versions>[^)]{0,4000})",
            literal="Could not find a version that satisfies",
            sample="ERROR: Could not find a version that satisfies the requirement torch==2.1.0 (from versions: none)",
            strength="hint",
        ),
        Sign(
            pattern=r"No matching distribution found for (?P<requirement>[^\s(;]{1,120})",
            literal="No matching distribution found for ",
            sample="ERROR: No matching distribution found for torch==2.1.0",
            strength="hint",
        ),
        Sign(
            pattern=r"Ignored the following versions that require a different python version: (?P<ignored>.{0,2000})",
            literal="require a different python version",
            sample="ERROR: Ignored the following versions that require a different python version: 2.8.3 Requires-Python >=3.9",
            strength="hint",
        ),
        Sign(
            pattern=r"requires a different Python: (?P<python>\d[\w.]*) not in ['\"](?P<takes>[^'\"]{1,60})['\"]",
            literal="requires a different Python",
            sample="ERROR: Package 'flash-attn' requires a different Python: 3.8.18 not in '>=3.9'",
        ),
        Sign(
            pattern=r"has no wheels with a matching (?:Python|ABI|platform|Python ABI|Python implementation)",
            literal="has no wheels with a matching",
            sample="hint: `torch` has no wheels with a matching Python ABI tag (e.g., `cp313`)",
        ),
        Sign(
            pattern=r"(?:versions of (?P<whose>[\w.-]{1,80}) )?have no wheels with a matching (?:Python|ABI|platform)",
            literal="have no wheels with a matching",
            sample="  ╰─▶ Because all versions of torch have no wheels with a matching Python version tag (e.g., `cp314`)",
        ),
        Sign(
            pattern=r"doesn't have a source distribution or wheel for the current platform",
            literal="source distribution or wheel for the current platform",
            sample="error: Distribution `torch==2.6.0 @ registry+https://pypi.org/simple` can't be installed because it doesn't have a "
            "source distribution or wheel for the current platform",
        ),
        Sign(
            pattern=r"Unable to find installation candidates for (?P<requirement>[\w.-]{1,60})",
            literal="Unable to find installation candidates for",
            sample="RuntimeError: Unable to find installation candidates for torch (2.0.1)",
        ),
        # pip tried older and older releases of a package: each needs a torch that does not exist for this Python.
        Sign(
            pattern=r"^\s*(?P<asker>[\w.-]{2,40}) (?P<release>\d[\w.]{0,20}) depends on (?P<torch>(?:torch|torchvision)(?:\s?[<>=!~][^;\s]{1,60})?)\s*$",
            literal=" depends on torch",
            sample="    ultralytics 8.0.214 depends on torch>=1.8.0",
            strength="hint",
        ),
        Sign(
            pattern=r"The user requested (?:\(constraint\) )?(?P<requested>torch\S{0,60})",
            literal="The user requested ",
            sample="    The user requested torch==2.1.0",
            strength="context",
        ),
        Sign(
            pattern=r"Because the current Python version \((?P<python>[\d.]+)\) does not satisfy Python",
            literal="Because the current Python version (",
            sample="  ╰─▶ Because the current Python version (3.8.18) does not satisfy Python>=3.9 and flash-attn==2.8.3 depends on",
        ),
        *old_build_tools.SIGNS,
        *old_torch_archive.SIGNS,
        *absent_index.SIGNS,
        *building.ISOLATED,
        *old_build_tools.ISOLATED,
        *one_index.SIGNS,
        *intel_mac.SIGNS,
        *index_of_another_system.SIGNS,
    ),
    recipe=Recipe(
        does="asks pip for a torch that was never built for this Python",
        run=((*PIP, "download", "--no-deps", "torch==1.4.0"),),
        shows="No matching distribution found for torch",
        downloads=1,
        seconds=8,
    ),
)


class OfAnother(Variant, frozen=True, kw_only=True):
    """Hold the package without a wheel for this Python, if it is not torch: "pytorch3d"."""

    package: str


class Asked(Variant, frozen=True, kw_only=True):
    """Hold the requested release of torch, "1.13.1"."""

    torch: str


def detect(facts: Facts) -> Hit | None:
    """Find a pinned torch that has no wheels for this Python, and is not installed."""
    if (asked := requested_torch.told(facts)) is not None:
        return asked
    if not every(lambda: known(facts.torch.version) is None, lambda: bool(known(facts.project.pins))):
        return None
    python = known(key_of(facts).python)
    for index, pin in enumerate(known(facts.project.pins)):
        name, _, wanted = pin.requirement.partition("==")
        if name.strip().lower() != "torch" or not wanted:
            continue
        answer = pytorch.supports_python(wanted.split(";")[0].strip(), python)
        if isinstance(answer, Answer) and not answer.yes:
            return Hit(
                message=f"{pin.file} line {pin.line} asks for {pin.requirement}, and {answer.why}.",
                evidence=(fact(facts, f"project.pins.{index}.requirement"), fact(facts, "interpreter.version")),
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if uv_lock.told(seen.matches) is not None:
        return None  # the lock file is for other systems: wheel-platform-mismatch reports it
    if (other := old_torch_archive.told(seen) or old_build_tools.told(seen)) is not None:
        return other
    proofs = tuple(m for m in seen.matches if m.strength == "proof")
    wanted = tuple(m for m in seen.matches if m.strength == "hint" and BINARY.match(m.groups.get("requirement", "")))
    if (mac := intel_mac.told(facts, seen, proofs or wanted)) is not None:
        return mac
    if (other := index_of_another_system.told(facts, seen, proofs or wanted)) is not None:
        return other
    if (absent := absent_index.told(seen, proofs or wanted)) is not None:
        return absent
    if proofs and machine_of(facts).narrow:
        return narrow_python.hit(proofs)
    if proofs:
        python = next((m.groups["python"] for m in proofs if m.groups.get("python")), None)
        what = (
            f"There is no release for Python {python}" if python else "There is no release for that Python or platform"
        )
        whose = next((m.groups["whose"] for m in proofs if m.groups.get("whose")), "torch")
        return Hit(
            message=f"{what}." if whose in _OF_TORCH else f"{what} of {whose}.",
            evidence=building.lines(proofs),
            variant=None if whose in _OF_TORCH else OfAnother(package=whose),
        )
    if any(other_index(m) for m in seen.matches) or one_index.asked_alone(facts, seen):
        return None  # it exists for this Python, on another index
    refused = tuple(m for m in seen.matches if m.groups.get("ignored"))
    asked = [m for m in seen.matches if m.groups.get("requirement")]
    if refused and asked:
        name = asked[0].groups["requirement"].rstrip(".,")
        return Hit(
            message=f"{name} exists for other Python versions, but not for this Python.",
            evidence=building.lines((*refused, *asked)),
        )
    if not wanted:
        return None if refused or asked else _walked_back(seen)
    name = wanted[0].groups["requirement"].rstrip(".,")
    versions = next((m.groups["versions"] for m in wanted if m.groups.get("versions")), None)
    if machine_of(facts).narrow:
        return narrow_python.hit(wanted)
    if versions is None or versions.startswith("none"):
        message = f"The index has no {name.partition('=')[0]} at all for that Python or platform (or this index is the wrong index)."
        sure = Confidence.MEDIUM
    else:
        message = f"The index has no {name} for that Python; it has {versions.strip()[:60]}..."
        sure = Confidence.HIGH
    torch = re.match(r"torch==(\d[\d.]*)", name)
    return Hit(
        message=message,
        evidence=building.lines(wanted),
        confidence=sure,
        variant=Asked(torch=torch[1]) if torch else None,
    )


class WalkedBack(Variant, frozen=True):
    """Mark the case that pip refused one release of a package after another, because each needs a torch that pip did not find."""


_RELEASES = (
    3  # releases that pip refused because of the same torch; fewer may only mean that two packages need different ones
)


def _walked_back(seen: Seen) -> Hit | None:
    """Return the hit for pip's list of refused releases; None if the user requested a torch, or the releases need different ones."""
    lines = tuple(m for m in seen.matches if "asker" in m.groups)
    askers, needs = {m.groups["asker"] for m in lines}, {m.groups["torch"] for m in lines}
    releases = {m.groups["release"] for m in lines}
    if seen.group("requested") or len(askers) != 1 or len(needs) != 1 or len(releases) < _RELEASES:
        return None
    asker, need = askers.pop(), needs.pop()
    return Hit(
        message=f"pip refused {len(releases)} releases of {asker}, because each needs {need}: most likely the index has no torch for "
        "that Python (it is too new, or has 32 bits).",
        evidence=building.lines(lines[:1]),
        variant=WalkedBack(),
        confidence=Confidence.LOW,
    )


_ASK = "import sys, struct; print(sys.version, struct.calcsize('P') * 8)"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(hit.variant, WalkedBack):
        look = commands.by_hand(
            (*commands.starting(facts), "-c", _ASK),
            "prints the Python version and its bits: torch has wheels only for 64 bits, and for a new Python only some months after its release",
            "nothing",
            "none",
        )
        steps = (
            look,
            *new_pythons.another(
                facts,
                dotted(_USUAL),
                f"if it has 32 bits, or is newer than Python {dotted(_USUAL)}: creates an environment with a 64-bit Python {dotted(_USUAL)}",
            ),
        )
        return (Fix(title="See which Python runs, and use another Python", steps=steps, verify=verify),)
    if isinstance(hit.variant, requested_torch.Requested):
        return requested_torch.fixes(facts, hit.variant)
    if isinstance(hit.variant, old_build_tools.Old):
        return old_build_tools.fixes(facts, hit.variant)
    if isinstance(hit.variant, old_torch_archive.Ancient):
        python, why = _python(facts, None)
        return old_torch_archive.fixes(facts, new_pythons.another(facts, python, why))
    if isinstance(hit.variant, index_of_another_system.Elsewhere):
        return index_of_another_system.fixes(facts, hit.variant)
    if isinstance(hit.variant, absent_index.NoSuchIndex):
        return absent_index.fixes(facts, hit.variant)
    if isinstance(hit.variant, intel_mac.Intel):
        return intel_mac.fixes(facts, hit.variant)
    if isinstance(hit.variant, narrow_python.Narrow):
        return (narrow_python.fix(facts),)
    asked = hit.variant.torch if isinstance(hit.variant, Asked) else None
    python, why = _python(facts, asked)
    found = torch_install.choice(facts)
    package = facts.subject.package
    others = isinstance(hit.variant, OfAnother) or (isinstance(package, str) and package not in _OF_TORCH)
    here = facts.interpreter.version
    if isinstance(found, NoTorch) and not others and isinstance(here, str):
        why = found.words
    other = Fix(
        title="Use another Python", steps=(*new_pythons.another(facts, python, why), *_typed(facts)), verify=verify
    )
    if others or isinstance(here, Unknown) or isinstance(found, NoTorch):
        return (other,)  # the package is not torch, the Python is not known, or no torch exists for it
    beside = ("torchaudio",) if "torchaudio" in str(facts.subject.command) and found.torch else ()
    made = torch_steps.newest(facts, f"Take {found.name}" if found.torch else "Take NVIDIA's torch", beside=beside)
    # A program that creates its own environment installs a fixed torch, so the first fix changes the Python. uv brings any Python in one line.
    kept = new_pythons.folder_of_a_program(facts) or (_typed(facts) and "==" in str(facts.subject.command))
    return (other, *made) if kept else (*made, other)


def _typed(facts: Facts) -> tuple[Step, ...]:
    """Return the step that repeats the typed `uv pip install` in the new environment; empty for other commands, and for a cut one."""
    command = facts.subject.command
    if not isinstance(command, str) or not command.startswith("uv pip install ") or "..." in command:
        return ()
    try:
        words = tuple(shlex.split(command, posix=facts.system.os != "windows"))
    except ValueError:
        return ()
    return (commands.by_hand(words, "your command again, in that environment", "what it names"),)


_OF_TORCH = ("torch", "torchvision", "torchaudio")
_USUAL = (
    3,
    12,
)  # flash-attn, mamba-ssm, xformers, detectron2 and all torch releases of the last two years have wheels, or can be built, for it


def _python(facts: Facts, torch: str | None) -> tuple[str, str]:
    """Return the Python to use instead ("3.10"), and the reason in words.

    It is the newest Python that is older than the present one and for which the requested torch has wheels. If there is none: the newest
    other one up to 3.12. If no wheels are known: 3.12, or 3.11 if the present Python is 3.12.
    """
    here = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    known_ = [found for text in old_torch.pythons(torch) if (found := pair(text))] if torch else []
    older = [one for one in known_ if one < (here or _USUAL)]
    fitting = older or [one for one in known_ if here != one <= _USUAL]
    if fitting and torch:
        return dotted(max(fitting)), f"torch {torch} has wheels for Python {dotted(known_[0])} to {dotted(known_[-1])}"
    version = _USUAL if here is None or here != _USUAL else (3, 11)
    return dotted(version), "creates an environment with a Python for which the version has wheels"
