"""The extension was built on a newer Linux, and the glibc of this Linux is too old for it.

What it is
    A library that was linked against glibc 2.35 may need functions that glibc 2.31 does not have. glibc is a part of the Linux
    distribution and cannot be upgraded alone.

How it shows
    "ImportError: /lib64/libc.so.6: version `GLIBC_2.32' not found (required by .../flash_attn_2_cuda...so)".

Why it happens
    flash-attn's wheels from 2.8.0 on are built on Ubuntu 22.04. Their names contain linux_x86_64 and not manylinux, so pip does not
    compare the glibc and installs them on older systems too: Ubuntu 20.04, Debian 11, the RHEL 8 family.

What to do
    Install flash-attn 2.7.4.post1 if it has a wheel for this torch: its wheels were built on Ubuntu 20.04. Or build flash-attn on
    this machine. Or use a newer distribution or container. For aarch64 there are no old wheels: build flash-attn there. PyTorch's own
    fused attention needs no wheel and no build.

How to reproduce
    `attn-doctor reproduce glibc-too-old` imports an extension that was linked with a glibc newer than any that exists. It downloads
    nothing.

References
    https://github.com/Dao-AILab/flash-attention/issues/1708
    https://github.com/Dao-AILab/flash-attention/issues/1762
    https://peps.python.org/pep-0600/
"""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.commands import host_compilers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant, every, known, present
from attn_doctor.failure_modes.recipe import Extension, Gone, Library, Recipe
from attn_doctor.failure_modes.shared import building, package_cures, subject, symbols, toolkits, wheel_fixes
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, package_evidence, text_of
from attn_doctor.knowledge import flash_attention, wheels
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import extension_tried, tried
from attn_doctor.model.steps import Install
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD305",
    slug="glibc-too-old",
    title="glibc is older than the extension needs",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    blocks=("flash-attn-2",),
    explains=(
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
        "ultralytics-broken",
    ),
    signs=(
        Sign(
            pattern=r"version [`'\"]?GLIBC_(?P<glibc>\d+\.\d+)[`'\"]? not found(?: \( ?(?:required by )?(?P<by>[^)]*)\))?",
            literal="GLIBC_2.",
            sample="ImportError: /lib64/libc.so.6: version `GLIBC_2.32' not found (required by /venv/lib/python3.11/site-packages/"
            "flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so)",
        ),
        Sign(
            pattern=r"\bflash_attn-(?P<release>\d[\w.]*?)\+\w*?torch(?P<torch>\d+\.\d+)\S{0,30}-cp3\S{1,60}\.whl",
            literal="flash_attn-",
            sample="pip install flash_attn-2.8.2+cu128torch2.8-cp312-cp312-linux_x86_64.whl",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="imports an extension that was linked with a glibc newer than any that exists",
        of=(
            Library(path="link/libc.so.6", exports=("newest@GLIBC_2.99",)),
            Extension(name="flash_attn_2_cuda", asks=("newest",), needs=("link/libc.so.6",)),
            Gone(path="link"),
        ),
        run=(("{python}", "-c", "import flash_attn_2_cuda"),),
        shows="version `GLIBC_2.99' not found",
        seconds=2,
    ),
)


class Needed(Variant, frozen=True, kw_only=True):
    """Hold the glibc that the extension needs, "2.32", and the torch and the release that the name of its wheel shows: "2.8", "2.8.2"."""

    glibc: str
    torch: str | None = None
    release: str | None = None


_NEEDED = re.compile(r"version `GLIBC_(\d+\.\d+)' not found")


def detect(facts: Facts) -> Hit | None:
    for attempt in tried(facts):
        needed = _NEEDED.search(text_of(attempt.fault))
        if needed:
            have = facts.system.glibc if isinstance(facts.system.glibc, str) else "an older one"
            torch = attempt.module in ("torch", "torchvision", "cv2", "numpy")
            return Hit(
                message=f"{attempt.module} was built for glibc {needed[1]} or newer, you have {have}.",
                evidence=(attempt_evidence(facts, attempt.module), fact(facts, "system.glibc")),
                certainty=Certainty.OBSERVED,
                severity=Severity.ERROR if torch else None,
            )
    if extension_tried(facts):
        return None  # the result of a real import counts more than the name of a file or its contents
    for index, binary in enumerate(facts.binaries if isinstance(facts.binaries, tuple) else ()):
        if binary.cause == "glibc":
            return Hit(
                message=f"{binary.module} was built for glibc {binary.glibc} or newer, you have {facts.system.glibc}.",
                evidence=(fact(facts, f"binaries.{index}.glibc"), fact(facts, "system.glibc")),
            )
    return _installed(facts) or _to_be_installed(facts)


