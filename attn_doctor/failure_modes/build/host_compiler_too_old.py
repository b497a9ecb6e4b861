"""The host compiler is too old for the headers of torch.

What it is
    torch's headers are C++17 and, in newer releases, C++20. The gcc that compiles them does not support that language
    completely.

How it shows
    "unrecognized command line option '-std=c++17'", "#error You're trying to build PyTorch with a too old version of GCC", "The
    current installed version of g++ (5.4.0) is less than the minimum required version by CUDA 12.1", "internal compiler error: in
    maybe_undo_parenthesized_ref", "no matching function for call to 'collect_arguments'".

Why it happens
    CentOS 7, Ubuntu 18.04 and many clusters have gcc 4.8 to 7.

What to do
    Load or install a newer gcc (a module on clusters; devtoolset on CentOS; conda's gxx_linux-64), and set CC and CXX
    to it.

    Beware: "g++ (0.0.0) is less than the minimum" means that there is no g++ at all: see host-compiler-missing.

How to reproduce
    `attn-doctor reproduce host-compiler-too-old` compiles for a C++ standard that the compiler here does not support.
    It downloads nothing.

References
    https://github.com/Dao-AILab/flash-attention/issues/21
    https://gcc.gnu.org/projects/cxx-status.html
"""

from __future__ import annotations

from attn_doctor.commands import host_compilers
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known, present
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.versions import pair, parse

MODE = FailureMode(
    code="AD114",
    slug="host-compiler-too-old",
    title="The host compiler is too old for torch's headers",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "extension-not-built"),
    signs=(
        Sign(
            pattern=r"version of (?P<compiler>\S{1,40}) \((?P<have>(?!0\.0\.0)\d[\d.]*)\) is less than the minimum required version",
            literal="is less than the minimum required version",
            sample="RuntimeError: The current installed version of g++ (5.4.0) is less than the minimum required version by CUDA 12.1 "
            "(6.0.0). Please make sure to use an adequate version of g++ (>=6.0.0, <=12.0).",
        ),
        # Not nvcc's own option -forward-unknown-to-host-compiler, which CMake writes in front of -std.
        Sign(
            pattern=r"(?<!-)(?:[Uu]nrecogni[sz]ed|[Uu]nknown|无法识别|未知|nicht erkannt|[Uu]nbekannte|non reconnue|desconocida|認識できない)"
            r".{0,60}-std=(?:c|gnu)\+\+(?P<standard>\d[\da-z])",
            literal="-std=",
            sample="cc1plus: error: unrecognized command line option '-std=c++17'",
        ),
        # nvcc prints this and goes on; it fails later, at the first line of that standard.
        Sign(
            pattern=r"The -std=c\+\+(?P<standard>\d\d) flag is not supported with the configured host compiler",
            literal="with the configured host compiler",
            sample="nvcc warning : The -std=c++17 flag is not supported with the configured host compiler. Flag will be ignored.",
        ),
        # gcc has this header of C11 since 4.9, https://gcc.gnu.org/gcc-4.9/changes.html; Python's own headers include it.
        Sign(
            pattern=r"stdatomic\.h[:：] ?(?:No such file|没有那个文件)",
            literal="stdatomic.h",
            sample="pyatomic.h:11:10: fatal error: stdatomic.h: No such file or directory",
        ),
        Sign(
            pattern=r"in maybe_undo_parenthesized_ref",
            literal="maybe_undo_parenthesized_ref",
            sample="internal compiler error: in maybe_undo_parenthesized_ref, at cp/semantics.c:1740",
        ),
        Sign(
            pattern=r"call to .collect_arguments",
            literal="collect_arguments",
            sample="pybind11/cast.h:2108:44: error: no matching function for call to 'collect_arguments<policy>(const pybind11::object&)'",
        ),
        Sign(
            # "You're trying to build PyTorch with ..." since torch 1.5, "You're running ..." before; a narrow terminal cuts the words.
            pattern=r"(?:with|running) a too old ve(?:rsion of )?(?P<compiler>GCC|Clang)(?:\. We need GCC (?P<floor>\d{1,2}) or)?",
            literal=" a too old ve",
            sample='#error "You\'re trying to build PyTorch with a too old version of GCC. We need GCC 9 or later."',
        ),
        Sign(
            pattern=r"unsupported GNU version! gcc (?:versions earlier than|\d\.x and down)",
            literal="unsupported GNU version",
            sample="#error -- unsupported GNU version! gcc versions earlier than 6 are not supported!",
        ),
        Sign(
            pattern=r"Your compiler \((?P<compiler>[^)]{1,60})\) may be ABI-incompatible with PyTorch",
            literal="may be ABI-incompatible with PyTorch",
            sample="Your compiler (g++ 4.8.5) may be ABI-incompatible with PyTorch!",
            strength="hint",
        ),
        # The last lines of a failed build: they count only if the log also names a torch and a gcc that is too old for it.
        Sign(
            pattern=r"Error (?:building|compiling objects for) extension",
            literal=" extension",
            sample="RuntimeError: Error compiling objects for extension",
            strength="hint",
        ),
        Sign(
            pattern=r"Command '\['[^']{0,80}ninja'(?:, '[^']{0,20}'){0,6}\]' returned non-zero",
            literal="ninja'",
            sample="subprocess.CalledProcessError: Command '['ninja', '-v']' returned non-zero exit status 1.",
            strength="hint",
        ),
    ),
    recipe=Recipe(
        does="compiles for a C++ standard that the compiler here does not support",
        of=(File(path="small.cpp", text="int small;\n"),),
        run=(("g++", "-std=c++99", "-c", "small.cpp", "-o", "small.o"),),
        shows="std=c..99",
        seconds=1,
    ),
)


