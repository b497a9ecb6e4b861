"""Logs of GPUs that a program does not see, does not serve or does not reach: what is said, and the first cure, by what the log states."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from attn_doctor.commands import shown
from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Confidence, Finding, Goal, Severity

_READER = log_reader()
FIXTURES = Path(__file__).parent.parent / "fixtures" / "logs"
ASK = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"


def finding(text: str) -> Finding:
    """Return the first finding of a log."""
    log = _READER.read(io.BytesIO(text.encode()), "output.log")
    made = diagnose(facts_of_logs([log]), Goal.TRAIN, logs=[log])
    loud = [f for f in made.findings if f.root_cause]
    assert loud, made
    return loud[0]


def silent(text: str) -> bool:
    """Say whether nothing above an info is found in a log."""
    log = _READER.read(io.BytesIO(text.encode()), "output.log")
    made = diagnose(facts_of_logs([log]), Goal.TRAIN, logs=[log])
    return all(f.severity is Severity.INFO for f in made.findings)


def lines(found: Finding, at: int = 0) -> list[str]:
    """Return the commands of a fix, "" for a step that is words alone."""
    return [shown(step, "sh") or "" for step in found.fixes[at].steps]


def reasons(found: Finding, at: int = 0) -> str:
    return " | ".join(step.why for step in found.fixes[at].steps)


def test_a_program_that_sees_no_gpu_asks_its_own_python_before_anything_is_installed():
    found = finding((FIXTURES / "torch-sees-no-gpu" / "webui.log").read_text())
    # "sh" quotes the path of Windows; its own shells need no quotes there.
    assert lines(found) == [f"'D:\\apps\\webui\\venv\\Scripts\\python.exe' -c \"{ASK}\"", "nvidia-smi"]
    assert [fix.title for fix in found.fixes] == [
        "Print what torch and the driver report",
        "If that torch is a CPU build: install a CUDA build",
        "If nvidia-smi fails or shows an older CUDA: install the driver",
        "Without an NVIDIA GPU: compute on the CPU",
    ]


TYPED = """\
>>> import torch
>>> torch.cuda.is_available()
False
"""
SMI = """\
| NVIDIA-SMI {0}              Driver Version: {0}      CUDA Version: {1}     |
|   0  NVIDIA GeForce RTX 4070        Off | 00000000:01:00.0  On |                  N/A |
"""


def test_a_false_beside_a_driver_is_a_warning_and_alone_it_is_none():
    found = finding(TYPED + SMI.format("550.90.07", "12.4"))
    assert (found.slug, found.severity, found.confidence) == ("torch-sees-no-gpu", Severity.WARNING, Confidence.LOW)
    assert found.message.endswith(
        "torch is a CPU build, or built for a newer CUDA than the driver supports, or the GPU is hidden from the program."
    )
    assert silent(TYPED)
    assert silent("torch.cuda.is_available(): False\nusing device: cpu\n")


def test_where_the_driver_runs_the_cuda_of_torch_neither_is_to_be_installed():
    found = finding(
        "torch.__version__: 2.4.1+cu124\ntorch.cuda.is_available(): False\n" + SMI.format("560.35.03", "12.6")
    )
    assert found.message == (
        "torch 2.4.1+cu124 is built for CUDA 12.4, the driver 560.35.03 supports that CUDA, and torch sees no GPU; the log does not say why: the "
        "GPU is hidden from the program, or the program uses another environment, or the driver needs a restart."
    )
    assert [fix.title for fix in found.fixes] == ["Print what torch and the driver report"]


def test_a_cpu_torch_beside_nvcc_is_the_cause():
    text = """\
