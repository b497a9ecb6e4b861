"""What a log says of its machine, and what it must not be taken to say. Expectations by hand."""

from __future__ import annotations

import io
import json

import pytest

from attn_doctor.cli import run
from attn_doctor.examination.inputs import log_reader
from attn_doctor.logs.machine_claims import disagreements
from attn_doctor.logs.stated_facts import as_facts, stated_facts
from attn_doctor.model.facts import Facts, Graphics, Interpreter, System, Torch, Unknown
from attn_doctor.model.stated_facts import SINGLE, Stated, StatedFacts
from attn_doctor.report.log_outline import of_machine

READER = log_reader()


def read(text: str | bytes, name: str = "log") -> StatedFacts:
    data = text.encode() if isinstance(text, str) else text
    return stated_facts([READER.read(io.BytesIO(data), name)])


def told(stated: StatedFacts) -> dict[str, object]:
    values = {name: getattr(stated, name) for name in SINGLE}
    found = {name: value.value for name, value in values.items() if isinstance(value, Stated)}
    if stated.gpus:
        found["gpus"] = [gpu.value for gpu in stated.gpus]
    return found


BANNER = "Ultralytics 8.3.40 🚀 Python-3.11.9 torch-2.5.1+cu124 CUDA:0 (NVIDIA GeForce RTX 4060 Laptop GPU, 8188MiB)\n"

