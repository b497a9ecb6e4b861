"""Logs of packages beside torch, read as the command line reads them: the message, and the lines of the first cure. By hand."""

from __future__ import annotations

import pytest
from first_cures import cures, first

ASK = "import sys, sysconfig, platform; print(sys.version, sysconfig.get_platform(), platform.libc_ver())"
REFUSED = "is not a supported wheel on this platform."

# name: (log, slug, the end of the message, the lines of the first fix; None: a step for hands)
CASES: dict[str, tuple[str, str, str, list[str | None]]] = {
    "a wheel of this system, another Python": (
        f"(yolo) D:\\work>pip install flash_attn-2.6.3-cp311-cp311-win_amd64.whl\nERROR: flash_attn-2.6.3-cp311-cp311-win_amd64.whl {REFUSED}\n",
        "wheel-platform-mismatch",
        "is for Python 3.11 on Windows (win_amd64); this system is Windows too, so probably the Python version differs, or the Python has 32 bits.",
        [f'python -c "{ASK}"', "attn-doctor wheels", None],
    ),
    "a wheel of Linux, Windows": (
        f"PS C:\\p> pip install flash_attn-2.7.4-cp312-cp312-linux_x86_64.whl\nERROR: flash_attn-2.7.4-cp312-cp312-linux_x86_64.whl {REFUSED}\n",
        "wheel-platform-mismatch",
        "is for Python 3.12 on Linux (linux_x86_64), and this system is Windows.",
        ["attn-doctor wheels", None],
    ),
    "a wheel of another package": (
        f"me@box:~$ pip install xformers-0.0.30-cp310-cp310-manylinux_2_28_x86_64.whl\nERROR: xformers-0.0.30-cp310-cp310-manylinux_2_28_x86_64.whl {REFUSED}\n",
        "wheel-platform-mismatch",
        "is for Python 3.10 on Linux (manylinux_2_28_x86_64); the log does not show whether the Python or the system differs.",
        [f'python -c "{ASK}"', None],
    ),
    "uv tells the Python": (
        (
            "Using Python 3.13.2 environment at: lab\nerror: Failed to determine installation plan\n"
            "  Caused by: A URL dependency is incompatible with the current platform: https://example.org/flash_attn-2.8.1-cp311-cp311-linux_x86_64.whl\n"
        ),
        "wheel-platform-mismatch",
        "is for Python 3.11 on Linux (linux_x86_64), and this Python is 3.13.",
        ["attn-doctor wheels --target lab/bin/python"],
    ),
    "uv, Linux's wheel on Windows": (
        (
            "error: Failed to determine installation plan\n"
            "  Caused by: A URL dependency is incompatible with the current platform: https://example.org/flash_attn-2.8.1-cp312-cp312-linux_x86_64.whl\n"
            "hint: The wheel is compatible with Linux (`linux_x86_64`), but you're on Windows (`win_amd64`)\n"
        ),
        "wheel-platform-mismatch",
        "The wheel is for Linux (`linux_x86_64`), and this system is Windows (`win_amd64`).",
        ["attn-doctor wheels", None],
    ),
    "torch alone was exchanged, and xFormers is of another CUDA": (
        (
            "torchvision 0.17.0+cu118 requires torch==2.2.0, but you have torch 2.3.0+cu118 which is incompatible.\n"
            "WARNING[XFORMERS]: xFormers can't load C++/CUDA extensions. xFormers was built for:\n    PyTorch 2.3.0+cu121 with CUDA 1201\n"
        ),
        "environment-pollution",
        "torch 2.3.0+cu118 is installed now, and torchvision is built for torch 2.2.0: only torch was replaced.",
        [
            "python -m pip install --upgrade xformers torch==2.3.0 torchvision==0.18.0 --index-url https://download.pytorch.org/whl/cu118"
        ],
    ),
    "sources for Linux, a package with a repository": (
        "pytorch3d\\csrc\\utils\\timing.cpp(31): error C3861: 'gettimeofday': identifier not found\nninja: build stopped: subcommand failed.\n",
        "source-for-linux",
        "The sources of pytorch3d use gettimeofday, which exists on Linux and not in Microsoft's compiler: they were written for Linux.",
        [
            "git pull",
            'python -m pip install --no-build-isolation "pytorch3d @ git+https://github.com/facebookresearch/pytorch3d.git@stable"',
        ],
    ),
    "sources for Linux, DeepSpeed": (
        (
            "C:\\p>pip install deepspeed\nLINK : fatal error LNK1181: impossible d'ouvrir le fichier 'aio.lib'\n"
            "AssertionError: Unable to pre-compile async_io\n"
        ),
        "source-for-linux",
        "the sources of deepspeed were written for Linux.",
        ['set "DS_BUILD_OPS=0"', "python -m pip install --no-cache-dir deepspeed"],
    ),
    "a compiled part that is missing, with the wheel for the torch of the log": (
        "$ pip list\ntorch 2.3.0+cu121\nmmcv 2.2.0\n$ python a.py\nModuleNotFoundError: No module named 'mmcv._ext'\n",
        "extension-not-built",
        "mmcv._ext, the compiled part of mmcv, is missing: the package was installed without it.",
        [
            "python -m pip uninstall -y mmcv mmcv-lite mmcv-full",
            (
                "python -m pip install --force-reinstall --no-deps --no-cache-dir --only-binary mmcv mmcv "
                "--find-links https://download.openmmlab.com/mmcv/dist/cu121/torch2.3.0/index.html"
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_log_of_a_package_and_its_first_cure(name):
    text, slug, said, lines = CASES[name]
    finding = first(text)[1]
    assert finding.slug == slug
    assert finding.message.endswith(said)
    assert cures(text)[0] == lines
