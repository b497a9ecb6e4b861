"""What a log states of torch, its board and its image, and the cure that follows from it: one kind a case, written by hand."""

from __future__ import annotations

import pytest
from first_cures import cures, first

from attn_doctor.failure_modes.shared import torch_here, torch_install
from attn_doctor.logs.stated_facts.typed import answers
from attn_doctor.model.facts import Facts, Gpu, Graphics, System, Yolo

NO_HOME = "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n"
NVCC = "Cuda compilation tools, release 12.6, V12.6.20\n"
NO_CUDA = "AssertionError: Torch not compiled with CUDA enabled\n"
UBUNTU = "OS: Ubuntu 22.04.5 LTS (x86_64)\n"
TEGRA = "Python platform: Linux-{}-tegra-aarch64-with-glibc2.35\n"
ORIN = (
    "PyTorch version: 2.9.0+cpu\nCUDA used to build PyTorch: None\nPython version: 3.10.12 (main) (64-bit runtime)\n"
    + TEGRA
)
NMS = "RuntimeError: operator torchvision::nms does not exist\n"
PTXAS = (
    '  File "/x/triton/backends/nvidia/compiler.py", line 442, in make_cubin\n'
    "triton.runtime.errors.PTXASError: PTXAS error: Internal Triton PTX codegen error\n"
    "ptxas fatal   : Value 'sm_{}' is not defined for option 'gpu-name'\n"
)
KILLED = "#12 411.2   Killed\n#12 411.2   ninja: build stopped: subcommand failed.\n#12 411.3 ERROR: Failed building wheel for flash-attn\n"
CUDNN = (
    "RuntimeError: cuDNN error: CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH\n"
    "  77:     calling init: /home/me/v/lib/python3.12/site-packages/nvidia/cudnn/lib/libcudnn.so.9\n"
    "  77:     calling init: /lib/x86_64-linux-gnu/libcudnn_ops.so.9\n"
)
REFUSED = "ValueError: Unknown CUDA arch ({}) or GPU not supported\n"

LSPCI = "01:00.0 VGA compatible controller: NVIDIA Corporation GP106 [GeForce GTX 1060 6GB] (rev a1)\n"
NO_DRIVER = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n"
FUSION = "https://mirrors.rpmfusion.org"
WHL = "https://download.pytorch.org/whl"
REDIST = "https://developer.download.nvidia.com/compute/redist/jp/v60/pytorch"
WHEEL_60 = f"{REDIST}/torch-2.4.0a0+07cecf4168.nv24.05.14710581-cp310-cp310-linux_aarch64.whl"
AGAIN = "python -m pip install --force-reinstall --no-deps "
PTXAS_HERE = [
    "export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas",
    "export TRITON_PTXAS_BLACKWELL_PATH=/usr/local/cuda/bin/ptxas",
]


def of_vllm(text: str) -> str:
    return "".join(f"(EngineCore_DP0 pid=91) ERROR 03-02 10:11:12 [core.py:720] {line}\n" for line in text.splitlines())