# Each text, and the facts that it has to yield, among others.
SAID = {
    BANNER: {
        "python": "3.11.9", "torch": "2.5.1+cu124", "torch_flavour": "cuda", "torch_cuda": "12.4",
        "gpus": ["NVIDIA GeForce RTX 4060 Laptop GPU"],
    },
    "Ultralytics YOLOv8.2.1 🚀 Python-3.10.4 torch-2.3.0+cpu CPU (Intel Core i5)\n": {"torch": "2.3.0+cpu", "torch_flavour": "cpu"},
    "OS                  Windows-11-10.0.22631-SP0\nEnvironment         Windows\nPython              3.12.3\nCUDA                12.6\n": {
        "os": "windows", "os_version": "11", "python": "3.12.3", "torch_cuda": "12.6"},
    # A banner without its Python; WinPython's folder; a voice program's own Python.
    "YOLOv5 🚀 v6.2-56-g30e674b torch 1.12.1+cu116 CUDA:0 (NVIDIA GeForce RTX 3080, 10240MiB)\n": {
        "torch": "1.12.1+cu116", "torch_cuda": "11.6", "gpus": ["NVIDIA GeForce RTX 3080"]},
    "YOLOR 🚀 v0.1-115-g072f76c torch 1.11.0 CPU\n": {"torch": "1.11.0"},
    'File "E:\\WPy64-31090\\python-3.10.9.amd64\\lib\\site-packages\\torch\\_ops.py", line 3, in x\n': {
        "os": "windows", "python": "3.10.9", "environment": "E:\\WPy64-31090\\python-3.10.9.amd64", "environment_kind": "standalone"},
    'File "D:\\RVC1006\\runtime\\lib\\site-packages\\torch\\_ops.py", line 3, in x\n': {
        "os": "windows", "environment": "D:\\RVC1006\\runtime", "environment_kind": "standalone"},
    'File "C:\\tg\\installer_files\\env\\Lib\\site-packages\\torch\\_ops.py", line 3, in x\n': {
        "environment": "C:\\tg\\installer_files\\env", "environment_kind": "standalone"},
    # conda's own platform.
    "Platform: osx-arm64\n": {"os": "darwin", "machine": "arm64"},
    "Platform: linux-aarch64\n": {"os": "linux", "machine": "aarch64"},
    "Your python: conda-forge/osx-64::python==3.10.4=h8b4d769_0_cpython\n": {"os": "darwin", "machine": "x86_64"},
    "conda-forge/win-64                                          Using cache\n": {"os": "windows"},
    "macOS arm64\n$ pip install x\n": {"os": "darwin", "machine": "arm64"},
    # Windows by a path without a drive, and by the number of its driver; under Linux that is WSL.
    "<module 'x' from 'programs\\\\python\\\\python39\\\\lib\\\\site-packages\\\\x\\\\y.py'>\n": {"os": "windows"},
    "src\\csrc\\roi_align.cpp(41): error C2065: 'uint'\n": {"os": "windows"},
    "Driver Version                            : 472.12\n": {"os": "windows", "driver": "472.12"},
    "| NVIDIA-SMI 472.12       Driver Version: 472.12       CUDA Version: 11.4     |\n": {"os": "windows", "driver": "472.12"},
    "| NVIDIA-SMI 535.104.05             Driver Version: 537.13       CUDA Version: 12.2     |\n": {
        "os": "linux", "wsl": 2, "driver": "537.13"},
    "/home/me/run.py\nDriver Version: 551.86\n": {"os": "linux", "wsl": 2},
    # Notebooks in words, and by their commands; docker compose.
    "Platform: Google Colab (T4)\n": {"surroundings": "colab", "os": "linux"},
    "I'm using Google Colab.\n": {"surroundings": "colab"},
    "!pip install xformers\n": {"shell": "notebook", "installer": "pip"},
    "%pip install -U ultralytics\n": {"shell": "notebook"},
    "web-1  | a\nweb-1  | b\ntrain-gpu-1  | c\n": {"surroundings": "docker", "os": "linux"},
    "Windows-10-10.0.19045-SP0\n": {"os": "windows", "os_version": "10"},
    "Windows-10-10.0.26100-SP0\n": {"os": "windows", "os_version": "11"},
    "Microsoft Windows [Version 10.0.22621.2134]\n": {"os": "windows", "os_version": "11"},
    'File "C:\\Users\\王伟\\项目\\train.py", line 3, in <module>\n': {"os": "windows"},
    'File "D:\\データ\\学習\\train.py", line 9, in <module>\r\n    import torch\r\n': {"os": "windows"},
    "C:\\Benutzer\\Jörg\\Projekte\\bau\\kern.cu(12): Fehler C2065\r\n": {"os": "windows"},
    "(yolo) PS C:\\Users\\me\\yolo> pip install flash-attn\n": {"os": "windows", "installer": "pip", "command": "pip install flash-attn"},
    "C:\\proj>uv sync --extra gpu\n": {"os": "windows", "installer": "uv", "command": "uv sync --extra gpu"},
    "Python 3.10.11 (tags/v3.10.11:7d4cc5a, Apr  5 2023, 00:38:17) [MSC v.1929 64 bit (AMD64)] on win32\n": {
        "os": "windows", "machine": "x86_64", "python": "3.10.11"},
    "  C:/ProgramData/Anaconda3/envs/seg/Lib/site-packages/torch/include/c10/util/C++17.h(27): fatal error C1189\n": {
        "os": "windows", "environment_kind": "conda", "environment": "C:/ProgramData/Anaconda3/envs/seg"},
    "Downloading torch-2.5.1-cp312-cp312-win_amd64.whl (203.0 MB)\n": {"os": "windows", "machine": "x86_64", "python": "3.12", "torch": "2.5.1"},
    "Downloading torch-2.4.0-cp310-cp310-manylinux1_x86_64.whl (797.2 MB)\n": {"os": "linux", "machine": "x86_64", "torch": "2.4.0"},
    "Downloading numpy-2.1.0-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl (13.8 MB)\n": {"os": "linux", "machine": "aarch64"},
    "Downloading torch-2.5.1-cp311-none-macosx_11_0_arm64.whl (63.9 MB)\n": {"os": "darwin", "machine": "arm64"},
    "macOS-14.5-arm64-arm-64bit\n": {"os": "darwin", "os_version": "14.5", "machine": "arm64"},
    'File "/Users/lena/yolo/train.py", line 1, in <module>\n': {"os": "darwin"},
    "Linux box 5.15.0-105-generic #115-Ubuntu SMP Mon Apr 15 09:52:04 UTC 2024 x86_64 x86_64 x86_64 GNU/Linux\n": {
        "os": "linux", "machine": "x86_64", "kernel": "5.15.0-105-generic"},
    "Linux-5.15.153.1-microsoft-standard-WSL2-x86_64-with-glibc2.35\n": {"os": "linux", "wsl": 2, "glibc": "2.35", "machine": "x86_64"},
    "Linux PC 4.4.0-19041-Microsoft #1237-Microsoft Sat Sep 11 14:32:00 PST 2021 x86_64 GNU/Linux\n": {"os": "linux", "wsl": 1},
    "/mnt/c/Users/me/data/train.py:3: UserWarning\n": {"os": "linux", "wsl": 2},
    "#9 [5/8] RUN pip install flash-attn --no-build-isolation\n#9 12.44 Collecting flash-attn\n": {
        "os": "linux", "surroundings": "docker build", "installer": "pip", "command": "pip install flash-attn --no-build-isolation"},
    "Step 4/9 : RUN uv pip install --system torch\n": {"surroundings": "docker build", "installer": "uv"},
    "#12 34.5 a\n#12 34.6 b\n#12 34.7 error: x\n#12 34.9 c\n": {"surroundings": "docker build", "os": "linux"},
    "PS D:\\seg> pip install xformers\n": {"os": "windows", "shell": "powershell"},
    "(seg) C:\\Users\\user>pip install xformers\n": {"os": "windows", "shell": "cmd"},
    "[user@login1 seg]$ module load gcc/12\n": {"os": "linux", "modules": True},
    '  File "/cvmfs/soft.example.org/v/lib/python3.11/runpy.py", line 1\n': {"os": "linux", "modules": True},
    "slurmstepd: error: *** STEP 7.0 ON node01 CANCELLED ***\n": {"os": "linux", "modules": True},
    ">>> from x import y\n": {"shell": None},
    "root@5f2b1c09ab3e:/workspace# nvidia-smi\n": {"surroundings": "docker", "command": "nvidia-smi"},
    '!pip install flash-attn\n  File "/content/drive/MyDrive/train.py", line 4\n': {"surroundings": "colab", "installer": "pip", "os": "linux"},
    '  File "/kaggle/working/train.py", line 4, in <module>\n': {"surroundings": "kaggle", "os": "linux"},
    "/home/ec2-user/SageMaker/yolo/train.py\n": {"surroundings": "sagemaker", "os": "linux"},
    "Linux-5.10.104-tegra-aarch64-with-glibc2.29\n": {"board": "jetson", "machine": "aarch64", "os": "linux"},
    "JetPack 6.2, L4T 36.4.3\n": {"board": "jetson", "jetpack": "6.2", "l4t": "36.4.3"},
    "docker run --gpus all -it --rm vision:latest python train.py\nRuntimeError: x\n": {"surroundings": "docker", "os": "linux"},
    '  File "/usr/src/ultralytics/ultralytics/engine/trainer.py", line 9, in train\n': {"surroundings": "docker", "os": "linux"},
    '  File "/tmp/ipython-input-7/1.py", line 2, in <cell line: 2>\n': {"surroundings": "colab", "os": "linux"},
    "pip3 install torch==2.4.1 torchvision==0.19.1 --index-url https://download.pytorch.org/whl/cu118\n": {
        "torch": "2.4.1", "torch_flavour": "cuda", "torch_cuda": "11.8"},
    "RUN pip install --no-cache-dir torch==2.3.0 --index-url https://download.pytorch.org/whl/cpu\n": {
        "torch": "2.3.0", "torch_flavour": "cpu"},
    "miniforge3/envs/seg/lib/python3.10/site-packages/torch/include/ATen/ATen.h:3:1: error: x\n": {
        "environment_kind": "conda", "python": "3.10", "os": "linux"},
    "CUDA error: no kernel image is available (209) /tmp/x/gsplat-1.4.0+pt24cu121/csrc/project.cu: line 31\n": {"package": "gsplat"},
    "GPU 0: NVIDIA GB10 (UUID: GPU-aaaa)\n": {"board": "dgx-spark", "gpus": ["NVIDIA GB10"]},
    "GPU 0: Tesla T4 (UUID: GPU-0f1e)\n": {"gpus": ["Tesla T4"]},
    "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4 |\n|   0  NVIDIA A100-SXM4-80GB          On  | 00000000:07:00.0 Off |\n": {
        "driver": "550.54.15", "driver_cuda": "12.4", "gpus": ["NVIDIA A100-SXM4-80GB"]},
    "The NVIDIA driver on your system is too old (found version 11040).\n": {"driver_cuda": "11.4"},
    "NVIDIA GeForce RTX 5080 with CUDA capability sm_120 is not compatible with the current PyTorch installation.\n": {
        "capability": "12.0", "gpus": ["NVIDIA GeForce RTX 5080"]},
    "显卡3070ti，能用吗\n": {"gpus": ["RTX 3070 Ti"]},
    "Видеокарта 3060, почему не видит CUDA?\n": {"gpus": ["RTX 3060"]},
    "Grafikkarte: RTX 4070 SUPER\n": {"gpus": ["RTX 4070 SUPER"]},
    "  Name:                    gfx1100\n  Marketing Name:          AMD Radeon RX 7900 XTX\n": {"gfx": "gfx1100", "gpus": ["AMD Radeon RX 7900 XTX"]},
    "PyTorch version: 2.6.0+rocm6.2.4\n": {"torch": "2.6.0+rocm6.2.4", "torch_flavour": "rocm", "torch_hip": "6.2.4"},
    "Cuda compilation tools, release 12.4, V12.4.131\n": {"toolkit": "12.4"},
    "/usr/local/cuda-11.8/bin/nvcc -c a.cu\n": {"toolkit": "11.8", "cuda_home": "/usr/local/cuda-11.8"},
    "The detected CUDA version (12.1) mismatches the version that was used to compile PyTorch (11.8).\n": {"toolkit": "12.1", "torch_cuda": "11.8"},
    "gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0\n": {"compiler": "gcc 11.4.0", "distribution": "ubuntu", "distribution_version": "22.04"},
    "-- The CXX compiler identification is GNU 13.2.0\n": {"compiler": "gcc 13.2.0"},
    "Requirement already satisfied: torch>=1.8 in /opt/conda/envs/y/lib/python3.10/site-packages (from ultralytics) (2.5.1)\n": {
        "torch": "2.5.1", "python": "3.10", "environment": "/opt/conda/envs/y", "environment_kind": "conda", "installer": "pip"},
    "Successfully installed numpy-2.1.0 torch-2.5.1+cu121 triton-3.1.0\n": {"torch": "2.5.1+cu121", "torch_cuda": "12.1"},
    "Using CPython 3.12.7\nCreating virtual environment at: .venv\nResolved 8 packages in 12ms\n + torch==2.6.0\n": {
        "python": "3.12.7", "environment": ".venv", "installer": "uv", "torch": "2.6.0"},
    "torch               2.4.1+cpu\n": {"torch": "2.4.1+cpu", "torch_flavour": "cpu"},
    "pytorch                   2.4.1           py3.11_cuda12.1_cudnn9.1.0_0    pytorch\n": {"torch": "2.4.1", "torch_cuda": "12.1"},
    "ImportError: /home/k/.venv/lib/python3.11/site-packages/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: undefined symbol: _Zx\n": {
        "package": "flash-attn", "doing": "importing", "python": "3.11", "environment": "/home/k/.venv", "environment_kind": "venv"},
    "ERROR: Failed building wheel for mamba-ssm\n": {"package": "mamba-ssm", "doing": "building", "installer": "pip"},
    "  × Failed to build `causal-conv1d==1.4.0`\n  ├─▶ The build backend returned an error\n": {
        "package": "causal-conv1d", "doing": "building", "installer": "uv"},
    "ERROR: Could not find a version that satisfies the requirement xformers==9 (from versions: none)\n": {"package": "xformers", "doing": "installing"},
    "Note: This error originates from the build backend, and is likely not a problem with poetry but with detectron2 (0.6) not supporting PEP 517 builds.\n": {
        "package": "detectron2", "installer": "poetry"},
    "Collecting package metadata (current_repodata.json): done\nSolving environment: failed\n": {"installer": "conda"},
    "critical libmamba Could not solve for environment specs\n": {"installer": "micromamba"},
    "  Unable to find installation candidates for torch (2.5.1)\n": {"installer": "poetry"},
    "Because lanes depends on torch (2.5.1+cu124) which doesn't match any versions, version solving failed.\n": {"installer": "poetry"},
    '  File "/srv/p/.pixi/envs/default/lib/python3.12/site-packages/torch/__init__.py", line 10, in <module>\n': {
        "installer": "pixi", "environment_kind": "pixi", "environment": "/srv/p/.pixi/envs/default", "package": "torch"},
    "AssertionError: Torch not compiled with CUDA enabled\n": {"torch_flavour": "cpu"},
}  # fmt: skip

