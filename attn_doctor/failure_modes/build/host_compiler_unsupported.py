"""The host compiler is newer than nvcc supports.

What it is
    nvcc compiles the C++ half of a file with the system's compiler, and each CUDA release names the newest one that it
    supports. The compiler that is found is newer, or the system's C library is.

How it shows
    "#error -- unsupported GNU version! gcc versions later than 11 are not supported!", "unsupported Microsoft Visual Studio
    version!", "error STL1002: Unexpected compiler version, expected CUDA 12.4 or newer", "The current installed version of g++
    (13.2.0) is greater than the maximum required version by CUDA 12.1". With gcc 11 headers under an old nvcc: "std_function.h
    ... parameter packs not expanded with '...'"; glibc 2.41 under an older one: "exception specification is incompatible with
    that of previous function "cospi"". On Windows also MSVC's own errors inside of cutlass (C2039, C2275), or "MSVC/cl.exe with
    traditional preprocessor is used": there, missing options are as often the cause as a newer compiler. So are 'identifier
    "not" is undefined' and "C2065: 'and'": the sources write words for operators, and MSVC takes these only with /permissive-
    or after <iso646.h>.

Why it happens
    The distribution moved on to a newer gcc (or Visual Studio updated itself) and the CUDA toolkit stayed.

What to do
    Install an older compiler beside the new one and name it for both halves: CC, CXX, and NVCC_PREPEND_FLAGS="-ccbin ...". Or
    use a newer CUDA toolkit of the same major. `-allow-unsupported-compiler` turns the check off; other errors mostly follow.
    On Windows build in the "x64 Native Tools" prompt with DISTUTILS_USE_SDK=1 set: only then does setup.py pass MSVC the
    options that cutlass needs. For words such as `not` and `and`: a newer release of the package, or CL=/FIiso646.h.

How to reproduce
    `attn-doctor reproduce host-compiler-unsupported` compiles an empty kernel with a real nvcc whose host compiler says that
    it is gcc 99. Stand-ins in it: a host compiler that only says that it is gcc 99. It downloads nothing.

References
    https://docs.nvidia.com/cuda/cuda-installation-guide-linux/#host-compiler-support-policy
    https://github.com/Dao-AILab/flash-attention/issues/225
    https://github.com/Dao-AILab/flash-attention/issues/395
    https://learn.microsoft.com/cpp/build/reference/cl-environment-variables
    https://learn.microsoft.com/cpp/build/reference/fi-name-forced-include-file
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import cuda_toolkits, host_compilers
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant, every, known, present
from attn_doctor.failure_modes.recipe import File, Nvcc, Recipe
from attn_doctor.failure_modes.shared import building, subject, wheel_fixes
from attn_doctor.failure_modes.shared.fact_queries import holds
from attn_doctor.knowledge import cuda
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import SetVariable, Step
from attn_doctor.model.versions import pair, parse

MODE = FailureMode(
    code="AD113",
    slug="host-compiler-unsupported",
    title="The host compiler is newer than nvcc takes",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=("cuda-headers-incomplete", "host-compiler-too-old", building.FAILED),
    signs=(
        Sign(
            pattern=r"unsupported GNU version! gcc versions later than (?P<limit>\d+(?:\.\d+)?)",
            literal="unsupported GNU version",
            sample="host_config.h:132:2: error: #error -- unsupported GNU version! gcc versions later than 11 are not supported!",
        ),
        Sign(
            pattern=r"unsupported (?P<kind>Microsoft Visual Studio) version!(?: Only the versions .{1,40} (?P<studio>20(?:19|[2-9]\d)) )?",
            literal="unsupported Microsoft Visual Studio",
            sample="host_config.h(153): fatal error C1189: #error:  -- unsupported Microsoft Visual Studio version! Only the versions "
            "between 2017 and 2022 (inclusive) are supported!",
        ),
        Sign(
            pattern=r"supported version of (?P<kind>Microsoft Visual Studio)\. Only the versions .{1,40} (?P<studio>20(?:19|[2-9]\d)) ",
            literal="supported version of Microsoft Visual Studio",
            sample="nvcc fatal   : nvcc cannot find a supported version of Microsoft Visual Studio. Only the versions between 2017 and 2022 "
            "(inclusive) are supported!",
        ),
        Sign(
            pattern=r"unsupported (?P<kind>clang) version!",
            literal="unsupported clang version",
            sample="host_config.h:157:2: error: #error -- unsupported clang version! clang version must be less than 17 and greater "
            "than 3.2 .",
        ),
        Sign(
            pattern=r"version of (?P<compiler>\S{1,40}) \((?P<have>\d[\d.]*)\) is greater than the maximum required version by CUDA "
            r"(?P<cuda>\d{1,2}(?:\.\d{1,2}){0,2})",
            literal="is greater than the maximum required version by CUDA",
            sample="RuntimeError: The current installed version of g++ (13.2.0) is greater than the maximum required version by CUDA "
            "12.1 (12.0.0). Please make sure to use an adequate version of g++ (>=6.0.0, <=12.0).",
        ),
        Sign(
            pattern=r"STL100[012]: Unexpected compiler version",
            literal="Unexpected compiler version",
            sample='yvals_core.h(902): error: static assertion failed with "error STL1002: Unexpected compiler version, expected CUDA '
            '12.4 or newer."',
        ),
        Sign(
            pattern=r"(?:c\+\+/(?P<headers>\d{1,2})/)?bits/std_function\.h:\d+:\d+: (?!note|warning)[^\s:：]{2,30}[:：] ?\S",
            literal="bits/std_function.h:",
            sample="/usr/include/c++/11/bits/std_function.h:435:145: error: parameter packs not expanded with '...':",
        ),
        Sign(
            pattern=r"cutlass[\\/][\w\\/.]{1,80}\(\d+\): error C2(?:039|275|061|065|988|143|872)\b",
            literal="): error C2",
            sample="csrc\\cutlass\\include\\cutlass/integer_subbyte.h(46): error C2039: 'is_unsigned_v': is not a member of 'cutlass::platform'",
        ),
        Sign(
            pattern=r"MSVC/cl\.exe with traditional preprocessor is used",
            literal="traditional preprocessor is used",
            sample="preprocessor.h(23): fatal error C1189: #error:  MSVC/cl.exe with traditional preprocessor is used. This may lead to "
            "unexpected compilation errors.",
        ),
        Sign(
            pattern=r"(?:avx|amx)\w{0,20}intrin\.h\(\d+\): error",
            literal="intrin.h(",
            sample='/usr/lib/gcc/x86_64-linux-gnu/13/include/amxtileintrin.h(42): error: identifier "__builtin_ia32_ldtilecfg" is undefined',
        ),
        Sign(
            # Words for operators, which MSVC takes by an option only. nvcc's front end quotes them by ", and cl by '.
            # https://learn.microsoft.com/cpp/cpp/logical-negation-operator-exclpt
            pattern=r"error: identifier \"(?P<word>not|and|or|xor|not_eq|and_eq|or_eq|xor_eq|bitand|bitor|compl)\" is undefined",
            literal='" is undefined',
            sample='C:/t/flash-attn_1a/csrc/cutlass/include\\cute/layout.hpp(121): error: identifier "and" is undefined',
        ),
        Sign(
            pattern=r"error C2065: [^\w\s](?P<word>not|and|or|xor|not_eq|and_eq|or_eq|xor_eq|bitand|bitor|compl)[^\w\s]",
            literal="error C2065: ",
            sample="C:\\src\\xformers\\csrc\\attention.cpp(41): error C2065: 'not': undeclared identifier",
        ),
        Sign(
            pattern=r"identifier \"(?:_Float(?:32|64|128)x?|__float128|__bf16|__builtin_ia32_\w{1,60})\" is undefined",
            literal='" is undefined',
            sample='/usr/include/stdlib.h(141): error: identifier "_Float32" is undefined',
        ),
        Sign(
            pattern=r"error: exception specification is incompatible with that of previous function \"(?:cospi|sinpi|rsqrt)",
            literal="exception specification is incompatible",
            sample='/usr/include/bits/mathcalls.h(79): error: exception specification is incompatible with that of previous function "cospi"',
        ),
    ),
    recipe=Recipe(
        does="compiles an empty kernel with a real nvcc whose host compiler says that it is gcc 99",
        of=(Nvcc(), File(path="small.cu", text="__global__ void small() {}\n")),
        run=(("{nvcc}", "-Xcompiler", "-U__GNUC__,-D__GNUC__=99", "-c", "small.cu", "-o", "small.o"),),
        shows="unsupported GNU version",
        seconds=3,
        stands_in=("a host compiler that only says that it is gcc 99",),
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(
        lambda: building.would_be_built(facts),
        lambda: building.nvcc(facts) is not None,
        lambda: building.host_compiler(facts) is not None,
    ):
        return None
    compiler, chosen = building.host_compiler(facts), building.toolkit(facts)
    assert compiler is not None
    assert chosen is not None
    version = present(compiler.version)
    own = chosen.max_gcc if isinstance(chosen.max_gcc, int) and compiler.name in ("gcc", "g++") else None
    have = parse(version)
    if own is not None and have is not None:  # the limit in the toolkit's own header counts more than any table
        fits, said = have.major <= own, f"nvcc {chosen.version} accepts gcc up to {own}"
    else:
        fits = compiler.name == "cl" or holds(cuda.host_compiler(str(chosen.version), compiler.name, version))
        said = f"nvcc {chosen.version} does not take it"
    if fits:
        return None
    index = next(i for i, c in enumerate(known(facts.toolchain.compilers)) if c is compiler)
    return Hit(
        message=f"{compiler.name} {version} would be called, and {said}.",
        evidence=(
            fact(facts, f"toolchain.compilers.{index}.version", f"{compiler.path} is {compiler.name} {version}"),
            fact(facts, f"{building.toolkit_path(facts, chosen)}.max_gcc"),
        ),
    )


class Newest(Variant, frozen=True, kw_only=True):
    """Hold the newest host compiler that nvcc takes, as its error names it: the major version of gcc, or the year of Visual Studio."""

    gcc: int | None = None
    studio: int | None = None


class Words(Variant, frozen=True, kw_only=True):
    """Say that the sources use words for operators ("not", "and"), which MSVC takes by an option only."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    word = seen.group("word")
    if word:
        return Hit(
            message=f'The sources write "{word}" for an operator, and Microsoft\'s compiler (MSVC) on Windows takes such words only with '
            "/permissive- or after <iso646.h>: they were written for gcc.",
            evidence=evidence,
            variant=Words(),
            confidence=Confidence.MEDIUM,
        )
    limit, have, kind = seen.group("limit"), seen.group("have"), seen.group("kind")
    if have:
        return Hit(
            message=f"{seen.group('compiler')} {have} was called, and CUDA {seen.group('cuda')} does not take it.",
            evidence=evidence,
            variant=Newest(gcc=cuda.newest_gcc(str(seen.group("cuda")))),
        )
    if limit:
        return Hit(
            message=f"A gcc newer than {limit} was called, the newest that the nvcc there takes.",
            evidence=evidence,
            variant=Newest(gcc=int(limit)) if limit.isdigit() else None,
        )
    if kind:
        studio = seen.group("studio")
        newest = f": the newest Visual Studio that it takes is {studio}" if studio else ""
        return Hit(
            message=f"The {kind} compiler there is not one that the nvcc there takes{newest}.",
            evidence=evidence,
            variant=Newest(studio=int(studio)) if studio else None,
        )
    if any("cl.exe" in m.text or "error C2" in m.text for m in seen.matches):
        return Hit(
            message="MSVC does not compile what the build gives it: nvcc takes other releases of it, or it needs options "
            "(/Zc:__cplusplus, /Zc:preprocessor) that setup.py sets only with DISTUTILS_USE_SDK=1.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    headers = seen.group("headers")
    return Hit(
        message="nvcc cannot read the headers of the host compiler or C library there: they are newer than it.",
        evidence=evidence,
        # CUDA 11.7 and newer take gcc 11; before it the newest is gcc 10.
        variant=Newest(gcc=int(headers) - 1) if headers else None,
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    made = list(building.without_compiling(facts))
    look = (wheel_fixes.look_it_up(facts),) if facts.subject.package == subject.FLASH_ATTN and not made else ()
    if isinstance(hit.variant, Words):
        return (*made, *look, _with_words(facts))
    named = hit.variant if isinstance(hit.variant, Newest) else Newest()
    limit = named.gcc or _newest_gcc(facts)
    steps = host_compilers.at_most(facts, limit, studio=named.studio)
    gcc = _installed(steps) or limit  # the newest that this distribution has may be older than the limit
    title = f"Build with gcc {gcc}" if gcc and facts.system.os != "windows" else "Build with a compiler that nvcc takes"
    fitting = Fix(title=title, steps=steps, verify=building.verify(facts))
    newer = _newer_toolkit(facts)
    return (*made, *look, fitting, *((newer,) if newer else ()))


def _installed(steps: tuple[Step, ...]) -> int | None:
    """Return the number of the gcc that the steps set, "/usr/bin/g++-12"; None where its name has none."""
    named = (step.value for step in steps if isinstance(step, SetVariable) and step.name == "CXX")
    found = re.search(r"g\+\+-(\d+)$", next(named, None) or "")
    return int(found[1]) if found else None


def _with_words(facts: Facts) -> Fix:
    """Return the fix that lets MSVC read words for operators: cl takes options from the variable CL, also where nvcc calls it.

    https://learn.microsoft.com/cpp/build/reference/cl-environment-variables
    """
    force = commands.variable("CL", "/FIiso646.h", "cl.exe then reads iso646.h first, which defines and, or, not")
    build = building.build(facts, "in the developer prompt of Visual Studio; a newer release may not need it")
    return Fix(title="Let MSVC know the words for operators", steps=(force, build), verify=building.verify(facts))


def _newest_gcc(facts: Facts) -> int | None:
    try:
        chosen = building.toolkit(facts)
    except Unsure:
        chosen = None
    if chosen is not None and isinstance(chosen.max_gcc, int):
        return chosen.max_gcc
    version = chosen.version if chosen else host_compilers.release_here(facts)
    return cuda.newest_gcc(version) if isinstance(version, str) else None


def _newer_toolkit(facts: Facts) -> Fix | None:
    """Return the fix that installs a newer CUDA of torch's major which takes the compiler that is here; None where there is none."""
    wanted, have = cuda_toolkits.wanted(facts), _version_here(facts)
    if wanted is None or have is None or wanted <= have or cuda_toolkits.elsewhere(facts):
        return None
    return cuda_toolkits.install(facts, wanted)[-1]


def _version_here(facts: Facts) -> tuple[int, int] | None:
    try:
        found = building.nvcc(facts)
    except Unsure:
        return None
    return pair(found) if found else None
