"""Python was built with clang, and its flags are passed to GCC, which refuses them.

What it is
    setuptools compiles extensions with the flags that Python itself was built with. Some of these flags exist only in
    one compiler.

How it shows
    "c++: error: unrecognized command-line option '-fdebug-default-version=4'" while flash-attn is built.

Why it happens
    The Python was downloaded ready-made (by uv, from python-build-standalone, or from conda) and was built with
    clang; the compiler of the system is GCC. Since 2025 uv removes such flags when it installs a Python.

What to do
    Install that Python again with a new uv, and create the environment again; or compile with clang; or install a
    finished wheel, which needs no compiler.

How to reproduce
    There is no recipe: an old standalone Python is needed. `CFLAGS=-fdebug-default-version=4 pip install --no-binary
    :all: --no-deps psutil` shows the line if the compiler is GCC.

References
    https://gregoryszorc.com/docs/python-build-standalone/main/quirks.html
    https://github.com/astral-sh/python-build-standalone
    https://github.com/Dao-AILab/flash-attention/issues/1687
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import installers
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.versions import dotted, pair

# Flags of clang that are in the sysconfig of ready-made Pythons, and that GCC does not support.
_CLANG = (
    r"-f(?:debug-default-version|profile-instr-\w+|profile-sample-use|color-diagnostics|sanitize-trap)|-flto=thin|-stdlib=libc\+\+|"
    r"-mllvm|-Wshorten-64-to-32|-Qunused-arguments|--rtlib=\S{1,30}"
)

MODE = FailureMode(
    code="AD129",
    slug="flags-of-another-compiler",
    title="Python passes the flags of clang to GCC",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    signs=(
        Sign(
            # A shell without UTF-8 prints the quotes of GCC as question marks.
            pattern=rf"(?:gcc|g\+\+|cc|c\+\+|cc1plus|cc1)(?:-\d+)?: error: unrecognized command[- ]line option .{{0,3}}?(?P<flag>{_CLANG})",
            literal="unrecognized command",
            sample="c++: error: unrecognized command-line option '-fdebug-default-version=4'",
        ),
    ),
)
# There is no `detect`: the flags of Python are not among the facts.


class Flag(Variant, frozen=True, kw_only=True):
    """Hold the flag that GCC refused, "-fdebug-default-version"."""

    flag: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    flag = seen.captured()["flag"]
    return Hit(
        message=f"{flag} is a flag of clang, and the compiler is GCC, which does not support it. This Python was built with clang.",
        evidence=evidence,
        variant=Flag(flag=flag),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    version = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    label = dotted(version) if version else "3.12"
    again = (
        commands.by_hand(
            ("uv", "self", "update"),
            "a new uv removes the flags of clang from each Python that it installs",
            "uv",
            "low",
        ),
        commands.by_hand(
            ("uv", "python", "install", "--reinstall", label),
            "the same Python without these flags",
            "the Python of uv",
            "low",
        ),
        commands.by_hand(
            ("uv", "venv", "--clear", "--python", label),
            "creates the environment .venv of this folder again. The new environment is empty: install torch and your other packages into it, then flash-attn",
            "all packages of this environment",
            "medium",
            risk_text="all packages in this folder's .venv are removed",
        ),
    )
    clang = (
        commands.variable("CC", "clang", "the compiler that supports these flags: install clang first"),
        commands.variable("CXX", "clang++", "the same for C++"),
        building.build(facts, "clang compiles the C++ files; nvcc still uses GCC"),
    )
    finished = building.without_compiling(facts)
    renewed = (Fix(title="Install the Python of uv again", steps=again, verify=verify),)
    return (
        *((*renewed, *finished) if installers.own(facts) == "uv" else (*finished, *renewed)),
        Fix(title="Compile with clang", steps=clang, verify=verify),
    )
