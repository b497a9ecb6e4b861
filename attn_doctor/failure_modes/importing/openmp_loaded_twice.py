"""Two copies of an OpenMP runtime are loaded into one process, and the second one ends it.

What it is
    OpenMP's runtime (libiomp5 of Intel, libomp of LLVM) starts the threads of PyTorch, MKL and others. It wants to be alone in a
    process. Where a second copy is started, it prints an error and ends the process at once: there is no Python exception.

How it shows
    "OMP: Error #15: Initializing libiomp5md.dll, but found libiomp5md.dll already initialized." and "OMP: Hint This means that
    multiple copies of the OpenMP runtime have been linked into the program". On macOS the files are libiomp5.dylib and
    libomp.dylib, on Linux libiomp5.so. Windows reports exit code 3, Linux and macOS "Aborted" or "Abort trap: 6".

Why it happens
    Two packages bring a copy each, mostly because two installers were mixed: PyPI's torch has one in torch/lib, and the MKL
    behind conda's NumPy has another one in Library/bin (Windows) or lib. On a Mac the second one is often Homebrew's. An
    `intel-openmp` that was installed by hand is one more.

What to do
    Have one copy only. In a conda environment whose torch is PyPI's: `conda install nomkl` exchanges MKL for OpenBLAS, which
    needs no OpenMP runtime. In all other cases look for the copies, and install what brings the second one from the place that
    the first is from; a new environment in which one installer installs everything is the surest way.
    KMP_DUPLICATE_LIB_OK=TRUE is a workaround: the message itself says that it may crash or silently give wrong results.

How to reproduce
    `attn-doctor reproduce openmp-loaded-twice` loads Intel's runtime and a copy of it, on Linux. It downloads 50 MB.

References
    https://github.com/pytorch/pytorch/issues/44282
    https://github.com/pytorch/pytorch/issues/191367
    https://github.com/ultralytics/ultralytics/issues/16652
    https://anaconda.org/anaconda/nomkl
    https://github.com/joblib/threadpoolctl/blob/master/multiple_openmp.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Packages, Recipe
from attn_doctor.failure_modes.shared.fact_queries import text_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Distribution, Facts, Fault
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried
from attn_doctor.model.steps import Step

# openmp/runtime/src/i18n/en_US.txt of LLVM, "DuplicateLibrary". `found` may be "unknown library".
_TWICE = r"Initializing (?P<second>[\w.+-]*omp[\w.+-]*), but found (?P<found>[\w.+ -]{1,60}?) already initialized"
_ALLOW = "KMP_DUPLICATE_LIB_OK"
# Loads the runtime of the wheel, then a copy of it: a file of another name is another library.
_LOAD_BOTH = (
    "import ctypes, glob, shutil, sys; one = glob.glob(sys.prefix + '/lib/libiomp5.so')[0]; shutil.copy(one, 'libiomp5.so'); "
    "[ctypes.CDLL(path).omp_get_max_threads() for path in (one, './libiomp5.so')]"
)

MODE = FailureMode(
    code="AD319",
    slug="openmp-loaded-twice",
    title="Two copies of an OpenMP runtime in one process",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("segfault", "torch-install-broken", "ultralytics-broken", "eager-fails", "backend-fails"),
    signs=(
        Sign(
            pattern=_TWICE,
            literal=", but found ",
            sample="OMP: Error #15: Initializing libiomp5md.dll, but found libiomp5md.dll already initialized.",
        ),
        Sign(
            pattern=r"multiple copies of the OpenMP runtime have been linked into the program",
            literal="multiple copies of the OpenMP",
            sample="OMP: Hint This means that multiple copies of the OpenMP runtime have been linked into the program.",
        ),
    ),
    recipe=Recipe(
        does="loads Intel's OpenMP runtime and a copy of it",
        of=(Packages(requirements=("intel-openmp",), megabytes=50, options=("--no-deps",)),),
        run=(("{python}", "-c", _LOAD_BOTH),),
        shows="OMP: Error #15",
        seconds=10,
    ),
)


class Twice(Variant, frozen=True, kw_only=True):
    """Name the file of the copy that was started second: "libiomp5md.dll"; None where a log does not name it."""

    second: str | None


def detect(facts: Facts) -> Hit | None:
    """Find an import that ended with the error. No fact says of an environment that loads two copies later on."""
    for path, name, fault in _faults(facts):
        said = re.search(_TWICE, text_of(fault))
        if said:
            return Hit(
                message=f"Importing {name} ends the process: it starts {_again(said['second'], said['found'])}.",
                evidence=(fact(facts, path, f"importing {name}: {said[0]}"),),
                variant=Twice(second=said["second"]),
                certainty=Certainty.OBSERVED,
            )
    return None


def _faults(facts: Facts) -> Iterator[tuple[str, str, Fault | None]]:
    """Return each fault of an import: its path in the facts, the module, and the fault."""
    yield "torch.fault", "torch", facts.torch.fault
    for index, attempt in enumerate(tried(facts)):
        yield f"imports.{index}.fault", attempt.module, attempt.fault


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    second, found = seen.group("second"), seen.group("found")
    return Hit(
        message=f"The process there ended because it started {_again(second, found)}.",
        evidence=evidence,
        variant=Twice(second=second),
    )


def _again(second: str | None, found: str | None) -> str:
    """Put the two runtimes into words: "a second libomp.dylib", "libomp.dylib beside libiomp5.dylib"."""
    if second is None or found is None:
        return "a second copy of an OpenMP runtime"
    return f"a second {second}" if second == found else f"{second} beside {found}"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    second = hit.variant.second if isinstance(hit.variant, Twice) else None
    made = []
    prefix = facts.interpreter.prefix
    if facts.interpreter.kind == "conda" and isinstance(prefix, str) and _from_pypi(facts, "torch"):
        step = commands.by_hand(
            ("conda", "install", "--prefix", prefix, "--yes", "nomkl"),
            "PyPI's torch brings a copy, and MKL another one: this exchanges MKL for OpenBLAS, which needs none",
            "NumPy, SciPy and what else conda built on MKL",
            "medium",
            risk_text="conda may install other versions of these packages",
        )
        made.append(Fix(title="Let torch alone bring the runtime", steps=(step,), verify=verify))
    allow = commands.variable(
        _ALLOW,
        "TRUE",
        "the program starts with it at once, but it is a workaround: both copies run, and it may crash or silently give wrong results",
    )
    title = "Let both run for now, then keep one of the two"
    return (*made, Fix(title=title, steps=(allow, _look(facts, second), _keep_one()), verify=verify))


# The end of a library's name -> the files of OpenMP runtimes on that system.
_FILES = {".dll": "lib*omp*.dll", ".dylib": "lib*omp*.dylib", ".so": "lib*omp*.so*"}


def _look(facts: Facts, second: str | None) -> Step:
    """Return the command that lists the copies of this environment: its own Python knows where that is."""
    of_system = {"windows": ".dll", "darwin": ".dylib"}.get(str(facts.system.os), ".so")
    files = _FILES[next((end for end in _FILES if end in (second or "").lower()), of_system)]
    program = f"import glob, sys; print(*glob.glob(sys.prefix + '/**/{files}', recursive=True), sep=chr(10))"
    why = "lists the copies: the folder tells which package brings each"
    return commands.by_hand((*commands.starting(facts), "-c", program), why, "nothing", "none")


def _keep_one() -> Step:
    why = (
        "install the package that brings the second copy with the installer that brought torch, or make a new environment in which "
        "one installer (pip or conda) installs torch, NumPy and all else"
    )
    return commands.by_hand(
        (), why, "the packages of this environment", "medium", risk_text="other versions of packages"
    )


def _from_pypi(facts: Facts, name: str) -> bool:
    """Say whether a package was installed by another installer than conda."""
    listed = facts.packages.distributions
    found: Distribution | None = None
    if isinstance(listed, tuple):
        found = next((d for d in listed if d.name == name), None)
    return found is not None and isinstance(found.installer, str) and found.installer != "conda"
