"""torch's headers need a newer C++ than flash-attn's setup.py passes: no source build can succeed.

What it is
    The headers of newer torch releases are C++20. Every flash-attn release on PyPI so far passes `-std=c++17` to both
    compilers, and there is no variable to change it. So the build stops at its first file, after minutes or on the last of many
    jobs.

How it shows
    "ATen/ATen.h:9:2: error: #error C++20 or later compatible compiler is required to use ATen.", then hundreds of errors that
    follow from it. Under nvcc alone: "namespace "std" has no member "strong_ordering"".

Why it happens
    torch now needs a newer standard, and an explicit -std keeps torch's build tools from adding their own. A newer compiler
    does not help: the option selects the old standard. Older extensions fail in the same way with C++14 against C++17.

What to do
    Do without flash-attn: PyTorch's own fused attention needs no build. Or use a torch that a finished wheel exists for. Or
    build from flash-attn's main branch, where this is fixed. Or from its source archive with every -std=c++17 in setup.py
    changed to -std=c++20: 2.8.3.post2 was built so against torch 2.15.0 with nvcc 13.0, and imports.

How to reproduce
    `attn-doctor reproduce flash-attn-cxx20-required` compiles a file with torch's headers as flash-attn's setup.py does,
    with -std=c++17. Where the target's torch will not do, a CPU build is downloaded: 200 MB.

References
    https://github.com/Dao-AILab/flash-attention/pull/2879
    https://github.com/Dao-AILab/flash-attention/issues/2863
    https://docs.pytorch.org/cppdocs/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known, present
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.failure_modes.shared import building, subject
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.knowledge import flash_attention
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD124",
    slug="flash-attn-cxx20-required",
    title="torch's headers need a newer C++ than the build passes",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2",),
    explains=(
        building.FAILED,
        "host-compiler-too-old",
        "host-compiler-unsupported",
        "out-of-memory-build",
        "build-timeout-hang",
        "ninja-missing-at-build",
        "no-prebuilt-wheel",
    ),
    signs=(
        Sign(
            pattern=r"C\+\+(?P<need>\d\d) or later compatible compiler is required",
            literal="or later compatible compiler is required",
            sample="ATen/ATen.h:9:2: error: #error C++20 or later compatible compiler is required to use ATen.",
        ),
        Sign(
            pattern=r"has no member \"(?:strong_ordering|partial_ordering|weak_ordering|remove_cvref_t|source_location)\"",
            literal='has no member "',
            sample='/v/torch/include/c10/util/strong_type.h(31): error: namespace "std" has no member "strong_ordering"',
        ),
    ),
    recipe=Recipe(
        does="compiles a file with torch's headers as flash-attn's setup.py does, with -std=c++17",
        of=(Torch(versions=">=2.14"), File(path="small.cpp", text="#include <ATen/ATen.h>\n")),
        run=(("g++", "-std=c++17", "-fsyntax-only", "-fmax-errors=1", "-I{torch}/include", "small.cpp"),),
        shows="C..20 or later",
        seconds=5,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(lambda: cuda_build(facts), lambda: building.would_be_built(facts)):
        return None
    release, torch = building.wanted_release(facts), present(facts.torch.version)
    header = facts.torch.header_cxx if isinstance(facts.torch.header_cxx, int) else None
    compiler = "msvc" if known(facts.system.os) == "windows" else "gcc"
    compiles = flash_attention.source_compiles(release, torch, header_cxx=header, compiler=compiler)
    if known(compiles).yes:
        return None
    row, evidence = flash_attention.release(release), [fact(facts, "torch.version")]
    if header is not None:
        evidence.append(fact(facts, "torch.header_cxx", f"its headers need C++{header}"))
    passed = "an older one" if isinstance(row, Unknown) else f"-std=c++{row.cxx}"
    need = f"C++{header}" if header is not None else "a newer C++"
    return Hit(
        message=f"flash-attn {release} cannot be compiled here: the headers of torch {torch} need {need}, and its setup.py passes "
        f"{passed}.",
        evidence=tuple(evidence),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    need = seen.group("need") or "20"
    return Hit(
        message=f"torch's headers need C++{need}, and the build passed an older standard: it cannot succeed as it is.",
        evidence=evidence,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not subject.is_flash_attn(facts):
        words = f"take a newer release of {subject.words(facts)}, whose setup passes the C++ standard that torch's headers need, or an older torch"
        step = commands.by_hand((), words, "that package")
        newer = Fix(title="Take a newer release of that package", steps=(step,), verify=building.verify(facts))
        return (*building.without_compiling(facts), newer)
    source = "flash-attn @ git+https://github.com/Dao-AILab/flash-attention.git"
    step = commands.install(
        source,
        no_build_isolation=True,
        why="the main branch passes the C++ standard that torch's headers need",
        changes="adds flash-attn, unreleased",
        risk="medium",
        risk_text="it is compiled, for hours, and it is no release",
    )
    main = Fix(title="Build from flash-attn's main branch", steps=(step,), verify=building.verify(facts))
    return (*building.without_compiling(facts), main)