# Lines that nearly state a fact, and the facts that they must not yield.
NOT_SAID = {
    # The environments of programs that make the environment of a project.
    "  at ~/.local/pipx/venvs/poetry/lib/python3.13/site-packages/poetry/installation/chooser.py:74 in choose_for\n": ("python", "environment", "installer"),
    "  at C:\\Users\\lena\\pipx\\venvs\\poetry\\Lib\\site-packages\\poetry\\console\\application.py:12 in run\n": ("environment", "installer"),
    "epoch-1 | loss 0.3\nepoch-2 | loss 0.2\nepoch-3 | loss 0.1\n": ("surroundings",),
    "It works in Google Colab, but not here.\n": ("surroundings",),
    "On Google Colab the same code works fine.\n": ("surroundings",),
    "| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2 |\n": ("wsl", "os"),
    "Driver Version: 550.54.14\n": ("os", "wsl"),
    "driver version: 418.67\n": ("os", "wsl"),
    "Visual Studio is only needed on Windows.\n": ("os",),
    "see C:\\path\\to\\file.txt for an example\n": ("os",),
    "https://github.com/org/repo/home/page\n": ("os",),
    "nvcc -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 a.cu\n": ("capability", "gpus"),
    "nvcc fatal   : Unsupported gpu architecture 'compute_120'\n": ("capability", "gpus"),
    "The current PyTorch install supports CUDA capabilities sm_50 sm_60 sm_70.\n": ("capability", "gpus"),
    "hipcc --offload-arch=gfx90a --offload-arch=gfx942 a.hip\n": ("gfx",),
    "FlashAttention needs an Ampere, Ada or Hopper GPU (e.g., A100, RTX 3090, RTX 4090, H100).\n": ("gpus",),
    "Skipping link: none of the wheel's tags match: torch-2.1.0-cp38-cp38-win_amd64.whl\n": ("os", "torch", "python", "machine"),
    "ERROR: flash_attn-2.7.0-cp310-cp310-win_amd64.whl is not a supported wheel on this platform.\n": ("os", "python"),
    "torchvision 0.20.1 requires torch>=2.0\n": ("torch",),
    "ultralytics 8.3.0 requires torch==2.5.1, but you have nothing of it.\n": ("torch",),
    "flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp311-cp311-linux_x86_64.whl\n": ("torch", "python"),
    "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4 |\n": ("toolkit", "torch_cuda"),
    " - torch==2.3.0\n": ("torch",),
    "Python 3.13 is not supported, use Python 3.11 or older\n": ("python",),
    "[notice] To update, run: pip install --upgrade pip\n": ("command", "installer"),
    "    pip install flash-attn --no-build-isolation\n": ("command",),
    "(Triggered internally at /opt/conda/conda-bld/pytorch_1666642/work/c10/cuda/CUDAFunctions.cpp:109.)\n": ("environment", "environment_kind"),
    "/home/conda/feedstock_root/build_artifacts/x\n": ("os",),
    '  File "/tmp/pip-build-env-ab12cd34/overlay/lib/python3.11/site-packages/setuptools/build_meta.py", line 3, in run\n': (
        "environment", "package"),
    "Collecting environment information...\n": ("package", "installer"),
    "Epoch 1/3 loss 0.25\nerror:\\n\n": ("os", "python", "torch"),
    "Building wheel for flash-attn (setup.py) ... done\nSuccessfully installed flash-attn-2.8.3\n": ("package",),
    "Collecting https://conda.anaconda.org/conda-forge/osx-64/repodata.json\n": ("os",),
    "": SINGLE,
}  # fmt: skip


