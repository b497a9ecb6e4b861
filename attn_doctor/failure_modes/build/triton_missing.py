"""triton is not installed.

What it is
    Parts of flash_attn (rotary embedding, layer norm, cross entropy) and torch.compile are written in triton. It is not there.

How it shows
    "ModuleNotFoundError: No module named 'triton'" from flash_attn/ops/triton; "Cannot find a working triton installation" from
    torch.compile; "No matching distribution found for triton".

Why it happens
    torch brings triton on Linux x86-64 (and on ARM since 2.11), not on Windows or macOS. xformers says "A matching Triton is not
    available, some optimizations will not be enabled" and goes on: that is a notice.

What to do
    Linux: install the triton that torch asks for. Windows: the package triton-windows, or do without torch.compile and the triton
    parts of flash_attn. The attention kernels of flash_attn themselves need no triton.

How to reproduce
    `attn-doctor reproduce triton-missing` imports flash-attn's triton kernels where there is no triton. It downloads 10 MB,
    and a CPU build of torch (200 MB) where the target's will not do.

References
    https://github.com/Dao-AILab/flash-attention/issues/508
    https://github.com/woct0rdho/triton-windows
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every
from attn_doctor.failure_modes.recipe import Recipe, Source, Torch
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import cuda_build, package
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact

_NAMES = ("triton", "pytorch-triton", "triton-windows")

MODE = FailureMode(
    code="AD118",
    slug="triton-missing",
    title="triton is not installed",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("compile", "flex"),
    explains=("no-matching-distribution", "python-too-new-no-wheel"),
    signs=(
        Sign(
            pattern=r"No module named ['\"‘]?triton(?!\.ops)(?:\.[\w.]+)?['\"’]?",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'triton'",
            strength="hint",
        ),
        Sign(
            pattern=r"Cannot find a working triton installation",
            literal="Cannot find a working triton",
            sample="RuntimeError: Cannot find a working triton installation. Either the package is not installed or it is too old.",
        ),
        Sign(
            pattern=r"No matching distribution found for (?:pytorch-)?triton(?![\w-])",
            literal="No matching distribution found for ",
            sample="ERROR: No matching distribution found for triton==2.1.0",
        ),
        Sign(
            pattern=r"A matching Triton is not available",
            literal="A matching Triton is not available",
            sample="A matching Triton is not available, some optimizations will not be enabled",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="imports flash-attn's triton kernels where there is no triton",
        of=(Torch(without=("triton", "pytorch-triton")), Source()),
        run=(("{python}", "{source}/flash_attn/ops/triton/rotary.py"),),
        shows="No module named 'triton'",
        seconds=12,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: cuda_build(facts), lambda: all(package(facts, name) is None for name in _NAMES)):
        return None
    return Hit(
        message="triton is not installed, so torch.compile and the triton parts of flash_attn cannot be used.",
        evidence=(fact(facts, "packages.distributions", "there is no triton"),),
        severity=Severity.INFO,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if any(m.strength == "proof" for m in seen.matches):
        return Hit(message="There is no triton for that platform or Python, or none is installed.", evidence=evidence)
    notice = any(m.strength == "context" for m in seen.matches)
    hints = tuple(m for m in seen.matches if m.strength == "hint")
    if notice:
        message = "triton is not installed there; the program says so and goes on."
        return Hit(message=message, evidence=building.lines(hints), severity=Severity.INFO)
    return Hit(message="triton is not installed there.", evidence=building.lines(hints), confidence=Confidence.MEDIUM)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if facts.system.os == "windows":
        step = commands.install(
            "triton-windows", why="a build of triton for Windows, by one person", changes="adds triton-windows"
        )
        return (Fix(title="Install triton for Windows", steps=(step,), verify=commands.check(facts)),)
    if facts.system.os != "linux":
        return ()
    step = commands.install("triton", why="torch.compile generates its code with triton", changes="adds triton")
    return (Fix(title="Install triton", steps=(step,), verify=commands.check(facts)),)


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a machine of which too little is known to name versions."""
    linux = commands.install(
        "triton", why="on Linux: torch.compile generates its code with triton", changes="adds triton"
    )
    windows = commands.install(
        "triton-windows", why="on Windows: a build of triton by one person", changes="adds triton-windows"
    )
    verify = commands.check(facts)
    return (
        Fix(title="Install triton", steps=(linux,), verify=verify),
        Fix(title="Install triton for Windows", steps=(windows,), verify=verify),
    )
