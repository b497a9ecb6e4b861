"""Compiles the stub drivers of `drivers/` and sets them up to play a machine."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SOURCES = Path(__file__).parent / "drivers"
_FLAGS = ("-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wno-unused-parameter")


@dataclass(frozen=True)
class Gpu:
    """One GPU of a stub. None stands for what this model does not have at all."""

    name: str
    capability: str  # "8.9"
    memory_mib: int  # 0: shared with the machine, as on GB10; NVML tells nothing then
    free_mib: int | None = None
    uuid: str | None = None
    mig: bool | None = None
    mig_slices: int = 0
    ecc: bool | None = None
    power_watts: float | None = 100.0
    error: int = 0  # what NVML says when it is asked for this one: 15, GPU is lost
    fabric: int = 0  # 1 not started, 2 in progress, 3 completed

    def line(self, number: int) -> str:
        major, minor = self.capability.split(".")
        free = self.memory_mib - 300 if self.free_mib is None else self.free_mib
        uuid = self.uuid or f"GPU-{number:08x}-0000-4000-8000-000000000000"
        power = -1 if self.power_watts is None else round(self.power_watts * 1000)
        parts = [self.name, major, minor, self.memory_mib, max(free, 0), uuid]
        parts += [_three(self.mig), self.mig_slices, _three(self.ecc), power, self.error, self.fabric]
        return "gpu=" + "|".join(map(str, parts))


def stub_drivers(
    folder: Path,
    gpus: Sequence[Gpu] = (),
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
    """Put stubs into a folder, named as a driver's files are, and return the environment that puts them in front.

    `hang` and `crash` take "nvml" or "cuda". `versioned`: libcuda.so.1 is a link to libcuda.so.580.65.06; WSL has no such
    names. `runtime`: preload one in front of the CUDA runtime too, see the guide of this package.
    `working`: milliwatts, lowest and highest clock in MHz, degrees, throttle reasons as a number; 0: NVML does not tell.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, wanted in (("libnvidia-ml", nvml), ("libcuda", libcuda)):
        if not wanted:
            continue
        file = folder / (f"{name}.so.{driver}" if versioned else f"{name}.so.1")
        shutil.copy(_compiled() / f"{name}.so.1", file)
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
    lines += [gpu.line(number) for number, gpu in enumerate(gpus)]
    (folder / "machine.conf").write_text("\n".join(lines) + "\n")
    environ = {"LD_LIBRARY_PATH": str(folder)}
    if runtime:
        shutil.copy(_compiled() / "stub-runtime.so", folder)
        environ["LD_PRELOAD"] = str(folder / "stub-runtime.so")
    return environ


@functools.cache
def _compiled() -> Path:
    """The libraries, made once for this process."""
    folder = Path(tempfile.mkdtemp(prefix="stub-drivers-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _gcc(folder, "nvml.c", "libnvidia-ml.so.1")
    _gcc(folder, "cuda.c", "libcuda.so.1")
    _gcc(folder, "runtime.c", "stub-runtime.so", f"-L{folder}", "-l:libcuda.so.1")
    return folder


def _gcc(folder: Path, source: str, library: str, *more: str) -> None:
    subprocess.run(["gcc", *_FLAGS, "-o", str(folder / library), str(_SOURCES / source), *more], check=True)


def _three(flag: bool | None) -> int:
    return -1 if flag is None else int(flag)