class Needs(Variant, frozen=True, kw_only=True):
    """Hold the oldest gcc that the headers accept: 5 in torch 1 and 2.0, 9 since torch 2.2, 10 for headers in C++20."""

    floor: int


# c10/util/C++17.h in the wheels of torch 2.2.1 ("We need GCC 5 or later") and 2.2.2 ("We need GCC 9 or later", and "We need Clang 9 or
# later"): https://github.com/pytorch/pytorch/pull/120126, which was picked onto release/2.2 after 2.2.1.
_FIRST_TORCH, _OF_CHECK = "2.2.2", 9
# For headers in C++20 cpp_extension passes -std=c++20. gcc knows it since 10 (9 has -std=c++2a), and clang too:
# https://gcc.gnu.org/projects/cxx-status.html#cxx20, https://clang.llvm.org/cxx_status.html#cxx20
_OF_CXX20 = 10


def detect(facts: Facts) -> Hit | None:
    """Find a gcc or clang that the headers of the installed torch refuse, if flash-attn would be compiled with it."""
    if not every(lambda: building.would_be_built(facts), lambda: _older(facts) is not None):
        return None
    floor, compiler = _older(facts) or 0, present(building.host_compiler(facts))
    version, torch = present(compiler.version), present(facts.torch.version)
    index = next(i for i, c in enumerate(known(facts.toolchain.compilers)) if c is compiler)
    kind = "clang" if "clang" in compiler.name else "gcc"
    return Hit(
        message=f"{compiler.name} {version} would be called, and the headers of torch {torch} need {kind} {floor} or newer.",
        evidence=(
            fact(facts, f"toolchain.compilers.{index}.version", f"{compiler.path} is {compiler.name} {version}"),
            fact(facts, "torch.version"),
        ),
        variant=Needs(floor=floor),
    )


def _older(facts: Facts) -> int | None:
    """Return the first major version of the compiler that torch's headers accept, if the compiler here is older; else None."""
    compiler = building.host_compiler(facts)
    if compiler is None or compiler.name == "cl":
        return None
    have, torch, first = parse(present(compiler.version)), parse(present(facts.torch.version)), parse(_FIRST_TORCH)
    if have is None or torch is None or first is None or torch < first:
        return None
    floor = _OF_CXX20 if facts.torch.header_cxx == 20 else _OF_CHECK
    return floor if have.major < floor else None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    sure = [m for m in seen.matches if m.strength == "proof"]
    if not sure:
        # A hint alone, such as torch's warning about an unknown compiler, is not a failure.
        return _by_facts(facts, seen)
    compiler, have = seen.group("compiler"), seen.group("have")
    standard = next((m.groups["standard"] for m in sure if m.groups.get("standard")), None)
    if have:
        message = f"{compiler} {have} was called, which is older than torch and CUDA accept."
    elif standard:
        message = f"The compiler that was called does not support C++{standard}."
    else:
        message = "The compiler that was called is too old for torch's headers."
    floor = seen.group("floor") or (_GCC_OF_CXX14 if standard in _OLD_STANDARDS else None)
    return Hit(message=message, evidence=building.lines(sure), variant=Needs(floor=int(floor)) if floor else None)


# cpp_extension of torch 1 passes -std=c++14 and older ones -std=c++11, that of torch 2 -std=c++17 and newer; gcc has all of C++14 since 5.
_OLD_STANDARDS, _GCC_OF_CXX14 = ("0x", "11", "1y", "14"), 5


# A log says "torch 2.2" of 2.2.0 too: the build of its gcc failed, and that is the nearest cause.
_FROM_LOG, _FIRST_GCC = (2, 2), (_OF_CHECK, 0)


def _by_facts(facts: Facts, seen: Seen) -> Hit | None:
    """Find a failed build of an extension in a log that names a gcc older than torch's headers accept (collect_env lists both versions)."""
    failed = [m for m in seen.matches if "compiler" not in m.groups]
    torch = pair(facts.torch.version) if isinstance(facts.torch.version, str) else None
    kits = facts.toolchain.compilers if isinstance(facts.toolchain.compilers, tuple) else ()
    gcc = next((kit.version for kit in kits if kit.name in ("gcc", "g++") and isinstance(kit.version, str)), None)
    have = pair(gcc) if gcc else None
    if not failed or torch is None or have is None or torch < _FROM_LOG or have >= _FIRST_GCC:
        return None
    return Hit(
        message=f"A build failed, and gcc is version {gcc}: the headers of torch {facts.torch.version} need gcc 9 or newer.",
        evidence=building.lines(failed[-1:]),
        confidence=Confidence.MEDIUM,
    )


# Headers that ask for gcc 5 are C++14: torch 1, which was built for CUDA 9.2 to 11.7. Each nvcc from 9.2 on accepts gcc 7, and that of 9.2 and 10.0 no newer one:
# host_config.h of these toolkits.
_OF_CXX17, _OF_OLD_CUDA = 7, 7
_OLD_WHY = "supports the C++14 of this old torch's headers, and each nvcc from CUDA 9.2 on accepts it"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    old = (
        isinstance(hit.variant, Needs) and hit.variant.floor < _OF_CXX17 and host_compilers.release_here(facts) is None
    )
    steps = host_compilers.at_most(facts, _OF_OLD_CUDA, _OLD_WHY) if old else host_compilers.newer(facts)
    return building.with_own_build(facts, Fix(title="Use a newer gcc", steps=steps, verify=building.verify(facts)))