@pytest.mark.parametrize("text", SAID, ids=lambda text: text[:40].strip().encode("ascii", "replace").decode())
def test_a_text_states_these_facts(text):
    found = told(read(text))
    assert {name: found.get(name) for name in SAID[text]} == SAID[text]


@pytest.mark.parametrize("text", NOT_SAID, ids=lambda text: text[:40].strip())
def test_a_text_that_nearly_states_a_fact_states_none(text):
    found = told(read(text))
    assert not {name: found[name] for name in NOT_SAID[text] if name in found}


def test_carriage_returns_and_utf_16_change_nothing():
    assert told(read(BANNER.replace("\n", "\r\n"))) == told(read(BANNER))
    assert told(read(b"\xff\xfe" + BANNER.encode("utf-16-le"))) == told(read(BANNER))


def test_a_line_broken_at_80_columns_states_the_same():
    line = BANNER.replace("🚀", "##").strip()
    broken = "\n".join([*(line[at : at + 80] for at in range(0, len(line), 80)), "next\n"])
    assert told(read(broken))["gpus"] == ["NVIDIA GeForce RTX 4060 Laptop GPU"]
    assert told(read(broken))["torch"] == "2.5.1+cu124"


def test_of_two_versions_the_last_before_the_error_counts_and_the_other_is_kept():
    stated = read(
        "PyTorch version: 2.3.0+cu121\nPyTorch version: 2.5.1+cu124\nerror: it failed\n\nPyTorch version: 2.6.0+cu126\n"
    )
    assert isinstance(stated.torch, Stated)
    assert stated.torch.value == "2.5.1+cu124"
    assert (stated.torch.place.file, stated.torch.place.line) == ("log", 2)
    assert [value for value, _ in stated.torch.also] == ["2.3.0+cu121", "2.6.0+cu126"]


