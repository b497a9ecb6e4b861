"""The cure of a log that installs software of the system, line by line, as the person on that machine would paste it. Written by hand, read against the pages that the
modules of `attn_doctor/commands` name: one platform a case.
"""

from __future__ import annotations

import io

import pytest
from first_cures import READER, cures
from platform_logs import BUILD, CU128, CU130, DOCKER, REPOSITORIES, UNSET, by_apt

from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Goal

NO_GCC = "      error: command 'gcc' failed: No such file or directory\n"
NO_CL = '      error: Microsoft Visual C++ 14.0 or greater is required. Get it with "Microsoft C++ Build Tools"\n'
NO_HEADERS = "/tmp/x/main.c:7:10: fatal error: Python.h: No such file or directory\n"
NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver\n"
OLD_DRIVER = (
    "RuntimeError: The NVIDIA driver on your system is too old (found version 12040). Please update your GPU driver\n"
)
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch\n"
NO_START = "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment\n"
NO_ENGINE = 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n'
NVCC_128 = (
    "  RuntimeError: ('The detected CUDA version (%s) mismatches the version that was used to compilePyTorch (%s). Please make sure "
    "to use the same CUDA versions.', '12.8', '13.0')\n"
)
WSL2 = "Linux-5.15.167.4-microsoft-standard-WSL2-x86_64-with-glibc2.35\n"
WSL1 = "Linux box 4.4.0-19041-Microsoft #1237-Microsoft x86_64 GNU/Linux\n"
JETSON = "Linux-5.15.148-tegra-aarch64-with-glibc2.35\n"
CLUSTER = "[user@login02 seg]$ module load python/3.11\n"
COLAB = '  File "/content/drive/MyDrive/x.py", line 1\n'
KAGGLE = '  File "/kaggle/working/x.py", line 1\n'
# A program that runs in an image of python, and what OpenCV says there.
APP = '  File "/app/run.py", line 4, in <module>\n  File "/usr/local/lib/python3.11/site-packages/cv2/__init__.py", line 181, in <module>\n'
NO_GL = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory\n"
CONDA = '  File "/home/user/miniforge3/envs/seg/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 7\n'
PIXI = '  File "/home/user/seg/.pixi/envs/default/lib/python3.11/site-packages/torch/utils/cpp_extension.py", line 7\n'


def system(name: str) -> str:
    return f'PRETTY_NAME="{name}"\n$ pip install mamba-ssm --no-build-isolation\n'


WINDOWS_12_8 = r"C:\Program Files\NVIDIA GPU Computing Toolkit\CUDA\v12.8"
BUILD_TOOLS = "winget install --id Microsoft.VisualStudio.2022.BuildTools -e --override"
WORKLOAD = "--wait --passive --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"

