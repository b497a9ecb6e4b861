"""Predict a source build of flash-attn: whether it compiles, its duration, its memory and the best settings.

Costs are scaled from one measurement (the `build_calibration` table); they are orders of magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal

from attn_doctor.knowledge import cuda, flash_attention, gpu
from attn_doctor.knowledge.attention_rows import Calibration, FlashRelease
from attn_doctor.knowledge.tables import load
from attn_doctor.knowledge.yes_no_unknown import Answer, Judgement, all_of, no, yes
from attn_doctor.model.facts import OsName, Record, Unknown
from attn_doctor.model.versions import at_least

GIGABYTE = 1024**3


HostCompiler = Literal["gcc", "g++", "clang", "clang++", "msvc"]


class BuildKey(Record, frozen=True, kw_only=True):
    """Hold the values on which a build depends. None: the thing is known to be absent (no nvcc, a CPU torch)."""

    release: str  # of flash-attn, "2.8.3"
    torch: str | Unknown | None  # "2.8.0+cu128"
    torch_cuda: str | Unknown | None  # "12.8"
    header_cxx: int | Unknown = Unknown("not read")  # C++ standard that torch's installed headers need
    nvcc: str | Unknown | None  # "12.8"
    compiler: HostCompiler = "gcc"
    compiler_version: str | Unknown | None
    python: str | Unknown  # "3.12"
    gpus: tuple[str, ...] | Unknown  # compute capabilities to build for, "8.9"
    cores: int | Unknown
    available_bytes: int | Unknown  # of memory
    os: OsName = "linux"


class Settings(Record, frozen=True, kw_only=True):
    """Hold the environment variables for the build."""

    max_jobs: int
    nvcc_threads: int | None  # None: this release does not read NVCC_THREADS
    cuda_archs: str | None  # "80;90"; None: this release does not read FLASH_ATTN_CUDA_ARCHS

    def variables(self) -> dict[str, str]:
        """Return the variables with their values: {"MAX_JOBS": "4", "NVCC_THREADS": "1"}.

        A variable that is None is left out.
        """
        found = {"MAX_JOBS": self.max_jobs, "NVCC_THREADS": self.nvcc_threads, "FLASH_ATTN_CUDA_ARCHS": self.cuda_archs}
        return {name: str(value) for name, value in found.items() if value is not None}


class Cost(Record, frozen=True, kw_only=True):
    """Hold the predicted time and memory of a build. A GB is 1024**3 bytes."""

    archs: tuple[str, ...]  # "80"
    cpu_hours: float  # of all jobs together
    hours: float  # on the wall clock, with these settings
    gigabytes_per_job: float  # peak
    gigabytes: float  # all jobs together, if each compiles the largest file at the same time
    likely_gigabytes: float  # if one job compiles the largest file, and the others need half as much
    verified: bool  # False: measured on another release

    @property
    def duration(self) -> str:
        """Return the time on the wall clock in words: "25 minutes", "1.5 hours", "13 hours". At least "5 minutes"."""
        minutes = max(5, 5 * round(self.hours * 12))
        if minutes < 90:
            return f"{minutes} minutes"
        return f"{self.hours:.1f} hours" if self.hours < 3 else f"{self.hours:.0f} hours"


class Prediction(Record, frozen=True, kw_only=True):
    """Hold the prediction for a build. `compiles`: whether it can succeed. A cost is None if it cannot be computed."""

    compiles: Judgement
    settings: Settings | None  # advised
    cost: Cost | None  # with the advised settings
    default_cost: Cost | None  # with the settings that setup.py chooses
    fits_memory: Judgement
    tmpdir: str  # advice on TMPDIR, a sentence


def predict(key: BuildKey) -> Prediction:
    """Predict a build of this release with these values. If the table lacks the release, all but `tmpdir` is Unknown or None."""
    row = flash_attention.release(key.release)
    if isinstance(row, Unknown):
        return Prediction(compiles=row, settings=None, cost=None, default_cost=None, fits_memory=row, tmpdir=_tmpdir())
    archs = archs_for(row, key.gpus, key.nvcc)
    settings = None if archs is None else advise(row, archs, key.cores, key.available_bytes)
    cost = None
    if archs is not None and settings is not None:
        threads = settings.nvcc_threads or row.nvcc_threads
        cost = cost_of(row, archs, key.cores, jobs=settings.max_jobs, threads=threads)
    return Prediction(
        compiles=_verdict(row, key),
        settings=settings,
        cost=cost,
        default_cost=_default_cost(row, key),
        fits_memory=_memory(cost, key.available_bytes),
        tmpdir=_tmpdir(),
    )


def _verdict(row: FlashRelease, key: BuildKey) -> Judgement:
    whole = all_of(_conditions(row, key))
    if isinstance(whole, Unknown) or not whole.yes:
        return whole
    return yes(f"flash-attn {row.release} can be compiled here, as far as is known", verified=whole.verified)


def _conditions(row: FlashRelease, key: BuildKey) -> Iterator[Judgement]:
    yield _present(key.torch, "torch", "torch is not installed, and setup.py imports it")
    yield _present(key.torch_cuda, "torch's CUDA", "torch is built without CUDA: setup.py ends with CUDA_HOME not set")
    yield _present(key.nvcc, "nvcc", "there is no nvcc")
    if key.os == "darwin":
        yield no("there is no CUDA on macOS")
    if isinstance(key.nvcc, str):
        yield _oldest_nvcc(row, key.nvcc)
        if isinstance(key.torch_cuda, str):
            yield cuda.nvcc_for_torch(key.nvcc, key.torch_cuda)
        yield from _host_compiler(key, key.nvcc)
    if isinstance(key.torch, str):
        header = key.header_cxx if isinstance(key.header_cxx, int) else None
        yield flash_attention.source_compiles(row.release, key.torch, header_cxx=header, compiler=key.compiler)
    yield key.python if isinstance(key.python, Unknown) else flash_attention.supports_python(row.release, key.python)
    yield from _for_gpus(row, key)


def _present(value: str | Unknown | None, what: str, otherwise: str) -> Judgement:
    if isinstance(value, Unknown):
        return Unknown(f"{what} is not known: {value.why}")
    return no(otherwise) if value is None else yes(f"{what} is {value}")


def _oldest_nvcc(row: FlashRelease, nvcc: str) -> Judgement:
    if at_least(nvcc, row.min_nvcc):
        return yes(f"nvcc {nvcc} is not older than {row.min_nvcc}")
    return no(f"flash-attn {row.release} needs nvcc {row.min_nvcc} or newer, here {nvcc}")


def _host_compiler(key: BuildKey, nvcc: str) -> Iterator[Judgement]:
    if key.compiler == "msvc":
        return
    if key.compiler_version is None:
        yield no(f"there is no {key.compiler}")
    elif isinstance(key.compiler_version, Unknown):
        yield Unknown(f"the version of {key.compiler} is not known: {key.compiler_version.why}")
    else:
        yield cuda.host_compiler(nvcc, key.compiler, key.compiler_version)


def _for_gpus(row: FlashRelease, key: BuildKey) -> Iterator[Judgement]:
    """Yield one judgement for each GPU: whether the build will have code that the GPU runs.

    A build without such code succeeds, and fails only when it is used.
    """
    if isinstance(key.gpus, Unknown):
        return
    code = tuple(f"sm_{arch}" for arch in _compilable(row, key.nvcc))
    for device in key.gpus:
        answer = flash_attention.runs_on(row.release, device)
        if isinstance(answer, Unknown) or not answer.yes:
            yield answer
        elif isinstance(key.nvcc, str):
            held = gpu.runs(code, device, cuda=key.nvcc)
            refused = (
                f"nvcc {key.nvcc} is too old to compile for {device}: setup.py leaves this GPU out without a message"
            )
            yield held if isinstance(held, Unknown) or held.yes else no(refused)


def archs_for(row: FlashRelease, gpus: tuple[str, ...] | Unknown, nvcc: str | Unknown | None) -> tuple[str, ...] | None:
    """Return the architectures to build, such as "80": for each GPU the newest that it runs.

    If no GPU is known, or if this release always builds for all architectures: all that nvcc can compile. None if nvcc can compile
    none of this release, or none that one of the GPUs runs.
    """
    able = _compilable(row, nvcc)
    if isinstance(gpus, Unknown) or not gpus:
        return able or None
    chosen: list[str] = []
    for device in gpus:
        serving = [arch for arch in able if _is_yes(gpu.runs([f"sm_{arch}"], device, cuda=_text(nvcc)))]
        if not serving:
            return None
        chosen.append(serving[-1])
    return tuple(dict.fromkeys(chosen)) if row.archs_variable else able


def advise(
    row: FlashRelease, archs: tuple[str, ...], cores: int | Unknown, available_bytes: int | Unknown
) -> Settings | None:
    """Return the best settings: as many jobs as cores and memory allow; None if cores or memory are not known.

    If the release reads NVCC_THREADS, each job compiles one architecture at a time, because that needs the least memory.
    """
    if isinstance(cores, Unknown) or isinstance(available_bytes, Unknown):
        return None
    at_once = 1 if row.nvcc_threads_variable else min(row.nvcc_threads, len(archs))
    each = _calibration().gigabytes_per_job * at_once
    return Settings(
        max_jobs=max(1, min(cores, math.floor(available_bytes / GIGABYTE / each))),
        nvcc_threads=1 if row.nvcc_threads_variable else None,
        cuda_archs=";".join(archs) if row.archs_variable else None,
    )


def cost_of(row: FlashRelease, archs: Iterable[str], cores: int | Unknown, *, jobs: int, threads: int) -> Cost | None:
    """Return the hours and gigabytes of a build; None if the cores are not known or there is no architecture.

    `jobs`: compilers that run at the same time (MAX_JOBS). `threads`: architectures that each compiles at the same time
    (NVCC_THREADS). Hours grow linearly with the architectures, memory with the threads of one nvcc.
    """
    listed = tuple(archs)
    if isinstance(cores, Unknown) or not listed:
        return None
    measured = _calibration()
    at_once = min(threads, len(listed))
    jobs = min(jobs, measured.files)
    hours = measured.cpu_hours_per_arch * len(listed)
    each = measured.gigabytes_per_job * at_once
    return Cost(
        archs=listed,
        cpu_hours=round(hours, 1),
        hours=round(hours / max(1, min(cores, jobs * at_once)), 1),
        gigabytes_per_job=round(each, 1),
        gigabytes=round(each * jobs, 1),
        likely_gigabytes=round(each * (jobs + 1) / 2, 1),
        verified=row.release == measured.release,
    )


def _default_cost(row: FlashRelease, key: BuildKey) -> Cost | None:
    """Return the cost if nobody sets MAX_JOBS; None if it cannot be computed.

    setup.py then takes half of the cores, and fewer if there are less than 9 GB of memory for each job. A release whose setup.py
    does not choose leaves it to ninja, which uses all cores.
    """
    if isinstance(key.cores, Unknown) or isinstance(key.available_bytes, Unknown):
        return None
    jobs = key.cores
    if row.sets_max_jobs:
        jobs = max(1, min(key.cores // 2, int(key.available_bytes / GIGABYTE / 9)))
    return cost_of(row, _compilable(row, key.nvcc), key.cores, jobs=jobs, threads=row.nvcc_threads)


def _memory(cost: Cost | None, available_bytes: int | Unknown) -> Judgement:
    if isinstance(available_bytes, Unknown):
        return Unknown(f"the memory is not known: {available_bytes.why}")
    if cost is None:
        return Unknown("the cost of this build cannot be computed")
    free = available_bytes / GIGABYTE
    peak = f"the build peaks at {cost.gigabytes:g} GB, {free:.1f} GB are available"
    return yes(peak) if free >= cost.gigabytes else no(f"{peak}: the compiler would be killed")


def _tmpdir() -> str:
    """Return the advice on TMPDIR.

    setup.py moves a downloaded wheel with os.rename, which fails across file systems (Dao-AILab/flash-attention#598).
    """
    return "TMPDIR must be on the same file system as pip's build folder and cache"


def _compilable(row: FlashRelease, nvcc: str | Unknown | None) -> tuple[str, ...]:
    """Return the architectures of the release that this nvcc can compile; all architectures if nvcc is not known."""
    text = _text(nvcc)
    return tuple(arch for arch, since in row.archs.items() if text is None or at_least(text, since))


def _text(value: str | Unknown | None) -> str | None:
    return value if isinstance(value, str) else None


def _is_yes(part: Judgement) -> bool:
    return isinstance(part, Answer) and part.yes


def _calibration() -> Calibration:
    return load(Calibration)[-1]
