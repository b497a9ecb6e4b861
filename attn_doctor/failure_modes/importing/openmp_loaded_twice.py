"""Two copies of an OpenMP runtime are loaded into one process, and the second copy ends the process.

What it is
    OpenMP's runtime (libiomp5 of Intel, libomp of LLVM) starts the threads of PyTorch, MKL and others. Only one copy may run in a
    process. A second copy prints an error when it starts and ends the process at once, without a Python exception.

How it shows
    "OMP: Error #15: Initializing libiomp5md.dll, but found libiomp5md.dll already initialized." and "OMP: Hint This means that
    multiple copies of the OpenMP runtime have been linked into the program". On macOS the files are libiomp5.dylib and
    libomp.dylib, on Linux libiomp5.so. Windows reports exit code 3, Linux and macOS "Aborted" or "Abort trap: 6".
    "mkl-service + Intel(R) MKL: MKL_THREADING_LAYER=INTEL is incompatible with libgomp.so.1 library": conda's MKL found GNU's runtime.

Why it happens
    Two packages each bring a copy, in most cases because both pip and conda installed packages: PyPI's torch has a copy in
    torch/lib, and the MKL of conda's NumPy has a copy in Library/bin (Windows) or lib. On a Mac the second copy often comes from
    Homebrew. A package `intel-openmp` that somebody installed is another copy.

What to do
    Keep only one copy. In a conda environment with torch from PyPI: `conda install nomkl` replaces MKL by OpenBLAS, which
    needs no OpenMP runtime. In all other cases find the copies, and install the package with the second copy by the installer that
    installed the first. Safest: a new environment in which one installer (pip or conda) installs everything.
    KMP_DUPLICATE_LIB_OK=TRUE is only a workaround: with it the program may crash or give wrong results without an error, as the
    message itself says. For the message of mkl-service: set MKL_THREADING_LAYER=GNU.

How to reproduce
    `attn-doctor reproduce openmp-loaded-twice` loads Intel's runtime and a copy of it, on Linux. It downloads 50 MB.

References
    https://github.com/pytorch/pytorch/issues/44282
    https://github.com/pytorch/pytorch/issues/191367
    https://github.com/pytorch/pytorch/issues/37377 (mkl-service and libgomp)
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
# Loads the runtime of the wheel, then a copy of its file: the loader takes a file with another path for another library.
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
        Sign(
            pattern=r"MKL_THREADING_LAYER=(?P<layer>\w{1,20}) is incompatible with (?P<gnu>lib\S{1,60}) library",
            literal="MKL_THREADING_LAYER=",
            sample="Error: mkl-service + Intel(R) MKL: MKL_THREADING_LAYER=INTEL is incompatible with libgomp-a34b3233.so.1 library.",
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
    """Hold the file of the copy that started second: "libiomp5md.dll"; None if the log does not name it."""

    second: str | None


class OfMKL(Variant, frozen=True, kw_only=True):
    """Hold the runtime that was loaded before MKL: "libgomp.so.1"."""

    loaded: str


def detect(facts: Facts) -> Hit | None:
    """Find an import that ended with the error. The facts do not show whether a program loads two copies later."""
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
    """Yield each fault of an import: its path in the facts, the module, and the fault."""
    yield "torch.fault", "torch", facts.torch.fault
    for index, attempt in enumerate(tried(facts)):
        yield f"imports.{index}.fault", attempt.module, attempt.fault


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    second, found, gnu = seen.group("second"), seen.group("found"), seen.group("gnu")
    if gnu is not None and second is None:
        return Hit(
            message=f"conda's MKL is set to Intel's OpenMP, and the process had already loaded {gnu}, GNU's: torch was imported before NumPy.",
            evidence=evidence,
            variant=OfMKL(loaded=gnu),
        )
    return Hit(
        message=f"The process ended because it started {_again(second, found)}.",
        evidence=evidence,
        variant=Twice(second=second),
    )


def _again(second: str | None, found: str | None) -> str:
    """Return a phrase that names the two runtimes: "a second libomp.dylib", "libomp.dylib beside libiomp5.dylib"."""
    if second is None or found is None:
        return "a second copy of an OpenMP runtime"
    return f"a second {second}" if second == found else f"{second} beside {found}"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(hit.variant, OfMKL):
        layer = commands.variable(
            "MKL_THREADING_LAYER",
            "GNU",
            "MKL then uses the OpenMP that is loaded; the processes of a training inherit it",
        )
        first = commands.by_hand(
            (), "or write `import numpy` above `import torch` in the program", "a line of the program", "none"
        )
        return (Fix(title="Let MKL use GNU's OpenMP", steps=(layer, first), verify=verify),)
    second = hit.variant.second if isinstance(hit.variant, Twice) else None
    made = []
    prefix = facts.interpreter.prefix
    if facts.interpreter.kind == "conda" and isinstance(prefix, str) and _from_pypi(facts, "torch"):
        step = commands.by_hand(
            ("conda", "install", "--prefix", prefix, "--yes", "nomkl"),
            "PyPI's torch brings one copy, and MKL a second copy: this replaces MKL by OpenBLAS, which needs no OpenMP runtime",
            "NumPy, SciPy and other packages that conda built with MKL",
            "medium",
            risk_text="conda may install other versions of these packages",
        )
        made.append(Fix(title="Keep only torch's copy of the runtime", steps=(step,), verify=verify))
    allow = commands.variable(
        _ALLOW,
        "TRUE",
        "only a workaround: both copies run. The program starts, and it may crash or give wrong results without an error",
    )
    title = "Let both copies run for now, then keep one of them"
    return (*made, Fix(title=title, steps=(allow, _look(facts, second), _keep_one()), verify=verify))


# The ending of a library's name -> the file names of OpenMP runtimes on that system.
_FILES = {".dll": "lib*omp*.dll", ".dylib": "lib*omp*.dylib", ".so": "lib*omp*.so*"}


def _look(facts: Facts, second: str | None) -> Step:
    """Return the command that lists the copies in this environment."""
    of_system = {"windows": ".dll", "darwin": ".dylib"}.get(str(facts.system.os), ".so")
    files = _FILES[next((end for end in _FILES if end in (second or "").lower()), of_system)]
    program = f"import glob, sys; print(*glob.glob(sys.prefix + '/**/{files}', recursive=True), sep=chr(10))"
    why = "lists the copies: the folder of a copy shows which package brings it"
    return commands.by_hand((*commands.starting(facts), "-c", program), why, "nothing", "none")


def _keep_one() -> Step:
    why = (
        "install the package that brings the second copy again, by the installer (pip or conda) that installed torch. Or make a new environment in "
        "which one installer installs torch, NumPy and everything else"
    )
    return commands.by_hand(
        (), why, "the packages of this environment", "medium", risk_text="other versions of packages"
    )


def _from_pypi(facts: Facts, name: str) -> bool:
    """Return whether a package was installed by pip or another installer, not by conda."""
    listed = facts.packages.distributions
    found: Distribution | None = None
    if isinstance(listed, tuple):
        found = next((d for d in listed if d.name == name), None)
    return found is not None and isinstance(found.installer, str) and found.installer != "conda"