def test_the_exact_version_counts_and_contradicts_no_shorter_one():
    stated = read("Python-3.11.9 torch-2.5.1+cu124 CPU\n/home/a/.venv/lib/python3.11/site-packages/x.py\n")
    assert isinstance(stated.python, Stated)
    assert (stated.python.value, stated.python.also) == ("3.11.9", ())


def test_a_fact_that_is_not_stated_is_unknown():
    assert read("nothing\n").os == Unknown("the log does not say")


def test_torch_is_not_the_package_where_another_called_it():
    folder = "/home/a/.venv/lib/python3.11/site-packages"
    frames = f'  File "{folder}/gsplat/rendering.py", line 3, in f\n  File "{folder}/torch/_ops.py", line 9, in g\n'
    found = told(read(f"Traceback (most recent call last):\n{frames}RuntimeError: no kernel\n"))
    assert (found["package"], found["doing"]) == ("gsplat", "running")


def test_facts_are_filled_where_they_are_unknown_alone():
    base = Facts(system=System(os="linux"), torch=Torch(version="2.8.0"), graphics=Graphics(driver=None))
    filled = as_facts(read(BANNER + "| NVIDIA-SMI 550.1 Driver Version: 550.54.15 CUDA Version: 12.4 |\n"), base)
    assert filled.facts.system.os == "linux"
    assert filled.facts.torch.version == "2.8.0"
    assert filled.facts.graphics.driver is None
    assert filled.facts.graphics.driver_cuda == "12.4"
    assert filled.facts.interpreter.version == "3.11.9"
    assert filled.facts.sources["interpreter.version"] == "log:1"
    assert isinstance(filled.facts.packages.distributions, Unknown)
    gpus = filled.facts.graphics.gpus
    assert isinstance(gpus, tuple)
    assert [(gpu.name, gpu.compute_capability) for gpu in gpus] == [("NVIDIA GeForce RTX 4060 Laptop GPU", "8.9")]
    assert [(c.path, c.here, c.stated) for c in filled.contradictions] == [("torch.version", "2.8.0", "2.5.1+cu124")]


