r"""MSVC or nvcc under Windows refuses a header of torch.

What it is
    On Windows, nvcc passes the C++ part of a .cu file to Microsoft's compiler. One header of torch
    (compiled_autograd.h) contains a template that this compiler refuses there. The extension that is built has no
    fault.

How it shows
    "torch/csrc/dynamo/compiled_autograd.h(1143): error C2872: 'std': ambiguous symbol", then "valarray(20): note:
    could be 'std'". Other errors in torch\include (its own headers, or the copy of pybind11 there) end with "fatal
    error C1003: error count exceeds 100": only the first of these errors shows the cause.

    With torch 1.0 to 1.7, nvcc itself refuses constants in torch's headers: "torch/csrc/jit/argument_spec.h(161): error: member
    "torch::jit::ArgumentSpecCreator::DEPTH_LIMIT" may not be initialized", and in module.h "a member with an in-class initializer must
    be const".

Why it happens
    torch leaves this template out if USE_CUDA is defined, but builds of extensions do not define USE_CUDA. The error
    is known from torch 2.7 and newer, with Visual Studio 2019, 2022 and 2026 (MSVC 14.29 to 14.50).

What to do
    Define USE_CUDA while the extension is built: the variable NVCC_APPEND_FLAGS adds an option to each call of nvcc.
    Or build with MSVC 14.44 or newer of Visual Studio 2022: one report says that the error is gone there. Or install
    a finished wheel. torch 1.7 and older: install torch 1.8 or newer, or write `static const` into the lines that nvcc names.

How to reproduce
    There is no recipe: Windows, MSVC and nvcc are needed. A file with `#include <torch/extension.h>`, compiled by
    nvcc there, shows it.

References
    https://github.com/pytorch/pytorch/issues/148317
    https://github.com/pytorch/pytorch/pull/188952
    https://github.com/pytorch/pytorch/issues/27958
    https://github.com/pytorch/pytorch/issues/42467
    https://github.com/pytorch/pytorch/pull/48836
    https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#nvcc-environment-variables
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import build_log, building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD127",
    slug="torch-headers-msvc",
    title="MSVC refuses a header of torch",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "host-compiler-unsupported", "extension-not-built"),
    signs=(
        Sign(
            pattern=r"(?P<header>[\w.]{1,60}\.h)\(\d+\): error C2872: .?std.?[:：]",
            literal="error C2872:",
            sample="torch/csrc/dynamo/compiled_autograd.h(1143): error C2872: 'std': ambiguous symbol",
        ),
        *(
            Sign(
                pattern=rf"(?P<constant>(?:[A-Za-z]:)?[^\s(:>\"][^(:\"]{{0,200}}include[\\/]torch[\\/]csrc[\\/][^(:]{{1,120}}\.h)\((?P<at>\d+)\)\s?: error\s?: {says}",
                literal=literal,
                sample=sample,
            )
            for says, literal, sample in (
                (
                    r"member \"[^\"]{1,150}\" may not be initialized",
                    "may not be initialized",
                    'C:/py37/lib/site-packages/torch/include\\torch/csrc/jit/argument_spec.h(190): error: member "A::DEPTH_LIMIT" may not be initialized',
                ),
                (
                    "a member with an in-class initializer must be const",
                    "in-class initializer must be const",
                    "C:/py38/torch/include\\torch/csrc/jit/api/module.h(483): error: a member with an in-class initializer must be const",
                ),
            )
        ),
        # The later ones of a hundred errors; the first is missing from the log.
        Sign(
            pattern=r"[\\/]torch[\\/]include[\\/](?P<file>[^\s(]{1,200})\(\d+(?:,\d+)?\)\s?: (?:fatal )?error (?P<number>C\d{4})",
            literal="error C",
            sample="C:\\v\\lib\\site-packages\\torch\\include\\pybind11\\cast.h(624): error C2334: unexpected token(s) preceding '{'",
            strength="hint",
        ),
    ),
)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not any(m.strength == "proof" for m in seen.matches):
        return _of_the_rest(seen, evidence)
    file, line = seen.group("constant"), seen.group("at")
    if file and line:
        return Hit(
            message=f"nvcc under Windows refuses a constant in {_name(file)}, a header of torch. torch 1.8 is the first release without such constants.",
            evidence=building.lines([m for m in seen.matches if m.strength == "proof"]),
            variant=Constant(file=file, line=line),
        )
    of_torch = any("torch" in m.text.lower() for m in seen.matches)
    return Hit(
        message="Microsoft's compiler says that `std` is ambiguous in a header of torch. If USE_CUDA is defined, torch leaves out the code that this compiler refuses.",
        evidence=evidence,
        confidence=Confidence.HIGH if of_torch else Confidence.MEDIUM,
    )


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


class Constant(Variant, frozen=True, kw_only=True):
    """Hold a header of torch and the number of its line in which nvcc refuses a constant."""

    file: str
    line: str


class Rest(Variant, frozen=True, kw_only=True):
    """Mark the case that the log has only later errors in a header of torch, and not the first error."""


def _of_the_rest(seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for errors in torch's headers; None if the log shows a known cause."""
    known = any(
        m.strength == "proof" and m.slug not in (MODE.slug, building.FAILED) for log in seen.logs for m in log.matches
    )
    file = _name(seen.group("file") or "")
    if known or not file:
        return None
    return Hit(
        message=f"Microsoft's compiler refuses {file}, a header of torch, with error {seen.group('number')}; the first error, above this one, shows why.",
        evidence=evidence,
        confidence=Confidence.LOW,
        variant=Rest(),
    )


