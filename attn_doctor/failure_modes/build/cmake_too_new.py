"""CMake 4 refuses sources that were written for a CMake older than 3.5.

What it is
    CMake 4 no longer reads the rules of CMake before 3.5. A source that asks for them is refused before anything is compiled.

How it shows
    "Compatibility with CMake < 3.5 has been removed from CMake", and below it "Or, add -DCMAKE_POLICY_VERSION_MINIMUM=3.5 to try configuring
    anyway". It stands in the output of a package that is compiled: sentencepiece, dlib, onnx, faiss.

Why it happens
    The release of the package is older than CMake 4 (March 2025), and there is no finished wheel of it for this Python.

What to do
    Set CMAKE_POLICY_VERSION_MINIMUM=3.5 and build again. Or ask for a newer release, which has a wheel.

How to reproduce
    There is no recipe: it takes CMake 4. A CMakeLists.txt with `cmake_minimum_required(VERSION 3.1)` shows it.

References
    https://cmake.org/cmake/help/latest/release/4.0.html#deprecated-and-removed-features
    https://cmake.org/cmake/help/latest/envvar/CMAKE_POLICY_VERSION_MINIMUM.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import building
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

MODE = FailureMode(
    code="AD141",
    slug="cmake-too-new",
    title="CMake 4 refuses old sources",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    says="CMake 4 refuses these sources: they were written for a CMake older than 3.5.",
    signs=(
        Sign(
            pattern=r"Compatibility with CMake < 3\.\d+ has been removed",
            literal="Compatibility with CMake <",
            sample="Compatibility with CMake < 3.5 has been removed from CMake.",
        ),
        Sign(
            pattern=r"add -DCMAKE_POLICY_VERSION_MINIMUM=3\.\d+ to try",
            literal="CMAKE_POLICY_VERSION_MINIMUM",
            sample="Or, add -DCMAKE_POLICY_VERSION_MINIMUM=3.5 to try configuring anyway.",
        ),
    ),
)
# There is no `detect`: no fact says which sources will be compiled.


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    policy = commands.variable(
        "CMAKE_POLICY_VERSION_MINIMUM", "3.5", "CMake 4.0 and newer read it, and then accept the sources"
    )
    again = commands.by_hand((), "repeat the command that failed, in this shell", "the packages of that command")
    return (Fix(title="Let CMake accept the old sources", steps=(policy, again), verify=building.verify(facts)),)
