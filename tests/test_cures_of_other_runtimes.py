"""Causes and cures of what runs torch beside CUDA on a PC: Macs, DirectML, ZLUDA, XPU, WSL's NCCL, Triton, torchcodec."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import msgspec
import pytest
from told_cures import told

from attn_doctor.failure_modes.shared import torchcodec_releases
from attn_doctor.model.facts import Facts, Interpreter, Torch

MAC = "% sw_vers\nProductName:\t\tmacOS\nProductVersion:\t\t15.2\n"
WSL = "Linux box 5.15.90.1-microsoft-standard-WSL2 x86_64\n"
NCCL = "RuntimeError: NCCL error in: /pytorch/ProcessGroupNCCL.cpp:911, unhandled system error, NCCL version {}\n"


def test_a_mac_and_a_jetson_need_no_nvidia_smi():
    mac = told(MAC + "% nvidia-smi\nzsh: command not found: nvidia-smi\n")
    assert mac.slug == "nvidia-smi-not-here"
    assert "device=mps" in mac.words
    assert "driver" not in " ".join(mac.titles)
    board = told("Jetson Orin Nano, JetPack 5.1.2\n$ nvidia-smi\nbash: nvidia-smi: command not found\n")
    assert board.slug == "nvidia-smi-not-here"
    assert "tegrastats" in board.lines[0]


def test_elsewhere_a_missing_nvidia_smi_is_the_drivers():
    windows = told(
        "C:\\work> nvidia-smi\n'nvidia-smi' is not recognized as an internal or external command,\noperable program or batch file.\n"
    )
    assert windows.slug == "driver-missing"
    assert windows.titles[0] == "See whether there is an NVIDIA GPU"
    assert not any("apt" in line for cure in windows.lines for line in cure)


def test_cuda_on_a_laptop_with_a_gpu_of_intel_alone():
    laptop = told(
        "Integrated Intel UHD graphics\ntorch==2.5.1+cu121\n"
        "RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version\n"
    )
    assert laptop.slug == "no-gpu-present"
    assert laptop.titles == ["Run the program on the CPU, or where there is an NVIDIA GPU"]
    without = told("RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version\n")
    assert without.slug == "driver-too-old"


@pytest.mark.parametrize(
    ("release", "says"), [("2.9.9", "does not support WSL"), ("2.10.3", "A system call of NCCL failed")]
)
def test_the_first_nccl_for_wsl(release, says):
    found = told(WSL + NCCL.format(release))
    assert found.slug == "nccl-error"
    assert says in found.message


def test_an_old_nccl_outside_wsl_is_not_blamed():
    assert "WSL" not in told("Ubuntu 20.04\n" + NCCL.format("2.7.8")).message


def test_triton_on_a_mac_has_no_linux_command():
    found = told(MAC + "RuntimeError: 0 active drivers ([]). There should only be one.\n")
    assert found.slug == "kernel-needs-another-gpu"
    assert "a Mac has neither" in found.message
    assert not any(line.startswith(("sudo", "apt", "nvidia-smi")) for cure in found.lines for line in cure)


def test_detectron2s_own_list_of_code_decides():
    lines = "detectron2 arch flags   {}\nGPU 0                   Tesla P40\nPyTorch                 1.9.0+cu111\nno kernel image is available for execution on the device\n"
    assert told(lines.format("7.5")).message.startswith("detectron2 has no code")
    assert not told(lines.format("6.1, 7.5")).message.startswith("detectron2 has no code")


@pytest.mark.parametrize(
    ("torch", "wanted"),
    [
        ("2.3.1", None),
        ("2.4.0", "torchcodec==0.0.3"),
        ("2.9.1", "torchcodec==0.9.*"),
        ("2.10.0", "torchcodec==0.10.*"),
        ("2.11.0", "torchcodec>=0.12"),
    ],
)
def test_the_torchcodec_for_a_torch(torch, wanted):
    assert torchcodec_releases.requirement(Facts(torch=Torch(version=torch))) == wanted


@pytest.mark.parametrize(
    ("system", "cuda", "wanted"),
    [
        ("linux", "13.0", "torchcodec>=0.12"),
        ("linux", "12.6", "torchcodec==0.13.*"),
        ("linux", None, "torchcodec==0.13.*"),
        ("windows", None, "torchcodec>=0.12"),
        ("darwin", None, "torchcodec>=0.12"),
    ],
)
def test_a_torch_without_cuda_13_needs_the_last_torchcodec_that_needs_none(system, cuda, wanted):
    facts = Facts(torch=Torch(version="2.12.0", cuda=cuda))
    facts = msgspec.structs.replace(facts, system=msgspec.structs.replace(facts.system, os=system))
    assert torchcodec_releases.requirement(facts) == wanted


def test_no_torchcodec_is_named_where_none_has_a_wheel():
    facts = Facts(torch=Torch(version="2.7.1", cuda="12.8"))
    windows = msgspec.structs.replace(facts, system=msgspec.structs.replace(facts.system, os="windows"))
    first = torchcodec_releases.install(windows)[0].steps[0]
    assert first.argv == ()
    assert "Windows (2.8)" in first.why
    linux = msgspec.structs.replace(facts, system=msgspec.structs.replace(facts.system, os="linux"))
    assert torchcodec_releases.install(linux)[0].steps[0].requirements == ("torchcodec==0.5.*",)


def test_a_torchcodec_for_cuda_beside_another_torch():
    found = told(
        "torch==2.12.0+cpu\nOSError: libcudart.so.13: cannot open shared object file: No such file or directory\n"
        "OSError: Could not load this library: /home/user/v/lib/python3.12/site-packages/torchcodec/libtorchcodec_core7.so\n"
    )
    assert found.slug == "torchcodec-not-loaded"
    assert "does not find its library libcudart.so.13" in found.message
    assert "--force-reinstall" in found.lines[0][0]
    assert found.lines[0][0].endswith("torchcodec==0.13.*")


@pytest.mark.parametrize(
    ("system", "begins"),
    [("linux", "sudo apt-get install"), ("windows", "conda install"), ("darwin", "brew install")],
)
def test_ffmpeg_where_it_is_missing(system, begins):
    facts = Facts()
    facts = msgspec.structs.replace(
        facts, system=msgspec.structs.replace(facts.system, os=system), interpreter=Interpreter(kind="venv")
    )
    assert " ".join(torchcodec_releases.ffmpeg(facts).steps[0].argv).startswith(begins)


def test_directml_and_xpu_and_zluda():
    generator = told("RuntimeError: Device type privateuseone is not supported for torch.Generator() api.\n")
    assert generator.titles[0] == "Make the random numbers on the CPU"
    lost = told("RuntimeError: level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)\n")
    assert lost.titles[:2] == ["Update Intel's driver", "Use less of the GPU's memory"]
    other = told("RuntimeError: level_zero backend failed with error: 45 (UR_RESULT_ERROR_INVALID_ARGUMENT)\n")
    assert other.titles[:2] == ["Update Intel's driver", "Let torch load its own SYCL"]
    zluda = told("AMD Radeon RX 7600 [ZLUDA]\nRuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR\n")
    assert "torch.backends.cudnn.enabled = False" in zluda.words


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("TypeError: BFloat16 is not supported on MPS", "Compute in another number format"),
        (
            "RuntimeError: The MPS backend is supported on MacOS 14.0+. Current OS version can be queried using `sw_vers`",
            "Compute on the CPU",
        ),
        (
            "RuntimeError: Placeholder storage has not been allocated on MPS device!",
            "Put the model and its input on one device",
        ),
        (
            "[MPSNDArray, initWithBuffer:descriptor:] Error: buffer is not large enough. Must be 64 bytes",
            "Install a newer torch",
        ),
    ],
)
def test_other_errors_of_mps(line, title):
    found = told(line + "\n")
    assert found.slug == "mps-operation-missing"
    assert found.titles[0] == title


def test_an_argument_that_a_release_lost_or_got():
    lost = told("TypeError: Client.__init__() got an unexpected keyword argument 'proxies'\n")
    assert lost.titles[0] == "Install httpx<0.28"
    verbose = told("TypeError: ReduceLROnPlateau.__init__() got an unexpected keyword argument 'verbose'\n")
    assert verbose.titles == ["Remove the argument from the call"]
    attention = told("TypeError: scaled_dot_product_attention() got an unexpected keyword argument 'enable_gqa'\n")
    assert attention.titles[0] == "Install a newer torch"
    unlisted = told("TypeError: forward() got an unexpected keyword argument 'mask'\n")
    assert unlisted.slug is None


def test_two_makers_of_triton():
    found = told(
        "RuntimeError: 2 active drivers ([<class 'CudaDriver'>, <class 'HIPDriver'>]). There should only be one.\n"
    )
    assert found.titles == ["Keep the Triton of one maker"]


@pytest.mark.parametrize(
    ("line", "package"),
    [
        ("OSError: libopenblas.so.0: cannot open shared object file: No such file or directory", "libopenblas-dev"),
        ("ImportError: libmpi_cxx.so.20: cannot open shared object file: No such file or directory", "libopenmpi-dev"),
    ],
)
def test_a_library_that_torch_takes_from_the_system(line, package):
    found = told("Jetson Nano\n" + line + "\n")
    assert found.slug == "torch-install-broken"
    assert found.titles == [f"Install {package}"]


def test_the_mark_of_an_executable_stack_is_cleared(tmp_path):
    cure = told(
        "ImportError: /v/lib/libold.so: cannot enable executable stack as shared object requires: Invalid argument\n"
    )
    assert cure.titles == [
        "Upgrade the package",
        "Take the mark away from the library",
        "Let glibc grant it in this shell",
    ]
    (tmp_path / "x.c").write_text("int f(void) { return 1; }\n")
    library = tmp_path / "libold.so"
    if shutil.which("gcc") is None or shutil.which("readelf") is None:
        pytest.skip("needs gcc and readelf")
    made = ["gcc", "-shared", "-fPIC", "-z", "execstack", "-o", str(library), str(tmp_path / "x.c")]
    assert subprocess.run(made, timeout=60).returncode == 0

    def mark() -> str:
        printed = subprocess.run(["readelf", "-lW", str(library)], capture_output=True, text=True, timeout=60).stdout
        return next(line for line in printed.splitlines() if "GNU_STACK" in line)

    assert "RWE" in mark()
    clear = json.loads(cure.words)[1]["steps"][1]["argv"]
    assert (
        subprocess.run([sys.executable, "-c", clear[clear.index("-c") + 1], str(library)], timeout=60).returncode == 0
    )
    assert "RWE" not in mark()
    assert "RW " in mark()


def test_checkpoints_of_other_projects():
    windows = told("NotImplementedError: cannot instantiate 'WindowsPath' on your system\n")
    assert windows.titles == ["Read WindowsPath as PosixPath"]
    v5 = told(
        "TypeError: ERROR a.pt appears to be an Ultralytics YOLOv5 model originally trained with https://github.com/ultralytics/yolov5.\n"
    )
    assert v5.titles[0] == "Load the checkpoint in the project that saved it"


def test_core_ml_is_not_exported_on_windows():
    found = told(
        "C:\\work>python export.py\nCoreML: export failure 5.2s: BlobWriter not loaded\nRuntimeError: BlobWriter not loaded\n"
    )
    assert found.titles == ["Export on macOS or Linux"]


def test_a_gpu_that_tensorrt_no_longer_supports():
    found = told(
        "[TRT] [E] Error Code 9: Internal Error (Target GPU SM 60 is not supported by this TensorRT release.)\n"
    )
    assert found.titles == ["Export to ONNX instead", "Install a TensorRT for this GPU"]


def test_a_tensorrt_for_an_old_gpu_is_pips_under_linux_alone():
    error = "Error Code 9: Internal Error (Target GPU SM 61 is not supported by this TensorRT release.)\n"
    linux = told("Ubuntu 22.04\n" + error)
    assert any("tensorrt==8.6.1" in line for line in linux.lines[1])
    windows = told("PS C:\\work> yolo export model=a.pt format=engine\n" + error)
    assert not any("tensorrt==8.6.1" in line for cure in windows.lines for line in cure)
    assert "zip file" in windows.words


def test_no_core_ml_on_an_arm_board():
    board = told(
        "Jetson Orin Nano, JetPack 6.0\nLinux nano 5.15.136-tegra aarch64\nRuntimeError: BlobWriter not loaded\n"
    )
    assert board.titles == ["Export on macOS or Linux"]
    assert "Linux on ARM" in board.words


def test_the_windows_sdk_is_added_by_visual_studios_installer():
    found = told(
        "cl.exe\nC:\\w\\a.c(1): fatal error C1083: Cannot open include file: 'corecrt.h': No such file or directory\n"
    )
    line = next(line for cure in found.lines for line in cure if "setup.exe" in line)
    assert " modify --productId Microsoft.VisualStudio.Product.BuildTools --channelId VisualStudio.17.Release" in line
    assert "--wait" not in line  # only the bootstrapper has this option


@pytest.mark.parametrize(
    ("line", "release"),
    [
        ("TypeError: TrainingArguments.__init__() got an unexpected keyword argument 'evaluation_strategy'", "<4.51"),
        ("ImportError: cannot import name 'is_torch_tpu_available' from 'transformers' (/v/x.py)", "<4.51"),
        ("ImportError: cannot import name 'LossKwargs' from 'transformers.utils' (/v/x.py)", ">=4.47,<4.54"),
    ],
)
def test_the_releases_of_transformers_that_have_what_is_missing(line, release):
    assert any(f"transformers{release}" in command for cure in told(line + "\n").lines for command in cure)
