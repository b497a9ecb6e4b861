"""A program passes arguments that the compiled part of a package does not take: the two are of different releases.

What it is
    A package with CUDA code has Python files that call its compiled part. Here the caller passes other arguments than the compiled part
    takes: the two belong to different releases. The compiled part loads, so torch and CUDA fit.

How it shows
    "TypeError: causal_conv1d_fwd(): incompatible function arguments. The following argument types are supported: ..."; "TypeError: fwd():
    incompatible function arguments", "varlen_fwd(): incompatible function arguments" of flash-attn; the same of selective_scan_cuda.

Why it happens
    mamba-ssm calls causal_conv1d_fwd itself, and causal-conv1d 1.2 and 1.5 added arguments to it. Programs with a copy of mamba's code need
    the causal-conv1d of that time. Or a part of an old installation is left over.

What to do
    Install the release of the compiled package that the caller was written for: causal-conv1d 1.1.1 for mamba-ssm 1.x. Or both in their newest
    release, if the program does not bring a copy of its own.

How to reproduce
    There is no recipe: it takes a GPU, and two releases of a compiled package.

References
    https://github.com/Dao-AILab/causal-conv1d/issues/11
    https://github.com/state-spaces/mamba/blob/main/mamba_ssm/ops/selective_scan_interface.py
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import other_libraries, subject, wheel_fixes
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

_FUNCTIONS = r"causal_conv1d_(?:fwd|bwd|update)|varlen_fwd|varlen_bwd|fwd_kvcache|fwd|bwd|fwd_block|bwd_block"

MODE = FailureMode(
    code="AD329",
    slug="compiled-part-of-another-release",
    title="A compiled part of another release than its caller",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=rf"TypeError: (?P<function>{_FUNCTIONS})\(\): incompatible function arguments",
            literal="(): incompatible function arguments",
            sample="TypeError: causal_conv1d_fwd(): incompatible function arguments. The following argument types are supported:",
        ),
        # What the compiled part takes: "1. (arg0: torch.Tensor, arg1: torch.Tensor, arg2: bool) -> torch.Tensor".
        Sign(
            pattern=r"^\s*1\. \((?P<takes>arg0: .{1,600})\) -> ",
            literal="1. (arg0: ",
            sample="    1. (arg0: at::Tensor, arg1: at::Tensor, arg2: bool) -> at::Tensor",
            strength="context",
        ),
        # The compiled part is there, and lacks a function that the Python files of the package call.
        Sign(
            pattern=r"AttributeError: module '(?P<owner>(?!torch\w{0,10}\.)[A-Za-z]\w{1,40})\.(?P<part>_C|_ext|_cuda|\w{1,40}_(?:cuda|ext))' has no attribute '(?P<lacks>\w{1,60})'",
            literal="AttributeError: module '",
            sample="AttributeError: module 'natten._C' has no attribute 'na2d_qk_forward'",
        ),
        other_libraries.SIGN,
    ),
)
# There is no `detect`: no fact holds the arguments of compiled functions.

# The release of causal-conv1d before the one that added arguments, by the number of arguments of causal_conv1d_fwd: seven since 1.2
# (initial and final states), eight since 1.5 (the tensor for the result). https://github.com/Dao-AILab/causal-conv1d/blob/v1.2.0/csrc/causal_conv1d.cpp
_BEFORE = {7: "1.1.1", 8: "1.4.0"}


class Called(Variant, frozen=True, kw_only=True):
    """Hold the compiled package (None if its function does not show it), and the number of arguments that its function takes."""

    package: str | None
    takes: int | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if (owner := seen.group("owner")) is not None:
        return Hit(
            message=f"{owner}.{seen.group('part')}, the compiled part of {owner}, has no {seen.group('lacks')}, which its Python files call: they are of different releases.",
            evidence=evidence,
            variant=Called(package=owner.replace("_", "-").lower(), takes=None),
        )
    if seen.group("function") is None:
        other = other_libraries.told(seen, strings=False)
        return other_libraries.hit(*other) if other else None
    function = seen.group("function") or ""
    package = "causal-conv1d" if function.startswith("causal") else subject.stated(facts)
    takes = len(re.findall(r"\barg\d+: ", seen.group("takes") or "")) or None
    many = f" It takes {takes} arguments." if takes else ""
    return Hit(
        message=f"The compiled function {function} of {package or 'a package'} was called with the arguments of another release: the caller and the "
        f"compiled part are of different releases.{many}",
        evidence=tuple(e for e in evidence if "incompatible function" in e.text),
        variant=Called(package=package, takes=takes),
        confidence=Confidence.HIGH if package else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, other_libraries.OfLibrary):
        return other_libraries.fixes(facts, hit.variant)
    if not isinstance(hit.variant, Called):
        causal, other = Called(package="causal-conv1d", takes=None), Called(package=None, takes=None)
        return (*_of(facts, causal), *_of(facts, other)[:1])
    return _of(facts, hit.variant)


def _of(facts: Facts, called: Called) -> tuple[Fix, ...]:
    """Return the fixes for causal-conv1d, or for flash-attn and all other packages."""
    if called.package not in ("causal-conv1d", None) and called.package != subject.stated(facts):
        of = msgspec.structs.replace(facts.subject, package=called.package, asked=None, folder=None)
        facts = msgspec.structs.replace(facts, subject=of)
    if called.package != "causal-conv1d":
        return wheel_fixes.fixes(facts, "its Python files and its compiled part are of different releases")
    verify = subject.verify(facts)
    release = _BEFORE.get(called.takes or 0, "1.1.1")
    names = [name for name in built_packages.imports("causal-conv1d") if name != "torch"]
    small = commands.install(*names, why="its setup imports them", changes="adds build tools")
    old = commands.install(
        f"causal-conv1d=={release}",
        reinstall=True,
        no_deps=True,
        no_build_isolation=True,
        no_cache=True,
        why="the last release before its function got more arguments: for a program that contains mamba's code, or asks for mamba-ssm 1.x. Its setup takes the "
        "finished wheel for the torch there, or compiles",
        changes=f"causal-conv1d {release}",
        takes="seconds, or minutes to compile",
    )
    both = commands.install(
        "causal-conv1d",
        "mamba-ssm",
        upgrade=True,
        no_build_isolation=True,
        why="if the program uses the mamba-ssm that is installed: both in their newest release",
        changes="causal-conv1d and mamba-ssm",
        takes="minutes to hours where they are compiled",
    )
    return (
        Fix(title=f"Install causal-conv1d {release}", steps=(small, old), verify=verify),
        Fix(title="Upgrade mamba-ssm and causal-conv1d together", steps=(both,), verify=verify),
    )