def _by_the_first_error(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for an unknown first error: find that error; use a finished wheel; use another MSVC."""
    verify = building.verify(facts)
    ready = building.without_compiling(facts, began=True)
    if not ready:
        words = (
            "look for a finished wheel of the package for your torch, CUDA and Python: it needs no compiler. The wheels of xformers and torchvision are on "
            "the same --index-url as your torch"
        )
        ready = (
            Fix(title="Install a finished wheel", steps=(commands.by_hand((), words, "that package"),), verify=verify),
        )
    words = (
        "in the Visual Studio Installer choose another MSVC toolset of Visual Studio 2022 (Individual components), or update it: torch was built "
        "with the MSVC that was current when this torch was released"
    )
    other = commands.by_hand((), words, "Visual Studio")
    first = Fix(title="Find the first error", steps=build_log.written(facts), verify=verify)
    return (first, *ready, Fix(title="Build with another MSVC", steps=(other,), verify=verify))


def _other_constant(facts: Facts, found: Constant) -> tuple[Fix, ...]:
    """Return the fixes for a constant that nvcc refuses: write it in the older way; install a torch without it.

    The edits: https://github.com/pytorch/extension-cpp/issues/37, https://github.com/pytorch/pytorch/issues/27958. torch's own change is in
    1.8: https://github.com/pytorch/pytorch/pull/48836
    """
    verify = building.verify(facts)
    words = (
        f"open {found.file} in an editor. In line {found.line}, and in each other line for which nvcc prints this error, write `static const` in place of "
        "`static constexpr` or `static CONSTEXPR_EXCEPT_WIN_CUDA`. Then build again"
    )
    edit = commands.by_hand((), words, "a header of the installed torch", "low")
    words = (
        "use PyTorch 1.8 or newer, and the toolkit of its CUDA: 10.2 or 11.1 for PyTorch 1.8, of which there is no build for CUDA 10.1 under Windows. The sources that "
        "are built have to fit this torch"
    )
    newer = commands.by_hand((), words, "torch and the toolkit")
    # The constants of ir.h are no numbers: `static const` alone does not help, https://github.com/pytorch/pytorch/issues/48835
    first = (
        () if _name(found.file) == "ir.h" else (Fix(title="Edit the header of torch", steps=(edit,), verify=verify),)
    )
    return (
        *first,
        Fix(title="Install torch 1.8 or newer", steps=(newer,), verify=verify),
        *building.without_compiling(facts, began=True),
    )


def _is_new(facts: Facts) -> bool:
    """Return whether the MSVC that is known there is 14.44 or newer; cl.exe prints 19.44 for it."""
    kits = facts.toolchain.compilers if isinstance(facts.toolchain.compilers, tuple) else ()
    found = [pair(kit.version) for kit in kits if kit.name == "cl" and isinstance(kit.version, str)]
    return any(version is not None and version[1] >= _NEW for version in found)


_NEW = 44


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    if isinstance(hit.variant, Constant):
        return _other_constant(facts, hit.variant)
    if isinstance(hit.variant, Rest):
        return _by_the_first_error(facts)
    define = commands.variable(
        "NVCC_APPEND_FLAGS",
        "-DUSE_CUDA=1",
        "nvcc adds this to each call, so that torch's header leaves out the template; build again in this shell",
    )
    newer = commands.by_hand(
        (),
        "update Visual Studio 2022 in the Visual Studio Installer, so that its MSVC is 14.44 or newer, and build again",
        "Visual Studio",
    )
    return (
        Fix(title="Define USE_CUDA for the build", steps=(define,), verify=verify),
        *(() if _is_new(facts) else (Fix(title="Build with a newer MSVC", steps=(newer,), verify=verify),)),
        *building.without_compiling(facts, began=True),
    )
