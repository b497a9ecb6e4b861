"""Compile the stand-in drivers of `programs/drivers`, and set them up to simulate GPUs. docs/testing.md lists their limits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from attn_doctor.failure_modes.recipe import StubGpu

RUNTIME = "stub-runtime.so"
_SOURCES = ("stub.h", "nvml.c", "cuda.c", "runtime.c")
_FLAGS = ("-shared", "-fPIC", "-O1", "-Wno-unused-parameter")

Run = Callable[[list[str]], object]


def compile_into(folder: Path, run: Run, *, runtime_of: str = "13") -> None:
    """Compile all stand-ins into a folder. `run` starts gcc. `runtime_of`: the CUDA major of the runtime library to replace."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _SOURCES:
        source = resources.files("attn_doctor.reproduction") / "programs" / "drivers" / name
        (folder / name).write_bytes(source.read_bytes())
    _compile(folder, run, "nvml.c", "libnvidia-ml.so.1")
    _compile(folder, run, "cuda.c", "libcuda.so.1")
    _compile(folder, run, "runtime.c", RUNTIME, f"-DCUDA_MAJOR={runtime_of}", f"-L{folder}", "-l:libcuda.so.1")


def _compile(folder: Path, run: Run, source: str, library: str, *more: str) -> None:
    run(["gcc", *_FLAGS, "-o", str(folder / library), str(folder / source), *more])


def put(
    folder: Path,
    compiled: Path,
    gpus: Sequence[StubGpu] = (),
    *,
    driver: str = "580.65.06",
    cuda: str = "13.0",
    nvml_error: int = 0,
    cuinit: int = 0,
    hang: str = "",
    crash: str = "",
    nvml: bool = True,
    libcuda: bool = True,
    versioned: bool = True,
    runtime: bool = False,
    working: Sequence[int] = (),
) -> dict[str, str]:
    """Put compiled stand-ins into a folder, with the names of a driver's files, and return the variables that make programs load them.

    `driver` and `cuda`: the versions that they report. `nvml_error` and `cuinit`: the error codes of nvmlInit and cuInit; 0: they
    work. `hang` and `crash` are "nvml" or "cuda". `nvml`, `libcuda`: False leaves the library out. `versioned`: libcuda.so.1 is a
    link to libcuda.so.580.65.06; WSL has no such names. `runtime`: preload a stand-in for the CUDA runtime too. `working`:
    milliwatts, lowest and highest clock in MHz, degrees, throttle reasons as a number; 0 means that NVML does not report the
    value.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, wanted in (("libnvidia-ml", nvml), ("libcuda", libcuda)):
        if not wanted:
            continue
        file = folder / (f"{name}.so.{driver}" if versioned else f"{name}.so.1")
        shutil.copy(compiled / f"{name}.so.1", file)
        if versioned:
            (folder / f"{name}.so.1").symlink_to(file.name)
    major, minor = cuda.split(".")
    settings = {
        "driver": driver,
        "cuda": int(major) * 1000 + int(minor) * 10,
        "nvml_error": nvml_error,
        "cuinit": cuinit,
    }
    lines = [f"{key}={value}" for key, value in settings.items()]
    lines += [f"{key}={value}" for key, value in (("hang", hang), ("crash", crash)) if value]
    lines += ["working=" + "|".join(map(str, working))] if working else []
    for number, gpu in enumerate(gpus):
        lines += [_line(gpu, number), *_health(gpu, number), *_clocks(gpu, number)]
    (folder / "machine.conf").write_text("\n".join(lines) + "\n")
    environ = {"LD_LIBRARY_PATH": str(folder)}
    if runtime:
        shutil.copy(compiled / RUNTIME, folder)
        environ["LD_PRELOAD"] = str(folder / RUNTIME)
    return environ


def _line(gpu: StubGpu, number: int) -> str:
    """Return the line of machine.conf for a GPU, as stub.h reads it."""
    major, minor = gpu.capability.split(".")
    free = gpu.memory_mib - 300 if gpu.free_mib is None else gpu.free_mib
    uuid = gpu.uuid or f"GPU-{number:08x}-0000-4000-8000-000000000000"
    power = -1 if gpu.power_watts is None else round(gpu.power_watts * 1000)
    parts = [gpu.name, major, minor, gpu.memory_mib, max(free, 0), uuid]
    parts += [_three(gpu.mig), gpu.mig_slices, _three(gpu.ecc), power, gpu.error, gpu.fabric]
    return "gpu=" + "|".join(map(str, parts))


def _health(gpu: StubGpu, number: int) -> list[str]:
    """Return the lines about the health of a GPU: one with all values, and one for each process on it."""
    if gpu.health is None:
        return []
    values = [getattr(gpu.health, name) for name in gpu.health.__struct_fields__ if name != "processes"]
    lines = [f"health={number}|" + "|".join(map(str, values))]
    return lines + [f"process={number}|{pid}|{mib}" for pid, mib in gpu.health.processes]


def _clocks(gpu: StubGpu, number: int) -> list[str]:
    if gpu.clocks is None:
        return []
    return [f"clocks={number}|" + "|".join(str(getattr(gpu.clocks, name)) for name in gpu.clocks.__struct_fields__)]


def _three(flag: bool | None) -> int:
    return -1 if flag is None else int(flag)
