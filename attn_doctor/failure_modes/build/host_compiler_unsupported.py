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
    traditional preprocessor is used": there, missing options are as often the cause as a newer compiler.

Why it happens
    The distribution moved on to a newer gcc (or Visual Studio updated itself) and the CUDA toolkit stayed.

What to do
    Install an older compiler beside the new one and name it for both halves: CC, CXX, and NVCC_PREPEND_FLAGS="-ccbin ...". Or
    use a newer CUDA toolkit of the same major. `-allow-unsupported-compiler` turns the check off; other errors mostly follow.
    On Windows build in the "x64 Native Tools" prompt with DISTUTILS_USE_SDK=1 set: only then does setup.py pass MSVC the
    options that cutlass needs.

How to reproduce
    `attn-doctor reproduce host-compiler-unsupported` compiles an empty kernel with a real nvcc whose host compiler says that
    it is gcc 99. Stand-ins in it: a host compiler that only says that it is gcc 99. It downloads nothing.

References
    https://docs.nvidia.com/cuda/cuda-installation-guide-linux/#host-compiler-support-policy
    https://github.com/Dao-AILab/flash-attention/issues/225
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known, present
from attn_doctor.failure_modes.recipe import File, Nvcc, Recipe
from attn_doctor.failure_modes.shared import building, wheel_fixes
from attn_doctor.failure_modes.shared.fact_queries import holds
from attn_doctor.knowledge import cuda
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.versions import parse

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
            pattern=r"unsupported (?P<kind>Microsoft Visual Studio) version!",
            literal="unsupported Microsoft Visual Studio",
            sample="host_config.h(153): fatal error C1189: #error:  -- unsupported Microsoft Visual Studio version! Only the versions "
            "between 2017 and 2022 (inclusive) are supported!",
        ),
        Sign(
            pattern=r"unsupported (?P<kind>clang) version!",
            literal="unsupported clang version",
            sample="host_config.h:157:2: error: #error -- unsupported clang version! clang version must be less than 17 and greater "
            "than 3.2 .",
        ),
        Sign(
            pattern=r"version of (?P<compiler>\S{1,40}) \((?P<have>\d[\d.]*)\) is greater than the maximum required version by CUDA "
            r"(?P<cuda>\d[\d.]*)",
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
            pattern=r"bits/std_function\.h:\d+:\d+: (?!note|warning)[^\s:：]{2,30}[:：] ?\S",
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
        fits, said = have.major <= own, f"nvcc {chosen.version} takes gcc up to {own}"
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


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    limit, have, kind = seen.group("limit"), seen.group("have"), seen.group("kind")
    if have:
        return Hit(
            message=f"{seen.group('compiler')} {have} was called, and CUDA {seen.group('cuda')} does not take it.",
            evidence=evidence,
        )
    if limit:
        return Hit(
            message=f"A gcc newer than {limit} was called, the newest that the nvcc there takes.", evidence=evidence
        )
    if kind:
        return Hit(message=f"The {kind} compiler there is not one that the nvcc there takes.", evidence=evidence)
    if any("cl.exe" in m.text or "error C2" in m.text for m in seen.matches):
        return Hit(
            message="MSVC does not compile what the build gives it: nvcc takes other releases of it, or it needs options "
            "(/Zc:__cplusplus, /Zc:preprocessor) that setup.py sets only with DISTUTILS_USE_SDK=1.",
            evidence=evidence,
            confidence=Confidence.MEDIUM,
        )
    return Hit(
        message="nvcc cannot read the headers of the host compiler or C library there: they are newer than it.",
        evidence=evidence,
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    made = list(building.without_compiling(facts))
    limit = _newest_gcc(facts)
    if limit is None:
        step = commands.by_hand(
            (),
            "install the newest host compiler that this CUDA takes, and name it in CC, CXX and NVCC_PREPEND_FLAGS",
            "a compiler",
        )
        return (*made, Fix(title="Install a compiler that nvcc takes", steps=(step,), verify=building.verify(facts)))
    steps = []
    compiler = f"/usr/bin/g++-{limit}"
    if facts.system.distribution in ("ubuntu", "debian"):
        argv = ("sudo", "apt-get", "install", "-y", f"gcc-{limit}", f"g++-{limit}")
        steps.append(
            commands.by_hand(
                argv, f"the newest gcc that this nvcc takes is {limit}", f"adds gcc {limit} beside the other"
            )
        )
    elif facts.interpreter.kind in ("conda", "pixi"):
        argv = ("conda", "install", "-c", "conda-forge", "-y", f"gxx_linux-64={limit}")
        steps.append(
            commands.by_hand(
                argv, f"the newest gcc that this nvcc takes is {limit}", f"adds gcc {limit} to this environment"
            )
        )
        compiler = "x86_64-conda-linux-gnu-g++"
    else:
        steps.append(commands.by_hand((), f"install gcc {limit} and g++ {limit}", f"adds gcc {limit} beside the other"))
    both = "nvcc and the plain C++ files have to be given the same one"
    steps.append(commands.variable("CC", compiler.replace("g++", "gcc"), both))
    steps.append(commands.variable("CXX", compiler, both))
    steps.append(commands.variable("NVCC_PREPEND_FLAGS", f"-ccbin {compiler}", both))
    made.append(Fix(title=f"Build with gcc {limit}", steps=tuple(steps), verify=building.verify(facts)))
    return tuple(made)


def _newest_gcc(facts: Facts) -> int | None:
    chosen = building.toolkit(facts)
    return chosen.max_gcc if chosen is not None and isinstance(chosen.max_gcc, int) else None


def usual(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for a machine of which too little is known to name versions."""
    step = commands.by_hand(
        (),
        "install the newest gcc or Visual Studio that this CUDA takes (nvcc's message names the limit), and give it to both halves: "
        "CC, CXX and NVCC_PREPEND_FLAGS='-ccbin g++-N'; for Visual Studio build in its x64 Native Tools prompt with DISTUTILS_USE_SDK=1",
        "a compiler",
    )
    return (
        wheel_fixes.look_it_up(facts),
        Fix(
            title="Build with a compiler that nvcc takes",
            steps=(step, building.build(facts)),
            verify=building.verify(facts),
        ),
    )
