"""torch is not installed in this Python.

What it is
    PyTorch is not installed in the Python that was examined, so this Python cannot train anything.

How it shows
    "ModuleNotFoundError: No module named 'torch'" from your own program, or from ultralytics.

Why it happens
    torch was never installed; or the program runs in an environment of its own, which uvx, `uv tool install` or pipx made for it: it does not see
    the torch of another environment; or an installation was interrupted; or attn-doctor examined another Python than the one
    that you train with: the report names the Python, and says why attn-doctor chose it.

What to do
    If you train with another Python, name it with --target. If uvx, uv or pipx made the environment: add torch to it (--with torch, or
    pipx inject). Else install torch and torchvision together, in the build
    that this machine's GPU and driver can run; the finding shows the command.

How to reproduce
    `attn-doctor reproduce torch-missing` imports torch in a fresh environment. It downloads nothing.

References
    https://pytorch.org/get-started/locally/
    https://docs.astral.sh/uv/guides/tools/
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import EVERY_BACKEND, FailureMode, Hit, Sign, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared import building, tool_environments, torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Goal, Severity, fact

MODE = FailureMode(
    code="AD216",
    slug="torch-missing",
    title="torch is not installed",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=EVERY_BACKEND,
    explains=("torch-missing-at-build", "requirements-missing", "ultralytics-broken", "model-not-built"),
    signs=(
        Sign(
            pattern=r"No module named '(?P<lacks>torch)'",
            literal="No module named 'torch'",
            sample="ModuleNotFoundError: No module named 'torch'",
            strength="hint",
        ),
        *tool_environments.SIGNS,
    ),
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


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Find a torch that is missing in the environment of uvx, `uv tool` or pipx; torch-missing-at-build reports all others."""
    for match in seen.matches:
        if "lacks" not in match.groups or building.in_build(seen, match):
            continue
        own = tool_environments.found(seen.matches, match)
        if own is not None:
            maker = {"uvx": "uvx", "uv-tool": "uv", "pipx": "pipx"}[own.made_by]
            return Hit(
                message=f"torch is not installed in the environment that {maker} made for {own.program}: it holds this program alone, and sees no torch of another environment.",
                evidence=(Evidence(kind="log", file=match.file, line=match.line, text=match.text),),
                variant=own,
            )
    return None


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, tool_environments.OwnEnvironment):
        return tool_environments.fixes(facts, hit.variant)
    return torch_steps.newest(facts)
