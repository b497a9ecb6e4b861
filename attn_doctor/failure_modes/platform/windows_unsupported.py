"""flash-attn has no wheels for Windows, and building it there rarely works.

What it is
    The flash-attn project publishes wheels for Linux on x86-64. On Windows pip begins to compile. That takes hours,
    needs a Visual Studio and a CUDA toolkit that fit each other, and usually fails.

How it shows
    "Guessing wheel URL: ...win_amd64.whl" and then "Precompiled wheel not found. Building from source..."; errors of cl.exe or
    of nvcc with MSVC after it.

Why it happens
    The project does not build for Windows; other people do.

What to do
    Nothing, for YOLO12: PyTorch's own fused attention is there. Else use a wheel built by others (`attn-doctor wheels`
    lists these people), or WSL2, where the Linux wheels work.

How to reproduce
    `attn-doctor reproduce windows-unsupported` judges a Windows machine: a simulated machine, on which nothing is run.

References
    https://github.com/Dao-AILab/flash-attention#installation-and-features
    https://github.com/Dao-AILab/flash-attention/issues/595
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.failure_modes.shared import wheel_fixes
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD501",
    slug="windows-unsupported",
    title="flash-attn has no wheels for Windows",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=("windows-path-too-long",),
    explains_what_stops="build",
    signs=(
        Sign(
            pattern=r"flash_attn-\S{5,160}-win_amd64\.whl",
            literal="win_amd64.whl",
            sample="Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.7.4.post1/flash_attn-2.7.4.post1+"
            "cu12torch2.6cxx11abiFALSE-cp311-cp311-win_amd64.whl",
            strength="hint",
        ),
        Sign(
            pattern=r"Precompiled wheel not found\. Building from source",
            literal="Precompiled wheel not found",
            sample="Precompiled wheel not found. Building from source...",
            strength="context",
        ),
        Sign(
            pattern=r"Guessing wheel URL",
            literal="Guessing wheel URL",
            sample="Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3.whl",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="judges a Windows machine",
        seconds=1,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(
        lambda: known(facts.system.os) == "windows",
        lambda: known(facts.flash_attention.version) is None,
    ):
        return None
    return Hit(
        message="The flash-attn project has no wheels for Windows: pip would compile it here for hours, and that usually fails.",
        evidence=(fact(facts, "system.os"), fact(facts, "flash_attention.version", "flash-attn is not installed")),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not any(m.strength == "context" for m in seen.matches):
        return None  # another person may have built this wheel, and it may fit
    # The error that stopped the build is nearer to the cause than the build itself.
    stages = {MODE.slug, "no-prebuilt-wheel", "build-timeout-hang", "build-failed-unspecified"}
    stopped = any(m.strength == "proof" and m.slug not in stages for log in seen.logs for m in log.matches)
    return Hit(
        message="pip compiled flash-attn on Windows, because the flash-attn project has no wheels for Windows.",
        evidence=evidence,
        confidence=Confidence.HIGH,
        severity=Severity.INFO if stopped else Severity.ERROR,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    look = commands.by_hand(
        ("attn-doctor", "wheels"),
        "lists the people who build wheels for Windows, and the wheels that fit here",
        "nothing",
        "none",
    )
    wsl = commands.by_hand(
        ("wsl.exe", "--install"),
        "Linux inside Windows, in which the official wheels work: create an environment inside this Linux, and install everything into it",
        "installs WSL2",
        elsewhere=True,
    )
    return (
        wheel_fixes.of_others(facts)
        or Fix(title="Look for a wheel that somebody else built", steps=(look,), verify=verify),
        Fix(title="Use WSL2", steps=(wsl,), verify=verify),
    )
