"""The host compiler is newer than nvcc supports.

What it is
    nvcc compiles the C++ part of a file with the system's compiler, and each CUDA release names the newest compiler
    that it supports. The compiler that is found is newer, or the system's C library is newer.

How it shows
    gcc: "#error -- unsupported GNU version! gcc versions later than 11 are not supported!", "The current installed
    version of g++ (13.2.0) is greater than the maximum required version by CUDA 12.1". With the headers of gcc 11 and
    an old nvcc: "std_function.h ... parameter packs not expanded with '...'"; with glibc 2.41 and an older nvcc:
    "exception specification is incompatible with that of previous function "cospi"".

    Windows: "unsupported Microsoft Visual Studio version!", "error STL1002: Unexpected compiler version, expected
    CUDA 12.4 or newer". Errors of MSVC inside of cutlass (C2039, C2275), and "MSVC/cl.exe with traditional
    preprocessor is used", have two usual causes: a newer compiler, or missing options. Further signs are 'identifier
    "not" is undefined' and "C2065: 'and'": the sources write words for operators, and MSVC accepts these words only
    with /permissive- or after <iso646.h>.

Why it happens
    The distribution got a newer gcc (or Visual Studio updated itself), and the CUDA toolkit did not change.

What to do
    Install an older compiler beside the new one, and name it for both parts: CC and CXX for C++,
    NVCC_PREPEND_FLAGS="-ccbin ..." for nvcc. Or use a newer CUDA toolkit of the same major version.
    `-allow-unsupported-compiler` turns the check off, but in most cases other errors follow.

    On Windows build in the "x64 Native Tools" prompt with DISTUTILS_USE_SDK=1: only then does setup.py pass to MSVC
    the options that cutlass needs. For words such as `not` and `and`: install a newer release of the package, or set
    CL=/FIiso646.h.

How to reproduce
    `attn-doctor reproduce host-compiler-unsupported` compiles an empty kernel with a real nvcc whose host compiler
    says that it is gcc 99. Stand-ins (parts that are not real): a host compiler that only says that it is gcc 99. It
    downloads nothing.

References
    https://docs.nvidia.com/cuda/cuda-installation-guide-linux/#host-compiler-support-policy
    https://github.com/Dao-AILab/flash-attention/issues/225
    https://github.com/Dao-AILab/flash-attention/issues/395
    https://learn.microsoft.com/cpp/build/reference/cl-environment-variables
    https://learn.microsoft.com/cpp/build/reference/fi-name-forced-include-file
"""

from __future__ import annotations

import re