def _installed(facts: Facts) -> Hit | None:
    """Find an installed official wheel that needs a newer glibc, by the table of wheels. A wheel that was built here fits its glibc."""
    flash = facts.flash_attention
    if not every(
        lambda: known(flash.version) is not None,
        lambda: known(flash.wheel_torch) is not None,
        lambda: _too_old(facts, present(flash.version)) is not None,
    ):
        return None
    needed = _too_old(facts, str(flash.version))
    return Hit(
        message=f"The wheel of flash-attn {flash.version} needs glibc {needed}, you have {facts.system.glibc}.",
        evidence=(package_evidence(facts, "flash-attn"), fact(facts, "system.glibc")),
    )


def _to_be_installed(facts: Facts) -> Hit | None:
    """Find a machine without flash-attn on which pip would install a wheel that needs a newer glibc, so that its import would fail."""
    newest = _newest_with_wheels()
    if not every(
        lambda: known(facts.flash_attention.version) is None,
        lambda: isinstance(known(facts.torch.cuda), str),
        lambda: known(facts.system.glibc) is not None,
        lambda: _too_old(facts, newest) is not None,
    ):
        return None
    needed = _too_old(facts, newest)
    return Hit(
        message=f"glibc {facts.system.glibc} is too old for the wheels of flash-attn {newest}, which need {needed}. "
        "pip does not check this and installs them.",
        evidence=(fact(facts, "system.glibc"),),
        severity=Severity.INFO,
    )


def _newest_with_wheels() -> str:
    """Return the newest release of flash-attn that is known to have wheels, "2.8.3"."""
    rows = ((row.release, wheels.matrix(row.release)) for row in flash_attention.releases())
    return next(release for release, row in rows if not isinstance(row, Unknown) and row.known and row.torch)


