"""The cure of a binary without code for the GPU: the GPU, the folder and the image that the log names stand in its lines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from first_cures import cures, first
from told_cures import told

NO_CODE = "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"
CALL = '  File "/home/user/m/scan.py", line 40, in forward\n    out = my_scan_cuda.fwd(u, delta)\n'
OLD = "    Found GPU0 {} which is of cuda capability 3.5.\n    PyTorch no longer supports this GPU because it is too old.\n    The minimum cuda capability supported by this library is 3.7.\n"
CPU_OPTIONS = "--skip-torch-cuda-test --use-cpu all --no-half --precision full"


def test_the_list_of_a_setup_py_gets_the_known_gpu(tmp_path: Path) -> None:
    text = f"GPU: NVIDIA GeForce GTX 1080 Ti\ntorch 1.13.1\n$ cd ops/scan && pip install .\n{CALL}{NO_CODE}"
    arch, into, gone, own, build = cures(text)[0]
    assert (arch, into, gone) == ("export TORCH_CUDA_ARCH_LIST=6.1", "cd ops/scan", "rm -rf build")
    assert str(build).endswith("install --no-build-isolation --no-cache-dir --force-reinstall --no-deps .")
    setup = tmp_path / "setup.py"
    setup.write_text(
        "flags += ['-gencode', 'arch=compute_70,code=sm_70', '-gencode', 'arch=compute_90a,code=sm_90a']\n"
    )
    subprocess.run(["sh", "-c", str(own)], cwd=tmp_path, check=True, timeout=20)
    assert (
        setup.read_text()
        == "flags += ['-gencode', 'arch=compute_61,code=sm_61', '-gencode', 'arch=compute_61,code=sm_61']\n"
    )


def test_an_unknown_gpu_is_asked_of_torch() -> None:
    lines = cures(f"$ python train.py\n{CALL}{NO_CODE}")[0]
    assert str(lines[0]).startswith("export TORCH_CUDA_ARCH_LIST=$(python")
    assert 'grep -nE "compute_|sm_" setup.py' in [str(line) for line in lines]


def test_the_checkout_of_detectron2_is_where_it_is_built_again() -> None:
    text = (
        "error in deformable_im2col_cuda: no kernel image is available for execution on the device\n"
        "sys.platform            linux\ndetectron2              0.6 @/data/work/d2/detectron2\n"
        "detectron2 arch flags   7.5\nPyTorch                 1.10.0+cu113 @/data/env/lib/python3.8/site-packages/torch\n"
        "GPU 0                   NVIDIA A100-SXM4-40GB (arch=8.0)\n"
    )
    lines = cures(text)[0]
    assert lines[:2] == ["export TORCH_CUDA_ARCH_LIST=8.0", "cd /data/work/d2"]


@pytest.mark.parametrize(
    ("card", "release"),
    [("NVIDIA A100-PCIE-40GB", "22.12-py3"), ("NVIDIA L4", "22.12-py3"), ("NVIDIA B200", "25.03-py3")],
)
def test_an_image_of_nvidia_is_named_by_its_release(card: str, release: str) -> None:
    text = f"WARNING: Detected {card} GPU, which is not yet supported in this version of the container\nERROR: No supported GPU(s) detected to run this container\n"
    assert cures(text)[0] == [f"docker run --gpus all -it --rm --ipc=host nvcr.io/nvidia/pytorch:{release}"]


def test_the_persons_own_command_gets_the_newer_image_of_nvidia() -> None:
    text = (
        "$ sudo docker run --gpus all -it nvcr.io/nvidia/pytorch:19.10-py3\nWARNING: Detected NVIDIA A100-PCIE-40GB GPU, which is not yet supported in this version "
        "of the container\nERROR: No supported GPU(s) detected to run this container\n"
    )
    assert cures(text)[0] == ["sudo docker run --gpus all -it nvcr.io/nvidia/pytorch:22.12-py3"]


def test_a_container_is_made_of_the_newest_image_before_its_torch_is_changed() -> None:
    text = (
        "$ sudo docker run -d --gpus all --name talk acme/talk:latest\nNVIDIA GeForce RTX 5080 with CUDA capability sm_120 is not compatible with the current PyTorch "
        "installation.\nThe current PyTorch install supports CUDA capabilities sm_80 sm_86 sm_90.\n"
    )
    first_cure, second = cures(text)[:2]
    assert first_cure == [
        "sudo docker pull acme/talk:latest",
        "sudo docker rm -f talk",
        "sudo docker run -d --gpus all --name talk acme/talk:latest",
    ]
    assert "whl/cu128" in str(second)
    fixed = text.replace(":latest", ":2.3")
    assert "whl/cu128" in str(cures(fixed)[0])


def test_onnx_runtime_without_code_leaves_torch_alone() -> None:
    text = (
        "NVIDIA GeForce RTX 5070\n[E:onnxruntime:, sequential_executor.cc:572 ExecuteKernel] Non-zero status code returned while running Relu node. Status Message: CUDA "
        "error cudaErrorNoKernelImageForDevice:no kernel image is available for execution on the device\n"
    )
    _, finding = first(text)
    assert finding.message.startswith("onnxruntime-gpu has no code")
    assert [line for line in cures(text)[0] if "onnxruntime-gpu==1.22.0" in str(line)]
    assert "torch" not in str(cures(text))


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ('venv "D:\\ai\\stable-diffusion-webui\\venv\\Scripts\\Python.exe"\n', f"webui.bat {CPU_OPTIONS}"),
        (
            '  File "/home/user/stable-diffusion-webui/venv/lib/python3.10/site-packages/torch/cuda/__init__.py", line 132\n',
            f"./webui.sh {CPU_OPTIONS}",
        ),
        (
            '  File "C:\\ComfyUI_windows_portable\\python_embeded\\Lib\\site-packages\\torch\\cuda\\__init__.py", line 9\n',
            ".\\run_cpu.bat",
        ),
    ],
)
def test_a_program_with_options_of_its_own_for_the_processor(where: str, line: str) -> None:
    assert line in cures(where + OLD.format("NVIDIA GeForce GT 730"))[0]


def test_code_is_compiled_for_every_gpu_that_the_log_names():
    log = "GPU: Tesla P40\nGPU: Tesla V100\nerror in modulated_deformable_im2col: no kernel image is available for execution on the device\n"
    answer = told(log)
    assert answer.slug == "no-kernel-image"
    assert "6.1;7.0" in answer.words
    assert "sed -i" not in answer.words
