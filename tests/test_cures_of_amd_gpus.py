"""The cure of an AMD GPU names the torch, the variable or the wheel for exactly that GPU, and what can be asked is asked by a line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from first_cures import cures, first
from told_cures import told

from attn_doctor.knowledge import amd

NO_CODE = "RuntimeError: HIP error: invalid device function\n"
NO_BLAS = "rocBLAS error: Cannot read /v/lib/python3.12/site-packages/torch/lib/rocblas/library/TensileLibrary.dat: Illegal seek for GPU arch : {}\n"
PYTHON = '  File "/home/user/seg/.venv/lib/python3.12/site-packages/torch/nn/modules/linear.py", line 125, in forward\n'
PIP = "/home/user/seg/.venv/bin/python -m pip install"


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        # rocBLAS of 6.4 and newer has no files for Vega: the last index that has.
        (
            PYTHON + NO_BLAS.format("gfx906"),
            [
                f"{PIP} --force-reinstall --no-deps torch==2.7.1 torchvision==0.22.1 --index-url https://download.pytorch.org/whl/rocm6.3",
                f"{PIP} torch==2.7.1 torchvision==0.22.1 --index-url https://download.pytorch.org/whl/rocm6.3",
            ],
        ),
        (f"GPU: AMD Radeon RX 6650 XT\n{PYTHON}{NO_CODE}", ["export HSA_OVERRIDE_GFX_VERSION=10.3.0"]),
        (f"CPU: AMD Ryzen 5 PRO 5650U\n{NO_CODE}", ["export HSA_OVERRIDE_GFX_VERSION=9.0.0"]),
        (f"CPU: AMD Ryzen 7 6800H with Radeon Graphics\n{NO_CODE}", ["export HSA_OVERRIDE_GFX_VERSION=10.3.0"]),
    ],
)
def test_first_cure(log: str, lines: list[str]) -> None:
    assert cures(log)[0] == lines


def test_a_card_that_no_index_of_pytorch_serves_gets_the_index_of_amd() -> None:
    assert cures(f"GPU: AMD Radeon RX 6700 XT\n{PYTHON}{NO_CODE}")[1] == [
        "unset HSA_OVERRIDE_GFX_VERSION",
        f"{PIP} --force-reinstall --no-deps torch torchvision --index-url https://repo.amd.com/rocm/whl/gfx103X-all/",
        f"{PIP} torch torchvision --index-url https://repo.amd.com/rocm/whl/gfx103X-all/",
    ]


@pytest.mark.parametrize(
    ("gfx", "index"),
    [
        ("gfx1036", "gfx103X-all"),
        ("gfx1103", "gfx110X-all"),
        ("gfx1150", "gfx1150"),
        ("gfx1201", "gfx120X-all"),
        ("gfx906", None),
        ("gfx1012", None),
    ],
)
def test_the_index_of_amd_for_a_gpu(gfx: str, index: str | None) -> None:
    assert amd.own_index(gfx) == (f"https://repo.amd.com/rocm/whl/{index}/" if index else None)


@pytest.mark.parametrize(
    ("name", "gfx"),
    [
        ("AMD Ryzen 7 PRO 5850U", "gfx90c"),
        ("Ryzen 5 7530U", "gfx90c"),
        ("Ryzen 7 7735HS", "gfx1035"),
        ("AMD Ryzen 9 7940HS", "gfx1103"),
        ("AMD Ryzen 7 8700G", "gfx1103"),
        ("AMD Ryzen 5 5600X", None),
        ("AMD Ryzen 9 7950X", None),
    ],
)
def test_the_graphics_of_a_processor(name: str, gfx: str | None) -> None:
    assert amd.gfx_of_processor(name) == gfx


@pytest.mark.parametrize(
    ("number", "version"),
    [
        ("90012", "9.0.0"),
        ("100302", "10.3.0"),
        ("100102", "10.3.0"),
        ("110002", "11.0.0"),
        ("110003", ""),
        ("90006", ""),
    ],
)
def test_an_unknown_gpu_is_asked_of_the_kernel(tmp_path: Path, number: str, version: str) -> None:
    first_line, second = cures(NO_CODE)[0]
    assert first_line
    assert second
    for node, value in (("0", "0"), ("1", number)):
        (tmp_path / node).mkdir()
        (tmp_path / node / "properties").write_text(f"simd_count 64\ngfx_target_version {value}\n")
    here = str(tmp_path) + "/*/properties"

    def said(line: str) -> str:
        text = line.replace("/sys/class/kfd/kfd/topology/nodes/*/properties", here)
        return subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=20).stdout.strip()

    assert said(first_line) == number
    assert said(second + "; echo $HSA_OVERRIDE_GFX_VERSION") == version


def test_zluda_on_a_known_card_may_take_amds_own_torch_for_windows() -> None:
    text = (
        "(venv) PS D:\\zluda> python test.py\nCUDA available on AMD Radeon RX 7900 XT [ZLUDA]\n"
        "RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR\n"
    )
    last = cures(text)[-1]
    assert last == [
        "python -m pip install --upgrade torch torchvision --index-url https://repo.amd.com/rocm/whl/gfx110X-all/"
    ]


def test_a_card_that_rocm_in_wsl_does_not_open_is_used_in_windows() -> None:
    _, finding = first("Windows 11, AMD Radeon RX 7600\n$ rocminfo\nWSL environment detected.\nROCR: unsupported GPU\n")
    assert "WSL does not support AMD Radeon RX 7600" in finding.message
    said = str(finding.fixes)
    assert "HSA_OVERRIDE_GFX_VERSION=" not in said
    assert "https://repo.amd.com/rocm/whl/gfx110X-all/" in said


def test_a_rocm_torch_beside_another_gpu_is_replaced_by_its_own_release() -> None:
    text = '  File "/home/user/miniconda3/envs/g/lib/python3.8/site-packages/torch/x.py", line 1\ntorch 1.12.1\n  what():  HIP error: hipErrorNoDevice\n'
    last = cures(text)[-1]
    assert "torch==1.12.1+cu1" in str(last[0])


def test_a_setup_that_fails_on_rocm_is_built_from_its_newest_source() -> None:
    text = (
        "gfx942, ROCm 6.2\n$ pip install --no-build-isolation causal-conv1d\n      torch.__version__  = 2.5.1+rocm6.2\n"
        "NameError: name 'bare_metal_version' is not defined\nERROR: Failed building wheel for causal-conv1d\n"
    )
    (cure,) = cures(text)
    assert cure[:2] == ["export PYTORCH_ROCM_ARCH=gfx942", "export HIP_ARCHITECTURES=gfx942"]
    assert str(cure[2]).endswith("git+https://github.com/Dao-AILab/causal-conv1d.git")


def test_onnx_runtime_that_misses_a_library_of_rocm_does_not_change_torch() -> None:
    text = (
        "Ubuntu 24.04, AMD Radeon RX 7900 XTX, ROCm 7.0.2\n[E:onnxruntime:Default] [ONNXRuntimeError] : 1 : FAIL : Failed to load library "
        "libonnxruntime_providers_rocm.so with error: librocm_smi64.so.6: cannot open shared object file: No such file or directory\n"
    )
    find, wheel = cures(text)
    assert find[1] == "export LD_LIBRARY_PATH=/opt/rocm/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    assert "rocm-rel-7.0/" in str(wheel[-1])
    assert "torch" not in str(wheel)


def test_the_gpu_of_hips_own_log_gets_its_override_in_one_line() -> None:
    log = """:1:hip_code_object.cpp      :507 : hipErrorNoBinaryForGpu: Unable to find code object for all current devices!
:1:hip_code_object.cpp      :511 :     amdgcn-amd-amdhsa--gfx902:xnack+ - [Not Found]
Aborted (core dumped)
"""
    answer = told(log)
    assert answer.slug == "rocm-gfx-not-in-build"
    assert "HSA_OVERRIDE_GFX_VERSION" in answer.words
    assert "9.0.0" in answer.words
    assert "kfd/topology" not in answer.words


@pytest.mark.parametrize(
    ("name", "gfx"), [("AMD Ryzen Embedded V1807B", "gfx902"), ("AMD Ryzen 5 2500U", "gfx902"), ("Ryzen 3 3200U", None)]
)
def test_the_first_ryzen_processors_with_graphics(name: str, gfx: str | None) -> None:
    assert amd.gfx_of_processor(name) == gfx
