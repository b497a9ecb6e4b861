"""conda's linker is older than the libraries of the system, and cannot read them.

What it is
    A Python of conda links compiled extensions with a linker of its own, compiler_compat/ld in the folder of the environment. The compiler and the
    libraries are those of the system.

How it shows
    "compiler_compat/ld: /lib/x86_64-linux-gnu/libm.so.6: unknown type [0x13] section `.relr.dyn'", "skipping incompatible ... when searching for",
    "unable to initialize decompress status for section .debug_info", "file not recognized: file format not recognized", "compiler_compat/ld: cannot
    find /lib64/libpthread.so.0".

Why it happens
    The environment was made years ago, or its Python is old: so its linker is of binutils 2.36 or older, which does not know the sections of
    glibc 2.36 and newer, and their compressed debugging data.

What to do
    Rename compiler_compat/ld: the compiler then takes the linker of the system. Or make a new environment.

How to reproduce
    There is no recipe: it takes an old environment of conda on a new Linux.

References
    https://github.com/conda-forge/clangdev-feedstock/issues/399
    https://github.com/junzastar/Self-P2IR/issues/6
    https://github.com/conda/conda/issues/6132 (compiler_compat)
    https://sourceware.org/pipermail/binutils/2022-August/122246.html (binutils 2.39; RELR is read since 2.38)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD160",
    slug="conda-linker-too-old",
    title="conda's linker is older than the system",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "triton-libcuda-link"),
    signs=(
        Sign(
            pattern=r"(?P<linker>/\S{0,200}/(?:compiler_compat/ld|bin/[\w.-]{0,60}ld(?:\.bfd)?)): \S{1,300}: unknown type \[0x13\] section",
            literal="unknown type [0x13] section",
            sample="/home/me/miniconda3/envs/t/compiler_compat/ld: /lib/x86_64-linux-gnu/libm.so.6: unknown type [0x13] section `.relr.dyn'",
        ),
        Sign(
            pattern=r"(?P<linker>/\S{0,200}/compiler_compat/ld): \S{1,300}: unable to initialize (?:de)?compress status for section",
            literal="compress status for section",
            sample="/opt/conda/compiler_compat/ld: build/x.o: unable to initialize decompress status for section .debug_info",
        ),
        Sign(
            pattern=r"(?P<linker>/\S{0,200}/compiler_compat/ld): cannot find /(?:usr/)?lib(?:64)?/(?:[\w-]{1,40}/)?lib(?:pthread|m|mvec|c|dl)[\w.-]*\.(?:so|a)",
            literal="compiler_compat/ld: cannot find /",
            sample="/home/me/anaconda3/compiler_compat/ld: cannot find /lib64/libpthread.so.0",
        ),
    ),
)
# There is no `detect`: the linker of conda is not among the facts.


class Linker(Variant, frozen=True, kw_only=True):
    """Hold the path of conda's linker: "/home/me/miniconda3/envs/t/compiler_compat/ld"."""

    path: str


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    path = seen.captured()["linker"]
    return Hit(
        message=f"The linker {path} is older than the libraries of the system, and cannot read them.",
        evidence=evidence,
        variant=Linker(path=path),
        confidence=Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = building.verify(facts)
    path = hit.variant.path if isinstance(hit.variant, Linker) else "compiler_compat/ld"
    again = commands.by_hand((), "repeat the command that failed, in this shell", "the package", "none")
    if not path.endswith("compiler_compat/ld"):
        words = "install a newer linker: conda install -c conda-forge binutils; or take the linker of the system: remove this one from PATH"
        other = commands.by_hand((), words, "the linker")
        return (Fix(title="Take a newer linker", steps=(other, again), verify=verify),)
    rename = commands.by_hand(
        ("mv", path, f"{path}.old"),
        "the compiler then takes the linker of the system, /usr/bin/ld. The same command with the two names exchanged takes it back",
        "one file of the environment",
    )
    words = "make a new environment with a newer Python, whose linker is newer: conda create -n new -c conda-forge python=3.11; then install your packages into it"
    fresh = commands.by_hand((), words, "a new environment", "none")
    return (
        Fix(title="Take the linker of the system", steps=(rename, again), verify=verify),
        Fix(title="Make a new environment", steps=(fresh,), verify=verify),
    )