# The log -> the lines of the first cure.
FIRST = {
    "an nvcc answers, and torch found no CUDA_HOME": (
        f"C:\\work\\rast>python setup.py install\n{NO_HOME}\nC:\\work\\rast>nvcc --version\n{NVCC}",
        [
            f"{AGAIN}torch torchvision --index-url {WHL}/cu126",
            f"python -m pip install torch torchvision --index-url {WHL}/cu126",
            'set "CUDA_HOME=C:\\Program Files\\NVIDIA GPU Computing Toolkit\\CUDA\\v12.6"',
        ],
    ),
    "collect_env of an Orin, JetPack 6.2": (
        ORIN.format("5.15.148"),
        [
            f"{AGAIN}torch torchvision --index-url https://pypi.jetson-ai-lab.io/jp6/cu126",
            "python -m pip install torch torchvision --index-url https://pypi.jetson-ai-lab.io/jp6/cu126",
        ],
    ),
    "collect_env of an Orin, JetPack 6.0": (
        ORIN.format("5.15.136"),
        [
            "sudo apt-get install -y libopenblas-dev",
            f"{AGAIN}{WHEEL_60}",
            f'python -m pip install {WHEEL_60} "numpy<2"',
            f'{AGAIN}--no-build-isolation "torchvision @ git+https://github.com/pytorch/vision.git@v0.19.0"',
        ],
    ),
    "JetPack's nvcc, and a torch for servers": (
        (
            f"{TEGRA.format('5.15.148')}RuntimeError: The detected CUDA version (12.6) mismatches the version that was used to compile PyTorch (13.0). "
            "Please make sure to use the same CUDA versions.\n"
        ),
        [
            f"{AGAIN}torch torchvision --index-url https://pypi.jetson-ai-lab.io/jp6/cu126",
            "python -m pip install torch torchvision --index-url https://pypi.jetson-ai-lab.io/jp6/cu126",
        ],
    ),
    "a CPU build on a Mac": (f"Python platform: macOS-15.1-arm64-arm-64bit\n{NO_CUDA}", [None]),
    "a CPU build of a release": (
        f"torch.__version__: 2.6.0+cpu\n{UBUNTU}{NO_CUDA}",
        [f"{AGAIN}torch==2.6.0 torchvision==0.21.0", "python -m pip install torch==2.6.0 torchvision==0.21.0"],
    ),
    "a CPU build of a nightly, which no index has for CUDA": (
        f"torch.__version__: 2.10.0.dev20251101+cpu\n{UBUNTU}{NO_CUDA}",
        [
            f"{AGAIN}torch torchvision --index-url {WHL}/cu126",
            f"python -m pip install torch torchvision --index-url {WHL}/cu126",
        ],
    ),
    "versions that a session of Python answered": (
        f">>> import torch; print(torch.__version__, torch.cuda.is_available())\n2.5.1 True\n>>> import torchvision\n{NMS}",
        [f"{AGAIN}torchvision==0.20.1"],
    ),
    "a Triton that is too old, in vLLM": (of_vllm(PTXAS.format("121a")), PTXAS_HERE),
    "a Triton that is too old, on a Thor": (TEGRA.format("6.8.12") + PTXAS.format("110a"), PTXAS_HERE),
    "a Triton that is too old for an RTX 50": (
        f"{UBUNTU}PyTorch version: 2.6.0+cu124\n{PTXAS.format('120')}",
        [f"python -m pip install --upgrade torch torchvision --index-url {WHL}/cu128"],
    ),
    "a build that was killed": (
        KILLED,
        ['ENV MAX_JOBS="1"', 'ENV NVCC_THREADS="1"', "RUN python -m pip install --no-build-isolation flash-attn"],
    ),
    "parts of the system's cuDNN": (CUDNN, ['sudo apt-get remove -y --allow-change-held-packages "libcudnn*"']),
    "an architecture that torch does not know": (
        f"{UBUNTU}PyTorch version: 2.5.1+cu124\nGPU 0: NVIDIA GeForce RTX 5080\n{REFUSED.format('12.0')}",
        [
            f"{AGAIN}torch torchvision --index-url {WHL}/cu128",
            f"python -m pip install torch torchvision --index-url {WHL}/cu128",
        ],
    ),
    "an architecture that the GPU there does not need": (
        f"{UBUNTU}PyTorch version: 2.5.1+cu124\nGPU 0: NVIDIA GeForce RTX 3090\n{REFUSED.format('12.0')}",
        ["export TORCH_CUDA_ARCH_LIST=8.6"],
    ),
    "an image that asks for a newer CUDA": (
        (
            f"{UBUNTU}nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.6, please update your driver to a newer version, or "
            "use an earlier cuda container: unknown.\n"
        ),
        ["sudo ubuntu-drivers install", "sudo reboot"],
    ),
    "an old driver under a card that this torch has no code for": (
        (
            "Debian GNU/Linux 12 (bookworm)\nPyTorch version: 2.9.1+cu130\n| NVIDIA-SMI 535.183.01   Driver Version: 535.183.01   CUDA Version: "
            "12.2     |\n|   0  Tesla P100-PCIE-16GB           On  | 00000000:00:04.0 Off |\nRuntimeError: The NVIDIA driver on your system is too "
            "old (found version 12020). Please update your GPU driver\n"
        ),
        [  # the release that is there, as its Python is not known
            f"{AGAIN}torch==2.9.1 torchvision==0.24.1 --index-url {WHL}/cu126",
            f"python -m pip install torch==2.9.1 torchvision==0.24.1 --index-url {WHL}/cu126",
        ],
    ),
    "no driver, a Pascal card of lspci, os-release": (
        f'NAME="Fedora Linux"\nVERSION_ID=43\nID=fedora\n{LSPCI}{NO_DRIVER}',
        [
            (
                f"sudo dnf install -y {FUSION}/free/fedora/rpmfusion-free-release-43.noarch.rpm "
                f"{FUSION}/nonfree/fedora/rpmfusion-nonfree-release-43.noarch.rpm"
            ),
            "sudo dnf install -y akmod-nvidia-580xx xorg-x11-drv-nvidia-580xx-cuda",
            "sudo reboot",
        ],
    ),
    "no driver, a Pascal card of lspci, Arch by its kernel": (
        f"Linux box 6.17.8-arch1-1 #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux\n{LSPCI}{NO_DRIVER}",
        ["yay -S nvidia-580xx-dkms", "sudo reboot"],
    ),
    "a module that Secure Boot refuses": (
        f"{UBUNTU}modprobe: ERROR: could not insert 'nvidia': Key was rejected by service\n",
        ["sudo mokutil --import /var/lib/shim-signed/mok/MOK.der", "sudo reboot"],
    ),
    "a CPU build in SGLang's image": (
        (
            f"root@0123456789ab:/sgl-workspace# python3 -m sglang.launch_server\n  File "
            f'"/sgl-workspace/sglang/python/sglang/srt/utils.py", line 2\n{NO_CUDA}'
        ),
        ["docker pull lmsysorg/sglang:latest"],
    ),
}


