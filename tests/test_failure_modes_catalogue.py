"""Of the whole catalogue: every failure mode is met in some case, and told from one that looks like it in another."""

from __future__ import annotations

from typing import Any

import pytest
from recorded_logs import CASES
from recorded_machines import MACHINES, expected

from attn_doctor.failure_modes import ALL, find
from attn_doctor.failure_modes.mode import EVERY_BACKEND
from attn_doctor.model.findings import Severity

SLUGS = sorted(module.MODE.slug for module in ALL)
# Only a run of the model shows it: tests/test_failure_modes_gpu.py and tests/test_best.py have both cases, as trials.
BY_TRIALS = {"torch-cpu-batchnorm-gradient", "model-not-built", "eager-fails", "backend-fails"}


def expectations() -> list[dict[str, Any]]:
    """What is expected of each machine, under one goal or the other."""
    wanted = []
    for folder in MACHINES:
        wanted += [part for part in expected(folder).values() if isinstance(part, dict)]
    return wanted


def named(key: str) -> set[str]:
    return {slug for part in expectations() for slug in part.get(key, ())}


each = pytest.mark.parametrize("slug", SLUGS)


@each
def test_it_is_met_in_a_case(slug):
    in_logs = {case.root for case in CASES} | {also for case in CASES for also in case.expect.get("also", ())}
    assert slug in in_logs | named("findings") | named("info") | BY_TRIALS


@each
def test_it_is_absent_from_a_case_that_looks_like_it(slug):
    in_logs = {other for case in CASES for other in case.expect.get("not", ())}
    assert slug in in_logs | named("absent")


def test_machines_name_what_there_is():
    assert named("findings") | named("info") | named("absent") <= set(SLUGS)


NO_IMPORT = (
    "abi-mismatch-torch-version abi-mismatch-cxx11 libcudart-missing glibc-too-old glibcxx-too-old windows-dll-missing "
    "flash-attn-stub-namespace"
).split()


def ends_a_build() -> set[str]:
    return {m.MODE.slug for m in ALL if m.MODE.stops == "build" and m.MODE.flash_attn is Severity.ERROR}


def test_the_backends_that_a_failure_stops():
    """A failed build leaves flash-attn 2 and 3 out. Triton compiles what `compile` and `flex` run, and python.h is needed for it."""
    assert len(ends_a_build()) > 15
    for slug in ends_a_build() - {"flash-attn-cxx20-required"}:
        assert {"flash-attn-2", "flash-attn-3"} <= set(find(slug).MODE.blocks), slug
    for slug in ("build-timeout-hang", "no-prebuilt-wheel", "ninja-missing-at-build"):
        assert find(slug).MODE.blocks == (), slug
    for slug in ("triton-libcuda-link", "triton-missing", "triton-version-mismatch"):
        assert find(slug).MODE.blocks == ("compile", "flex"), slug
    for slug in (*NO_IMPORT, "wheel-download-failed", "wheel-platform-mismatch", "flash-attn-cxx20-required"):
        assert find(slug).MODE.blocks == ("flash-attn-2",), slug
    assert "compile" in find("python-headers-missing").MODE.blocks
    assert find("torch-built-without-flash").MODE.blocks == ("sdpa-flash",)
    assert find("torch-cpu-batchnorm-gradient").MODE.blocks == ("eager",)
    assert set(find("torch-install-broken").MODE.blocks) == set(EVERY_BACKEND)
    old_gpu = set(find("gpu-arch-unsupported-by-flash-attn").MODE.blocks)
    assert old_gpu == {"flash-attn-2", "flash-attn-3", "flash-attn-4", "sdpa-flash", "sdpa-cudnn"}


def test_the_consequences_of_a_failure():
    for slug in ends_a_build() - {"build-failed-unspecified"}:
        assert "build-failed-unspecified" in find(slug).MODE.explains, slug
    for slug in NO_IMPORT:
        assert {"yolo12-flash-not-used", "transformers-flash-attn-2-not-installed"} <= set(find(slug).MODE.explains), (
            slug
        )
    for cause, effects in (
        ("ninja-missing-at-build", "build-timeout-hang"),
        ("container-toolkit-missing", "container-without-gpu driver-missing cuda-init-error no-gpu-present"),
        ("illegal-memory-access", "eager-fails model-not-built"),
        ("no-kernel-image", "eager-fails model-not-built"),
        ("cuda-init-error", "eager-fails model-not-built"),
        ("driver-missing", "cuda-init-error no-gpu-present torch-cpu-build"),
        ("torch-cpu-build", "cuda-home-unset nvcc-missing"),
        ("torch-missing", "torch-missing-at-build requirements-missing model-not-built"),
        ("cross-compile-archs", "no-kernel-image"),
        ("eager-fails", "backend-fails"),
    ):
        assert set(effects.split()) <= set(find(cause).MODE.explains), cause
