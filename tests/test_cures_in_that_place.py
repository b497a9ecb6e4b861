"""The line is for the place that the log shows: an image that is built, a debugger, an isolated build, the nvcc of Ubuntu, a host without its toolkit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from told_cures import told

JIT = '{}  File "/opt/conda/envs/gs/setup.py", line 3, in <module>\n{}    import torch\n{}ImportError: /opt/conda/envs/gs/lib/python3.10/site-packages/torch/lib/libtorch_cpu.so: undefined symbol: iJIT_IsProfilingActive\n{}error: metadata-generation-failed\n'


def test_in_an_image_the_mkl_goes_into_the_line_of_the_environment() -> None:
    answer = told("#12 41.8 Transaction finished\n" + JIT.format(*["#12 44.1 "] * 4))
    assert answer.slug == "mkl-does-not-fit"
    assert answer.lines[0] == []
    assert '\\"mkl<2024.1\\" there' in answer.words
    assert told(JIT.format("", "", "", "")).lines[0][0].startswith("conda install")


def test_the_reason_that_was_found_leaves_no_unknown_build() -> None:
    log = JIT.format("", "", "", "error: subprocess-exited-with-error\n")
    done = subprocess.run(
        [sys.executable, "-m", "attn_doctor", "diagnose", "-"], input=log, capture_output=True, text=True, timeout=60
    )
    assert "build-failed-unspecified" not in done.stdout.replace("with it  AD122 build-failed-unspecified", "")


def test_the_debugger_gets_its_own_variable() -> None:
    log = "Exception has occurred: RuntimeError\ncuDNN version incompatibility: PyTorch was compiled  against (8, 9, 2) but found runtime version (8, 7, 0).\n"
    answer = told(log)
    assert "launch.json" in answer.words
    assert "unset LD_LIBRARY_PATH" not in str(answer.lines)


KILLED = """[2/9] /usr/local/cuda/bin/nvcc -c /home/me/kernels/csrc/a.cu -o a.o
  File "/tmp/pip-build-env-k3j2h1g0/overlay/lib/python3.10/site-packages/torch/utils/cpp_extension.py", line 2096, in _run_ninja_build
FAILED: a.o
Killed
ninja: build stopped: subcommand failed.
"""


def test_an_isolated_build_is_repeated_as_it_was() -> None:
    answer = told(KILLED)
    assert answer.slug == "out-of-memory-build"
    assert "no-build-isolation" not in answer.words
    assert "no-build-isolation" in told(KILLED.replace("pip-build-env-k3j2h1g0/overlay", "v")).words


PACKS = """[1/4] {}/nvcc  -I/home/me/miniconda3/envs/pt/lib/python3.9/site-packages/torch/include -c k.cu -o k.o
/usr/include/c++/11/bits/std_function.h:435:145: error: parameter packs not expanded with '...':
ninja: build stopped: subcommand failed.
"""


@pytest.mark.parametrize(
    ("folder", "tool"), [("/usr/bin", "sudo apt-get"), ("/usr/local/cuda-11.5/bin", "conda install")]
)
def test_the_nvcc_of_ubuntu_takes_the_gcc_of_ubuntu(folder: str, tool: str) -> None:
    assert told(PACKS.format(folder)).lines[0][0].startswith(tool)


def test_after_the_option_comes_the_toolkit_of_the_host() -> None:
    log = "$ docker run --rm seg:1\nWARNING: The NVIDIA Driver was not detected.  GPU functionality will not be available.\n"
    answer = told(log)
    assert answer.lines[0] == ["docker run --gpus all --rm seg:1"]
    assert "could not select device driver" in answer.titles[1]
    assert any("nvidia-ctk runtime configure" in line for line in answer.lines[1])


def test_uv_brings_the_python_of_the_wanted_torch() -> None:
    log = "$ uv pip install torch==2.4.1 torchaudio==2.4.1 --index-url https://download.pytorch.org/whl/cu121\nUsing Python 3.14.0 environment at: .venv\n  × No solution found when resolving dependencies:\n  ╰─▶ Because torch==2.4.1 has no wheels with a matching Python ABI tag and you require torch==2.4.1, we can conclude that your requirements are unsatisfiable.\n"
    answer = told(log)
    assert answer.lines[0] == [
        "uv venv --python 3.12 .venv",
        "uv pip install torch==2.4.1 torchaudio==2.4.1 --index-url https://download.pytorch.org/whl/cu121",
    ]
    assert "torchaudio" in answer.lines[1][0]


@pytest.mark.parametrize(
    ("torch", "triton"), [("2.6.0", "2"), ("2.6.0.dev20240801+cu124", "1"), ("2.9.1", "5"), ("2.10.0.dev20251101", "5")]
)
def test_a_nightly_torch_gets_the_triton_before(tmp_path: Path, torch: str, triton: str) -> None:
    log = 'torch nightly\n  File "C:\\p\\venv\\Lib\\site-packages\\torch\\_inductor\\scheduler.py", line 3, in x\nRuntimeError: Cannot find a working triton installation.\n'
    line = next(one for one in told(log).lines[0] if "triton-windows" in one)
    (tmp_path / "torch.py").write_text(f"__version__ = {torch!r}\n")
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip/__init__.py").write_text("")
    (tmp_path / "pip/__main__.py").write_text("import sys\nprint(sys.argv[-1])\n")
    done = subprocess.run(
        [sys.executable, "-c", line.partition(" -c ")[2]], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == f"triton-windows==3.{triton}.*"


def test_the_msvc_for_an_unknown_torch_is_one_that_every_nvcc_takes() -> None:
    log = '  File "C:\\m\\envs\\avatar\\lib\\site-packages\\torch\\utils\\cpp_extension.py", line 2416, in _join_cuda_home\nOSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n'
    assert "Component.VC.14.38" in told(log).lines[0][0]


def test_cuda_10_comes_from_its_installer() -> None:
    log = '  File "/home/me/.local/lib/python3.8/site-packages/torch/utils/cpp_extension.py", line 1252, in _join_cuda_home\nOSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n'
    lines = told(log).lines[0]
    (case,) = (line for line in lines if "case $RELEASE" in line)
    assert lines.index(case) < next(i for i, line in enumerate(lines) if "apt-get install" in line)
    script = case.removeprefix("sh -c ").replace("wget ", "echo ").replace("&& sh ", "&& echo ")
    for release, file in (
        ("10.2", "cuda_10.2.89_440.33.01_linux.run"),
        ("10.1", "cuda_10.1.243_418.87.00_linux.run"),
        ("11.8", ""),
    ):
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            env={"RELEASE": release, "HOME": "/h", "PATH": "/usr/bin:/bin"},
        )
        assert (file in done.stdout, done.returncode) == (True, 0)
        assert bool(done.stdout) is bool(file)


def test_a_project_of_uv_keeps_the_cure() -> None:
    log = """$ uv sync --extra cuda
 + torch==2.9.0
