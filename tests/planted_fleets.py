"""Reports of whole fleets, with illnesses that are planted in them. The facts are judged by the real rules."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from whole_machines import RTX_4090, changed, packages, without_driver

from attn_doctor import __version__
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.outcome import Asked, Seeing, look
from attn_doctor.knowledge.tables import knowledge_date
from attn_doctor.model.facts import Facts, Fault, Gpu, Import, TorchDevice, Variable
from attn_doctor.model.findings import Diagnosis, Goal
from attn_doctor.model.recommendation import Recommendation
from attn_doctor.model.report import Report, Target, Tool, encode
from attn_doctor.model.trials import Trials

A100, H100 = ("NVIDIA A100-SXM4-80GB", "8.0"), ("NVIDIA H100 80GB HBM3", "9.0")
SKIPPED = Trials(skipped="left out by --no-trial")
RULES = Tool(version=__version__, knowledge_date=knowledge_date())


def facts(model: tuple[str, str] = A100, gpus: int = 8, **values: Any) -> Facts:
    """Return the facts of a healthy node with so many GPUs of a model."""
    name, capability = model
    listed = tuple(
        Gpu(index=i, name=name, compute_capability=capability, memory_bytes=80 << 30, visible=True, mig=False)
        for i in range(gpus)
    )
    devices = tuple(TorchDevice(index=i, name=name, compute_capability=capability) for i in range(gpus))
    return changed(
        RTX_4090,
        **{
            "graphics__gpus": listed,
            "torch__devices": devices,
            "environment": ENVIRONMENT,
            "imports": IMPORTS,
            **values,
        },
    )


IMPORTS = tuple(Import(module=name, ok=True) for name in ("numpy", "cv2", "torchvision", "ultralytics"))
ENVIRONMENT = (Variable(name="CUDA_HOME", value="/usr/local/cuda-13.2"),)


def noisy(given: Facts, number: int) -> Facts:
    """Return facts with what differs between any two machines of one kind: free memory, times, serial numbers, heat."""
    gpus = given.graphics.gpus
    assert isinstance(gpus, tuple)
    listed = tuple(
        msgspec.structs.replace(gpu, uuid=f"GPU-{number:04d}-{gpu.index}", free_bytes=(70 << 30) + number * 4096)
        for gpu in gpus
    )
    imports = tuple(msgspec.structs.replace(one, seconds=0.1 + number / 1000) for one in given.imports)  # type: ignore[union-attr]
    return changed(
        given,
        graphics__gpus=listed,
        imports=imports,
        system__available_bytes=(400 << 30) + number * 12288,
        system__memory_bytes=(512 << 30) + number * 4096,
    )


def old_driver(given: Facts) -> Facts:
    return changed(
        given,
        graphics__driver="470.57.02",
        graphics__driver_cuda="11.4",
        graphics__kernel_module="470.57.02",
        graphics__libcuda_version="470.57.02",
        torch__available=False,
        torch__devices=(),
        torch__cuda_error="RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
    )


def other_torch(given: Facts) -> Facts:
    """The CPU build of torch was installed over the other one."""
    return changed(
        given,
        torch__version="2.15.0+cpu",
        torch__cuda=None,
        torch__available=False,
        torch__devices=(),
        torch__archs=(),
        torch__cuda_error="AssertionError: Torch not compiled with CUDA enabled",
        packages__distributions=packages(
            torch="2.15.0+cpu", torchvision="0.29.2", numpy="2.4.6", ultralytics="8.4.190"
        ),
    )


def missing_gpu(given: Facts) -> Facts:
    """One GPU of eight fell off the bus."""
    gpus, devices = given.graphics.gpus, given.torch.devices
    assert isinstance(gpus, tuple)
    assert isinstance(devices, tuple)
    return changed(given, graphics__gpus=gpus[:-1], torch__devices=devices[:-1])


def library_path(given: Facts) -> Facts:
    """Another cuDNN is found first, and torch does not import."""
    variable = Variable(name="LD_LIBRARY_PATH", value="/opt/cudnn-8/lib")
    fault = Fault(kind="raised", type="ImportError", message="libcudnn.so.9: version `libcudnn.so.9' not found")
    assert isinstance(given.environment, tuple)
    return changed(
        given,
        environment=(*given.environment, variable),
        torch__importable=False,
        torch__fault=fault,
        torch__works_without="LD_LIBRARY_PATH",
    )


def other_cuda_home(given: Facts) -> Facts:
    """CUDA_HOME leads to a toolkit that is too old to build for this torch."""
    return changed(
        given,
        environment=(Variable(name="CUDA_HOME", value="/usr/local/cuda-99"),),
        toolchain__cuda_home="/usr/local/cuda-99",
        toolchain__cuda_home_by="CUDA_HOME",
        toolchain__cuda_home_problem="does not exist",
    )


def hung_import(given: Facts) -> Facts:
    return changed(
        given,
        torch__importable=False,
        torch__fault=Fault(kind="timeout", seconds=120.0, where="import torch"),
        torch__available=False,
        torch__devices=(),
    )


def no_driver(given: Facts) -> Facts:
    return without_driver(given)


@functools.cache
def _judged(data: bytes, goal: Goal) -> tuple[Diagnosis, Seeing]:
    given = msgspec.json.decode(data, type=Facts)
    found = diagnose(given, goal)
    return found, look(given, goal, found, SKIPPED, Asked(imports=True, trial=False, elsewhere=False))


def report(given: Facts, **changes: Any) -> Report:
    """Return what `check --no-trial` would say of these facts. Facts that differ in noise alone are judged once."""
    goal = changes.pop("goal", Goal.TRAIN)
    found, seen = _judged(msgspec.json.encode(noisy(given, 0)), goal)
    values: dict[str, Any] = {
        "tool": RULES,
        "created": "2026-11-20T12:00:00+00:00",
        "command": ("attn-doctor", "check", "--no-trial"),
        "goal": goal,
        "target": Target(python="/venv/bin/python", why="--target", version="3.12.4"),
        "exit_code": 0,
        "outcome": seen.outcome,
        "seen": seen.seen,
        "unexamined": seen.unexamined,
        "facts": given,
        "findings": found.findings,
        "undetermined": found.undetermined,
        "trials": (),
        "trials_skipped": SKIPPED.skipped,
        "recommendation": Recommendation(backend="sdpa", install_flash_attn="no", measured=False, summary="Use sdpa."),
        **changes,
    }
    return Report(**values)


def written(folder: Path, fleet: dict[str, Facts], **changes: Any) -> Path:
    """Write a report for each node, by its name, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, given in fleet.items():
        (folder / f"{name}.json").write_bytes(encode(report(given, **changes)))
    return folder


def healthy(count: int, prefix: str = "gpu-", model: tuple[str, str] = A100, **values: Any) -> dict[str, Facts]:
    """Return so many healthy nodes of a model, which differ in noise alone."""
    base = facts(model, **values)
    return {f"{prefix}{number:02d}": noisy(base, number) for number in range(1, count + 1)}


ILLS: dict[str, Callable[[Facts], Facts]] = {
    "old driver": old_driver,
    "other torch": other_torch,
    "missing GPU": missing_gpu,
    "LD_LIBRARY_PATH": library_path,
    "other CUDA_HOME": other_cuda_home,
    "hung import": hung_import,
}
