"""triton is not installed.

What it is
    torch.compile and parts of flash_attn (rotary embedding, layer norm, cross entropy) need triton. It is not
    installed.

How it shows
    "ModuleNotFoundError: No module named 'triton'" from flash_attn/ops/triton; "Cannot find a working triton installation" from
    torch.compile; "No matching distribution found for triton".

Why it happens
    torch installs triton on Linux x86-64 (and on ARM since torch 2.11), not on Windows or macOS. xformers says "A
    matching Triton is not available, some optimizations will not be enabled" and goes on: that is only a notice.

What to do
    Linux: install the triton that torch asks for.

    Windows: `pip install triton` finds nothing there. Install the package triton-windows, in the release for your
    torch (torch 2.6: 3.2, 2.7: 3.3, 2.8: 3.4, 2.9: 3.5, 2.10 and 2.11: 3.6, 2.12 and 2.13: 3.7, 2.14: 3.8; for a GTX
    16xx or RTX 20xx at most 3.2).

    On all systems you can work without torch.compile (TORCH_COMPILE_DISABLE=1) and without the triton parts of
    flash_attn. The attention kernels of flash_attn themselves need no triton.

How to reproduce
    `attn-doctor reproduce triton-missing` imports flash-attn's triton kernels in an environment without triton. It
    downloads 10 MB, and a CPU build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/508
    https://github.com/triton-lang/triton-windows
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import Recipe, Source, Torch
from attn_doctor.failure_modes.shared import building, subject, triton_windows
from attn_doctor.failure_modes.shared.fact_queries import cuda_build, package
from attn_doctor.knowledge import pytorch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
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
            pattern=r"(?P<raised>\w+: )?Cannot find a working triton installation",
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
        does="imports flash-attn's triton kernels in an environment without triton",
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
        return Hit(
            message="triton does not exist for that platform or Python, or it is not installed.",
            evidence=evidence,
            severity=Severity.ERROR
            if seen.group("raised")
            else None,  # torch.compile raised the error, so the program ended
        )
    notice = any(m.strength == "context" for m in seen.matches)
    hints = tuple(m for m in seen.matches if m.strength == "hint")
    if notice:
        message = "triton is not installed; the program reports this and continues."
        return Hit(message=message, evidence=building.lines(hints), severity=Severity.INFO)
    return Hit(
        message="The log shows that triton is not installed.",
        evidence=building.lines(hints),
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    os = known(facts.system.os)
    if os == "windows":
        return (*triton_windows.fixes(facts), *(() if _asked_by_another(facts) else (_without(facts),)))
    if os != "linux":
        return (_without(facts),)
    if isinstance(facts.torch.hip, str):
        step = commands.by_hand(
            (),
            "torch for ROCm has its own triton (pytorch-triton-rocm, later triton-rocm): install torch and its requirements again from "
            "torch's ROCm index",
            "adds the triton of ROCm",
        )
        return (
            Fix(title="Install the triton of torch for ROCm", steps=(step,), verify=commands.check(facts)),
            _without(facts),
        )
    row = pytorch.release(facts.torch.version) if isinstance(facts.torch.version, str) else Unknown("")
    wanted = "triton" if isinstance(row, Unknown) else row.triton
    step = commands.install(wanted, why="torch.compile generates its code with triton", changes="adds triton")
    return (Fix(title="Install triton", steps=(step,), verify=commands.check(facts)),)


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a machine whose versions are not known.

    Install triton (Linux) or triton-windows, or do without torch.compile.
    """
    linux = commands.install(
        "triton", why="on Linux: torch.compile generates its code with triton", changes="adds triton"
    )
    verify = commands.check(facts)
    return (Fix(title="Install triton", steps=(linux,), verify=verify), *triton_windows.fixes(facts), _without(facts))


def _asked_by_another(facts: Facts) -> bool:
    """Return whether a package imports triton itself, as sageattention does: a setting of torch.compile does not help it."""
    return facts.subject.doing == "importing" and subject.package(facts) not in (None, "torch", "triton", "flash-attn")


def _without(facts: Facts) -> Fix:
    step = commands.variable(
        "TORCH_COMPILE_DISABLE",
        "1",
        "models then run without torch.compile, more slowly; in flash_attn only rotary embedding, layer norm and cross entropy need triton",
    )
    return Fix(title="Do without torch.compile", steps=(step,), verify=commands.check(facts))