PyTorch version: 2.3.1+cpu
OS: Microsoft Windows 11 Pro
Is CUDA available: False
Cuda compilation tools, release 12.1, V12.1.105
"""
    found = finding(text)
    assert (found.slug, found.fixes[0].title) == ("torch-cpu-build", "Install the CUDA build of torch 2.3.1")
    assert silent("PyTorch version: 2.3.1+cpu\nOS: Microsoft Windows 11 Pro\nIs CUDA available: False\n")


def test_an_amd_card_gets_amds_torch_and_no_driver_of_nvidia():
    found = finding(
        "GPU: AMD Radeon RX 7800 XT\nOS: Windows 11\nRuntimeError: Torch is not able to use GPU; add --skip-torch\n"
    )
    assert [fix.title for fix in found.fixes] == [
        "Print what torch and the driver report",
        "Install a torch for the AMD GPU",
    ]
    assert lines(found) == [f'python -c "{ASK}"']


CUDNN = "Could not load library libcudnn_cnn_infer.so.8. Error: libcuda.so: cannot open shared object file: No such file or directory\nAborted\n"
BITSANDBYTES = "CUDA SETUP: WARNING! libcuda.so not found! Do you have a CUDA driver installed? If you are on a cluster, look there!\n"


@pytest.mark.parametrize(
    "said", [CUDNN, BITSANDBYTES, "OSError: libcuda.so: cannot open shared object file: No such file or directory\n"]
)
@pytest.mark.parametrize(
    "where",
    [
        "WSL\n",
        "Windows 11 WSL2\n",
        "user@DESKTOP-A1B2C3D:~$ python run.py\n",
        "Linux host 5.15.90.1-microsoft-standard-WSL2 #1 SMP\n",
    ],
)
def test_libcuda_that_is_not_found_under_wsl_lies_in_its_folder(where, said):
    found = finding(where + said)
    assert found.slug == "wsl2-driver-stub"
    assert found.message == (
        "libcuda.so is not found inside WSL: the file is in /usr/lib/wsl/lib, which is not on the loader's path."
    )
    assert lines(found) == [
        "export LD_LIBRARY_PATH=/usr/lib/wsl/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}",
        "ls -l /usr/lib/wsl/lib/",
    ]


def test_libcuda_that_is_not_found_elsewhere_is_a_link_or_a_driver_that_is_missing():
    found = finding(CUDNN)
    assert (found.slug, found.confidence) == ("driver-missing", Confidence.MEDIUM)
    assert lines(found)[0] == "ldconfig -p | grep libcuda.so"
    assert "export LD_LIBRARY_PATH=/usr/lib/wsl/lib" in reasons(found)


CRASH = """\
{card}
Segmentation fault (core dumped)
Thread 1 "python3" received signal SIGSEGV, Segmentation fault.
#0  0x00007f11d0e534c5 in ?? () from /opt/rocm/lib/libamdhip64.so.6
"""


def test_a_crash_inside_of_hip_with_a_card_that_rocm_serves_no_more():
    found = finding(CRASH.format(card="Radeon RX 580 Series"))
    assert (found.slug, found.confidence) == ("rocm-gfx-not-in-build", Confidence.MEDIUM)
    assert "since 4.0" in found.message
    assert [fix.title for fix in found.fixes] == ["Compute on the CPU, or on a newer GPU"]


def test_a_crash_inside_of_hip_with_another_card_asks_for_the_build_first():
    found = finding(CRASH.format(card="GPU: AMD Radeon RX 6900 XT"))
    assert (found.slug, found.confidence) == ("rocm-gfx-not-in-build", Confidence.LOW)
    assert lines(found)[1:] == ["rocminfo"]
    assert "get_arch_list" in lines(found)[0]


def test_a_frame_of_hip_without_a_crash_is_none():
    assert silent("#0  0x00007f11d0e534c5 in ?? () from /opt/rocm/lib/libamdhip64.so.6\nresumed\n")


@pytest.mark.parametrize(
    "said",
    [
        "RuntimeError: HIP error: hipErrorLaunchFailure",
        "RuntimeError: HIP error: hipErrorIllegalAddress",
        "torch.AcceleratorError: HIP error: unspecified launch failure",
        "hipMemcpy failed with error code 719 (hipErrorLaunchFailure)",
    ],
)
def test_an_error_of_hip_names_the_gpu_before_anything_is_installed(said):
    found = finding(f"6900xt, rocm/pytorch:latest\n{said}\n")
    assert (found.slug, found.severity) == ("rocm-specific", Severity.ERROR)
    assert [fix.title for fix in found.fixes] == [
        "See whether this torch is for the GPU",
        "Use a container image with a newer ROCm",
        "See which call fails",
    ]
    assert lines(found, 1) == ["docker pull rocm/pytorch:latest"]


@pytest.mark.parametrize("card", ["7900xt", "RX 6800", "my Radeon RX 7800 XT", "AMD Radeon(TM) RX 6700 XT"])
def test_an_amd_card_in_words_gets_amds_torch_on_windows(card):
    found = finding(
        f"{card}, Windows\nC:\\ai\\venv\\Scripts\\python.exe main.py\nAssertionError: Torch not compiled with CUDA enabled\n"
    )
    assert (found.slug, found.fixes[0].title) == ("torch-cpu-build", "Install the ROCm build of torch")
    assert not any("download.pytorch.org" in line for fix in range(len(found.fixes)) for line in lines(found, fix))


@pytest.mark.parametrize(
    "words", ["it supports the RX 6800 and newer", "RTX 4090", "4090", "version 7900", "needs an RX 7900 XTX or later"]
)
def test_other_words_name_no_amd_card(words):
    found = finding(f"{words}\nAssertionError: Torch not compiled with CUDA enabled\n")
    assert found.fixes[0].title == "Install a CUDA build of torch"


NVRTC = (
    'OSError: [WinError 126] The specified module could not be found. Error loading "D:\\ai\\{0}\\venv\\Lib\\site-packages\\torch\\lib\\{1}" '
    "or one of its dependencies.\n"
)


@pytest.mark.parametrize("dll", ["caffe2_nvrtc.dll", "cublas64_11.dll", "cusparse64_11.dll"])
def test_zluda_needs_amds_hip_sdk(dll):
    found = finding(NVRTC.format("ComfyUI-Zluda", dll))
    assert (found.slug, found.fixes[0].title) == ("windows-dll-missing", "Put AMD's HIP SDK on PATH")
    assert lines(found)[0] == "hipInfo.exe"
    assert (
        finding("AMD Radeon RX 7900 XTX\n" + NVRTC.format("ComfyUI", dll)).fixes[0].title == "Put AMD's HIP SDK on PATH"
    )
    assert finding(NVRTC.format("ComfyUI", "caffe2_nvrtc.dll")).slug == "torch-install-broken"


OLD = """\
PyTorch version: {torch}
CUDA used to build PyTorch: {cuda}
OS: CentOS Linux 7 (Core)
Python version: 3.7
Is CUDA available: {available}
GPU 0: Tesla V100-PCIE-16GB
Nvidia driver version: {driver}
[pip3] torch=={torch}
"""


@pytest.mark.parametrize(
    ("torch", "cuda", "driver", "requirements"),
    [
        ("1.6.0", "10.2", "418.87", "torch==1.6.0+cu101 torchvision==0.7.0+cu101"),
        ("1.7.1", "10.2", "396.82", "torch==1.7.1+cu92 torchvision==0.8.2+cu92"),
        ("1.9.0+cu111", "11.1", "440.64", "torch==1.9.0+cu102 torchvision==0.10.0+cu102"),
        ("1.13.1", "11.7", "440.64", "torch==1.12.1+cu102 torchvision==0.13.1+cu102"),  # 1.13 has no CUDA 10
    ],
)
def test_an_old_torch_is_for_a_newer_cuda_than_its_driver(torch, cuda, driver, requirements):
    found = finding(OLD.format(torch=torch, cuda=cuda, driver=driver, available="False"))
    assert found.slug == "driver-too-old"
    cure = next(at for at, fix in enumerate(found.fixes) if fix.title.startswith("Install a torch for CUDA"))
    assert lines(found, cure) == [
        f"python3 -m pip install {requirements} --find-links https://download.pytorch.org/whl/torch_stable.html"
    ]


@pytest.mark.parametrize(
    ("torch", "cuda", "driver"), [("1.6.0", "10.1", "418.39"), ("1.6.0", "10.2", "440.33"), ("1.4.0", "9.2", "396.26")]
)
def test_an_old_driver_runs_the_cuda_that_it_came_with(torch, cuda, driver):
    assert silent(OLD.format(torch=torch, cuda=cuda, driver=driver, available="True"))


def test_the_same_release_for_cuda_in_place_of_an_old_cpu_build():
    found = finding(
        "PyTorch version: 1.8.1+cpu\nOS: Windows 10\nAssertionError: Torch not compiled with CUDA enabled\n"
    )
    assert lines(found) == [
        "python -m pip install torch==1.8.1+cu111 torchvision==0.9.1+cu111 --find-links https://download.pytorch.org/whl/torch_stable.html"
    ]
    found = finding(
        "PyTorch version: 1.12.1+cpu\nOS: Windows 10\n440.97 driver\nNvidia driver version: 441.22\nRuntimeError: No GPU found\n"
    )
    # torch 1.12 for CUDA 10.2 was not built for Windows: the newest that this driver runs there is 1.10.2.
    assert lines(found) == [
        "python -m pip install torch==1.10.2+cu102 torchvision==0.11.3+cu102 --find-links https://download.pytorch.org/whl/torch_stable.html"
    ]


DOCKER = 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n'


@pytest.mark.parametrize(
    "told",
    ["Driver Version                            : 451.67\n", "PS C:\\work> docker compose up\n", "OS: Windows 11\n"],
)
def test_docker_on_windows_passes_a_gpu_on_through_wsl_2(told):
    found = finding(told + DOCKER)
    assert found.slug == "container-toolkit-missing"
    assert found.message.endswith(
        "Docker Desktop can do it only with its WSL 2 engine and a driver that is new enough."
    )
    assert lines(found) == [
        "wsl --update",
        "",
        "",
        "docker run --rm --gpus all nvidia/cuda:12.4.1-base-ubuntu22.04 nvidia-smi",
    ]


def test_docker_in_wsl_is_restarted_without_systemd():
    found = finding("| NVIDIA-SMI 535.104.05   Driver Version: 537.13       CUDA Version: 12.2     |\n" + DOCKER)
    assert lines(found)[-1] == "sudo service docker restart"
    assert lines(found)[1] == "sudo apt-get update"
    assert found.fixes[1].title == "If it is Docker Desktop on Windows: let it pass the GPU on"


def test_docker_on_linux_hears_nothing_of_windows():
    found = finding("$ docker run --gpus all ubuntu\nDriver Version: 550.54.14\nOS: Ubuntu 22.04\n" + DOCKER)
    assert len(found.fixes) == 1
    assert lines(found)[-1] == "sudo systemctl restart docker"


def test_an_amd_card_has_no_driver_of_nvidia():
    found = finding(
        "my Radeon RX 7800 XT\nC:\\ai\\main.py\nRuntimeError: Found no NVIDIA driver on your system. Please check\n"
    )
    assert (
        found.message
        == "The installed torch is a build for NVIDIA GPUs, but the GPU is from AMD: AMD Radeon RX 7800 XT."
    )
    assert [fix.title for fix in found.fixes] == ["Install a torch for the AMD GPU"]


def test_the_source_line_of_a_traceback_says_it_in_any_program():
    found = finding(
        '  File "/opt/app/run.py", line 3, in <module>\n    assert torch.cuda.is_available()\nAssertionError: sorry\n'
    )
    assert (found.slug, found.confidence) == ("torch-sees-no-gpu", Confidence.LOW)


def test_workers_that_end_on_windows_need_the_page_file_and_no_shared_memory():
    found = finding(
        "PS D:\\\\yolo> python train.py\nRuntimeError: DataLoader worker (pid(s) 4100) exited unexpectedly\n"
    )
    assert (found.slug, found.confidence) == ("dataloader-worker-ended", Confidence.LOW)
    assert [fix.title for fix in found.fixes] == ["Load the data without workers", "Make the page file larger"]
    assert "/dev/shm" not in reasons(found, 0) + reasons(found, 1)
    linux = finding(
        "user@host:~$ python3 train.py\n/home/user/yolo\nRuntimeError: DataLoader worker (pid 4100) exited unexpectedly\n"
    )
    assert lines(linux, 1) == ["sudo dmesg", "df -h /dev/shm"]
