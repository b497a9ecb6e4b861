"""A package is built with CMake, and the CMake that was found is too old, or there is none.

What it is
    Some packages are built with CMake. Each says which CMake it needs at least. The system's CMake is older, or is not installed.

How it shows
    "CMake 3.22 or higher is required. You are running version 3.12.0", "CMake >= 3.18 is required", "Could not find CMake with version
    >=3.15" (scikit-build-core), "CMake must be installed to build the following extensions" (dlib), "Could not find "cmake" executable!"
    (onnx), "Problem with the CMake installation, aborting build" (scikit-build), "No such file or directory: 'cmake'".

Why it happens
    A distribution keeps the CMake that was new when it was published (Ubuntu 20.04: 3.16, Ubuntu 22.04: 3.22), and slim images have none. With a
    finished wheel CMake would not be needed: there is none for this Python, or this processor.

What to do
    Install a newer CMake into the environment: PyPI and conda-forge have it. Take one below 4, which also accepts old sources. pip runs a
    build in an environment of its own: a CMake of PyPI that does not start there ("No module named 'cmake'") needs --no-build-isolation.

How to reproduce
    There is no recipe: it needs an old CMake. A CMakeLists.txt with `cmake_minimum_required(VERSION 99.0)` shows the words.

References
    https://cmake.org/cmake/help/latest/command/cmake_minimum_required.html
    https://pypi.org/project/cmake/
    https://github.com/scikit-build/cmake-python-distributions/issues/586
    https://github.com/kakao/khaiii/issues/6
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places, system_tools
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, not_found_words, subject
from attn_doctor.knowledge.translated_messages import translations
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

_VERSION = r"\d+(?:\.\d+){1,3}"

MODE = FailureMode(
    code="AD185",
    slug="cmake-too-old",
    title="CMake is too old, or is missing",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=rf"CMake (?P<needed>{_VERSION}) or higher is required\.\s+You are running version (?P<here>{_VERSION})",
            literal=" or higher is required.",
            sample="CMake 3.24 or higher is required.  You are running version 3.16.3",
        ),
        Sign(
            pattern=rf"CMake (?:version )?(?:>=|≥) ?(?P<needed>{_VERSION}) (?:is )?required\b",
            literal="required",
            sample="RuntimeError: CMake >= 3.18 is required",
        ),
        Sign(
            pattern=rf"Could not find CMake with version [>=]*(?P<needed>{_VERSION})",
            literal="Could not find CMake with version",
            sample="scikit_build_core.errors.CMakeNotFoundError: Could not find CMake with version >=3.26",
        ),
        Sign(
            pattern=r"(?P<missing>CMake must be installed to build|(?:ERROR|Error): CMake is not installed|CMake is not installed on your system)",
            literal="CMake ",
            sample="RuntimeError: CMake must be installed to build the following extensions: fast_ops",
        ),
        Sign(
            pattern=r"(?P<missing>(?:Could not|Cannot|Can't|Unable to) find [\"'`]?cmake[\"'`]? executable)",
            literal="cmake",
            sample='AssertionError: Could not find "cmake" executable!',
        ),
        Sign(
            pattern=r"(?P<missing>Problem with the CMake installation, aborting build)",
            literal="Problem with the CMake installation",
            sample="Problem with the CMake installation, aborting build. CMake executable is cmake",
        ),
        Sign(
            pattern=r"(?P<missing>No such file or directory: '(?:\S*/)?cmake')",
            literal="cmake'",
            sample="FileNotFoundError: [Errno 2] No such file or directory: 'cmake'",
        ),
        *(
            Sign(
                pattern=rf"(?:^|[\s:：])(?P<missing>cmake){not_found_words.NO_COMMAND}", literal=literal, sample=sample
            )
            for literal, sample in (
                ("cmake: not found", "/bin/sh: 1: cmake: not found"),
                ("cmake: command not found", "bash: line 1: cmake: command not found"),
                *((f"cmake: {word}", f"bash: cmake: {word}") for word in translations("command not found")),
            )
        ),
        *not_found_words.unknown_to_windows("cmake", "missing"),
    ),
)
# There is no `detect`: no fact says which package will be built with CMake, and which CMake that package needs.


class Cmake(Variant, frozen=True, kw_only=True):
    """Hold the version of CMake that the sources need at least, "3.22"; None: the log does not name it. `missing`: there is no CMake."""

    needed: str | None
    missing: bool


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    needed, here = seen.group("needed"), seen.group("here")
    name = subject.stated(facts)
    whose = f"the sources of {name}" if name else "the sources"
    if here is not None:
        message = f"CMake {here} is too old: {whose} need CMake {needed} or newer."
    elif needed is not None:
        message = f"There is no CMake {needed} or newer, which {whose} need: CMake is too old, or is not installed."
    else:
        message = f"There is no CMake, with which {whose} are built."
    return Hit(message=message, evidence=evidence, variant=Cmake(needed=needed, missing=needed is None))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    cmake = hit.variant if isinstance(hit.variant, Cmake) else Cmake(needed=None, missing=True)
    verify = building.verify(facts)
    repeat = commands.by_hand((), "repeat the command that failed, in this shell", "the packages of that command")
    into = Fix(
        title=f"Install CMake {cmake.needed} or newer" if cmake.needed else "Install CMake into the environment",
        steps=(*_into_environment(facts, cmake.needed), repeat),
        verify=verify,
    )
    ready = building.without_compiling(facts)
    if not cmake.missing or places.environment_tool(facts):
        return (into, *ready)
    # A program of the system starts in every build, and needs no Python.
    system = Fix(title="Install CMake", steps=(*system_tools.tool(facts, "cmake"), repeat), verify=verify)
    return (system, into, *ready)


def _into_environment(facts: Facts, needed: str | None) -> tuple[Step, ...]:
    """Return the steps that install a CMake below 4 into the environment, and show which CMake starts."""
    wanted = f"cmake>={needed},<4" if needed else "cmake<4"
    why = "CMake 4 refuses sources that were written for a CMake before 3.5, so one below 4 is safe"
    shown = commands.by_hand(
        ("cmake", "--version"),
        f"has to print {needed} or newer" if needed else "has to print a version",
        "nothing",
        "none",
    )
    if places.environment_tool(facts):
        argv = places.conda_install(facts, wanted)
        return (commands.by_hand(argv, f"into this environment; {why}", "adds cmake"), shown)
    install = commands.install(
        wanted,
        why=f"{why}. The environment has to be activated, so that its cmake comes before that of the system",
        changes="adds cmake",
    )
    isolated = commands.by_hand(
        (),
        "if the build then says \"No module named 'cmake'\": pip hides this environment from the build. Add --no-build-isolation to the command, after you "
        "installed the packages that the build needs (setuptools, wheel, and those of [build-system] in its pyproject.toml)",
        "nothing",
        "none",
    )
    return (install, shown, isolated)