@pytest.mark.parametrize("name", FIRST)
def test_the_first_cure_fits_what_the_log_states(name):
    text, wanted = FIRST[name]
    # On Linux and a Jetson the interpreter is called python3, where nothing tells of an environment.
    assert [line and line.replace("python3 -m", "python -m") for line in cures(text)[0]] == wanted


def test_no_cure_takes_the_torch_of_a_server_of_models_away():
    _, finding = first(of_vllm(PTXAS.format("120")))
    assert [fix.title for fix in finding.fixes] == ["Point Triton at the toolkit's ptxas", "Do without torch.compile"]


TYPED = {
    ">>> print(torch.__version__, torch.cuda.is_available())\n2.6.0 True": {"torch": "2.6.0", "available": "True"},
    ">>> torch.__version__\n'2.6.0+cu124'": {"torch": "2.6.0+cu124"},
    "In [3]: torch.version.cuda\nOut[3]: '12.4'": {"torch_cuda": "12.4"},
    "print(f'torch {torch.__version__}')\ntorch 2.7.1+cu128": {"torch": "2.7.1+cu128"},
    '$ python -c "import torch; print(torch.__version__)"\nsite.py: warn\n2.4.0': {"torch": "2.4.0"},
    ">>> torch.cuda.get_device_capability()\n(8, 9)": {"capability": "(8, 9)"},
    # an answer to nothing, an error in place of the answer, an answer that stands too far below
    "2.6.0 True": {},
    ">>> torch.__version__\nNameError: name 'torch' is not defined": {},
    ">>> print(torch.__version__)\n" + "\n".join(["x"] * 12) + "\n2.6.0": {},
}


@pytest.mark.parametrize("text", TYPED)
def test_an_answer_is_read_by_the_expression_that_was_typed(text):
    found = answers(list(enumerate(text.splitlines(), 1)), "log")
    assert {answer.fact: answer.value for answer in found} == TYPED[text]


def test_where_nobody_knows_the_torch_it_is_looked_at_and_the_line_is_written_out_for_one():
    machine = Facts(grade="stated", graphics=Graphics(gpus=(Gpu(index=0, compute_capability="12.0"),)))
    look, line = torch_here.vision_of_the_torch_there(machine)
    assert look.argv == ("python", "-c", "import torch; print(torch.__version__, torch.version.cuda)")
    assert " ".join(line.argv) == (
        f"python -m pip install --force-reinstall --no-deps torchvision==0.26.0 --index-url {WHL}/cu128"
    )
    assert "for torch 2.11.0+cu128" in line.why
    board = Facts(grade="stated", system=System(board="jetson", jetpack="6.2"))
    assert (
        "git+https://github.com/pytorch/vision.git@release/$V"
        in torch_here.vision_of_the_torch_there(board)[1].argv[-1]
    )


SHARED = "NotImplementedError: Could not run 'torchvision::nms' with arguments from the 'CUDA' backend.\n"


def test_an_old_yolo_gets_a_torch_that_still_loads_its_checkpoints():
    log = "File \"/home/me/{}/detect.py\", line 9, in <module>\n    import torch\nModuleNotFoundError: No module named 'torch'\n"
    assert cures(log.format("other"))[0][0] == f"python3 -m pip install torch --index-url {WHL}/cu126"
    assert cures(log.format("yolov5"))[0][0] == 'python3 -m pip install "torch<2.6" torchvision'
    rtx50 = Gpu(index=0, name="NVIDIA GeForce RTX 5080", compute_capability="12.0")
    old, new = Yolo(version="8.2.63"), Yolo(version="8.2.64")
    torches = [
        torch_install.choice(Facts(yolo=yolo, graphics=Graphics(gpus=gpus))).torch
        for yolo, gpus in ((old, ()), (new, ()), (old, (rtx50,)))
    ]
    assert torches == ["2.5.1", "2.14.1", "2.11.0"]  # code for an RTX 50 is in newer ones alone


