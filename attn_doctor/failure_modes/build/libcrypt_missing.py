"""The header crypt.h, or the library libcrypt, is missing.

What it is
    crypt.h and libcrypt belonged to glibc, and are now a package of their own, libxcrypt. Python.h of older Pythons includes crypt.h, so no
    extension can be compiled without it. Python's own headers are there.

How it shows
    "include/python3.8/Python.h:44:10: fatal error: crypt.h: No such file or directory"; the linker's "cannot find -lcrypt"; when a program
    starts, "libcrypt.so.1: cannot open shared object file".

Why it happens
    The compiler of conda looks only into its own sysroot, and newer sysroots of conda-forge have no crypt.h. Or the system is a slim image
    without libcrypt-dev. Fedora, RHEL 9 and Arch have libcrypt.so.2, and libcrypt.so.1 only in a package for old programs.

What to do
    In an environment of conda: install libxcrypt into it, and name its include folder in CPATH. Else install the package of the
    distribution: libcrypt-dev (Debian, Ubuntu), libxcrypt-devel (Fedora, RHEL), for libcrypt.so.1 libxcrypt-compat.

How to reproduce
    There is no recipe: a compiler of conda is needed. A C file with `#include <crypt.h>` shows it, compiled in an image without libcrypt-dev.

References
    https://github.com/conda-forge/linux-sysroot-feedstock/issues/52
    https://github.com/conda-forge/python-feedstock/pull/668
    https://github.com/stanford-futuredata/ColBERT/issues/309
    https://github.com/ClementPinard/Pytorch-Correlation-extension/issues/105
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places, system_tools
from attn_doctor.commands.places import Argv, Manager
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, not_found_words
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD150",
    slug="libcrypt-missing",
    title="crypt.h or libcrypt is missing",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    signs=(
        *(
            Sign(pattern=not_found_words.missing_header(r"crypt\.h"), literal=literal, sample=sample)
            for literal, sample in (
                (": crypt.h", "/env/include/python3.8/Python.h:44:10: fatal error: crypt.h: No such file or directory"),
                ("：crypt.h", "/env/include/python3.8/Python.h:44:10: 致命错误：crypt.h：没有那个文件或目录"),
                ('"crypt.h"', 'Python.h(44): catastrophic error: cannot open source file "crypt.h"'),
            )
        ),
        Sign(
            pattern=r"fatal error: '(?P<header>crypt\.h)' file not found",
            literal="'crypt.h'",
            sample="/env/include/python3.9/Python.h:39:10: fatal error: 'crypt.h' file not found",
        ),
        Sign(
            pattern=r"cannot find -l(?P<linked>crypt)(?![\w-])",
            literal="cannot find -lcrypt",
            sample="/usr/bin/ld: cannot find -lcrypt: No such file or directory",
        ),
        Sign(
            pattern=r"(?P<loaded>libcrypt\.so\.\d): cannot open shared object file",
            literal="libcrypt.so.",
            sample="python: error while loading shared libraries: libcrypt.so.1: cannot open shared object file: No such file or directory",
        ),
        # The compiler, or a Python, of conda.
        Sign(
            pattern=r"(?P<compiler>(?:x86_64|aarch64)-conda(?:_cos\d)?-linux-gnu)",
            literal="-conda",
            sample="/opt/conda/envs/p/bin/x86_64-conda-linux-gnu-cc -c a.c -o a.o",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<env>/[\w./-]*(?:conda|miniforge|mambaforge|/envs/)[\w.-]*(?:/envs/[\w.-]+)?)/include/python3",
            literal="/include/python3",
            sample="/opt/conda/envs/smooth/include/python3.8/Python.h:44:10: fatal error: crypt.h: No such file or directory",
            strength="context",
        ),
    ),
)
# There is no `detect`: the headers of the system are not among the facts.

_HEADER: dict[Manager, Argv] = {
    "apt-get": ("libcrypt-dev",),
    "dnf": ("libxcrypt-devel",),
    "zypper": ("libxcrypt-devel",),
    "apk": ("libxcrypt-dev",),
    "pacman": ("libxcrypt",),
}
_LIBRARY: dict[Manager, Argv] = {
    "apt-get": ("libcrypt1",),
    "dnf": ("libxcrypt-compat",),
    "zypper": ("libcrypt1",),
    "pacman": ("libxcrypt-compat",),
}


class Missing(Variant, frozen=True, kw_only=True):
    """Hold what is missing, and for which environment the code is compiled.

    `what`: "header": the compiler does not find crypt.h. "linked": the linker does not find libcrypt. "loaded": a
    program does not find it. `conda`: the environment is one of conda. `prefix`: its folder; None: not known.
    """

    what: Literal["header", "linked", "loaded"]
    conda: bool = False
    prefix: str | None = None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    prefix, compiler = seen.group("env"), seen.group("compiler") is not None
    conda = compiler or prefix is not None or facts.interpreter.kind == "conda"
    if (library := seen.group("loaded")) is not None:
        return Hit(
            message=f"{library} is not on this system: the program was built for an older one, which has libcrypt in its C library.",
            evidence=evidence,
            variant=Missing(what="loaded", conda=conda),
            severity=Severity.ERROR,
        )
    if seen.group("header") is None and seen.group("linked") is not None:
        message = "The linker does not find libcrypt, which is no part of the C library any more."
        return Hit(message=message, evidence=evidence, variant=Missing(what="linked", conda=conda, prefix=prefix))
    whose = ": the compiler of conda looks only into its own folders, which lack it" if compiler else ""
    return Hit(
        message=f"crypt.h was not found, which Python.h of this Python includes{whose}. Python's own headers are there.",
        evidence=evidence,
        variant=Missing(what="header", conda=conda, prefix=prefix),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    found = hit.variant if isinstance(hit.variant, Missing) else Missing(what="header")
    verify = building.verify(facts)
    if found.what == "loaded":
        steps = _of_the_system(facts, _LIBRARY, "the libcrypt.so.1 of older systems", "adds libcrypt.so.1")
        return (Fix(title="Install libcrypt.so.1", steps=steps, verify=verify),)
    system = Fix(
        title="Install crypt.h of the system",
        steps=_of_the_system(facts, _HEADER, "has crypt.h and libcrypt, for the compiler of the system", "adds crypt.h"),
        verify=verify,
    )  # fmt: skip
    return (_in_conda(facts, found), system) if found.conda else (system,)


def _in_conda(facts: Facts, found: Missing) -> Fix:
    """Return the fix for an environment of conda: libxcrypt, and its folders in the variables that every gcc reads."""
    argv = places.conda_install(facts, "libxcrypt")
    if found.prefix is not None and "--prefix" not in argv:
        argv = (*argv[:2], "--prefix", found.prefix, *argv[2:])
    get = commands.by_hand(argv, "has crypt.h and libcrypt; it needs no root", "adds libxcrypt to this environment")
    folder = found.prefix or "$CONDA_PREFIX"
    name, part = ("LIBRARY_PATH", "lib") if found.what == "linked" else ("CPATH", "include")
    what = "looks for libraries" if found.what == "linked" else "looks for headers"
    line = f"export {name}={folder}/{part}${{{name}:+:${name}}}"
    why = f"gcc {what} in this folder too; then repeat the command that failed, in this shell"
    path = commands.by_hand(("sh", "-c", line), why, f"{name}, in this shell alone", "none")
    return Fix(title="Install libxcrypt into the environment", steps=(get, path), verify=building.verify(facts))


def _of_the_system(facts: Facts, names: dict[Manager, Argv], why: str, changes: str) -> tuple[Step, ...]:
    made = system_tools.packages(facts, names, why, changes)
    if made:
        return made
    if facts.system.os == "linux" and not isinstance(facts.system.distribution, str) and not places.on_cluster(facts):
        return (system_tools.either(names, why, changes),)
    return (commands.by_hand((), f"{why}: {system_tools.every_manager(names)}", changes),)
