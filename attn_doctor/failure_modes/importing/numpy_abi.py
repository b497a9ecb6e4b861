"""NumPy 2 is installed beside packages that were built for NumPy 1.

What it is
    A compiled package (an old torch, an old OpenCV, pandas, ...) was built for NumPy 1, and NumPy 2 is installed. NumPy 1 and
    NumPy 2 have different binary interfaces.

How it shows
    "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.x", "AttributeError: _ARRAY_API not found",
    "numpy.core.multiarray failed to import", "numpy.dtype size changed, may indicate binary incompatibility". `import torch`
    succeeds; later `tensor.numpy()` fails with "RuntimeError: Numpy is not available", or the use of a NumPy number fails with
    "Could not infer dtype of numpy.int64".

Why it happens
    torch up to 2.2 is built for NumPy 1, but its metadata does not require NumPy 1, so pip installs the newest NumPy. On Windows
    torch 2.3 has the same fault.

What to do
    Install NumPy 1 (`"numpy<2"`), or a torch that was built for NumPy 2.

How to reproduce
    `attn-doctor reproduce numpy-abi` imports OpenCV 4.8, which was built for NumPy 1, with NumPy 2. It downloads 70 MB.

References
    https://numpy.org/doc/stable/numpy_2_0_migration_guide.html
    https://github.com/pytorch/pytorch/issues/107302
    https://github.com/pytorch/pytorch/issues/131668
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, every, known, present
from attn_doctor.failure_modes.recipe import Packages, Recipe
from attn_doctor.failure_modes.shared import numpy_family, torch_install, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, holds, package_evidence, version
from attn_doctor.failure_modes.shared.torch_facts import translated
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.torch_choice import ARM_PYTHON, ARM_TITLE, Choice
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, OsName, Unknown
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

MODE = FailureMode(
    code="AD311",
    slug="numpy-abi",
    title="NumPy 2 under binaries built for NumPy 1",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(
        "torch-install-broken",
        "ultralytics-broken",
    ),
    signs=(
        Sign(
            pattern=r"A module that was compiled using NumPy 1\.x cannot be run in(?:\s+NumPy (?P<numpy>\d[\w.]*))?",
            literal="compiled using NumPy 1.x",
            sample="A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2.6 as it may crash.",
        ),
        Sign(
            # The line may be cut after the name. No other error is an AttributeError with this name.
            pattern=r"_ARRAY_API not found|AttributeError: _ARRAY_API\b",
            literal="_ARRAY_API",
            sample="AttributeError: _ARRAY_API not found",
        ),
        # The end of NumPy's own advice, where the lines above it are cut off.
        # https://github.com/numpy/numpy/blob/main/numpy/core/_multiarray_umath.py
        Sign(
            pattern=r"We expect that some modules will need time to support NumPy 2",
            literal="will need time to support NumPy 2",
            sample="We expect that some modules will need time to support NumPy 2.",
        ),
        Sign(
            pattern=r"numpy\.core\.multiarray failed to import",
            literal="numpy.core.multiarray failed",
            sample="ImportError: numpy.core.multiarray failed to import",
        ),
        Sign(
            pattern=r"numpy\.(?:dtype|ufunc|ndarray) size changed, may indicate binary incompatibility",
            literal="size changed, may indicate binary",
            sample="ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, "
            "got 88 from PyObject",
        ),
        Sign(
            pattern=r"RuntimeError: Numpy is not available",
            literal="Numpy is not available",
            sample="RuntimeError: Numpy is not available",
            strength="hint",
        ),
        Sign(
            pattern=r"RuntimeError: Could not infer dtype of numpy\.\w+",
            literal="Could not infer dtype of numpy.",
            sample="RuntimeError: Could not infer dtype of numpy.int64",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="imports OpenCV 4.8, which was built for NumPy 1, with NumPy 2",
        of=(Packages(requirements=("opencv-python-headless==4.8.1.78", "numpy>=2"), megabytes=70),),
        run=(("{python}", "-c", "import cv2"),),
        shows="_ARRAY_API not found|compiled using NumPy 1",
        seconds=15,
    ),
)

_ABI = re.compile(r"compiled using NumPy 1|_ARRAY_API|numpy\.core\.multiarray failed|binary incompatibility")
# These lines also come from a NumPy that is too old.
_EITHER = re.compile(r"multiarray failed to import|is not available|Could not infer")


def detect(facts: Facts) -> Hit | None:
    for index, attempt in enumerate(tried(facts)):
        said = "\n".join([*attempt.warnings, (attempt.fault.traceback or "") if attempt.fault else ""])
        if attempt.ok is False and _ABI.search(said):
            have = version(facts, "numpy")
            return Hit(
                message=f"{attempt.module} was built for NumPy 1, and NumPy {have or '2'} is installed: importing it fails.",
                evidence=(fact(facts, f"imports.{index}.ok", attempt_evidence(facts, attempt.module).text),),
                certainty=Certainty.OBSERVED,
            )
    try:
        of_torch = _of_torch(facts)
    except Unsure:
        if (listed := numpy_family.found(facts)) is not None:
            return listed
        raise
    return of_torch or numpy_family.found(facts)


def _of_torch(facts: Facts) -> Hit | None:
    torch, numpy = facts.torch.version, version(facts, "numpy")
    if numpy is None or known(torch) is None or facts.torch.importable is False:
        return None  # torch-install-broken reports a torch whose import fails
    torch = present(torch)
    if facts.torch.numpy_bridge is True or not every(lambda: not _fits(facts, torch, numpy)):
        return None
    observed = facts.torch.numpy_bridge is False
    evidence = [package_evidence(facts, "numpy"), fact(facts, "torch.version")]
    if observed:
        evidence.append(fact(facts, "torch.numpy_error", f"torch.ones(1).numpy(): {facts.torch.numpy_error}"))
    return Hit(
        message=f"torch {torch} was built for NumPy 1 and NumPy {numpy} is installed: no array can pass between them.",
        evidence=tuple(evidence),
        certainty=Certainty.OBSERVED if observed else Certainty.PREDICTED,
    )


_SYSTEMS: tuple[OsName, ...] = ("linux", "windows", "darwin")


def _fits(facts: Facts, torch: str, numpy: str) -> bool:
    """Return whether this torch works with this NumPy. Raises Unsure if that depends on an unknown fact.

    If the system is not known, a clash counts only if it is one on every system.
    """
    os = facts.system.os
    if isinstance(os, Unknown) and not any(holds(pytorch.numpy(torch, numpy, one)) for one in _SYSTEMS):
        return False
    return holds(pytorch.numpy(torch, numpy, present(os)))


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if all(m.strength == "hint" for m in seen.matches):
        if any("No module named" in m.text for log in seen.logs for m in log.of("numpy-missing-or-old")):
            return None
        return Hit(
            message="torch cannot use NumPy: most likely NumPy 2 is installed beside a torch that was built for NumPy 1.",
            evidence=evidence,
            confidence=Confidence.LOW if "not available" in seen.matches[0].text else Confidence.MEDIUM,
        )
    if all(_EITHER.search(m.text) for m in seen.matches) and any(
        m.strength == "proof" for log in seen.logs for m in log.of("numpy-missing-or-old")
    ):
        return None  # NumPy is too old: see numpy-missing-or-old
    have = seen.group("numpy")
    return Hit(
        message=f"A package built for NumPy 1 was imported under NumPy {have or '2'}.",
        evidence=evidence,
        confidence=Confidence.MEDIUM if all(_EITHER.search(m.text) for m in seen.matches) else Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    check = commands.check(facts)
    older = commands.install(
        "numpy<2",
        why="the compiled packages here were built for NumPy 1",
        changes="numpy, to the newest 1.x",
        risk="low",
    )
    first = Fix(title="Install NumPy 1", steps=(older,), verify=check)
    found = torch_install.choice(facts)
    if not isinstance(found, Choice) or found.torch is None or found.beside:
        # The newest torch for this machine was still built for NumPy 1.
        return (first, _of_arm(check)) if translated(facts) else (first,)
    title = "Install a torch that was built for NumPy 2"
    return (first, *torch_steps.newest(facts, title, why="newer releases are built for NumPy 2"))


def _of_arm(check: tuple[str, ...]) -> Fix:
    """Return the fix for a Python for x86_64 on a Mac with Apple silicon: torch 2.2 is the last one for it."""
    words = f"make an environment with a Python for arm64, and install there: newer torch has no wheels for x86_64 on macOS. {ARM_PYTHON}"
    step = commands.by_hand((), words, "a new environment; this one stays", "none", elsewhere=True)
    return Fix(title=ARM_TITLE, steps=(step,), verify=check)
