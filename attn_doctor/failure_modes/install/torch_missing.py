"""There is no torch in this Python.

What it is
    PyTorch is not installed in the Python that was examined. Nothing can be trained with it.

How it shows
    "ModuleNotFoundError: No module named 'torch'" from your own program, or from ultralytics.

Why it happens
    It was never installed, an installation was interrupted, or another Python was examined than the one that you train with: the
    report names the Python and says why it was taken.

What to do
    If you train with another Python, name it with --target. Else install torch and torchvision together, in the build that this
    machine's GPU and driver can run; the finding has the command.

How to reproduce
    `attn-doctor reproduce torch-missing` imports torch in a fresh environment. It downloads nothing.

References
    https://pytorch.org/get-started/locally/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Unsure, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared import newest_torch
from attn_doctor.failure_modes.shared.fact_queries import nvidia_card
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Certainty, Fix, Goal, Severity, fact
from attn_doctor.model.machine import amd_gpus
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD216",
    slug="torch-missing",
    title="torch is not installed",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("torch-missing-at-build", "requirements-missing", "ultralytics-broken", "model-not-built"),
    recipe=Recipe(
        does="imports torch in an environment that has none",
        of=(),
        run=(("{python}", "-c", "import torch"),),
        shows="No module named 'torch'",
        examine=("--static",),
        goal=Goal.TRAIN,
    ),
)


def detect(facts: Facts) -> Hit | None:
    torch = facts.torch
    if torch.importable is True or known(torch.version) is not None:
        return None
    fault = torch.fault
    if fault is not None and fault.type != "ModuleNotFoundError":
        return None  # a folder or file of that name is there: torch-install-broken
    where = facts.interpreter.python
    place = f" ({where})" if isinstance(where, str) else ""
    return Hit(
        message=f"torch is not installed in this Python{place}. If you train with another one, name it with --target.",
        evidence=(fact(facts, "torch.version", "there is no torch"),),
        certainty=Certainty.OBSERVED,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = install_torch(facts)
    return (Fix(title="Install torch and torchvision", steps=(step,), verify=commands.check(facts)),) if step else ()


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return where the command stands, for a machine of which too little is known to choose a build."""
    words = "take the command that https://pytorch.org/get-started/locally/ gives for your system and GPU"
    step = commands.by_hand((), words, "adds torch and torchvision")
    return (Fix(title="Install torch and torchvision", steps=(step,), verify=commands.check(facts)),)


def install_torch(facts: Facts) -> Step | None:
    """Return the step that installs a torch and the torchvision of it that this machine can run. Raises Unsure.

    None: no build is known for this GPU, driver and Python, or the board (a Jetson) has a torch of its own.
    """
    os = known(facts.system.os)
    if os == "darwin":
        return _install(
            facts, ("torch", "torchvision"), None, "PyTorch's builds for macOS hold the Apple GPU's backend"
        )
    if isinstance(facts.system.musl, str):
        words = "use a system with glibc, such as the image python:3.12-slim: PyTorch has no wheels for musl (Alpine)"
        return commands.by_hand((), words, "the image or the system")
    if _tegra(facts):
        return None
    if amd_gpus(facts):
        return commands.by_hand(
            (),
            "take the ROCm command of https://pytorch.org/get-started/locally/ for your ROCm",
            "adds torch and torchvision",
        )
    if not nvidia_card(facts):
        return _install(
            facts,
            ("torch", "torchvision"),
            "https://download.pytorch.org/whl/cpu",
            "this machine has no GPU that PyTorch can use: the CPU build is a tenth of the download",
            takes="200 MB",
        )
    driver = facts.graphics.driver
    if not isinstance(driver, str):
        raise Unsure(
            driver if isinstance(driver, Unknown) else Unknown("there is no NVIDIA driver yet: install it first")
        )
    choice = newest_torch.choice(facts)
    if isinstance(choice, Unknown):
        return None
    vision = f"torchvision=={choice.torchvision}" if isinstance(choice.torchvision, str) else "torchvision"
    index = f"https://download.pytorch.org/whl/{choice.flavour}"
    return _install(
        facts,
        (f"torch=={choice.torch}", vision),
        None if choice.pypi and os == "linux" else index,
        f"built for CUDA {choice.cuda}, which driver {driver} runs",
        takes="3 to 5 GB",
    )


def _tegra(facts: Facts) -> bool:
    """Say whether this is a Jetson: its torch comes from NVIDIA."""
    kernel = facts.system.kernel
    return isinstance(kernel, str) and "tegra" in kernel


def _install(facts: Facts, names: tuple[str, ...], index: str | None, why: str, takes: str | None = None) -> Step:
    return commands.install(*names, index_url=index, why=why, changes="adds torch and torchvision", takes=takes)
