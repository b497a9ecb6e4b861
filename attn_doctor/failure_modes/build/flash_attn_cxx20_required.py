"""torch's headers need a newer C++ than flash-attn's setup.py passes: a build from source always fails.

What it is
    The headers of newer torch releases are C++20. Every flash-attn release on PyPI so far passes `-std=c++17` to both
    compilers, and no variable changes that. So each build fails, after minutes or at the end of a long build.

How it shows
    "ATen/ATen.h:9:2: error: #error C++20 or later compatible compiler is required to use ATen.", then hundreds of errors that
    follow from it. nvcc prints: "namespace "std" has no member "strong_ordering"".

Why it happens
    torch now needs a newer standard, and because setup.py passes -std itself, torch's build tools do not add their
    own. A newer compiler does not help: the option selects the old standard. Older extensions fail in the same way:
    they pass C++14, and torch needs C++17.

What to do
    Use YOLO12 without flash-attn: PyTorch's own fused attention needs no build. Or install a torch for which a
    finished wheel exists. Or build from flash-attn's main branch, which has a fix. Or build from its source archive
    after you change every -std=c++17 in setup.py to -std=c++20: flash-attn 2.8.3.post2 was built in this way with
    torch 2.15.0 and nvcc 13.0, and it imports.

How to reproduce
    `attn-doctor reproduce flash-attn-cxx20-required` compiles a file with torch's headers as flash-attn's setup.py
    does, with -std=c++17. If the target's torch cannot be used, a CPU build is downloaded: 200 MB.

References
    https://github.com/Dao-AILab/flash-attention/pull/2879
    https://github.com/Dao-AILab/flash-attention/issues/2863
    https://docs.pytorch.org/cppdocs/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known, present
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.failure_modes.shared import building, subject, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import cuda_build
from attn_doctor.knowledge import flash_attention
from attn_doctor.knowledge.rows import TorchRelease
from attn_doctor.knowledge.tables import load
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Evidence, Fix, Severity, fact
from attn_doctor.model.versions import pair

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
        # Microsoft's compiler names the standard: https://learn.microsoft.com/cpp/error-messages/compiler-errors-2/compiler-error-c7555
        Sign(
            pattern=r"[\\/]torch[\\/]include[\\/]\S{1,200}: error C\d{4}: .{1,120} requires at least '/std:c\+\+(?P<need>\d\d)'",
            literal="requires at least '/std:c++",
            sample=r"C:\v\Lib\site-packages\torch\include\c10/util/StringUtil.h(169): error C7555: use of designated initializers requires at least '/std:c++20'",
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
    typed = next((m for log in seen.logs for _, text in log.end if (m := _OWN_CALL.search(text))), None)
    return Hit(
        message=f"torch's headers need C++{need}, and the build passed an older standard, so it cannot succeed.",
        evidence=evidence,
        variant=Needs(cxx=int(need), **typed.groupdict()) if typed else Needs(cxx=int(need)),
    )


class Needs(Variant, frozen=True, kw_only=True):
    """Hold the C++ standard that the headers need. `line`: the user's own call of a compiler; `flag`: its option, "/std:c++17"."""

    cxx: int
    line: str = ""
    flag: str = ""


# A line that a person typed: "> cl /std:c++17 x.cpp", "$ g++ -std=c++17 x.cpp".
_OWN_CALL = re.compile(
    r"^(?:\([\w.-]+\) ?)?(?:[>$#%]|PS [^>]{1,100}>|[A-Za-z]:\\[^>]{0,100}>|[\w.-]+@[\w.-]+[^$#]{0,80}[$#]) ?(?P<line>(?:cl|g\+\+|c\+\+|clang\+\+|nvcc)(?:\.exe)? .*?(?P<flag>[/-]std[:=](?:c|gnu)\+\+\w\w)\b.*)"
)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not subject.is_flash_attn(facts):
        needs = hit.variant if isinstance(hit.variant, Needs) else Needs(cxx=20)
        if needs.flag:
            return (_own_call(facts, needs), *_older_torch(facts, needs.cxx))
        words = f"install a newer release of {subject.words(facts)}, which passes the C++ standard that torch's headers need"
        step = commands.by_hand((), words, "that package")
        own = (
            f"or, in sources of your own, pass the newer standard: -std=c++{needs.cxx} in the flags of nvcc and of g++, /std:c++{needs.cxx} for Microsoft's compiler "
            f"(CMake: CMAKE_CXX_STANDARD {needs.cxx})"
        )
        passed = commands.by_hand((), own, "the flags of that build", "none")
        newer = Fix(
            title="Install a newer release of that package", steps=(step, passed), verify=building.verify(facts)
        )
        return (*building.without_compiling(facts, began=True), newer, *_older_torch(facts, needs.cxx))
    source = "flash-attn @ git+https://github.com/Dao-AILab/flash-attention.git"
    step = commands.install(
        source,
        no_build_isolation=True,
        why="the main branch passes the C++ standard that torch's headers need",
        changes="adds flash-attn, in a state that is not released",
        risk="medium",
        risk_text="it compiles for hours, and this code is not a release",
    )
    main = Fix(title="Build from flash-attn's main branch", steps=(step,), verify=building.verify(facts))
    return (*building.without_compiling(facts, began=True), main)


def _own_call(facts: Facts, needs: Needs) -> Fix:
    """Return the fix for a compiler that the user called: the same line with the newer standard."""
    newer = f"{needs.flag[:-2]}{needs.cxx}"
    plain = not re.search(r"[\"'`$|&;<>]|\.\.\.", needs.line)
    argv = tuple(needs.line.replace(needs.flag, newer).split()) if plain else ()
    why = f"your line with {newer} in place of {needs.flag}: that is all that the headers need"
    step = commands.by_hand(argv, why if argv else f"repeat {why}", "nothing", "none")
    return Fix(title=f"Compile with {newer}", steps=(step,), verify=commands.check(facts))


def _older_torch(facts: Facts, cxx: int) -> tuple[Fix, ...]:
    """Return the fix that installs the last torch whose headers need an older standard than this; empty if there is none."""
    msvc = facts.system.os == "windows"
    older = [row for row in load(TorchRelease) if (row.cxx_minimum_msvc if msvc else row.cxx_minimum) < cxx]
    if not older or places.jetson(facts) or places.container(facts):
        return ()
    row = max(older, key=lambda row: pair(row.minor) or (0, 0))
    steps = torch_steps.release(facts, row.latest, f"the last torch whose headers do not need C++{cxx}")
    return (Fix(title=f"Change to torch {row.latest}", steps=steps, verify=commands.check(facts)),) if steps else ()
