"""The compiler has no OpenMP: Apple's clang, or a clang of Linux without libomp.

What it is
    A setup.py passes -fopenmp, or a source includes omp.h. Apple's clang does not take the option, and macOS has neither the header nor the
    library. On a Mac gcc and cc are names of the same clang.

How it shows
    "clang: error: unsupported option '-fopenmp'"; "fatal error: 'omp.h' file not found"; "ld: library not found for -lomp"; CMake's "Could NOT find
    OpenMP_C".

Why it happens
    The package was written for gcc, which has OpenMP. Other variables than CC and CXX (CPP, LLVM_CONFIG) do not choose the compiler of a
    Python extension.

What to do
    Install llvm and libomp with Homebrew and name that compiler in CC and CXX; in an environment of conda install the package compilers. On
    Linux install libomp-dev, or use gcc. xformers and flash-attn have nothing for a Mac: leave them out.

How to reproduce
    There is no recipe: Apple's compiler is needed. There, `echo | clang -fopenmp -x c -c -` shows it.

References
    https://scikit-learn.org/stable/developers/advanced_installation.html#macos
    https://scikit-learn.org/stable/developers/misc_info.html
    https://formulae.brew.sh/formula/libomp
    https://formulae.brew.sh/formula/llvm
    https://github.com/ccsb-scripps/AutoGrid/issues/5
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places, system_tools
from attn_doctor.commands.places import Argv, Manager
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, package_cures, subject
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD151",
    slug="clang-without-openmp",
    title="The compiler has no OpenMP",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=r"(?P<clang>clang(?:\+\+|-\d+)?|gcc|cc|g\+\+|c\+\+): error: unsupported option ['\"‘]?-fopenmp",
            literal="-fopenmp",
            sample="clang: error: unsupported option '-fopenmp'",
        ),
        Sign(
            pattern=r"fatal error: '(?P<header>omp\.h)' file not found",
            literal="'omp.h'",
            sample="src/a.cpp:4:10: fatal error: 'omp.h' file not found",
        ),
        Sign(
            pattern=r"ld: library (?:not found for -l(?P<library>g?omp)\b|'(?P<named>g?omp)' not found)",
            literal="ld: library ",
            sample="ld: library not found for -lomp",
        ),
        Sign(
            pattern=r"Could NOT find (?P<cmake>OpenMP(?:_CXX|_C)?) \(missing",
            literal="Could NOT find OpenMP",
            sample="    Could NOT find OpenMP_C (missing: OpenMP_C_FLAGS OpenMP_C_LIB_NAMES)",
            strength="hint",
        ),
        *(
            Sign(pattern=rf"(?P<apple>{literal})", literal=literal, sample=sample, strength="context")
            for literal, sample in (
                ("AppleClang", "-- The CXX compiler identification is AppleClang 15.0.0.15000100"),
                ("Apple clang", "Apple clang version 16.0.0 (clang-1600.0.26.6)"),
                ("macosx-", "-o build/temp.macosx-11.0-arm64-cpython-311/a.o"),
                ("-apple-darwin", "Target: arm64-apple-darwin23.5.0"),
            )
        ),
    ),
)
# There is no `detect`: whether the compiler takes the option is not among the facts.
_LIBOMP: dict[Manager, Argv] = {
    "apt-get": ("libomp-dev",),
    "dnf": ("libomp-devel",),
    "zypper": ("libomp-devel",),
    "apk": ("openmp-dev",),
    "pacman": ("openmp",),
}


class Without(Variant, frozen=True, kw_only=True):
    """Mark the case that the compiler has no OpenMP. `apple`: it is Apple's clang."""

    apple: bool


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    linux = facts.system.os == "linux"
    apple = not linux and (facts.system.os == "darwin" or seen.group("apple") is not None or bool(seen.group("clang")))
    failed = [m for m in seen.matches if m.strength == "hint"]
    if not proofs and not (apple and any(building.in_build(seen, m) for m in failed)):
        return None
    if facts.system.os == "windows":
        return None
    what = "does not take -fopenmp" if seen.group("clang") else "has no OpenMP"
    whose = "Apple's clang" if apple or not linux else "This clang"
    return Hit(
        message=f"{whose} {what}: the package is built with OpenMP, which comes as a separate library (libomp).",
        evidence=building.lines(proofs or failed),
        variant=Without(apple=apple or not linux),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify, name = subject.verify(facts), subject.package(facts)
    build = _again(facts)
    if isinstance(hit.variant, Without) and not hit.variant.apple:
        steps = system_tools.packages(facts, _LIBOMP, "OpenMP for clang", "adds omp.h and libomp")
        steps = steps or (system_tools.either(_LIBOMP, "OpenMP for clang", "adds omp.h and libomp"),)
        return (Fix(title="Install libomp", steps=steps, verify=verify),)
    if places.environment_tool(facts):
        get: Step = commands.by_hand(
            places.conda_install(facts, "compilers", "llvm-openmp"),
            "a clang with OpenMP inside this environment; activate the environment again, which sets CC and CXX",
            "adds compilers to this environment",
        )
        made = Fix(title="Use the compiler of conda-forge", steps=(get, build), verify=verify)
    else:
        brew = commands.by_hand(("brew", "install", "llvm", "libomp"), "Homebrew's clang takes -fopenmp", "adds llvm and libomp", takes="2 GB")  # fmt: skip
        made = Fix(title="Use Homebrew's clang", steps=(brew, *_chosen(), build), verify=verify)
    row = built_packages.row_of(name) if name else None
    if name is not None and row is not None and row.attention:
        words = f"leave {name} out of what you install: it has no kernels for a Mac, and {package_cures.SDPA}. A program that asks for it has an option for another attention"
        without = commands.by_hand((), words, "nothing", "none")
        return (Fix(title=f"Do without {name}", steps=(without,), verify=commands.check(facts)), made)
    return (made,)


def _again(facts: Facts) -> Step:
    """Return the step that repeats the typed command; a build without isolation if the log shows no command that can be repeated."""
    command = facts.subject.command
    if isinstance(command, str) and _PLAIN.fullmatch(command):
        return commands.by_hand(tuple(command.split()), "your command again, in this shell", "adds the package")
    return building.build(facts, "compiled with that compiler")


_PLAIN = re.compile(r"(?:python[\d.]* -m )?(?:pip[\d.]*|uv|poetry|pdm) [\w ./:=@+-]+")


def _chosen() -> tuple[Step, ...]:
    """Return the steps that name Homebrew's clang and the folders of libomp, in the variables that setuptools and CMake read."""
    lines = (
        ('export CC="$(brew --prefix llvm)/bin/clang" CXX="$(brew --prefix llvm)/bin/clang++"', "the compilers of the build"),
        (
            'export CPATH="$(brew --prefix libomp)/include" LIBRARY_PATH="$(brew --prefix libomp)/lib"',
            "where they find omp.h and libomp",
        ),
    )  # fmt: skip
    return tuple(commands.by_hand(("sh", "-c", line), why, "this shell alone", "none") for line, why in lines)
