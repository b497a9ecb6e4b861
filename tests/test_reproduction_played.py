"""Recipes with a stand-in GPU or on a played machine: the failure is named, and the same machine without the fault is not accused."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from attn_doctor.failure_modes import find
from attn_doctor.failure_modes import recipe as of
from attn_doctor.failure_modes.mode import FailureMode
from attn_doctor.model.findings import Severity
from attn_doctor.probes.binaries import torch_static
from attn_doctor.reproduction import host_abilities
from attn_doctor.reproduction.plan import plan
from attn_doctor.reproduction.reproduce import Reproduction, reproduce


def _cuda_torch() -> bool:
    spec = importlib.util.find_spec("torch")
    archs = torch_static(str(Path(spec.origin).parent))["archs"] if spec and spec.origin else ()
    return isinstance(archs, tuple) and bool(archs)


pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("gcc") is None or not _cuda_torch(),
        reason="stand-in drivers are compiled with gcc, for Linux, and loaded by a CUDA build of torch",
    ),
]
namespaces = pytest.mark.skipif(
    host_abilities.namespaces_refused() is not None, reason=str(host_abilities.namespaces_refused())
)


def happen(mode: FailureMode) -> Reproduction:
    planned = plan(mode, lambda: sys.executable, os.environ, 60.0)
    assert not planned.obstacles
    assert not planned.downloads
    return reproduce(planned)


@pytest.mark.parametrize(
    "slug",
    [
        "no-kernel-image",
        "illegal-memory-access",
        "out-of-memory-gpu",
        "cuda-library-not-initialized",
        "nccl-error",
        "driver-too-old",
        "driver-library-mismatch",
        "cuda-forward-compat-804",
        "cuda-fabric-manager-802",
        "cuda-init-error",
        "wsl2-driver-stub",
        "mig",
        "config-device-cpu",
        "gpu-arch-unsupported-by-flash-attn",
        pytest.param("driver-missing", marks=namespaces),
        pytest.param("container-without-gpu", marks=namespaces),
        pytest.param("no-gpu-present", marks=namespaces),
        pytest.param("rocm-specific", marks=namespaces),
    ],
)
def test_a_failure_of_a_gpu_happens_and_is_named(slug):
    done = happen(find(slug).MODE)
    assert (done.reproduced, done.simulated, done.named) == (True, False, True), done.why_not
    assert [f.slug for f in done.diagnosis.findings if f.root_cause][:1] in ([slug], [])


Change = Callable[[of.Ingredient], of.Ingredient | None]


def changed(slug: str, change: Change) -> FailureMode:
    """Return the failure mode with a recipe whose ingredients are changed; None takes one away."""
    mode = find(slug).MODE
    assert mode.recipe is not None
    parts = tuple(part for ingredient in mode.recipe.of if (part := change(ingredient)) is not None)
    return msgspec.structs.replace(mode, recipe=msgspec.structs.replace(mode.recipe, of=parts, shows="."))


def not_hidden(part: of.Ingredient) -> of.Ingredient | None:
    if isinstance(part, of.StubDriver):
        return msgspec.structs.replace(part, runtime=True)
    return None if isinstance(part, of.Variable) else part


def with_an_instance(part: of.Ingredient) -> of.Ingredient:
    if not isinstance(part, of.StubDriver):
        return part
    gpu = of.StubGpu("NVIDIA A100-SXM4-80GB", "8.0", 81920, mig=True, mig_slices=2, ecc=True)
    return msgspec.structs.replace(part, refusal=0, gpus=(gpu,), runtime=True)  # a working driver takes the runtime too


def newer_gpu(part: of.Ingredient) -> of.Ingredient:
    if not isinstance(part, of.StubDriver):
        return part
    return msgspec.structs.replace(part, gpus=(of.StubGpu("NVIDIA L4", "8.9", 23034),))


def no_container(part: of.Ingredient) -> of.Ingredient | None:
    if isinstance(part, of.PlayedMachine):
        return msgspec.structs.replace(part, files=tuple(file for file in part.files if file[0] != "/.dockerenv"))
    return None if isinstance(part, of.Variable) else part


def no_wsl(part: of.Ingredient) -> of.Ingredient:
    return msgspec.structs.replace(part, wsl=False, files=()) if isinstance(part, of.PlayedMachine) else part


def no_amd(part: of.Ingredient) -> of.Ingredient:
    return msgspec.structs.replace(part, pci=(), files=()) if isinstance(part, of.PlayedMachine) else part


@pytest.mark.parametrize(
    ("slug", "change"),
    [
        ("config-device-cpu", not_hidden),
        ("mig", with_an_instance),
        ("gpu-arch-unsupported-by-flash-attn", newer_gpu),
        ("wsl2-driver-stub", no_wsl),
        pytest.param("container-without-gpu", no_container, marks=namespaces),
        pytest.param("rocm-specific", no_amd, marks=namespaces),
    ],
)
def test_the_same_machine_without_the_fault_is_not_accused_of_it(slug, change):
    done = happen(changed(slug, change))
    assert done.reproduced, done.why_not
    accused = {finding.slug for finding in done.diagnosis.findings if finding.severity is not Severity.INFO}
    assert slug not in accused  # a note is none: instances of MIG are told of where they work, too
    assert re.search(rb"attn-doctor check", done.log)