import msgspec

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
    title="The host compiler is newer than nvcc supports",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=("cuda-headers-incomplete", "host-compiler-too-old", building.FAILED, "extension-not-built"),
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
            # Words for operators, which MSVC accepts only with an option. nvcc's front end puts " around them, cl puts '.
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
        Sign(
            pattern=r"(?P<systems_nvcc>(?<![\w.])/usr/bin/nvcc) ",
            literal="/usr/bin/nvcc ",
            sample="[1/3] /usr/bin/nvcc -I/v/lib/python3.10/site-packages/torch/include -c a.cu -o a.o",
            strength="context",
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
        said = f"nvcc {chosen.version} does not support it"
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
    """Hold the newest host compiler that nvcc supports, as its error names it: the major version of gcc, or the year of Visual Studio."""

    gcc: int | None = None
    systems_nvcc: bool = False  # the nvcc of the distribution, /usr/bin/nvcc
    studio: int | None = None


class Words(Variant, frozen=True, kw_only=True):
    """Mark the case that the sources use words for operators ("not", "and"), which MSVC accepts only with an option."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    word = seen.group("word")
    if word:
        return Hit(
            message=f'The sources write "{word}" for an operator. They were written for gcc; Microsoft\'s compiler (MSVC) accepts such words only with '
            "/permissive- or after <iso646.h>.",
            evidence=evidence,
            variant=Words(),
            confidence=Confidence.MEDIUM,
        )
    limit, have, kind = seen.group("limit"), seen.group("have"), seen.group("kind")
    if have:
        return Hit(
            message=f"{seen.group('compiler')} {have} was called, and CUDA {seen.group('cuda')} does not support it.",
            evidence=evidence,
            variant=Newest(gcc=cuda.newest_gcc(str(seen.group("cuda")))),
        )
    if limit:
        return Hit(
            message=f"A gcc newer than {limit} was called, and {limit} is the newest gcc that this nvcc supports.",
            evidence=evidence,
            variant=Newest(gcc=int(limit)) if limit.isdigit() else None,
        )
    if kind:
        studio = seen.group("studio")
        newest = f": the newest Visual Studio that it supports is {studio}" if studio else ""
        return Hit(
            message=f"This nvcc does not support this {kind} compiler{newest}.",
            evidence=evidence,
            variant=Newest(studio=int(studio)) if studio else None,
        )
    if any("cl.exe" in m.text or "error C2" in m.text for m in seen.matches):
        return Hit(
            message="MSVC does not compile these sources: nvcc does not support this release of MSVC, or MSVC needs options "
            "(/Zc:__cplusplus, /Zc:preprocessor) that setup.py sets only with DISTUTILS_USE_SDK=1.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    headers = seen.group("headers")
    return Hit(
        message="nvcc cannot read the headers of the host compiler or of the C library: they are newer than this nvcc.",
        evidence=evidence,
        # CUDA 11.7 and newer support gcc 11; older ones support gcc 10 at most.
        variant=Newest(gcc=int(headers) - 1, systems_nvcc=seen.group("systems_nvcc") is not None) if headers else None,
        confidence=Confidence.MEDIUM,
    )


def _outside_conda(facts: Facts) -> Facts:
    """Return the facts without conda: its gcc has a sysroot of its own, and does not find CUDA's headers of the distribution in /usr/include.

    https://docs.conda.io/projects/conda-build/en/stable/resources/compiler-tools.html (sysroot), https://packages.ubuntu.com/jammy/nvidia-cuda-toolkit
    """
    return msgspec.structs.replace(facts, interpreter=msgspec.structs.replace(facts.interpreter, kind="system"))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    made = list(building.without_compiling(facts, began=True))
    look = (wheel_fixes.look_it_up(facts),) if facts.subject.package == subject.FLASH_ATTN and not made else ()
    if isinstance(hit.variant, Words):
        return (*made, *look, _with_words(facts))
    named = hit.variant if isinstance(hit.variant, Newest) else Newest()
    limit = named.gcc or _newest_gcc(facts)
    where = _outside_conda(facts) if named.systems_nvcc and facts.system.os != "windows" else facts
    steps = host_compilers.at_most(where, limit, studio=named.studio)
    gcc = _installed(steps) or limit  # the newest gcc of this distribution may be older than the limit
    title = (
        f"Build with gcc {gcc}" if gcc and facts.system.os != "windows" else "Build with a compiler that nvcc supports"
    )
    fitting = Fix(title=title, steps=steps, verify=building.verify(facts))
    newer = _newer_toolkit(facts)
    return (*made, *look, fitting, *((newer,) if newer else ()))


def _installed(steps: tuple[Step, ...]) -> int | None:
    """Return the gcc version in the name of the compiler that the steps set: 12 for "/usr/bin/g++-12". None if the name has no number."""
    named = (step.value for step in steps if isinstance(step, SetVariable) and step.name == "CXX")
    found = re.search(r"g\+\+-(\d+)$", next(named, None) or "")
    return int(found[1]) if found else None


def _with_words(facts: Facts) -> Fix:
    """Return the fix that lets MSVC read words for operators: cl reads options from the variable CL, also if nvcc calls cl.

    https://learn.microsoft.com/cpp/build/reference/cl-environment-variables
    """
    force = commands.variable(
        "CL", "/FIiso646.h", "with this option cl.exe reads iso646.h first, which defines and, or, not"
    )
    build = building.build(facts, "in the developer prompt of Visual Studio; a newer release may not need it")
    return Fix(title="Let MSVC accept the words for operators", steps=(force, build), verify=building.verify(facts))


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
    """Return the fix that installs a newer toolkit, of torch's CUDA major, that supports the compiler here; None if there is no such toolkit."""
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
