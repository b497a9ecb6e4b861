"""On a Mac, an extension is compiled with flags that Apple's clang refuses: -march=native, or an old C++ library.

What it is
    setuptools compiles with the flags of Python's own build, and a package adds its own. Apple's clang has no -march=native for some processors, and
    no libstdc++ since Xcode 10.

How it shows
    "clang: error: the clang compiler does not support '-march=native'"; "warning: include path for libstdc++ headers not found; pass
    '-stdlib=libc++'", followed by "fatal error: 'ios' file not found", 'vector' or another header of C++.

Why it happens
    The package was written for Linux. A Python for two processors (universal2) compiles for both at once, and native fits one at most. A Python of
    conda or python.org for macOS 10.6 to 10.8 asks for libstdc++, which Apple removed.

What to do
    -march=native: set ARCHFLAGS to the processor of this Mac. libstdc++: set CFLAGS=-stdlib=libc++ and MACOSX_DEPLOYMENT_TARGET=10.9, or take a newer
    Python. A newer release of the package often has a wheel.

How to reproduce
    There is no recipe, because it takes a Mac.

References
    https://github.com/zylon-ai/private-gpt/issues/197 (ARCHFLAGS)
    https://github.com/openai/chatgpt-retrieval-plugin/issues/330 (HNSWLIB_NO_NATIVE)
    https://github.com/seung-lab/fastremap/issues/13 (CFLAGS)
    https://developer.apple.com/documentation/xcode-release-notes/xcode-10-release-notes (libstdc++ is gone)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, subject
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD162",
    slug="clang-flags-on-mac",
    title="Flags that Apple's clang refuses",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED, "host-compiler-missing"),
    signs=(
        Sign(
            pattern=r"clang: error: the clang compiler does not support '(?P<native>-march=native|-mcpu=native)'",
            literal="the clang compiler does not support '",
            sample="clang: error: the clang compiler does not support '-march=native'",
        ),
        Sign(
            pattern=r"include path for (?:libstdc\+\+|stdlibc\+\+) headers not found; pass '(?P<library>-std(?:lib)?=libc\+\+)'",
            literal="headers not found; pass '-std",
            sample="clang: warning: include path for libstdc++ headers not found; pass '-stdlib=libc++' on the command line",
            strength="hint",
        ),
        Sign(
            pattern=r"fatal error: '(?P<header>ios|vector|string|iostream|memory|map|cmath|cstdint|algorithm|unordered_map|utility|array|complex|cstddef|cstring|limits|functional|type_traits|queue|set|deque|sstream|fstream|stdexcept|atomic|mutex|thread|initializer_list)' file not found",
            literal="' file not found",
            sample="src/x.cpp:11:10: fatal error: 'vector' file not found",
            strength="context",
        ),
    ),
)
# There is no `detect`: no fact says with which flags a package will be compiled.


class Refused(Variant, frozen=True, kw_only=True):
    """Hold which option the compiler refused. `native`: -march=native; False: the library libstdc++."""

    native: bool


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if (flag := seen.group("native")) is not None:
        return Hit(
            message=f"The package is compiled with {flag}, which Apple's clang does not support for this processor, or for two processors at once.",
            evidence=building.lines([m for m in seen.matches if "native" in m.groups]),
            variant=Refused(native=True),
        )
    header = seen.group("header")
    if header is None:
        return None
    return Hit(
        message=f"The package is compiled with libstdc++, which Apple removed: the header {header} of C++ is not found. This Python was built for a very old macOS.",
        evidence=building.lines([m for m in seen.matches if "header" in m.groups or "library" in m.groups]),
        variant=Refused(native=False),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    native = isinstance(hit.variant, Refused) and hit.variant.native
    again = commands.by_hand((), "repeat the command that failed, in this shell", "the package", "none")
    if native:
        intel = facts.system.machine == "x86_64"
        arch = "x86_64" if intel else "arm64"
        steps: tuple[Step, ...] = (
            commands.variable(
                "ARCHFLAGS",
                f"-arch {arch}",
                "compiles for the processor of this Mac alone; with an Intel processor: -arch x86_64, with an Apple chip: -arch arm64",
            ),
        )
        if subject.stated(facts) in ("hnswlib", "chroma-hnswlib", "chromadb", None):
            steps = (*steps, commands.variable("HNSWLIB_NO_NATIVE", "1", "for hnswlib, which leaves the flag out then"))
        return (
            Fix(title="Compile for this processor", steps=(*steps, again), verify=verify),
            _without_the_flag(facts),
        )
    steps = (
        commands.variable("CFLAGS", "-stdlib=libc++", "the C++ library of macOS"),
        commands.variable("MACOSX_DEPLOYMENT_TARGET", "10.9", "the oldest macOS with this library"),
    )
    words = "make an environment with a newer Python, which was built for a newer macOS: conda create -n new -c conda-forge python=3.11; then install your packages into it"
    fresh = commands.by_hand((), words, "a new environment", "none")
    return (
        Fix(title="Compile with the C++ library of macOS", steps=(*steps, again), verify=verify),
        Fix(title="Take a newer Python", steps=(fresh,), verify=verify),
    )


def _without_the_flag(facts: Facts) -> Fix:
    words = (
        "if it fails again: take a newer release of the package, which may have a wheel for Macs; or get its sources, remove '-march=native' from setup.py or CMakeLists.txt, and "
        "install that folder"
    )
    step = commands.by_hand((), words, "the package")
    return Fix(title="Build without the flag", steps=(step,), verify=building.verify(facts))
