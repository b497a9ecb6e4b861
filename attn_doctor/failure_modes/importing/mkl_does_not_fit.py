"""conda installed another release of MKL than its torch or NumPy expects.

What it is
    The torch of conda's pytorch channel, and old torch of conda-forge, use Intel's MKL from the separate package mkl, and conda installs
    the newest mkl. MKL 2024.1 removed the functions iJIT_NotifyEvent and iJIT_IsProfilingActive, which these torch releases call. The
    libraries of MKL 2022 end in .so.2 (libmkl_rt.so.2), those of 2021 in .so.1. pip's torch contains its own MKL and does not have this
    failure.

How it shows
    "ImportError: .../torch/lib/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent" at `import torch`, or the same with
    iJIT_IsProfilingActive or iJIT_GetNewMethodID; "libmkl_intel_lp64.so.1: cannot open shared object file"; "Intel MKL FATAL ERROR: Cannot load
    libmkl_avx2.so or libmkl_def.so.", on Windows "mkl_intel_thread.dll"; "/opt/intel/.../libmkl_gf_lp64.so: undefined symbol:
    mkl_lapack_sgelqf".

Why it happens
    An environment file pins torch and does not pin mkl. Or Intel's oneAPI 2024.1 or newer is on LD_LIBRARY_PATH.

What to do
    Missing function: `conda install "mkl<2024.1"` into that environment (the same with mamba and micromamba; pixi: `pixi add
    "mkl<2024.1"`), and write `mkl<2024.1` into the environment file. Missing libmkl_*.so.1: install `mkl<2022`. MKL does not load its own
    library, or parts of two releases: install the same mkl again. An MKL outside the environment (/opt/intel, a cluster's module): remove
    its folder from LD_LIBRARY_PATH. Or install pip's torch instead of conda's.

How to reproduce
    `attn-doctor reproduce mkl-does-not-fit` loads a library that asks for iJIT_NotifyEvent where the MKL beside it has none. It
    downloads nothing.

References
    https://github.com/pytorch/pytorch/issues/123097
    https://github.com/conda/conda/issues/13812
    https://github.com/aws/deep-learning-containers/issues/1670
    https://github.com/ContinuumIO/anaconda-issues/issues/720
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import EVERY_BACKEND, FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Gone, Library, Recipe
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.failure_modes.shared.fact_queries import message, package_evidence, text_of
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

_OLDER = "mkl<2024.1"

MODE = FailureMode(
    code="AD322",
    slug="mkl-does-not-fit",
    title="MKL is another release than torch expects",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    blocks=EVERY_BACKEND,
    explains=(
        "torch-install-broken",
        "abi-mismatch-torch-version",
        "torchvision-mismatch",
        "ultralytics-broken",
        "yolo12-flash-not-used",
        building.FAILED,
    ),
    signs=(
        Sign(
            pattern=r"undefined symbol: (?P<symbol>iJIT_\w+)",
            literal="undefined symbol: iJIT_",
            sample="ImportError: /opt/conda/lib/python3.10/site-packages/torch/lib/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent",
        ),
        Sign(
            pattern=r"(?P<library>libmkl_\w+\.so(?:\.(?P<number>\d))?): cannot open shared object file",
            literal="cannot open shared object",
            sample="OSError: libmkl_intel_lp64.so.1: cannot open shared object file: No such file or directory",
            strength="hint",
        ),
        Sign(
            pattern=r"(?P<frame>(?:torch|numpy)[\\/]__init__\.py)\", line \d+",
            literal='__init__.py", line',
            sample='  File "/opt/conda/lib/python3.8/site-packages/torch/__init__.py", line 196, in <module>',
            strength="context",
        ),
        Sign(
            pattern=r"(?:Intel MKL FATAL ERROR|INTEL oneMKL ERROR): [Cc]annot load (?P<part>[\w.]+)",
            literal="annot load ",
            sample="Intel MKL FATAL ERROR: Cannot load libmkl_avx2.so or libmkl_def.so.",
        ),
        # One library of MKL loads the others by their names, and the loader takes those of another release.
        Sign(
            pattern=r"(?:(?P<folder>/[^\s:]{0,300})/)?(?P<caller>lib\w+\.so[.\d]*): undefined symbol: (?P<call>mkl_\w+)",
            literal="undefined symbol: mkl_",
            sample="ImportError: /opt/intel/mkl/lib/intel64/libmkl_gf_lp64.so: undefined symbol: mkl_lapack_sgelqf",
        ),
        Sign(
            pattern=r"Symbol not found: \(?_(?P<call>mkl_\w+)",
            literal="Symbol not found: ",
            sample="ImportError: dlopen(/anaconda3/lib/python3.7/site-packages/torch/_C.so, 9): Symbol not found: _mkl_serv_inspector_loaded",
        ),
    ),
    recipe=Recipe(
        does="loads a library that asks for iJIT_NotifyEvent where the MKL beside it has none",
        of=(
            Library(path="old/libmkl_core.so.2", exports=("iJIT_NotifyEvent",)),
            Library(path="libtorch_cpu.so", asks=("iJIT_NotifyEvent",), needs=("old/libmkl_core.so.2",)),
            Gone(path="old/libmkl_core.so.2"),
            Library(path="libmkl_core.so.2", exports=("mkl_serv_get_version",)),
        ),
        run=(("{python}", "-c", "import ctypes; ctypes.CDLL('./libmkl_core.so.2'); ctypes.CDLL('./libtorch_cpu.so')"),),
        shows="undefined symbol: iJIT_NotifyEvent",
        seconds=2,
    ),
)


class Wanted(Variant, frozen=True, kw_only=True):
    """Hold the requirement of the MKL to install; `again`: install it even if this release is already installed."""

    mkl: str = _OLDER
    again: bool = False


class Foreign(Variant, frozen=True, kw_only=True):
    """Hold the folder of an MKL that belongs to no environment of Python, and that the loader found first."""

    folder: str


# The folders of Intel's installers and of clusters. An MKL in one of them was found by LD_LIBRARY_PATH.
_INTELS = re.compile(
    r"(?i)/(?:intel|oneapi|mkl|parallel_studio|composer|compilers_and_libraries|apps?|easybuild|spack)\b"
)
_OF_PYTHON = re.compile(r"conda|/envs?/|-packages|mamba|miniforge|\.pixi")


# A package of the pytorch channel, by the form of its build: "pytorch-2.1.2-py3.10_cuda12.1_cudnn8.9.2_0". conda-forge's require their MKL.
_OF_THE_CHANNEL = re.compile(r"pytorch-(?P<torch>[12]\.\d+)\.\d+-py3\.\d+_(?:cuda|cpu)")
_LAST = (2, 3)  # https://github.com/pytorch/pytorch/issues/123097, of April 2024


def detect(facts: Facts) -> Hit | None:
    return _listed(facts) or _seen(facts)


def _listed(facts: Facts) -> Hit | None:
    """Return the hit for a stated environment with a torch of the pytorch channel and an MKL that is too new for it."""
    conda, mkl = facts.packages.conda, distribution(facts, "mkl")
    if facts.grade == "stated" and (asked := _asked_for(facts)) is not None:
        return asked
    if facts.grade != "stated" or not isinstance(conda, tuple) or facts.system.os != "linux" or mkl is None:
        return None
    build = next((found for row in conda if (found := _OF_THE_CHANNEL.match(row))), None)
    release = pair(mkl.version) if isinstance(mkl.version, str) and mkl.installer == "conda" else None
    torch = pair(build["torch"]) if build else None
    if build is None or torch is None or torch > _LAST or release is None or not (2024, 1) <= release < (2100, 0):
        return None
    return Hit(
        message=f"torch {build['torch']} of conda's pytorch channel calls a function that MKL 2024.1 and newer do not have, and mkl {mkl.version} is installed: "
        "import torch fails.",
        evidence=(package_evidence(facts, "mkl"), package_evidence(facts, "torch")),
        variant=Wanted(),
    )


def _asked_for(facts: Facts) -> Hit | None:
    """Return the hit for an environment.yml with torch of the pytorch channel (pytorch-cuda or cpuonly is asked for too) and too new an MKL.

    conda-forge has neither of these two packages.
    """
    torch, mkl = distribution(facts, "torch"), distribution(facts, "mkl")
    pins = facts.project.pins if isinstance(facts.project.pins, tuple) else ()
    of_channel = any(
        re.match(r"(?:pytorch::)?(?:pytorch-cuda|cpuonly)\b|pytorch::pytorch\b", pin.requirement) for pin in pins
    )
    if not of_channel or torch is None or mkl is None or not torch.installer == mkl.installer == "conda":
        return None
    release, number = pair(str(mkl.version)), pair(str(torch.version))
    if number is None or number > _LAST or release is None or not (2024, 1) <= release < (2100, 0):
        return None
    return Hit(
        message=f"torch {torch.version} of conda's pytorch channel calls a function that MKL 2024.1 and newer do not have, and the file asks for mkl {mkl.version}: "
        "import torch fails.",
        evidence=(package_evidence(facts, "mkl"), package_evidence(facts, "torch")),
        variant=Wanted(),
    )


def _seen(facts: Facts) -> Hit | None:
    fault = facts.torch.fault
    if fault is None or "undefined symbol: iJIT_" not in text_of(fault):
        return None
    return Hit(
        message="Importing torch fails: torch calls a function that MKL 2024.1 and newer do not have.",
        evidence=(fact(facts, "torch.importable", f"import torch: {message(fault)}"),),
        variant=Wanted(),
        certainty=Certainty.OBSERVED,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    said = seen.captured()
    evidence = building.lines([m for m in seen.matches if m.strength != "context"])
    if all(m.strength == "hint" for m in seen.matches) and facts.subject.package not in (
        "torch",
        "numpy",
        "torchvision",
    ):
        return None  # the MKL of another program
    if "symbol" in said:
        message = f"torch calls {said['symbol']}, which MKL 2024.1 and newer do not have: conda installed an MKL that is too new for its torch."
        return Hit(message=message, evidence=evidence, variant=Wanted())
    if "call" in said:
        return _of_two_releases(said, evidence)
    if "library" in said:
        first = said.get("number") == "1"
        return Hit(
            message=f"{said['library']} was not found: the installed MKL is {'newer than 2021' if first else 'of another release'}, or no MKL is installed.",
            evidence=evidence,
            variant=Wanted(mkl="mkl<2022" if first else "mkl>=2022,<2024.1"),
        )
    return Hit(
        message=f"MKL does not load its own {said['part']}: files of two MKL releases are mixed, or MKL is damaged.",
        evidence=evidence,
        variant=Wanted(mkl="mkl", again=True),
    )


def _of_two_releases(said: dict[str, str], evidence: tuple[Evidence, ...]) -> Hit:
    """Return the hit for a function of MKL that a library of MKL, or torch, calls and the loaded MKL has not."""
    who, folder = said.get("caller", "A library"), said.get("folder")
    if folder is not None and who.startswith("libmkl_") and _INTELS.search(folder) and not _OF_PYTHON.search(folder):
        return Hit(
            message=f"The loader found the MKL in {folder} before torch's own: {who} there calls {said['call']}, which the other parts of MKL do not have.",
            evidence=evidence,
            variant=Foreign(folder=folder),
        )
    return Hit(
        message=f"{who} calls {said['call']}, which the loaded MKL does not have: files of two MKL releases are mixed.",
        evidence=evidence,
        variant=Wanted(mkl="mkl", again=True),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(hit.variant, Foreign):
        return _without_the_foreign(facts, hit.variant.folder)
    # pip's torch contains its MKL. The loader finds another only if setvars.sh of Intel's oneAPI put it on LD_LIBRARY_PATH.
    step = commands.without_library_path(
        facts,
        "if oneAPI's setvars.sh was run in this shell: it adds an MKL to LD_LIBRARY_PATH that is too new for this torch",
    )
    off = Fix(title="Remove oneAPI's MKL from LD_LIBRARY_PATH", steps=(step,), verify=verify)
    doubtful = _may_be_condas(facts)
    if facts.interpreter.kind in ("venv", "uv", "system", "standalone") and not doubtful:
        return (off,)
    want = hit.variant if isinstance(hit.variant, Wanted) else Wanted()
    older = Fix(title="Install the MKL that torch expects", steps=(_mkl(facts, want),), verify=verify)
    pips = torch_steps.by_pip(facts, "pip's torch contains its own MKL")
    if not pips or facts.interpreter.kind == "pixi":
        return (older,)
    gone = commands.by_hand(
        (_tool(facts), "remove", "--yes", *_prefix(facts), "pytorch", "torchvision", "torchaudio"),
        "remove conda's torch before pip installs its own; write only those of the three names that `conda list` shows",
        "removes conda's torch",
        "medium",
        risk_text="conda also removes the packages that need it",
    )
    instead = Fix(title="Replace conda's torch by pip's", steps=(gone, *pips), verify=verify)
    return (older, instead, *((off,) if doubtful else ()))


def _without_the_foreign(facts: Facts, folder: str) -> tuple[Fix, ...]:
    """Return the fixes for an MKL outside the environment: remove it from LD_LIBRARY_PATH, or install pip's torch.

    https://github.com/pytorch/pytorch/issues/7758, https://github.com/pytorch/pytorch/issues/5099
    """
    step = commands.without_library_path(
        facts,
        f"LD_LIBRARY_PATH names {folder}, and torch has an MKL of its own. For good: take the line out of ~/.bashrc that sets it, or that runs Intel's mklvars.sh, "
        "compilervars.sh or setvars.sh; on a cluster unload Intel's module",
    )
    off = Fix(title="Remove that MKL from LD_LIBRARY_PATH", steps=(step,), verify=commands.check(facts))
    pips = torch_steps.by_pip(facts, "pip's torch contains its own MKL")
    return (off, *((Fix(title="Install pip's torch", steps=pips, verify=commands.check(facts)),) if pips else ()))


def _may_be_condas(facts: Facts) -> bool:
    """Return whether an environment of which a log shows only the path, "/home/me/tool/env", may be a conda environment made with --prefix."""
    folder = facts.interpreter.prefix
    name = folder.rstrip("/").rpartition("/")[2] if isinstance(folder, str) else ""
    return facts.grade == "stated" and facts.interpreter.kind == "venv" and "venv" not in name


def _mkl(facts: Facts, want: Wanted) -> Step:
    why = (
        "a complete copy of MKL instead of the damaged one; if you write `nomkl` instead, conda installs OpenBLAS"
        if want.again
        else "this release has what torch needs; write the same requirement into the environment file, or the newest release is installed again"
    )
    if facts.interpreter.kind == "pixi":
        return commands.by_hand(("pixi", "add", want.mkl), why, "MKL, and pixi's manifest and lock file")
    if places.container(facts) == places.BUILD and not want.again:
        words = (
            f'the line that creates the environment makes it in this build: write "{want.mkl}" there, beside python and pytorch (conda create ... "{want.mkl}"), or as a line  - '
            f"{want.mkl}  under dependencies: of its environment.yml. A RUN line after it comes too late: a package that imports torch is built in the same line"
        )
        return commands.by_hand((), words, "the Dockerfile, or environment.yml", "none")
    again = ("--force-reinstall",) if want.again else ()
    argv = (_tool(facts), "install", "--yes", *again, *_prefix(facts), want.mkl)
    if _prefix(facts):
        return commands.run(argv, why, "MKL")
    return commands.by_hand(argv, f"in the environment that has torch, activated: {why}", "MKL")


def _tool(facts: Facts) -> str:
    tools = facts.interpreter.installers
    names = [tool.partition(" ")[0] for tool in tools] if isinstance(tools, tuple) else []
    return next((name for name in ("mamba", "micromamba", "conda") if name in names), "conda")


def _prefix(facts: Facts) -> tuple[str, ...]:
    prefix = facts.interpreter.prefix
    return ("--prefix", prefix) if facts.interpreter.kind == "conda" and isinstance(prefix, str) else ()