# What a log says -> the lines of its first cure; None for a step that only hands can do.
ULTRALYTICS = (
    "Ultralytics 8.4.190 🚀 Python-3.11.7 torch-2.9.1+cu128 CUDA:0 (NVIDIA GeForce RTX 3090, 24240MiB)\n"
    '  File "/home/user/v/lib/python3.11/site-packages/ultralytics/{file}", line 27, in <module>\n'
    "ModuleNotFoundError: No module named '{module}'\n"
)
LOGS: dict[str, tuple[str, list[str | None]]] = {
    # A toolkit of a stated release
    "Windows, PowerShell": (
        "PS C:\\seg> pip install mamba-ssm\n" + CU128 + UNSET,
        [
            f'{BUILD_TOOLS} "{WORKLOAD}"',
            "winget install --id Nvidia.CUDA -e --version 12.8",
            f"$Env:CUDA_HOME = '{WINDOWS_12_8}'",
            None,
        ],
    ),
    "Windows, cmd": (
        "C:\\seg>pip install mamba-ssm\n" + CU128 + UNSET,
        [
            f'{BUILD_TOOLS} "{WORKLOAD}"',
            "winget install --id Nvidia.CUDA -e --version 12.8",
            f'set "CUDA_HOME={WINDOWS_12_8}"',
            None,
        ],
    ),
    "Windows, Anaconda prompt": (
        "(seg) C:\\Users\\user>pip install mamba-ssm\n"
        '  File "C:\\Users\\user\\miniconda3\\envs\\seg\\lib\\site-packages\\torch\\utils\\cpp_extension.py", line 7\n'
        + CU128
        + UNSET,
        [
            f'{BUILD_TOOLS} "{WORKLOAD}"',
            "conda install --prefix C:\\Users\\user\\miniconda3\\envs\\seg --yes -c conda-forge cuda-toolkit=12.8",
            None,
            'set "CUDA_HOME=C:\\Users\\user\\miniconda3\\envs\\seg\\Library"',
        ],
    ),
    "Ubuntu 22.04": (system("Ubuntu 22.04.4 LTS") + CU128 + UNSET, [*by_apt("ubuntu2204", "12.8")]),
    "Ubuntu 24.04": (system("Ubuntu 24.04.2 LTS") + CU130 + UNSET, [*by_apt("ubuntu2404", "13.0")]),
    "Ubuntu 24.04 has no CUDA 12.4: the next of its major": (
        system("Ubuntu 24.04.2 LTS") + "torch.__version__  = 2.6.0+cu124\n" + UNSET,
        [*by_apt("ubuntu2404", "12.5")],
    ),
    "Debian 12": (system("Debian GNU/Linux 12 (bookworm)") + CU128 + UNSET, [*by_apt("debian12", "12.8")]),
    "GH200, Ubuntu 24.04": (
        "Linux-6.8.0-1013-nvidia-64k-aarch64-with-glibc2.39\n" + system("Ubuntu 24.04.2 LTS") + CU130 + UNSET,
        [*by_apt("ubuntu2404", "13.0", arch="sbsa")],
    ),
    "DGX Spark: CUDA 12.8 does not know its GPU": (
        "NVIDIA GB10\n" + system("Ubuntu 24.04.2 LTS") + CU128 + UNSET,
        [*by_apt("ubuntu2404", "12.9", arch="sbsa")],
    ),
    "Rocky 9": (
        system("Rocky Linux 9.5 (Blue Onyx)") + CU128 + UNSET,
        [
            "sudo dnf install -y dnf-plugins-core",
            f"sudo dnf config-manager --add-repo {REPOSITORIES}/rhel9/x86_64/cuda-rhel9.repo",
            "sudo dnf install -y cuda-toolkit-12-8",
            "export CUDA_HOME=/usr/local/cuda-12.8",
        ],
    ),
    "Fedora 42": (
        system("Fedora Linux 42 (Workstation Edition)") + CU130 + UNSET,
        [
            f"sudo dnf config-manager addrepo --from-repofile={REPOSITORIES}/fedora42/x86_64/cuda-fedora42.repo",
            "sudo dnf install -y cuda-toolkit-13-0",
            "export CUDA_HOME=/usr/local/cuda-13.0",
        ],
    ),
    "openSUSE Leap": (
        system("openSUSE Leap 15.6") + CU128 + UNSET,
        [
            f"sudo zypper addrepo {REPOSITORIES}/opensuse15/x86_64/cuda-opensuse15.repo",
            "sudo zypper --gpg-auto-import-keys install -y cuda-toolkit-12-8",
            "export CUDA_HOME=/usr/local/cuda-12.8",
        ],
    ),
    "conda": (
        CONDA + CU128 + UNSET,
        [
            "conda install --prefix /home/user/miniforge3/envs/seg --yes -c conda-forge cuda-toolkit=12.8 gxx_linux-64",
            "export CUDA_HOME=/home/user/miniforge3/envs/seg",
        ],
    ),
    "mamba": (
        "$ mamba install ninja\n" + CONDA + CU128 + UNSET,
        [
            "mamba install --prefix /home/user/miniforge3/envs/seg --yes -c conda-forge cuda-toolkit=12.8 gxx_linux-64",
            "export CUDA_HOME=/home/user/miniforge3/envs/seg",
        ],
    ),
    "pixi": (
        PIXI + CU128 + UNSET,
        ["pixi add cuda-toolkit=12.8 gxx_linux-64", "export CUDA_HOME=/home/user/seg/.pixi/envs/default"],
    ),
    "a cluster": (CLUSTER + CU128 + UNSET, ["module avail cuda", "module load cuda/12.8"]),
    "WSL 2": (WSL2 + system("Ubuntu 22.04.4 LTS") + CU128 + UNSET, [*by_apt("wsl-ubuntu", "12.8")]),
    "WSL 1": (
        WSL1 + system("Ubuntu 22.04.4 LTS") + CU128 + UNSET,
        ["winver", "wsl.exe --update", "wsl.exe --list --verbose", "wsl.exe --set-version Ubuntu 2"],
    ),
    "docker build: another image": (
        BUILD + 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\n' + CU128 + UNSET,
        ["FROM nvidia/cuda:12.8.1-devel-ubuntu22.04"],
    ),
    "a running container: another image": (DOCKER + CU128 + UNSET, [None]),
    "Jetson": (
        JETSON + "torch.__version__  = 2.5.0a0+872d972e41.nv24.08\n" + UNSET,
        ["sudo apt-get install -y nvidia-jetpack", "export CUDA_HOME=/usr/local/cuda"],
    ),
    "Colab": (COLAB + CU128 + UNSET, ["!ls -d /usr/local/cuda", "%env CUDA_HOME=/usr/local/cuda"]),
    "Kaggle, a toolkit of another major": (
        KAGGLE + NVCC_128,
        [
            "%pip install --force-reinstall --no-deps torch torchvision --index-url https://download.pytorch.org/whl/cu126",
            "%pip install torch torchvision --index-url https://download.pytorch.org/whl/cu126",
            None,
        ],
    ),
    "torch's CUDA is not known": (
        system("Ubuntu 22.04.4 LTS") + UNSET,
        [
            "wget https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2204/x86_64/cuda-keyring_1.1-1_all.deb",
            "sudo dpkg -i cuda-keyring_1.1-1_all.deb",
            "sudo apt-get update",
            """RELEASE=$(python3 -c 'import torch; v = str(torch.version.cuda); print("11.8" if v[:3] == "11." else v)'); echo $RELEASE""",
            "sudo apt-get install -y cuda-toolkit-$(echo $RELEASE | tr . -)",
            "export CUDA_HOME=/usr/local/cuda-$RELEASE",
        ],
    ),
    # A compiler, headers, libraries
    "no cl.exe, PowerShell": ("PS D:\\seg> pip install causal-conv1d\n" + NO_CL, [f'{BUILD_TOOLS} "{WORKLOAD}"', None]),
    "no cl.exe, cmd": ("D:\\seg>pip install causal-conv1d\n" + NO_CL, [f'{BUILD_TOOLS} "{WORKLOAD}"', None]),
    "no gcc in a container": (
        DOCKER + 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n' + NO_GCC,
        ["apt-get update && apt-get install -y build-essential"],
    ),
    "no gcc in docker build": (
        BUILD + 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n' + NO_GCC,
        ["RUN apt-get update && apt-get install -y build-essential"],
    ),
    "no gcc on a host": (system("Ubuntu 22.04.4 LTS") + NO_GCC, ["sudo apt-get install -y build-essential"]),
    "no gcc on a cluster": (CLUSTER + NO_GCC, ["module avail gcc", "module load gcc/13.2.0"]),
    "no gcc on a Mac": (
        '  File "/Users/user/v/lib/python3.11/site-packages/x.py", line 3\n' + NO_GCC,
        ["xcode-select --install"],
    ),
    "gcc is too new, Ubuntu": (
        system("Ubuntu 24.04.1 LTS")
        + "#error -- unsupported GNU version! gcc versions later than 12 are not supported!\n",
        [
            "sudo apt-get install -y gcc-12 g++-12",
            "export CC=/usr/bin/gcc-12",
            "export CXX=/usr/bin/g++-12",
            "export NVCC_PREPEND_FLAGS='-ccbin /usr/bin/g++-12'",
        ],
    ),
    "gcc is too old, CentOS 8": (
        system("CentOS Linux 8") + "cc1plus: error: unrecognized command line option '-std=c++17'\n",
        [
            "sudo dnf install -y gcc-toolset-11",
            "export CC=/opt/rh/gcc-toolset-11/root/usr/bin/gcc",
            "export CXX=/opt/rh/gcc-toolset-11/root/usr/bin/g++",
            "export NVCC_PREPEND_FLAGS='-ccbin /opt/rh/gcc-toolset-11/root/usr/bin/g++'",
        ],
    ),
    "no Python.h, Ubuntu": (
        system("Ubuntu 22.04.4 LTS") + "Python 3.10.12\n" + NO_HEADERS,
        ["sudo apt-get install -y python3.10-dev"],
    ),
    "no Python.h, Rocky's second Python": (
        system("Rocky Linux 9.5") + "Python 3.11.9\n" + NO_HEADERS,
        ["sudo dnf install -y python3.11-devel"],
    ),
    "nvcc warns of an old compiler": (
        CLUSTER
        + "nvcc warning : The -std=c++17 flag is not supported with the configured host compiler. Flag will be ignored.\n",
        ["module avail gcc", "module load gcc/11.2.0"],
    ),
    "CUDA_HOME is a list": (
        "FileNotFoundError: [Errno 2] No such file or directory: ':/usr/local/cuda-12.4/bin/nvcc'\n",
        ["export CUDA_HOME=/usr/local/cuda-12.4"],
    ),
    "apt lacks the toolkit": (
        'PRETTY_NAME="Ubuntu 24.04.2 LTS"\nE: Unable to locate package cuda-toolkit-12-8\n',
        ["grep -rn developer.download.nvidia.com /etc/apt/sources.list.d", *by_apt("ubuntu2404", "12.8")],
    ),
    "cuDNN of a cluster's module": (
        CLUSTER + "Unable to load any of {libcudnn_graph.so.9.1.0, libcudnn_graph.so.9}\n",
        ["module unload cudnn"],
    ),
    "torch.compile finds no cl.exe": (
        "PS D:\\seg> python train.py\ntorch._inductor.exc.InductorError: RuntimeError: Compiler: cl is not found.\n",
        [f'{BUILD_TOOLS} "{WORKLOAD}"', None],
    ),
    # The driver, and what passes a GPU on
    "no driver, Ubuntu": (system("Ubuntu 22.04.4 LTS") + NO_DRIVER, ["sudo ubuntu-drivers install", "sudo reboot"]),
    "no driver, Rocky 9": (
        system("Rocky Linux 9.5") + NO_DRIVER,
        [
            "sudo dnf install -y dnf-plugins-core kernel-devel",
            "sudo dnf config-manager --set-enabled crb",
            "sudo dnf install -y https://dl.fedoraproject.org/pub/epel/epel-release-latest-9.noarch.rpm",
            f"sudo dnf config-manager --add-repo {REPOSITORIES}/rhel9/x86_64/cuda-rhel9.repo",
            "sudo dnf module enable -y nvidia-driver:open-dkms",
            "sudo dnf install -y nvidia-open",
            "sudo reboot",
        ],
    ),
    "no driver, WSL 2": (WSL2 + NO_DRIVER, [None, "wsl.exe --shutdown"]),
    "a driver that does not fit, WSL 2": (WSL2 + MISMATCH, ["wsl.exe --shutdown"]),
    "a driver that does not fit, a host": (system("Ubuntu 22.04.4 LTS") + MISMATCH, ["sudo reboot"]),
    "a driver that does not fit, a container": (DOCKER + MISMATCH, [None]),
    "a driver that does not fit, a cluster": (CLUSTER + MISMATCH, [None]),
    "CUDA does not start, WSL 2": (WSL2 + NO_START, ["wsl.exe --shutdown"]),
    "CUDA does not start, Windows": ("PS C:\\seg> python train.py\n" + NO_START, [None]),
    "an old driver, Windows": ("PS C:\\seg> python train.py\n" + OLD_DRIVER, [None]),
    "an old driver, a cluster: another torch first": (
        CLUSTER + CU130 + OLD_DRIVER,
        [  # the release that is there, as the log names no Python: PyPI's build of it is for CUDA 12
            "python3 -m pip install --force-reinstall --no-deps torch==2.9.1 torchvision==0.24.1",
            "python3 -m pip install torch==2.9.1 torchvision==0.24.1",
        ],
    ),
    "an old driver, Jetson": (JETSON + OLD_DRIVER, [None]),
    "no container toolkit, Windows": (
        "PS C:\\seg> docker run --gpus all x\n" + NO_ENGINE,
        ["wsl --update", None, None, "docker run --rm --gpus all nvidia/cuda:12.4.1-base-ubuntu22.04 nvidia-smi"],
    ),
    "no container toolkit, Rocky": (
        'PRETTY_NAME="Rocky Linux 9.5"\n' + NO_ENGINE,
        [
            "sudo dnf config-manager --add-repo https://nvidia.github.io/libnvidia-container/stable/rpm/nvidia-container-toolkit.repo",
            "sudo dnf install -y nvidia-container-toolkit",
            "sudo nvidia-ctk runtime configure --runtime=docker",
            "sudo systemctl restart docker",
        ],
    ),
    "no torchvision beside torch of CUDA 12.8": (
        ULTRALYTICS.format(file="utils/nms.py", module="torchvision"),
        [
            "/home/user/v/bin/python3 -m pip install torchvision==0.24.1"
        ],  # PyPI's build of torch 2.9 is that of CUDA 12.8
    ),
    "no tqdm in a project of uv": (
        "$ uv run yolo train\n" + ULTRALYTICS.format(file="utils/__init__.py", module="tqdm"),
        ["uv add ultralytics"],
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_cure_of_the_first_finding_can_be_pasted_on_the_machine_of_the_log(name):
    """A finished wheel of the package may stand before it."""
    text, wanted = LOGS[name]
    assert wanted in cures(text)


@pytest.mark.parametrize("name", LOGS)
def test_no_cure_names_a_release_that_is_none(name):
    log = READER.read(io.BytesIO(LOGS[name][0].encode()), "log")
    facts = facts_of_logs([log])
    for finding in diagnose(facts, Goal.FLASH_ATTN, logs=(log,)).findings:
        for fix in finding.fixes:
            said = " ".join([fix.title, *(word for s in fix.steps for word in (s.why, s.changes, *s.argv))])
            assert "X.Y" not in said
            if facts.system.os == "windows":
                assert "sudo" not in said
                assert "apt-get" not in said
            if facts.system.wsl == 2:
                assert not any(s.argv[-1:] == ("reboot",) for s in fix.steps)
