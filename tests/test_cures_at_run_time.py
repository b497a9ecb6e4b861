"""What is cured when a program runs: engines, NCCL, containers, clusters, AMD, Intel and Macs. Each text states its machine."""

from __future__ import annotations

import pytest
from first_cures import cures, first

from attn_doctor.model.steps import SetVariable, Uninstall

ENGINE = """(yolo) user@orin:~$ yolo predict model=gate.engine source=0
Loading gate.engine for TensorRT inference...
[TRT] [E] IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is not compatible with this version of TensorRT, expecting library version 10.3.0.30 got 8.6.2.3, please rebuild.)
"""


def _lines(text: str) -> list[str]:
    """Return the lines of the first fix that can be pasted."""
    return [line for line in cures(text)[0] if line is not None]


def test_an_engine_is_exported_again_from_the_weights_of_the_same_name() -> None:
    assert first(ENGINE)[1].slug == "tensorrt-engine-does-not-fit"
    assert _lines(ENGINE) == ["yolo export model=gate.pt format=engine device=0"]


def test_deepstream_makes_its_engine_itself() -> None:
    text = (
        "0:00:02.15 WARN nvinfer gstnvinfer.cpp:679: nvdsinfer_context_impl.cpp:2081 deserialize backend context from engine from file :/opt/app/gate.engine failed\n"
        "ERROR: 6: The engine plan file is not compatible with this version of TensorRT, expecting library version 10.3.0 got 8.6.1, please rebuild.\n"
    )
    assert _lines(text) == ["rm /opt/app/gate.engine"]


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("root@orin:~# cat /etc/nv_tegra_release\n# R36 (release), REVISION: 4.3\n", "apt-get install -y tensorrt"),
        ("Ultralytics 8.4.3 Python-3.12.3 torch-2.11.0+cu130 CUDA:0 (NVIDIA L4, 22693MiB)\n", "tensorrt-cu13"),
        ("PS D:\\work> python export.py\ntorch 2.6.0+cu124\n", "tensorrt-cu12"),
    ],
)
def test_tensorrt_is_installed_as_the_machine_has_it(where: str, line: str) -> None:
    text = where + "ModuleNotFoundError: No module named 'tensorrt'\n"
    assert first(text)[1].slug == "tensorrt-missing"
    assert any(line in shown for shown in _lines(text))


def test_a_mac_is_given_no_tensorrt() -> None:
    text = "  File \"/Users/user/y/.venv/lib/python3.12/site-packages/x/e.py\", line 1, in f\nModuleNotFoundError: No module named 'tensorrt'\n"
    assert _lines(text) == []


@pytest.mark.parametrize(
    "ask",
    [
        "[user@login02 ~]$ python train.py\nRuntimeError: No CUDA GPUs are available\n[user@login02 ~]$ squeue -u user\n",
        "user@hub:~$ srun -p gpu --pty bash\nuser@n07:~$ nvidia-smi\nNo devices were found\n",
        "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\ngpu          up 2-00:00:00     12    mix n[01-12]\nRuntimeError: Found no NVIDIA driver on your system.\n",
    ],
)
def test_on_a_cluster_a_job_asks_for_a_gpu(ask: str) -> None:
    shown = _lines(ask)
    assert shown[0].startswith("sinfo")
    assert shown[1] == "srun --partition=PARTITION --gres=gpu:1 --pty bash"


def test_a_desktop_is_not_sent_to_slurm() -> None:
    text = "user@desk:~$ python train.py\nRuntimeError: No CUDA GPUs are available\n"
    assert "srun" not in str(cures(text))


def test_a_pod_asks_for_its_gpu_in_its_specification() -> None:
    finding = first("$ kubectl logs detector-0\nRuntimeError: No CUDA GPUs are available\n")[1]
    assert finding.slug == "container-without-gpu"
    assert "nvidia.com/gpu: 1" in finding.fixes[0].steps[0].why


def test_the_nccl_of_torch_stays_and_its_file_is_written_again() -> None:
    text = (
        "ImportError: /srv/v/lib/python3.12/site-packages/torch/lib/libtorch_cuda.so: undefined symbol: ncclDevCommCreate\n"
        "$ pip list\ntorch                    2.9.1+cu128\nnvidia-nccl-cu12         2.27.5\nnvidia-nccl-cu13         2.28.9\n"
    )
    finding = first(text)[1]
    assert finding.slug == "nccl-error"
    gone, back = finding.fixes[0].steps
    assert isinstance(gone, Uninstall)
    assert gone.requirements == ("nvidia-nccl-cu13",)
    assert back.requirements == ("nvidia-nccl-cu12==2.27.5",)  # type: ignore[union-attr]
    assert back.reinstall  # type: ignore[union-attr]


