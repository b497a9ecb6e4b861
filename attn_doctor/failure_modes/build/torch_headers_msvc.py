"""MSVC takes `std` in torch's headers for ambiguous.

What it is
    On Windows, nvcc gives the C++ part of a .cu file to Microsoft's compiler. One header of torch (compiled_autograd.h) holds a template that
    this compiler refuses there. It is no fault of the extension that is built.

How it shows
    "torch/csrc/dynamo/compiled_autograd.h(1143): error C2872: 'std': ambiguous symbol", then "valarray(20): note: could be 'std'".

Why it happens
    torch has a way round, but only where USE_CUDA is defined, and extensions do not define it. torch 2.7 and newer are known for it,
    with Visual Studio 2019, 2022 and 2026 (MSVC 14.29 to 14.50).

What to do
    Define USE_CUDA while the extension is built: the variable NVCC_APPEND_FLAGS adds an option to each call of nvcc. Or build with MSVC
    14.44 or newer of Visual Studio 2022, which one report names as free of it. Or take a finished wheel.

How to reproduce
    There is no recipe: it takes Windows, MSVC and nvcc. A file with `#include <torch/extension.h>`, compiled by nvcc there, shows it.

References
    https://github.com/pytorch/pytorch/issues/148317
    https://github.com/pytorch/pytorch/pull/188952
    https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#nvcc-environment-variables
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD127",
    slug="torch-headers-msvc",
    title="MSVC refuses a header of torch",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "host-compiler-unsupported"),
    signs=(
        Sign(
            pattern=r"(?P<header>[\w.]{1,60}\.h)\(\d+\): error C2872: .?std.?[:：]",
            literal="error C2872:",
            sample="torch/csrc/dynamo/compiled_autograd.h(1143): error C2872: 'std': ambiguous symbol",
        ),
    ),
)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    of_torch = any("torch" in m.text.lower() for m in seen.matches)
    return Hit(
        message="Microsoft's compiler takes `std` in a header of torch for ambiguous: torch's own way round needs USE_CUDA defined.",
        evidence=evidence,
        confidence=Confidence.HIGH if of_torch else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    define = commands.variable(
        "NVCC_APPEND_FLAGS",
        "-DUSE_CUDA=1",
        "nvcc adds this to each call, and torch's header leaves the template out; build again in this shell",
    )
    newer = commands.by_hand(
        (),
        "update Visual Studio 2022 in the Visual Studio Installer, so that its MSVC is 14.44 or newer, and build again",
        "Visual Studio",
    )
    return (
        Fix(title="Define USE_CUDA for the build", steps=(define,), verify=verify),
        Fix(title="Build with a newer MSVC", steps=(newer,), verify=verify),
        *building.without_compiling(facts),
    )
