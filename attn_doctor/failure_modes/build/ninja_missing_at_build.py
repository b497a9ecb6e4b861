"""ninja is missing: a build takes many times as long, or does not start.

What it is
    With ninja, PyTorch compiles several files of an extension at the same time. Without it, only one file is compiled
    at a time.

How it shows
    "Attempted to use ninja as the BuildExtension backend but we could not find ninja.. Falling back to using the slow distutils
    backend": a warning, and then hours. Extensions that are compiled while a program runs end with "RuntimeError: Ninja is
    required to load C++ extensions".

Why it happens
    ninja is not installed; or it is installed in an environment that is not active, so its program is not on PATH; or
    the ninja that is installed does not run (try `ninja --version; echo $?`).

What to do
    Install ninja into the environment in which you build. Why a build is needed at all: see no-prebuilt-wheel.

How to reproduce
    `attn-doctor reproduce ninja-missing-at-build` loads a small C++ extension through torch with a PATH that has no
    ninja. It downloads 1 MB, and a CPU build of torch (200 MB) if the target's torch cannot be used.

References
    https://github.com/Dao-AILab/flash-attention/issues/1776
    https://github.com/Dao-AILab/flash-attention/issues/113
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, every, known
from attn_doctor.failure_modes.recipe import File, Packages, Recipe, Torch, Without
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import package
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity, fact

MODE = FailureMode(
    code="AD104",
    slug="ninja-missing-at-build",
    title="ninja is missing",
    train=Severity.INFO,
    flash_attn=Severity.WARNING,
    stops="build",
    explains=("build-timeout-hang",),
    signs=(
        Sign(
            pattern=r"Attempted to use ninja as the BuildExtension backend but",
            literal="Attempted to use ninja as",
            sample="UserWarning: Attempted to use ninja as the BuildExtension backend but we could not find ninja.. Falling back "
            "to using the slow distutils backend.",
        ),
        Sign(
            pattern=r"(?P<required>Ninja is required to load C\+\+ extensions)(?! \(pip install ninja to get it\)\"\))",
            literal="Ninja is required to load",
            sample="RuntimeError: Ninja is required to load C++ extensions (pip install ninja to get it)",
        ),
        *(
            Sign(pattern=pattern, literal=literal, sample=sample, strength="context")
            for pattern, literal, sample in (
                (
                    r"(?P<ended>^Successfully (?:built|installed) )",
                    "Successfully ",
                    "Successfully installed grouped-conv-0.4",
                ),
                (
                    r"(?P<ended>^Finished processing dependencies for )",
                    "Finished processing dependencies",
                    "Finished processing dependencies for pointnet2-ops==3.0.0",
                ),
                # setup.py build_ext --inplace copies the finished extension last.
                (
                    r"(?P<ended>^copying build\S{1,200}\.(?:so|pyd) -> )",
                    "copying build",
                    "copying build/lib.linux-x86_64-cpython-310/ms_deform.cpython-310-x86_64-linux-gnu.so -> ",
                ),
            )
        ),
    ),
    recipe=Recipe(
        does="loads a small C++ extension through torch with a PATH that has no ninja",
        of=(
            Torch(),
            Packages(requirements=("setuptools<81",), megabytes=1),
            File(path="small.cpp", text="int small;\n"),
            Without(programs=("ninja",)),
        ),
        run=(("{python}", "-c", "import torch.utils.cpp_extension as e; e.load('small', ['small.cpp'])"),),
        shows="Ninja is required",
        seconds=8,
    ),
)


def detect(facts: Facts) -> Hit | None:
    if not every(
        lambda: known(facts.toolchain.ninja) is None,
        lambda: package(facts, "ninja") is None,
        lambda: building.would_be_built(facts),
    ):
        return None
    return Hit(
        message="There is no ninja, so flash-attn would be compiled one file at a time.",
        evidence=(fact(facts, "toolchain.ninja", "no program ninja on PATH, and no package of that name here"),),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    evidence = building.lines([m for m in seen.matches if m.strength != "context"])
    if not evidence:
        return None
    if seen.group("required"):
        message = "The program tried to compile an extension, which needs ninja, and ninja was not found."
        return Hit(message=message, evidence=evidence, severity=Severity.ERROR)
    return Hit(
        message="The build found no ninja, so it compiled one file at a time.",
        evidence=evidence,
        severity=Severity.INFO if _ended_well(seen) else None,
    )


def _ended_well(seen: Seen) -> bool:
    """Return whether a sign of success follows the last warning, in each log that has one."""
    warned = {m.file: m.line for m in seen.matches if "ended" not in m.groups}
    ended = {m.file: m.line for m in seen.matches if "ended" in m.groups}
    return all(ended.get(file, 0) > line for file, line in warned.items())


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.install("ninja", why="compiles several files at the same time", changes="adds ninja")
    return (Fix(title="Install ninja", steps=(step,), verify=("ninja", "--version")),)