def test_the_torchvision_of_an_old_torch_comes_from_its_page():
    log = "YOLOv5 🚀 v6.1-10-gabc torch 1.10.0+cu113 CUDA:0 (NVIDIA GeForce RTX 3070, 8192MiB)\n" + SHARED
    assert cures(log)[0] == [
        f"python -m pip install --force-reinstall --no-deps torchvision==0.11.1+cu113 --find-links {WHL}/torch_stable.html"
    ]


FLASH = "https://github.com/Dao-AILab/flash-attention/releases/download/v"
BUILD = "Using cached flash_attn-2.7.3.tar.gz (3.2 MB)\n      import torch\n      ModuleNotFoundError: No module named 'torch'\nerror: metadata-generation-failed\n"
MAMBA = (
    "ImportError: /home/me/.local/lib/python3.11/site-packages/selective_scan_cuda.cpython-311-x86_64-linux-gnu.so: undefined symbol: "
    "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE\n"
)
NINJA = "subprocess.CalledProcessError: Command '['ninja', '-v']' returned non-zero exit status 1.\n"
GCC = "PyTorch version: {}\nOS: Ubuntu 20.04.6 LTS (x86_64)\nGCC version: (Ubuntu 8.4.0-3ubuntu2) {}\n"
JIT = (
    '  File "/e/lib/python3.8/site-packages/deepspeed/ops/op_builder/builder.py", line 230, in jit_load\n'
    "Exception: Installed CUDA version 11.1 does not match the version torch was compiled with 10.2, unable to compile cuda/cpp "
    "extensions without a matching cuda version.\n"
)


def commands_of(log: str) -> str:
    """Return all lines of all cures of the first finding."""
    return "\n".join(line for cure in cures(log) for line in cure if line)


def test_a_release_that_is_pinned_stays_pinned_and_bounds_the_torch():
    log = (
        "Collecting numpy==1.26.4 (from -r req.txt (line 1))\nCollecting flash_attn=={} (from -r req.txt (line 2))\n"
        + BUILD
    )
    told = commands_of(log.format("2.7.3"))
    assert '"torch<2.6" torchvision' in told  # its wheels for 2.6 were built against a nightly
    assert "--no-build-isolation flash-attn==2.7.3" in told
    assert '"torch<2.5" torchvision' in commands_of(log.format("2.6.3"))
    free = commands_of(log.replace("=={}", ""))
    assert '"torch<2.9" torchvision' in free
    assert "--no-build-isolation flash-attn\n" in free + "\n"


def test_the_wheel_for_what_the_log_names_is_printed_by_its_address():
    wrong = "ERROR: flash_attn-2.8.2+cu12torch2.6cxx11abiFALSE-cp310-cp310-linux_x86_64.whl is not a supported wheel on this platform.\n"
    assert cures("Python 3.11\ntorch==2.6.0\n" + wrong) == [
        [
            f"python -m pip install {FLASH}2.7.4.post1/flash_attn-2.7.4.post1+cu12torch2.6cxx11abiFALSE-cp311-cp311-linux_x86_64.whl",
        ]
    ]
    typed = "$ pip install mamba_ssm-2.2.2+cu118torch2.3cxx11abiTRUE-cp311-cp311-linux_x86_64.whl\ntorch 2.3.1+cu118\n"
    assert cures(typed + MAMBA)[0] == [
        (
            "python3.11 -m pip install --force-reinstall --no-deps "
            "https://github.com/state-spaces/mamba/releases/download/v2.2.2/mamba_ssm-2.2.2+cu118torch2.3cxx11abiFALSE-cp311-cp311-linux_x86_64.whl"
        )
    ]


def test_a_checkout_is_built_again_where_it_lies():
    log = "ImportError: /home/me/src/vllm/vllm/_C.abi3.so: undefined symbol: _ZN5torch3jit17parseSchemaOrNameERKSs\n"
    assert "-m pip install --no-build-isolation -e /home/me/src/vllm" in commands_of(log)
    installed = log.replace("/home/me/src/", "/home/me/v/lib/python3.11/site-packages/")
    assert " -e " not in commands_of(installed)


@pytest.mark.parametrize(
    ("torch", "gcc", "met"), [("2.2.0", "8.4.0", True), ("2.1.2", "8.4.0", False), ("2.2.0", "9.4.0", False)]
)
def test_a_gcc_that_the_headers_of_torch_refuse_is_told_by_collect_env(torch, gcc, met):
    slug = first(NINJA + GCC.format(torch, gcc))[1].slug
    assert slug == ("host-compiler-too-old" if met else "build-failed-unspecified")


def test_what_is_compiled_at_its_first_use_needs_the_torch_of_the_toolkit():
    told = commands_of(JIT)
    assert "DS_BUILD_OPS" not in told
    assert f"torch==1.10.2+cu111 torchvision==0.11.3+cu111 --find-links {WHL}/torch_stable.html" in told