def test_a_cpu_build_has_no_cuda_and_an_unstated_build_is_unknown():
    assert as_facts(read("PyTorch version: 2.5.1+cpu\n"), Facts()).facts.torch.cuda is None
    assert isinstance(as_facts(read("PyTorch version: 2.5.1\n"), Facts()).facts.torch.cuda, Unknown)


def test_a_log_of_another_system_fills_nothing():
    text = "Windows-11-10.0.22631-SP0\nPyTorch version: 2.5.1+cu124\n"
    base = Facts(system=System(os="linux"))
    assert as_facts(read(text), base).facts == base
    assert as_facts(read(text), Facts()).facts.torch.version == "2.5.1+cu124"


def test_packages_that_a_log_names_are_no_list_of_those_installed():
    packages = as_facts(read(BANNER), Facts()).facts.packages
    assert isinstance(packages.distributions, Unknown)
    assert [(d.name, d.version) for d in packages.named] == [("ultralytics", "8.3.40")]


def test_the_package_that_failed_is_a_fact():
    subject = as_facts(read("  ERROR: Failed building wheel for gsplat\n"), Facts()).facts.subject
    assert (subject.package, subject.doing) == ("gsplat", "building")


def test_compute_capability_12_1_is_a_dgx_spark():
    text = "Found GPU0 NVIDIA GB10 which is of cuda capability 12.1.\n"
    system = as_facts(read(text), Facts()).facts.system
    assert (system.board, system.machine, system.os) == ("dgx-spark", "aarch64", "linux")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (Facts(system=System(os="linux")), "the system windows, this machine has linux"),
        (Facts(interpreter=Interpreter(version="3.10.2")), "Python 3.12.5, this machine has 3.10.2"),
        (Facts(interpreter=Interpreter(version="3.12.1")), None),
        (Facts(system=System(machine="AMD64")), None),
        (Facts(), None),
    ],
)
def test_a_log_of_another_machine_is_said_to_be_one(facts, said):
    text = b"Python 3.12.5 (tags/v3.12.5:ff3bc82, Aug  6 2024, 20:45:27) [MSC v.1940 64 bit (AMD64)] on win32\n"
    found = disagreements(facts, [READER.read(io.BytesIO(text), "log")])
    assert [sentence for sentence in found if said and said in sentence] == list(found)
    assert bool(found) == bool(said)


def test_the_machine_of_a_log_is_told_in_one_line():
    text = "Windows-10-10.0.22631-SP0\n" + BANNER.replace("🚀", "##")
    log = READER.read(io.BytesIO(text.encode()), "yolo.log")
    assert of_machine(log) == "Windows 11, Python 3.11.9, torch 2.5.1+cu124, RTX 4060 Laptop GPU (yolo.log, line 1, 2)"
    assert of_machine(READER.read(io.BytesIO(b"/home/a/x.py\n"), "log")) == ""


def test_diagnose_of_a_log_alone_tells_its_machine(tmp_path, capsys):
    (tmp_path / "a.log").write_text(BANNER, encoding="utf-8")
    assert run(["diagnose", str(tmp_path / "a.log"), "--json", str(tmp_path / "a.json")]) == 0
    assert "torch 2.5.1+cu124" in capsys.readouterr().out
    stated = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["stated"]
    assert [(s["path"], s["text"], s["line"]) for s in stated][:2] == [
        ("stated.python", "Python 3.11.9", 1),
        ("stated.torch", "torch 2.5.1+cu124", 1),
    ]
