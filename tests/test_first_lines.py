"""The first cure of a log is a line that runs, where the log states enough for one. Read as the command line reads them, expected by hand."""

from __future__ import annotations

import pytest
from first_cures import cures, first

from attn_doctor.logs.error_marks import PATTERNS
from attn_doctor.logs.errors import log_end
from attn_doctor.logs.reader import Reader

HOOK = (
    "Collecting {0} (from -r requirements.txt (line 9))\n  Getting requirements to build wheel: finished with status 'error'\n"
    "  error: subprocess-exited-with-error\n\n  × Getting requirements to build wheel did not run successfully.\n"
    "  ╰─> [20 lines of output]\n      Traceback (most recent call last):\n"
    '        File "/srv/app/.venv/lib/python3.11/site-packages/pip/_vendor/pyproject_hooks/_in_process/_in_process.py", line 335, in main\n'
)
PYTHON = "/srv/app/.venv/bin/python"

# name: (log, slug, a part of the message, parts of the first lines of the first fix, in order)
CASES: dict[str, tuple[str, str, str, list[str]]] = {
    "a setup that ends where pip asks for its requirements": (
        HOOK.format("mamba-ssm"),
        "torch-missing-at-build",
        "it ends where pip asks mamba-ssm for its build requirements",
        [f"{PYTHON} -c"],
    ),
    "torch is there, and the build does not see it": (
        (
            "Requirement already satisfied: torch>=2.4.0 in /srv/app/.venv/lib/python3.12/site-packages (from -r r.txt (line 1)) (2.9.1)\n"
            "pip install -r r.txt fails when installing flash_attn: ModuleNotFoundError: No module named 'torch'\n"
        ),
        "torch-missing-at-build",
        "The torch 2.9.1 of your environment is not visible to that build.",
        [
            "-m pip install setuptools",
            "export MAX_JOBS=2",
            "-m pip install --no-build-isolation flash-attn",
        ],
    ),
    "an extension of a package, in Chinese": (
        (
            '  File "D:\\conda\\envs\\seg\\lib\\site-packages\\detectron2\\layers\\deform_conv.py", line 10, in <module>\n    from detectron2 import _C\n'
            "ImportError: DLL load failed while importing _C: 找不到指定的模块。\n"
        ),
        "windows-dll-missing",
        "_C of detectron2 could not be loaded",
        ["setuptools"],
    ),
    "a wheel of others for Windows": (
        (
            "PS C:\\w> python -c 'import flash_attn'\nImportError: DLL load failed while importing flash_attn_2_cuda: The specified procedure could not be found.\n"
            "torch+cuda 2.7.1\nPython 3.12.4\n"
        ),
        "abi-mismatch-torch-version",
        "built for another torch",
        [
            "/mjun0812/flash-attention-prebuild-wheels/releases/download/v0.4.19/flash_attn-2.8.3%2Bcu126torch2.7-cp312-cp312-win_amd64.whl"
        ],
    ),
    "versions in the words of a title": (
        (
            '[rank0]:   File "/srv/app/.venv/lib/python3.11/site-packages/fire/core.py", line 135, in Fire\n'
            "ImportError: flash_attn_2_cuda undefined symbol on our cluster (torch 2.6.0/cu124, flash-attn 2.8.2)\n"
        ),
        "abi-mismatch-torch-version",
        "it was built for another torch",
        [
            f"{PYTHON} -m pip uninstall -y flash-attn",
            "flash_attn-2.7.4.post1+cu12torch2.6cxx11abiFALSE-cp311-cp311-linux_x86_64.whl",
        ],
    ),
    "a link that a forum made of the file's name": (
        (
            "/srv/app/.venv/lib/python3.9/site-packages/[flash_attn_2_cuda.cpython-39-x86_64-linux-gnu.so]"
            "(http://flash_attn_2_cuda.cpython-39-x86_64-linux-gnu.so/): undefined symbol: _ZN3c104cuda9SetDeviceEi\n"
        ),
        "abi-mismatch-torch-version",
        "flash-attn was built for",
        [f"{PYTHON} -m pip uninstall -y flash-attn", "attn-doctor wheels"],
    ),
    "a toolkit for a torch that nobody names": (
        (
            '  File "/srv/envs/miniconda3/envs/p/lib/python3.9/site-packages/torch/utils/cpp_extension.py", line 2230, in _join_cuda_home\n'
            "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\nUbuntu 22.04\n"
        ),
        "cuda-home-unset",
        "PyTorch found no CUDA toolkit in",
        [
            "RELEASE=$(/srv/envs/miniconda3/envs/p/bin/python -c 'import torch; v = str(torch.version.cuda);",
            "-c nvidia/label/cuda-$RELEASE.0 -c conda-forge cuda-toolkit gxx_linux-64=11",
            "export CUDA_HOME=/srv/envs/miniconda3/envs/p",
        ],
    ),
    "DeepSpeed starts an nvcc that is not there": (
        (
            "$ CUDA_HOME=/opt/cuda-11.7 pip install deepspeed\n"
            '        File "/tmp/pip-install-a1b2c3d4/deepspeed_0123456789abcdef0123456789abcdef/op_builder/builder.py", line 41, in installed_cuda_version\n'
            '          raw = subprocess.check_output([cuda_home + "/bin/nvcc", "-V"], universal_newlines=True)\n'
            '        File "/usr/lib/python3.10/subprocess.py", line 421, in check_output\n'
        ),
        "nvcc-missing",
        "the build starts nvcc in /opt/cuda-11.7/bin",
        ["ls -d /usr/local/cuda*/bin/nvcc", 'export CUDA_HOME="$(dirname'],
    ),
    "the compat libcuda of an image": (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 804: forward compatibility was attempted on non supported HW\n",
        "cuda-forward-compat-804",
        "forward-compatibility",
        ["export LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu"],
    ),
    "no compiler on a Linux that no line names": (
        "RuntimeError: Failed to find C compiler. Please specify via CC environment variable.\nUsing /lib/x86_64-linux-gnu/libc.so.6\n",
        "host-compiler-missing",
        "",
        ["command -v apt-get && sudo apt-get install -y build-essential || sudo dnf install -y gcc gcc-c++ make"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_cure_is_lines_that_run(name):
    text, slug, message, lines = CASES[name]
    _, finding = first(text)
    made = [line for line in cures(text)[0] if line is not None]
    assert finding.slug == slug
    assert message in finding.message
    for part, line in zip(lines, made, strict=False):
        assert part in line
    assert len(made) >= len(lines)


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        ("starting\nlibfoo.so.3 => not found\n", 1),
        ("WARNING: CUDA device not detected, the program will be slow\n", 1),
        ("加载模型失败\n", 1),
        (
            "epoch 1\nCould not load dynamic library 'libnvinfer.so.7'; dlerror: libnvinfer.so.7: cannot open shared object file\n",
            0,
        ),
        ("triton not found, falling back to eager\n", 0),
        ("module x failed to import\nSuccessfully installed x-1.0\n", 0),
        ("12 passed, 0 failed\n", 0),
    ],
)
def test_a_log_without_an_error_is_doubted_where_a_line_looks_like_one(text, doubtful):
    import io

    log = Reader(PATTERNS, keeps_end=True).read(io.BytesIO(text.encode()), "log")
    assert len(log_end(log).doubtful) == doubtful