$ .venv/bin/python train.py
  File "/home/me/pose/.venv/lib/python3.12/site-packages/torch/__init__.py", line 427, in <module>
    from torch._C import *  # noqa: F403
ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory
"""
    line = told(log).lines[0][0]
    assert line.startswith("uv add --reinstall-package torch")
    assert told(log.replace("uv sync --extra cuda", "uv pip install torch")).lines[0][0].startswith("uv pip install")


def test_no_line_has_a_word_to_fill_in() -> None:
    log = "  File \"/v/lib/python3.11/site-packages/torch/utils/cpp_extension.py\", line 2107, in _run_ninja_build\nsubprocess.CalledProcessError: Command '['ninja', '-v']' returned non-zero exit status 1.\n"
    answer = told(log)
    assert answer.slug == "build-failed-unspecified"
    assert "PACKAGE" not in str(answer.lines)


def test_a_pod_has_a_cure_of_its_own_where_the_container_is_not_known() -> None:
    log = "RuntimeError: DataLoader worker (pid 41) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory. Please try to raise your shared memory limit.\n"
    answer = told(log)
    assert answer.titles[2].startswith("In a pod of Kubernetes: ")
    assert "emptyDir: {medium: Memory" in answer.words


def test_a_cuda_that_could_not_be_collected_is_a_cpu_build() -> None:
    log = """Collecting environment information...
PyTorch version: 2.3.1
CUDA used to build PyTorch: Could not collect
ROCM used to build PyTorch: N/A
OS: Microsoft Windows 10 Pro
Python version: 3.11.9 (64-bit runtime)
Is CUDA available: False
GPU models and configuration: GPU 0: NVIDIA GeForce RTX 3060
Nvidia driver version: 560.94
"""
    answer = told(log)
    assert answer.slug == "torch-cpu-build"
    assert "torch==2.3.1" in answer.lines[0][0]


def test_a_jetson_is_known_by_the_kernel_that_conda_prints() -> None:
    log = "Jetson Nano\n       virtual packages : __linux=4.9.299=0\n$ pip install torch torchvision\n>>> torch.cuda.is_available()\nFalse\n"
    lines = told(log).lines[0]
    assert lines[0] == "python3 --version"
    assert any(line.endswith("torch-1.10.0-cp36-cp36m-linux_aarch64.whl") for line in lines)
