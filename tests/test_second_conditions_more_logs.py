"""The second of two conditions in what rules make of logs of downloads, compilers, Python's syntax, memory and kernels."""

from __future__ import annotations

import pytest
from one_rule import check_lines, told

from attn_doctor.model.findings import Severity

STEP = "step\n"
FAILED = "error: metadata-generation-failed\n"
INSTALLED = "Successfully installed zork-1.0\n"
TRIED = "curl: (6) Could not resolve host: download.example\n"
TRIED_AGAIN = "W: Failed to fetch http://deb.example/  Temporary failure resolving 'deb.example'\n"
NO_HOST = "  cause: operation timed out\n"
CERTIFICATE = "  cause: invalid peer certificate: UnknownIssuer\n"
PROXY = "OSError: Tunnel connection failed: 407 Proxy Authentication Required\n"
MAX_TRIES = "E: HTTPSConnectionPool(host='index.example', port=443): Max retries exceeded with url: /simple/\n"
TO_GITHUB = "fatal: unable to access 'https://github.com/zork/lib.git/': Failed to connect to github.com port 443\n"
NO_WHEEL = "error: Remote end closed connection without response\n"
GUESS = (
    "Guessing wheel URL:  https://github.com/Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3.whl\n"
)
URL_ERROR = "error: <urlopen error [Errno -2] Name or service not known>\n"
RAISED = "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>\n"
HANDLING = "During handling of the above exception, another exception occurred:\n"
BUILDS = "running build_ext\n"
BROKEN = (
    "WARNING: Retrying (Retry(total=4)) after connection broken by 'NameResolutionError(\"HTTPSConnection(host='github.com', "
    "port=443): Failed to resolve 'github.com'\")': /Dao-AILab/flash-attention/releases/download/v2.8.3/flash_attn-2.8.3.whl\n"
)
INVALID = "ERROR: Wheel 'flash-attn' located at /tmp/flash_attn-2.8.3-cp311-cp311-linux_x86_64.whl is invalid.\n"
SYNTAX = "SyntaxError: invalid syntax\n"
IN_PACKAGE = '  File "/venv/lib/python3.8/site-packages/ultralytics/utils/x.py", line 12\n    match x:\n'
SUBSCRIPT = "TypeError: 'type' object is not subscriptable\n"
OLD_FRAME = '  File "/venv/lib/python3.8/site-packages/zork/x.py", line 12, in <module>\n'
TYPING = "ImportError: cannot import name 'TypeGuard' from 'typing' (/usr/lib/python3.8/typing.py)\n"
COLLECTIONS = (
    "ImportError: cannot import name 'Mapping' from 'collections' (/usr/lib/python3.12/collections/__init__.py)\n"
)
CUDNN = "ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory\n"
CUDART = "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory\n"
FROM_TORCH = '  File "/venv/lib/python3.11/site-packages/torch/__init__.py", line 229, in <module>\n'
FROM_OTHER = '  File "/venv/lib/python3.11/site-packages/tensorflow/__init__.py", line 24, in <module>\n'
OWN = "ImportError: /opt/v/lib/python3.10/site-packages/torch/lib/libtorch_cpu.so: undefined symbol: {}\n"
GONE_OFF = 'OSError: [WinError 126] Not found. Error loading "C:\\v\\Lib\\site-packages\\torch\\lib\\shm.dll"\n'
KILLED = "Killed\n"
CRASHED = "g++: internal compiler error: Segmentation fault signal terminated program cc1plus\n"
NO_MEMORY = "OSError: [Errno 12] Cannot allocate memory\n"
FULL = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate {} GiB. GPU 0 has 8.00 GiB\n"
BARE_FULL = "RuntimeError: CUDA error: out of memory\n"
ATTENTION = "    attn = attn.softmax(dim=-1)\n"
RUN = "engine/trainer: task=detect, mode=train, model=yolo12s.yaml, batch={}, imgsz={}, save=True\n"
WARNED = (
    "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.\n"
)
HOLDS = "The current PyTorch install supports CUDA capabilities sm_80 sm_90.\n"
NO_IMAGE = "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device\n"
NO_FUNCTION = "RuntimeError: CUDA error: invalid device function\n"
FLASH = '  File "/v/flash_attn/flash_attn_interface.py", line 91, in _flash_attn_forward\n'
BUILT_FOR = "FATAL: kernel built for sm80-sm100, but running on sm121\n"


