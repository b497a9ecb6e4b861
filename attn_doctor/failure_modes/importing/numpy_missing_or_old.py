"""torch needs NumPy for arrays, and NumPy is missing or too old.

What it is
    torch needs NumPy to turn tensors into arrays and arrays into tensors. Importing torch without NumPy works, and
    prints only a warning.

How it shows
    "UserWarning: Failed to initialize NumPy: No module named 'numpy'", later "RuntimeError: Numpy is not available"; "module compiled
    against API version 0x10 but this version of numpy is 0xe"; "The NumPy module was reloaded".

Why it happens
    The metadata of torch does not require NumPy, so a new environment with only torch has no NumPy. Or another package pinned an
    old NumPy.

What to do
    Install NumPy, or upgrade it. ("A module that was compiled using NumPy 1.x" means the opposite: NumPy is too new.)

How to reproduce
    `attn-doctor reproduce numpy-missing-or-old` turns a tensor into an array where torch is installed without NumPy. Where
    the target's torch will not do, a CPU build is downloaded: 200 MB.

References
    https://github.com/pytorch/pytorch/issues/78341
    https://numpy.org/doc/stable/dev/depending_on_numpy.html
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every
from attn_doctor.failure_modes.recipe import Recipe, Torch
from attn_doctor.failure_modes.shared import torch_here
from attn_doctor.failure_modes.shared.fact_queries import package_evidence, torch_installed, version
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

MODE = FailureMode(
    code="AD312",
    slug="numpy-missing-or-old",
    title="No NumPy that torch can use",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("ultralytics-broken",),
    signs=(
        Sign(
            pattern=r"Failed to initialize NumPy: No module named '?numpy",
            literal="Failed to initialize NumPy",
            sample="UserWarning: Failed to initialize NumPy: No module named 'numpy' (Triggered internally at "
            "/pytorch/torch/csrc/utils/tensor_numpy.cpp:84.)",
            strength="hint",
        ),
        Sign(
            pattern=r"RuntimeError: Numpy is not available",
            literal="Numpy is not available",
            sample="RuntimeError: Numpy is not available",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:ModuleNotFoundError|ImportError): No module named '?numpy'?\s*$",
            literal="No module named 'numpy'",
            sample="ModuleNotFoundError: No module named 'numpy'",
            strength="hint",
        ),
        Sign(
            pattern=r"module (?:was )?compiled against (?:NumPy C-)?API(?: |-)version 0x\w+.{0,60}but (?:this|the running) (?:version of )?"
            r"[Nn]um[Pp]y",
            literal="compiled against ",
            sample="RuntimeError: module compiled against API version 0x10 but this version of numpy is 0xe",
        ),
    ),
    recipe=Recipe(
        does="turns a tensor into an array where torch is installed without NumPy",
        of=(Torch(without=("numpy",)),),
        run=(("{python}", "-c", "import torch; torch.ones(2).numpy()"),),
        shows="Numpy is not available",
        seconds=5,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: torch_installed(facts), lambda: version(facts, "numpy") is None):
        return None
    imports = tried(facts)
    if facts.torch.numpy_bridge is True or any(i.module == "numpy" and i.ok is True for i in imports):
        return None  # NumPy is installed, although the list of packages does not name it
    observed = facts.torch.numpy_bridge is False
    evidence = [package_evidence(facts, "numpy")]
    if observed:
        evidence.append(fact(facts, "torch.numpy_error", f"torch.ones(1).numpy(): {facts.torch.numpy_error}"))
    return Hit(
        message="NumPy is not installed: no tensor can become an array, and Ultralytics does not run.",
        evidence=tuple(evidence),
        certainty=Certainty.OBSERVED if observed else Certainty.PREDICTED,
        severity=None if isinstance(facts.yolo.version, str) else Severity.INFO,
    )


# In the temporary environment of an isolated build torch has no NumPy; this says nothing about the user's environment.
_OF_A_BUILD = re.compile(r"[\\/](?:pip-build-env-|(?:builds|environments)-v\d)")


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    old = any("compiled against" in m.text for m in seen.matches)
    if not old and any(m.strength == "proof" for log in seen.logs for m in log.of("numpy-abi")):
        return None  # NumPy is installed, and too new
    there = [m for m in seen.matches if not _OF_A_BUILD.search(m.text)]
    absent = any("No module named" in m.text for m in there)
    bridge = any("Numpy is not available" in m.text for m in there)
    raised = any("Error: No module named" in m.text for m in there)
    if old:
        message = "A package was built for a newer NumPy than the installed NumPy."
        return Hit(message=message, evidence=evidence, confidence=Confidence.HIGH)
    if not absent:
        return None  # "Numpy is not available" alone: in most cases NumPy is too new
    if not bridge and not raised:
        message = "NumPy is not installed. torch prints a warning and continues."
        return Hit(message=message, evidence=evidence, severity=Severity.INFO)
    return Hit(
        message="NumPy is not installed: torch cannot convert tensors to arrays.",
        evidence=evidence,
        confidence=Confidence.HIGH if bridge else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.install(
        torch_here.numpy_for(facts),
        upgrade=True,
        why="torch and Ultralytics use NumPy's arrays",
        changes="numpy: installed, or upgraded to the newest version that fits",
    )
    return (Fix(title="Install NumPy", steps=(step,), verify=commands.check(facts)),)