def test_one_package_of_nccl_is_not_taken_away() -> None:
    text = "ImportError: /srv/v/torch/lib/libtorch_cuda.so: undefined symbol: ncclCommRegister\n$ pip list\nnvidia-nccl-cu12         2.18.1\n"
    assert first(text)[1].slug == "ld-library-path-shadowing"


def test_containers_use_the_network_of_their_hosts() -> None:
    text = (
        "8f2c7d11aa90:77:140 [0] misc/socket.cc:484 NCCL WARN socketStartConnect: Connect to 172.17.0.3<43211> failed : Connection refused\n"
        "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.\n"
    )
    shown = _lines(text)
    assert shown[0] == "docker run --network host --ipc=host --gpus all IMAGE"
    assert shown[-1] == "export NCCL_SOCKET_IFNAME=eth0"


def test_in_wsl_torch_is_given_the_runtime_of_the_system() -> None:
    text = (
        "6.6.87.2-microsoft-standard-WSL2\n$ rocminfo\n  Name:                    gfx1201\n"
        "RuntimeError: No HIP GPUs are available\ntorch 2.8.0+rocm6.4\n"
    )
    finding = first(text)[1]
    assert finding.slug == "rocm-driver-not-loaded"
    assert finding.fixes[0].title == "Let torch load WSL's ROCm runtime"
    assert "libhsa-runtime64.so" in str(_lines(text)[0])
    assert "modprobe" not in str(cures(text))


@pytest.mark.parametrize(
    "text",
    [
        "user@Studio tune % python tune.py\nRuntimeError: No GPU found. A GPU is needed for quantization.\n",
        "ImportError: Using `bitsandbytes` 4-bit quantization requires the latest version of bitsandbytes: `pip install -U bitsandbytes`\n",
    ],
)
def test_a_mac_does_without_bitsandbytes(text: str) -> None:
    text = "macOS 15.3, Apple M3 Pro\n" + text
    finding = first(text)[1]
    assert finding.slug == "bitsandbytes-library-missing"
    assert finding.fixes[0].title == "Do without bitsandbytes on the Mac"


def test_a_mac_is_told_its_own_device() -> None:
    text = (
        "Ultralytics 8.4.3 Python-3.12.9 torch-2.9.0 CPU (Apple M4)\n"
        "ValueError: Invalid CUDA 'device=0' requested. Use 'device=cpu' or pass valid CUDA device(s) if available\n\n"
        "torch.cuda.is_available(): False\ntorch.cuda.device_count(): 0\nos.environ['CUDA_VISIBLE_DEVICES']: None\n"
    )
    finding = first(text)[1]
    assert finding.slug == "config-device-cpu"
    assert "device=mps" in finding.fixes[0].steps[0].why


@pytest.mark.parametrize(("library", "package"), [("libcusparseLt.so.0", "libcusparselt0"), ("libcudss.so.0", "cudss")])
def test_a_library_that_jetpack_lacks_is_a_package_of_nvidia(library: str, package: str) -> None:
    text = f"user@orin:~$ python3 -c 'import torch'\nImportError: {library}: cannot open shared object file: No such file or directory\n5.15.148-tegra\n"
    finding = first(text)[1]
    assert finding.slug == "torch-install-broken"
    assert _lines(text)[-1] == f"sudo apt-get install -y {package}"


def test_the_same_library_on_a_server_is_torchs_own() -> None:
    text = "ImportError: libcusparseLt.so.0: cannot open shared object file: No such file or directory\nLinux-6.8.0-40-generic-x86_64-with-glibc2.39\n"
    assert "apt-get" not in str(cures(text))


def test_windows_does_without_libuv_in_its_own_words() -> None:
    text = "PS C:\\work> torchrun tune.py\ntorch.distributed.DistStoreError: use_libuv was requested but PyTorch was build without libuv support\n"
    assert _lines(text) == ["$Env:USE_LIBUV = '0'"]


def test_a_wrong_cublas_is_left_out_of_the_path() -> None:
    text = "user@box:~$ python tune.py\nRuntimeError: CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx( handle, opa, opb)`\n"
    assert _lines(text) == ["unset LD_LIBRARY_PATH"]


def test_a_setting_of_the_allocator_is_unset() -> None:
    finding = first("RuntimeError: Unrecognized CachingAllocator option: expandable\n")[1]
    assert [step.value for step in finding.fixes[0].steps if isinstance(step, SetVariable)] == [None, None]