@pytest.mark.parametrize(
    ("slug", "text", "confidence", "says"),
    [
        ("network-proxy-ssl", TRIED, "medium", "download.example could not be reached"),
        ("network-proxy-ssl", f"{TRIED}{TRIED_AGAIN}", "high", "download.example could not be reached"),
        ("network-proxy-ssl", NO_HOST, "medium", "The host could not be reached"),
        ("network-proxy-ssl", MAX_TRIES, "high", "index.example could not be reached"),
        ("network-proxy-ssl", f"{TRIED}{MAX_TRIES}", "high", "index.example could not be reached"),
        ("network-proxy-ssl", CERTIFICATE, "high", "A TLS certificate"),
        ("network-proxy-ssl", PROXY, "high", "The proxy"),
        ("network-proxy-ssl", f"{MAX_TRIES}{CERTIFICATE}", "high", "A TLS certificate"),
        ("network-proxy-ssl", f"{TRIED}{INSTALLED}", None, ""),
        ("network-proxy-ssl", f"{MAX_TRIES}{INSTALLED}", None, ""),
        ("network-proxy-ssl", f"{INSTALLED}{TRIED}", "medium", "download.example"),
        ("network-proxy-ssl", INSTALLED, None, ""),
        ("network-proxy-ssl", TO_GITHUB, "medium", "github.com could not be reached"),
        ("network-proxy-ssl", f"{TO_GITHUB}{NO_WHEEL}", None, ""),
        ("network-proxy-ssl", f"{TO_GITHUB}{TRIED}{NO_WHEEL}", "high", "github.com could not be reached"),
        ("network-proxy-ssl", f"{TO_GITHUB}{CERTIFICATE}{NO_WHEEL}", "high", "A TLS certificate"),
        ("network-proxy-ssl", f"{TO_GITHUB}{PROXY}{NO_WHEEL}", "high", "The proxy"),
        ("wheel-download-failed", NO_WHEEL, "high", "could not be downloaded from GitHub."),
        ("wheel-download-failed", INVALID, "high", "is not a wheel"),
        ("wheel-download-failed", f"{GUESS}", "medium", "no answer came"),
        ("wheel-download-failed", f"{GUESS}[exit code: 1]\n", "medium", "no answer came"),
        ("wheel-download-failed", f"{GUESS}the next step\n", None, ""),
        ("wheel-download-failed", URL_ERROR, "high", "Name or service not known"),
        ("wheel-download-failed", f"{URL_ERROR}{BUILDS}", None, ""),
        ("wheel-download-failed", f"{BUILDS}{URL_ERROR}", None, ""),
        ("wheel-download-failed", RAISED, "high", "Name or service not known"),
        ("wheel-download-failed", f"{RAISED}{HANDLING}", None, ""),
        ("wheel-download-failed", f"{HANDLING}{RAISED}", "high", "Name or service not known"),
        ("wheel-download-failed", BROKEN, "high", "could not be downloaded"),
        ("wheel-download-failed", f"{BROKEN}Successfully installed flash-attn-2.8.3\n", None, ""),
        (
            "wheel-download-failed",
            f"Successfully installed flash-attn-2.8.3\n{BROKEN}",
            "high",
            "could not be downloaded",
        ),
        ("python-version-syntax", SYNTAX, "low", "a newer Python"),
        ("python-version-syntax", f"{IN_PACKAGE}{SYNTAX}", "high", "a newer Python"),
        ("python-version-syntax", IN_PACKAGE, None, ""),
        ("python-version-syntax", TYPING, "high", "a newer Python"),
        ("python-version-syntax", COLLECTIONS, None, ""),
        ("code-older-than-python", COLLECTIONS, "high", "an older Python"),
        ("python-version-syntax", SUBSCRIPT, "medium", "a newer Python"),
        ("python-version-syntax", f"{OLD_FRAME}{SUBSCRIPT}", "high", "a newer Python"),
        ("python-version-syntax", f"{TYPING}{SUBSCRIPT}", "high", "a newer Python"),
        (
            "version-parse",
            "packaging.version.InvalidVersion: Invalid version: '2.0.0.nv23.05'\n",
            "high",
            "2.0.0.nv23.05",
        ),
        ("version-parse", "error: the Metadata field Version is malformed: 2.0.0.nv23.05\n", None, ""),
        ("torch-install-broken", CUDNN, "medium", "libcudnn.so.9, which torch needs"),
        ("torch-install-broken", f"{FROM_TORCH}{CUDNN}", "high", "torch itself does not find libcudnn.so.9"),
        ("torch-install-broken", f"{CUDNN}{FROM_TORCH}", "medium", "libcudnn.so.9, which torch needs"),
        ("torch-install-broken", f"{FROM_TORCH}{STEP * 13}{CUDNN}", "medium", "libcudnn.so.9, which torch needs"),
        ("torch-install-broken", f"{FROM_OTHER}{CUDNN}", None, ""),
        ("torch-install-broken", f"{FROM_OTHER}{FROM_TORCH}{CUDNN}", "high", "torch itself"),
        ("torch-install-broken", CUDART, None, ""),
        ("torch-install-broken", f"{FROM_TORCH}{CUDART}", "high", "torch itself does not find libcudart.so.12"),
        ("torch-install-broken", OWN.format("cublasLtCreate"), None, ""),
        ("torch-install-broken", f"{FROM_OTHER}{OWN.format('iJIT_NotifyEvent')}", None, ""),
        ("torch-install-broken", GONE_OFF, "high", "torch does not load there"),
        (
            "torch-install-broken",
            "ImportError: cannot import name 'einsum' from 'torch' (unknown location)\n",
            "high",
            "is not torch, or only a part of torch",
        ),
        ("out-of-memory-build", KILLED, None, ""),
        ("out-of-memory-build", f"{FAILED}{KILLED}", "high", "was killed"),
        ("out-of-memory-build", f"{FAILED}{NO_MEMORY}", "medium", "was killed"),
        ("out-of-memory-build", f"{FAILED}{CRASHED}", "low", "A compiler crashed"),
        ("out-of-memory-build", f"{FAILED}{CRASHED}{KILLED}", "high", "was killed"),
        ("out-of-memory-build", "nvcc error   : 'cicc' died due to signal 9 (Kill signal)\n", "high", "(cicc)"),
        ("out-of-memory-build", "virtual memory exhausted: Cannot allocate memory\n", "high", "A compiler was"),
        ("out-of-memory-gpu", BARE_FULL, "high", "memory was full."),
        ("out-of-memory-gpu", FULL.format("16.00"), "high", "when 16.00 GiB were requested"),
        (
            "out-of-memory-gpu",
            f"{ATTENTION}{FULL.format('16.00')}",
            "high",
            "The memory was requested for an attention matrix",
        ),
        (
            "out-of-memory-gpu",
            f"{ATTENTION}{STEP * 5}{BARE_FULL}",
            "high",
            "The memory was requested for an attention matrix",
        ),
        ("out-of-memory-gpu", f"{ATTENTION}{STEP * 6}{BARE_FULL}", "high", "memory was full."),
        ("out-of-memory-gpu", f"{BARE_FULL}{ATTENTION}", "high", "memory was full."),
        ("out-of-memory-gpu", f"{RUN.format(1, 640)}{BARE_FULL}", "high", "memory was full."),
        ("no-kernel-image", WARNED, "high", "NVIDIA GeForce RTX 5090 (sm_120)."),
        ("no-kernel-image", f"{WARNED}{HOLDS}", "high", "has code for sm_80, sm_90"),
        ("no-kernel-image", HOLDS, None, ""),
        ("no-kernel-image", NO_IMAGE, "high", "A binary has no code"),
        ("no-kernel-image", NO_FUNCTION, "medium", "A binary has no code"),
        ("no-kernel-image", f"{NO_FUNCTION}{NO_IMAGE}", "high", "A binary has no code"),
        ("no-kernel-image", f"{FLASH}{NO_IMAGE}", "high", "flash-attn has no code"),
        ("no-kernel-image", f"{FLASH}{STEP * 11}{NO_IMAGE}", "high", "flash-attn has no code"),
        ("no-kernel-image", f"{FLASH}{STEP * 12}{NO_IMAGE}", "high", "A binary has no code"),
        ("no-kernel-image", f"{NO_IMAGE}{FLASH}", "high", "A binary has no code"),
        ("no-kernel-image", f"{HOLDS}{NO_IMAGE}", "high", "A binary has no code"),
        ("no-kernel-image", BUILT_FOR, "high", "built for sm80-sm100 and started on sm121"),
        ("nvcc-missing", "/bin/sh: 1: nvcc: not found\n", "high", "nvcc, which the build called"),
        ("nvcc-missing", "ValueError: 'release' is not in list\n", "high", "does not print a version"),
        ("cross-compile-archs", "nvcc fatal   : Unsupported gpu architecture 'compute_120'\n", "high", "compute_120"),
        ("cross-compile-archs", "    arch_list[-1] += '+PTX'\n", "high", "No GPU was visible"),
        (
            "host-compiler-unsupported",
            "a.h:1:2: error: #error -- unsupported GNU version! gcc versions later than 11 are not supported!\n",
            "high",
            "newer than 11",
        ),
        (
            "host-compiler-unsupported",
            "a.h:1:2: error: #error -- unsupported clang version! clang version must be less than 17\n",
            "high",
            "does not support this clang compiler",
        ),
        (
            "host-compiler-unsupported",
            '/usr/include/stdlib.h(141): error: identifier "_Float32" is undefined\n',
            "medium",
            "nvcc cannot read",
        ),
        (
            "host-compiler-unsupported",
            "preprocessor.h(23): fatal error C1189: #error:  MSVC/cl.exe with traditional preprocessor is used.\n",
            "medium",
            "MSVC does not compile",
        ),
    ],
)
def test_what_a_rule_makes_of_lines(slug, text, confidence, says):
    check_lines(slug, text, confidence, says)


def test_a_matrix_of_attention_is_told_by_its_size():
    """A stride of 16 makes 1600 tokens of 640 pixels, in 4 areas of 400: 1024 x 4 x 400 x 400 x 2 bytes are 1.22 GiB."""
    said = told("out-of-memory-gpu", f"{RUN.format(1024, 640)}{FULL.format('1.22')}")
    assert "attention matrix of 1024 x 1 heads at 640 pixels" in said.message


@pytest.mark.parametrize("text", [WARNED, NO_IMAGE])
def test_no_code_for_the_gpu_is_an_error_under_each_goal(text):
    assert told("no-kernel-image", text).severity is Severity.ERROR
