"""Read the warning in which xFormers says for which torch, CUDA and Python it was built, where the torch is the same. Pure.

xFormers prints it if its compiled part does not load: https://github.com/facebookresearch/xformers/blob/main/xformers/_cpp_lib.py
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.failure_modes.shared.stated_conflicts import Conflicting, Pair
from attn_doctor.failure_modes.shared.torch_facts import text
from attn_doctor.knowledge.torch_machine import exactly
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.versions import before_release, local, pair

PYTHON = Sign(
    pattern=r"^Python +(?P<for_python>3\.\d{1,2})(?:\.\d{1,2})? \(you have (?P<python>3\.\d{1,2})",
    literal="(you have 3",
    sample="Python  3.11.9 (you have 3.10.14)",
    strength="context",
)


class SameRelease(Variant, frozen=True, kw_only=True):
    """Mark the case that xFormers was built for this release of torch and this Python, and the version of the torch names no build."""


def told(seen: Seen) -> Hit | None:
    """Return the hit for an xFormers that was built for this release of torch and does not load its compiled part; None for other logs."""
    line = next((m for m in seen.matches if m.groups.get("built") and m.groups.get("have")), None)
    if line is None or seen.group("asked_by") is None:
        return None
    ours, theirs, cuda = seen.group("python"), seen.group("for_python"), seen.group("cuda")
    with_cuda = f" and CUDA {int(cuda[:2])}.{int(cuda[2:])}" if cuda else ""
    why = (
        f"it was built for Python {theirs}, and Python {ours} runs it"
        if ours != theirs
        else f"it was built for this release of torch{with_cuda}: the installed torch is probably for another CUDA, or for the processor alone"
    )
    return Hit(
        message=f"xformers does not load its compiled part: {why}.",
        evidence=tuple(
            Evidence(kind="log", file=m.file, line=m.line, text=m.text)
            for m in seen.matches
            if {"asked_by", "built", "python"} & m.groups.keys()
        ),
        confidence=Confidence.MEDIUM,
        variant=SameRelease() if ours == theirs and local(line.groups["have"]) is None else None,
    )


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix for Windows, where PyPI's torch is a CPU build: the same release with CUDA. Empty for other systems."""
    version = text(facts.torch.version)
    if facts.system.os != "windows" or version is None:
        return ()
    steps = torch_steps.release(
        facts, version, "the same release with CUDA: PyPI's torch for Windows is a CPU build", reinstall=True
    )
    return (Fix(title="Install this torch with CUDA", steps=steps, verify=commands.check(facts)),) if steps else ()


# Two rows of `python -m xformers.info`: https://github.com/facebookresearch/xformers/blob/main/xformers/info.py
INFO = (
    Sign(
        pattern=r"^build\.torch_version: +(?P<info_built>\d+\.\d+\.\d+(?:\+(?:cu\d{2,3}|cpu|rocm[\d.]+))?)",
        literal="build.torch_version:",
        sample="build.torch_version:                               2.4.0+cu121",
        strength="hint",
    ),
    Sign(
        pattern=r"^pytorch\.version: +(?P<info_have>\d+\.\d+\.\d+(?:(?:a|b|rc)\d+|\.dev\d+)?(?:\+(?:cu\d{2,3}|cpu|rocm[\d.]+|git\w+))?)",
        literal="pytorch.version:",
        sample="pytorch.version:                                   2.3.1+cu121",
        strength="context",
    ),
)


def of_info(seen: Seen) -> Hit | None:
    """Return the hit for the table of `xformers.info` if it names two minors of torch, or two majors of CUDA; None else."""
    built, have = seen.group("info_built"), seen.group("info_have")
    if built is None or have is None or before_release(have):
        return None
    if pair(built) == pair(have) and not _other_cuda(built, have):
        return None
    return Hit(
        message=f"xformers was built for torch {built}, and torch {have} is installed: its compiled kernels do not load.",
        evidence=tuple(
            Evidence(kind="log", file=m.file, line=m.line, text=m.text)
            for m in seen.matches
            if {"info_built", "info_have"} & m.groups.keys()
        ),
        variant=Conflicting(pairs=(Pair(package="xformers", requires=exactly("torch", built), have=f"torch {have}"),)),
        severity=Severity.WARNING,
    )


def _other_cuda(built: str, have: str) -> bool:
    """Return whether two builds are for CUDA of another major: "2.3.1+cu118" and "2.3.1+cu121"."""
    one, other = local(built) or "", local(have) or ""
    return one.startswith("cu1") and other.startswith("cu1") and one[:4] != other[:4]