def _too_old(facts: Facts, release: str) -> str | None:
    """Return the glibc that the wheels of this flash-attn release need ("2.32"), if the glibc here is older; else None.

    Raises Unsure if the glibc here is not known.
    """
    row = wheels.matrix(release)
    have = known(facts.system.glibc)
    if isinstance(row, Unknown) or row.needs_glibc is None or have is None:
        return None
    here, needed = pair(have), pair(row.needs_glibc)
    return row.needs_glibc if here is not None and needed is not None and here < needed else None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    by = seen.group("by")
    if by and not by.endswith(".so") and not symbols.IN_PYTHON.search(by):
        return None  # a library of another program
    newest = max((m.groups["glibc"] for m in seen.matches if "glibc" in m.groups), key=lambda v: pair(v) or (0, 0))
    what = by.rsplit("/", 1)[-1] if by else "A library"
    return Hit(
        message=f"{what} was built for glibc {newest} or newer, and this system has an older glibc.",
        evidence=tuple(e for e in evidence if "GLIBC_" in e.text),
        variant=Needed(glibc=newest, torch=seen.group("torch"), release=seen.group("release")),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    because = "it needs a newer glibc than this system has"
    if facts.grade == "stated":
        return _of_a_log(facts, hit, because)
    made = (
        wheel_fixes.flash_attn_fixes(facts, because)
        if subject.is_flash_attn(facts)
        else package_cures.again(facts, because, compiled=True)
    )
    built = _build_here(facts)
    # First a wheel for this glibc, then a build against this glibc; last, doing without flash-attn.
    fitting = [fix for fix in made if any(isinstance(step, Install) for step in fix.steps)]
    rest = [fix for fix in made if fix not in fitting]
    return (*fitting, *((built,) if built else ()), *rest)


def _of_a_log(facts: Facts, hit: Hit, because: str) -> tuple[Fix, ...]:
    """Return the fixes for a machine that only a log describes: an older wheel, a build on that machine, a newer system, or no flash-attn."""
    name = subject.package(facts)
    if name is None:
        return (_another_release(facts, None), _newer_system(facts))
    if name == "bitsandbytes":
        return (_newest_bitsandbytes(facts), _newer_system(facts))
    if name != subject.FLASH_ATTN:
        made = package_cures.again(facts, because, compiled=True)
        # An upgrade does not help: a newer wheel needs an even newer glibc.
        kept = tuple(fix for fix in made if not any(isinstance(step, Install) and step.upgrade for step in fix.steps))
        builds = any(isinstance(step, Install) for fix in kept for step in fix.steps)
        return (*(() if builds else (_another_release(facts, name),)), *kept, _newer_system(facts))
    needed = hit.variant.glibc if isinstance(hit.variant, Needed) else None
    older = _older(facts, needed)
    made = wheel_fixes.flash_attn_fixes(older, because)
    fitting = [fix for fix in made if any(isinstance(step, Install) for step in fix.steps)]
    first = fitting or ([_older_release(facts)] if _has_old_wheels(facts, needed) else [])
    without = [fix for fix in made if fix not in fitting and "attn-doctor" not in fix.steps[-1].argv]
    release = hit.variant.release if isinstance(hit.variant, Needed) else None
    forced = Fix(
        title="Build flash-attn on that machine, against its own glibc",
        steps=(
            package_cures.tools(facts),
            package_cures.fewer_jobs(facts),
            *package_cures.forcing(facts, "without this variable flash-attn's setup.py installs the same wheel again"),
            package_cures.build(
                facts, "compiled on that machine with nvcc, for its glibc", again=True, forced=True, release=release
            ),
        ),
        verify=subject.verify(facts),
    )
    if not fitting and _without_old_wheels(facts, hit):
        first = []  # for this torch the older release has no wheel, and would be compiled as well
    return (*first, forced, _newer_system(facts), *without)


def _newest_bitsandbytes(facts: Facts) -> Fix:
    """Return the fix for bitsandbytes, of which only some releases need a new glibc: read from the libraries of 0.45.5 and 0.50.2 with objdump."""
    step = commands.install(
        "bitsandbytes",
        upgrade=True,
        why="the CUDA libraries of 0.50 load with glibc 2.24; those of 0.45 for CUDA 12.6 and 12.8 need 2.34",
        changes="bitsandbytes",
    )
    return Fix(
        title="Install the newest bitsandbytes", steps=(step,), verify=(*commands.starting(facts), "-m", "bitsandbytes")
    )


def _older(facts: Facts, needed: str | None) -> Facts:
    """Return the facts with a glibc: the known one, else the newest one that the error allows (2.31 if 2.32 was not found).

    `needed`: the glibc that the error names, "2.32"; None: the facts stay as they are.
    """
    found = pair(needed) if needed else None
    if found is None or isinstance(facts.system.glibc, str):
        return facts
    system = msgspec.structs.replace(facts.system, glibc=f"{found[0]}.{found[1] - 1}")
    return msgspec.structs.replace(facts, system=system)


_LAST_OF_OLD_LINUX = "2.7.4.post1"  # the last release whose wheels were built on Ubuntu 20.04


def _has_old_wheels(facts: Facts, needed: str | None) -> bool:
    """Return whether wheels of the older release may load on that machine: they are for x86-64, and were tested with glibc 2.28."""
    at_most = pair(str(_older(facts, needed).system.glibc))
    row = wheels.matrix(_LAST_OF_OLD_LINUX)
    lowest = None if isinstance(row, Unknown) or row.works_on_glibc is None else pair(row.works_on_glibc)
    return places.architecture(facts) == "x86_64" and at_most is not None and lowest is not None and at_most >= lowest


_FIRST_WITHOUT = (2, 7)  # the first torch for which that release has no wheel


def _without_old_wheels(facts: Facts, hit: Hit) -> bool:
    """Return whether torch is too new for the wheels of the older release: the torch on that machine, or the one in the wheel's name."""
    named = hit.variant.torch if isinstance(hit.variant, Needed) else None
    torch = facts.torch.version if isinstance(facts.torch.version, str) else named
    found = pair(torch) if torch else None
    return found is not None and found >= _FIRST_WITHOUT


def _older_release(facts: Facts) -> Fix:
    step = commands.install(
        f"{subject.FLASH_ATTN}=={_LAST_OF_OLD_LINUX}",
        why="the last release whose wheels were built on Ubuntu 20.04 (glibc 2.31): its setup.py installs the wheel for the installed torch. For torch 2.7 "
        "and newer there is no wheel: setup.py then compiles, which needs nvcc and takes hours",
        changes="flash-attn",
        no_build_isolation=True,
        reinstall=True,
        no_deps=True,
        no_cache=True,
        takes="seconds if a wheel fits; hours if it is compiled",
    )
    title = f"Install flash-attn {_LAST_OF_OLD_LINUX}, which was built on an older Linux"
    return Fix(title=title, steps=(package_cures.tools(facts), step), verify=subject.verify(facts))


def _another_release(facts: Facts, name: str | None) -> Fix:
    look = commands.by_hand(("ldd", "--version"), "prints the version of glibc in its first line", "nothing", "none")
    what = name or "the package whose file the error names"
    words = (
        f"install an older release of {what}: the name of its wheel has to contain manylinux_2_NN with NN not higher than in the version of glibc. Or "
        f"build it on that machine from its source: pip install with --no-binary {name or 'NAME'}, --no-cache-dir and --force-reinstall"
    )
    step = commands.by_hand((), words, "that package")
    title = f"Install a release of {name or 'that package'} for an older Linux, or build it on that machine"
    return Fix(title=title, steps=(look, step), verify=subject.verify(facts))


def _newer_system(facts: Facts) -> Fix:
    """Return the fix that changes no package: a newer distribution, because glibc is a part of the distribution."""
    engine = (
        "a container of such a distribution (on a cluster: `apptainer exec --nv`)"
        if places.container(facts) is None
        else "a newer image"
    )
    words = (
        f"run the program on a newer distribution (Ubuntu 22.04 has glibc 2.35, Debian 12 2.36, RHEL 9 2.34), or in {engine}. Do not replace glibc "
        "itself: every program of the system uses it"
    )
    step = commands.by_hand((), words, "another system", "none")
    return Fix(
        title="Use a newer distribution, or a container with a newer distribution",
        steps=(step,),
        verify=commands.check(facts),
    )


def _build_here(facts: Facts) -> Fix | None:
    """Return the fix that builds flash-attn against the glibc here; None if no CUDA toolkit of torch's major version is here."""
    if not subject.is_flash_attn(facts) or toolkits.whole(facts) is None:
        return None
    steps = (
        commands.uninstall(subject.FLASH_ATTN, why="the installed flash-attn needs a newer glibc than this system has"),
        *(host_compilers.newer(facts) if _gcc_too_old(facts) else ()),
        commands.variable(
            "FLASH_ATTENTION_FORCE_BUILD",
            "TRUE",
            "without this variable flash-attn's setup.py installs the same wheel again",
        ),
        *(commands.variable(name, value, "fits this machine's memory and cores") for name, value in _settings(facts)),
        commands.install(
            subject.FLASH_ATTN,
            why="built here, against this glibc and this torch",
            changes="adds flash-attn",
            no_build_isolation=True,
            no_cache=True,
            takes="hours",
        ),
    )
    return Fix(title="Build flash-attn here", steps=steps, verify=building.verify(facts))


def _settings(facts: Facts) -> tuple[tuple[str, str], ...]:
    return tuple(building.variables(building.foreseen(facts)).items())


def _gcc_too_old(facts: Facts) -> bool:
    """Return whether the gcc here is too old to compile torch's headers, which need C++17: older than gcc 9, or missing."""
    try:
        compiler = building.host_compiler(facts)
    except Unsure:
        return False
    found = pair(compiler.version) if compiler and isinstance(compiler.version, str) else None
    return compiler is None or (found is not None and compiler.name in ("gcc", "g++") and found[0] < _OLDEST_GCC)


_OLDEST_GCC = 9  # https://github.com/pytorch/pytorch/blob/main/c10/util/C++17.h
