"""What is done about compiled parts that lack their CUDA code, and about kernels that a cache kept from other versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from first_cures import first
from one_rule import told

from attn_doctor.commands import shells
from attn_doctor.model.findings import Finding, Fix
from attn_doctor.model.steps import Install, SetVariable

SCATTER = """  File "/srv/e/lib/python3.10/site-packages/torch_sparse/matmul.py", line 49, in spmm_sum
    return torch.ops.torch_sparse.spmm_sum(row, rowptr, col, value)
RuntimeError: Not compiled with CUDA support
"""
POINTS = """  File "/srv/e/lib/python3.11/site-packages/pytorch3d/ops/ball_query.py", line 31, in forward
    idx, dists = _C.ball_query(p1, p2, lengths1, lengths2, K, radius)
RuntimeError: Not compiled with GPU support
"""
OPERATOR = "RuntimeError: softmax_focal_loss_forward_impl: implementation for device cuda:0 not found."


def _found(slug: str, text: str) -> Finding:
    finding = first(text)[1]
    assert finding.slug == slug
    return finding


def _variables(fix: Fix) -> dict[str, str | None]:
    return {step.name: step.value for step in fix.steps if isinstance(step, SetVariable)}


@pytest.mark.parametrize(
    ("text", "package"),
    [(SCATTER, "torch-sparse"), (POINTS, "pytorch3d"), (OPERATOR, "mmcv")],
)
def test_a_part_without_cuda_is_built_again_and_told_to_compile_for_cuda(text: str, package: str) -> None:
    built = next(fix for fix in _found("extension-not-built", text).fixes if fix.title.startswith("Build "))
    assert _variables(built)["FORCE_CUDA"] == "1"
    assert built.steps[0].argv == ("nvcc", "--version")
    last = built.steps[-1]
    assert isinstance(last, Install)
    assert last.requirements[0].startswith(package)
    assert last.no_build_isolation
    assert last.reinstall


def test_a_finished_wheel_needs_no_toolkit() -> None:
    wheel = _found("extension-not-built", SCATTER).fixes[0]
    assert wheel.title == "Install torch-sparse's finished wheel"
    assert ("nvcc", "--version") not in [step.argv for step in wheel.steps]
    assert "FORCE_CUDA" not in _variables(wheel)


def test_natten_reads_no_such_variable_and_the_same_release_is_built_again() -> None:
    text = "RuntimeError: NATTEN is not compiled with CUDA! Please make sure you installed correctly.\n\nnatten  0.15.1\ntorch  2.0.1+cu118\n"
    built = _found("extension-not-built", text).fixes[-1]
    assert "FORCE_CUDA" not in _variables(built)
    last = built.steps[-1]
    assert isinstance(last, Install)
    assert last.requirements == ("natten==0.15.1",)


@pytest.mark.parametrize(
    "text",
    [
        "AssertionError: Torch not compiled with CUDA enabled",
        "RuntimeError: modulated_deform_conv_impl: implementation for device cpu not found.",
        "UserWarning: OpenCV is not compiled with CUDA support",
    ],
)
def test_other_sentences_about_cuda_are_not_meant(text: str) -> None:
    assert told("extension-not-built", text) is None


STALE = """  File "{place}", line 80, in __init__
    self.cuOccupancyMaxActiveClusters = mod.cuOccupancyMaxActiveClusters
SystemError: PY_SSIZE_T_CLEAN macro must be defined for '#' formats
"""


def test_the_cache_of_triton_is_deleted_in_the_shell_of_that_machine() -> None:
    linux = _found(
        "stale-kernel-cache", STALE.format(place="/srv/e/lib/python3.12/site-packages/triton/backends/nvidia/driver.py")
    )
    assert shells.shown(linux.fixes[0].steps[0]) == 'rm -rf "${TRITON_CACHE_DIR:-$HOME/.triton/cache}"'
    windows = _found(
        "stale-kernel-cache", STALE.format(place=r"E:\comfy\venv\Lib\site-packages\triton\backends\nvidia\driver.py")
    )
    step = windows.fixes[0].steps[0]
    assert step.argv[1] == "-c"
    assert "rm -rf" not in (shells.shown(step, "windows") or "")
    assert r"%USERPROFILE%\.triton\cache" in step.why


@pytest.mark.parametrize("variable", [True, False])
def test_the_command_for_linux_deletes_that_folder_alone(tmp_path: Path, variable: bool) -> None:
    finding = _found(
        "stale-kernel-cache", STALE.format(place="/srv/e/lib/python3.12/site-packages/triton/runtime/build.py")
    )
    other = tmp_path / "other"
    usual = tmp_path / ".triton" / "cache"
    for folder in (other, usual):
        (folder / "ab").mkdir(parents=True)
    line = shells.shown(finding.fixes[0].steps[0])
    assert line is not None
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"} | (
        {"TRITON_CACHE_DIR": str(other)} if variable else {}
    )
    if sys.platform == "win32":
        pytest.skip("a command for POSIX shells")
    subprocess.run(["sh", "-c", line], env=environment, check=True, timeout=30)
    assert other.exists() is not variable
    assert usual.exists() is variable


def test_the_command_for_windows_deletes_the_folder_that_its_variable_names(tmp_path: Path) -> None:
    finding = _found(
        "stale-kernel-cache", STALE.format(place=r"E:\comfy\venv\Lib\site-packages\triton\runtime\build.py")
    )
    folder = tmp_path / "kernels"
    (folder / "ab").mkdir(parents=True)
    program = finding.fixes[0].steps[0].argv[2]
    subprocess.run(
        [sys.executable, "-c", program],
        env={"TRITON_CACHE_DIR": str(folder), "SYSTEMROOT": r"C:\Windows"},
        check=True,
        timeout=30,
    )
    assert not folder.exists()


def test_a_folder_of_a_log_is_in_a_command_only_if_it_is_a_plain_path() -> None:
    text = "ImportError: /srv/$(reboot)/torch_extensions/x/x.so: undefined symbol: curandCreateGenerator"
    step = _found("stale-kernel-cache", text).fixes[0].steps[0]
    assert "reboot" not in " ".join(step.argv)
    text = "ImportError: /srv/../etc/torch_extensions/x/x.so: undefined symbol: curandCreateGenerator"
    assert ".." not in " ".join(_found("stale-kernel-cache", text).fixes[0].steps[0].argv)


def test_a_library_that_was_linked_in_this_log_is_from_no_cache() -> None:
    text = (
        "[2/2] c++ a.o -shared -o a.so\nImportError: /srv/c/torch_extensions/a/a.so: undefined symbol: never_written\n"
    )
    assert told("stale-kernel-cache", text) is None
