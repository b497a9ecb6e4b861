"""torch is not installed in this Python.

What it is
    PyTorch is not installed in the Python that was examined, so this Python cannot train anything.

How it shows
    "ModuleNotFoundError: No module named 'torch'" from your own program, or from ultralytics.

Why it happens
    torch was never installed; or an installation was interrupted; or attn-doctor examined another Python than the one
    that you train with: the report names the Python, and says why attn-doctor chose it.

What to do
    If you train with another Python, name it with --target. Else install torch and torchvision together, in the build
    that this machine's GPU and driver can run; the finding shows the command.

How to reproduce
    `attn-doctor reproduce torch-missing` imports torch in a fresh environment. It downloads nothing.

References
    https://pytorch.org/get-started/locally/
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import EVERY_BACKEND, FailureMode, Hit, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Fix, Goal, Severity, fact

MODE = FailureMode(
    code="AD216",
    slug="torch-missing",
    title="torch is not installed",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=EVERY_BACKEND,
    explains=("torch-missing-at-build", "requirements-missing", "ultralytics-broken", "model-not-built"),
    recipe=Recipe(
        does="imports torch in an environment that has none",
        of=(),
        run=(("{python}", "-c", "import torch"),),
        shows="No module named 'torch'",
        examine=("--static",),
        goal=Goal.TRAIN,
        seconds=2,
    ),
)


def detect(facts: Facts) -> Hit | None:
    torch = facts.torch
    if torch.importable is True or known(torch.version) is not None:
        return None
    fault = torch.fault
    if fault is not None and fault.type != "ModuleNotFoundError":
        return None  # a folder or file named torch exists: torch-install-broken reports it
    where = facts.interpreter.python
    place = f" ({where})" if isinstance(where, str) else ""
    return Hit(
        message=f"torch is not installed in this Python{place}. If you train with another Python, name it with --target.",
        evidence=(fact(facts, "torch.version", "there is no torch"),),
        certainty=Certainty.OBSERVED,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    return torch_steps.newest(facts)
