"""The second of two conditions in what rules make of logs of wheels, imports and GPUs."""

from __future__ import annotations

import pytest
from one_rule import check_lines, told

from attn_doctor.model.findings import Severity

STEP = "step\n"
FAILED = "error: metadata-generation-failed\n"
NOT_FOUND = "Precompiled wheel not found. Building from source...\n"
NO_404 = (
    "ERROR: HTTP error 404 while getting https://github.com/x/releases/download/v2.8.3/flash_attn-2.8.3%2Bcu13-x.whl\n"
)
BUILT = "Successfully built flash-attn\n"
UNSET = "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n"
URLOPEN = "urllib.error.HTTPError: HTTP Error 404: <urlopen error x>\n"
DENIED = "PermissionError: [Errno 13] Permission denied: 'build'\n"
DENIED_SITE = "ERROR: Could not install: [Errno 13] Permission denied: '/usr/local/lib/python3.11/site-packages/zork'\n"
MANAGED = "error: externally-managed-environment\n"
NOEXEC = "ImportError: /tmp/flash_attn_2_cuda.so: failed to map segment from shared object\n"
CUDART = "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory\n"
LIBC10 = "ImportError: libc10.so: cannot open shared object file: No such file or directory\n"
FROM_EXTENSION = "    import flash_attn_2_cuda as flash_attn_gpu\n"
FROM_TORCH = "    from torch._C import *  # noqa: F403\n"
NOT_AVAILABLE = "RuntimeError: Numpy is not available\n"
NO_DTYPE = "RuntimeError: Could not infer dtype of numpy.int64\n"
NO_NUMPY = "ModuleNotFoundError: No module named 'numpy'\n"
COMPILED = "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2.6 as it may crash.\n"
EITHER = "ImportError: numpy.core.multiarray failed to import\n"
TOO_OLD = "RuntimeError: module compiled against API version 0x10 but this version of numpy is 0xe\n"
DLL = "ImportError: DLL load failed while importing {}: The specified module could not be found.\n"
DLL_OF_TORCH = 'OSError: [WinError 126] The specified module could not be found. Error loading "C:\\v\\torch\\lib\\fbgemm.dll" or x.\n'
PROCEDURE = (
    "ImportError: DLL load failed while importing flash_attn_2_cuda: The specified procedure could not be found.\n"
)
TOGGLED = (
    "ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: the package for "
    "FlashAttention2 doesn't seem to be installed.\n"
)
NO_FLASH = "ModuleNotFoundError: No module named 'flash_attn'\n"
NOTED_NO_FLASH = "falling back: No module named 'flash_attn'\n"
OF_TORCH_2_2 = "ImportError: /v/flash_attn_2_cuda.so: undefined symbol: _ZN3c104cuda9SetDeviceEi\n"
OF_VISION = "ImportError: /v/torchvision/_C.so: undefined symbol: _ZN3c104cuda9SetDeviceEi\n"
OF_ABI = (
    "ImportError: /v/flash_attn_2_cuda.so: undefined symbol: "
    "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE\n"
)
PAIR = "    PyTorch {} with CUDA 1201 (you have {})\n"
NO_PART = "ModuleNotFoundError: No module named 'flash_attn_2_cuda'\n"
SOURCE = '  File "/home/me/src/flash-attention/flash_attn/flash_attn_interface.py", line 15, in <module>\n'
INSTALLED = '  File "/v/lib/python3.11/site-packages/flash_attn/flash_attn_interface.py", line 15, in <module>\n'
EXTRA = "ModuleNotFoundError: No module named 'dropout_layer_norm'\n"
SHORT = "ImportError: /v/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: file too short\n"
SHORT_OTHER = "ImportError: /v/zork.so: file too short\n"
NO_INIT = "ImportError: dynamic module does not define module export function (PyInit_flash_attn_2_cuda)\n"
SHADOWED = (
    "ImportError: cannot import name 'flash_attn_func' from partially initialized module 'flash_attn' (most likely due to a "
    "circular import) (/home/me/flash_attn.py)\n"
)
HIDES = "os.environ['CUDA_VISIBLE_DEVICES']: '-1'\n"
NO_GPUS = "RuntimeError: No CUDA GPUs are available\n"
COUNTED = "torch.cuda.device_count(): {}\n"
DEVICE = "ValueError: Invalid CUDA 'device=1' requested. Use 'device=cpu' or pass valid CUDA device(s)\n"
ORDINAL = "RuntimeError: CUDA error: invalid device ordinal\n"
ON_CPU = "RuntimeError: q must be on CUDA\n"
NO_DRIVER = "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU\n"
NO_NVML = "pynvml.NVMLError_LibraryNotFound: NVML Shared Library Not Found\n"
IN_BOX = "root@4728a09607c1:/opt/project# python3 test.py\n"
WITH_GPUS = "$ docker run --gpus all -it image:latest python train.py\n"
WHILE_BUILDING = "#12 [stage-1 7/9] RUN python -c 'import torch; torch.ones(1).cuda()'\n"
UNDETECTED = "WARNING: The NVIDIA Driver was not detected.  GPU functionality will not be available.\n"
IN_WSL = "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@host)\n"
BLOCKED = "Failed to initialize NVML: GPU access blocked by the operating system\n"
ILLEGAL = "RuntimeError: CUDA error: an illegal memory access was encountered\n"
FLASH_FRAME = '  File "/v/flash_attn/flash_attn_interface.py", line 91, in _flash_attn_forward\n'


@pytest.mark.parametrize(
    ("slug", "text", "confidence", "says"),
    [
        ("no-prebuilt-wheel", NO_404, "high", "There is no wheel flash_attn-2.8.3+cu13-x.whl."),
        ("no-prebuilt-wheel", NOT_FOUND, "high", "began to compile"),
        ("no-prebuilt-wheel", f"{NOT_FOUND}{BUILT}", "high", "the build succeeded"),
        ("permission", DENIED, None, ""),
        ("permission", f"{FAILED}{DENIED}", "high", "no permission to write"),
        ("permission", DENIED_SITE, "high", "/usr/local/lib/python3.11/site-packages/zork"),
        ("permission", MANAGED, "high", "the system's Python"),
        ("permission", f"{MANAGED}{NOEXEC}", "high", "noexec"),
        ("libcudart-missing", CUDART, "high", "built for CUDA 12"),
        ("libcudart-missing", LIBC10, "high", "imported before torch"),
        ("libcudart-missing", f"{FROM_TORCH}{CUDART}", "medium", "torch itself"),
        ("libcudart-missing", f"{FROM_TORCH}{STEP * 7}{CUDART}", "medium", "torch itself"),
        ("libcudart-missing", f"{FROM_TORCH}{STEP * 8}{CUDART}", "high", "built for CUDA 12"),
        ("libcudart-missing", f"{CUDART}{FROM_TORCH}", "high", "built for CUDA 12"),
        ("libcudart-missing", f"{FROM_EXTENSION}{FROM_TORCH}{CUDART}", "high", "built for CUDA 12"),
        ("libcudart-missing", FROM_TORCH, None, ""),
        ("numpy-abi", NOT_AVAILABLE, "low", "torch cannot use NumPy"),
        ("numpy-abi", NO_DTYPE, "medium", "torch cannot use NumPy"),
        ("numpy-abi", f"{NO_NUMPY}{NOT_AVAILABLE}", None, ""),
        ("numpy-abi", COMPILED, "high", "NumPy 2.2.6"),
        ("numpy-abi", f"{NOT_AVAILABLE}{COMPILED}", "high", "NumPy 2.2.6"),
        ("numpy-abi", EITHER, "medium", "NumPy 2."),
        ("numpy-abi", f"{EITHER}{TOO_OLD}", None, ""),
        ("numpy-abi", f"{EITHER}{COMPILED}{TOO_OLD}", "high", "NumPy 2.2.6"),
        ("windows-dll-missing", DLL.format("flash_attn_2_cuda"), "high", "flash_attn_2_cuda could not be loaded"),
        ("windows-dll-missing", DLL.format("zork"), "low", "zork could not be loaded"),
        ("windows-dll-missing", f"{DLL.format('zork')}{DLL.format('flash_attn_2_cuda')}", "high", "flash_attn_2_cuda"),
        ("windows-dll-missing", DLL_OF_TORCH, "high", "torch could not be loaded"),
        ("windows-dll-missing", PROCEDURE, None, ""),
        ("transformers-flash-attn-2-not-installed", TOGGLED, "high", "transformers was told"),
        ("transformers-flash-attn-2-not-installed", NO_FLASH, "medium", "A program imports flash_attn"),
        ("transformers-flash-attn-2-not-installed", f"{NO_FLASH}{TOGGLED}", "high", "transformers was told"),
        ("transformers-flash-attn-2-not-installed", NOTED_NO_FLASH, "high", "continues"),
        ("transformers-flash-attn-2-not-installed", f"{NOTED_NO_FLASH}{NO_FLASH}", "medium", "A program imports"),
        ("abi-mismatch-torch-version", OF_TORCH_2_2, "high", "torch 2.1 to 2.2"),
        ("abi-mismatch-torch-version", OF_VISION, None, ""),
        ("abi-mismatch-torch-version", OF_ABI, None, ""),
        ("abi-mismatch-torch-version", PROCEDURE, "high", "flash_attn_2_cuda was built for another torch"),
        ("abi-mismatch-torch-version", PROCEDURE.replace("flash_attn_2_cuda", "zork"), "low", "zork was built"),
        ("abi-mismatch-torch-version", PAIR.format("2.1.2+cu121", "2.2.0+cu121"), "medium", "torch 2.1.2+cu121, and"),
        ("abi-mismatch-torch-version", PAIR.format("2.1.2+cu121", "2.1.1+cu121"), None, ""),
        ("abi-mismatch-torch-version", PAIR.format("2.1.2+cu121", "2.1.2+cu118"), "medium", "torch 2.1.2+cu118 is"),
        ("abi-mismatch-cxx11", OF_ABI, "high", "the new std::string"),
        ("abi-mismatch-cxx11", OF_TORCH_2_2, None, ""),
        ("abi-mismatch-cxx11", OF_ABI.replace("flash_attn_2_cuda", "torchvision/_C"), None, ""),
        ("flash-attn-stub-namespace", NO_PART, "high", "without its compiled part, flash_attn_2_cuda."),
        ("flash-attn-stub-namespace", f"{SOURCE}{NO_PART}", "high", "inside a checkout"),
        ("flash-attn-stub-namespace", f"{INSTALLED}{NO_PART}", "high", "without its compiled part, flash_attn_2_cuda."),
        ("flash-attn-stub-namespace", f"{SOURCE}{INSTALLED}{NO_PART}", "high", "compiled part, flash_attn_2_cuda."),
        ("flash-attn-stub-namespace", SOURCE, None, ""),
        ("flash-attn-stub-namespace", EXTRA, "medium", "dropout_layer_norm is a separate extension"),
        ("flash-attn-stub-namespace", f"{EXTRA}{NO_PART}", "high", "without its compiled part"),
        (
            "flash-attn-stub-namespace",
            SHORT,
            "high",
            "flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so is not a library",
        ),
        ("flash-attn-stub-namespace", SHORT_OTHER, "low", "zork.so is not a library"),
        ("flash-attn-stub-namespace", NO_INIT, "high", "flash_attn_2_cuda is not a library"),
        ("flash-attn-stub-namespace", f"{EXTRA}{SHORT}", "high", "is not a library"),
        ("flash-attn-stub-namespace", SHADOWED, "high", "A file of yours"),
        ("config-device-cpu", HIDES, None, ""),
        ("config-device-cpu", NO_GPUS, None, ""),
        ("config-device-cpu", COUNTED.format(0), None, ""),
        ("config-device-cpu", f"{HIDES}{COUNTED.format(0)}", None, ""),
        ("config-device-cpu", f"{HIDES}{NO_GPUS}", "high", "hides every GPU"),
        ("config-device-cpu", f"{HIDES}{ON_CPU}", "high", "hides every GPU"),
        ("config-device-cpu", DEVICE, "medium", "sees no GPU"),
        ("config-device-cpu", f"{DEVICE}{COUNTED.format(1)}", "high", "device 1, and sees 1 GPU(s)"),
        ("config-device-cpu", f"{DEVICE}{COUNTED.format(0)}", "medium", "sees no GPU"),
        ("gpu-count-differs", ORDINAL, "high", "a GPU number that no GPU has"),
        ("config-device-cpu", ON_CPU, "medium", "sees no GPU"),
        ("driver-missing", NO_DRIVER, "high", "No NVIDIA driver works"),
        ("driver-missing", NO_NVML, "medium", "No NVIDIA driver works"),
        ("driver-missing", NO_GPUS, "medium", "CUDA found no GPU"),
        ("driver-missing", f"{NO_GPUS}{NO_DRIVER}", "high", "No NVIDIA driver works"),
        ("driver-missing", f"{HIDES}{NO_GPUS}", None, ""),
        ("driver-missing", f"{HIDES}{NO_DRIVER}", "high", "No NVIDIA driver works"),
        ("container-without-gpu", NO_DRIVER, None, ""),
        ("container-without-gpu", f"{IN_BOX}{NO_DRIVER}", "medium", "was not given the GPU"),
        ("container-without-gpu", f"{WITH_GPUS}{NO_DRIVER}", "low", "was not given the GPU"),
        ("container-without-gpu", UNDETECTED, "high", "was not given the GPU"),
        ("container-without-gpu", f"{WHILE_BUILDING}{NO_DRIVER}", "medium", "while a container image is built"),
        ("wsl2-driver-stub", NO_DRIVER, None, ""),
        ("wsl2-driver-stub", f"{IN_WSL}{NO_DRIVER}", "medium", "Inside WSL"),
        ("wsl2-driver-stub", BLOCKED, "high", "Inside WSL"),
        ("illegal-memory-access", ILLEGAL, "high", "does not belong to it."),
        ("illegal-memory-access", f"{FLASH_FRAME}{STEP * 11}{ILLEGAL}", "high", "ends in flash_attn"),
        ("illegal-memory-access", f"{FLASH_FRAME}{STEP * 12}{ILLEGAL}", "high", "does not belong to it."),
        ("illegal-memory-access", f"{ILLEGAL}{FLASH_FRAME}", "high", "does not belong to it."),
    ],
)
def test_what_a_rule_makes_of_lines(slug, text, confidence, says):
    check_lines(slug, text, confidence, says)


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (NOT_FOUND, Severity.WARNING),
        (f"{NOT_FOUND}{BUILT}", Severity.INFO),
        (f"{NOT_FOUND}{UNSET}", Severity.INFO),  # what came later is the cause
        (f"{UNSET}{NOT_FOUND}", Severity.WARNING),
        (f"{NOT_FOUND}{URLOPEN}", Severity.WARNING),
    ],
)
def test_a_missing_wheel_is_a_notice_where_something_else_decided(text, severity):
    assert told("no-prebuilt-wheel", text).severity is severity


@pytest.mark.parametrize(
    ("slug", "text", "severity"),
    [
        ("windows-dll-missing", DLL_OF_TORCH, Severity.ERROR),
        ("transformers-flash-attn-2-not-installed", NOTED_NO_FLASH, Severity.INFO),
        ("transformers-flash-attn-2-not-installed", NO_FLASH, Severity.ERROR),
        ("config-device-cpu", ON_CPU, Severity.ERROR),
    ],
)
def test_how_grave_a_line_is(slug, text, severity):
    assert told(slug, text).severity is severity


@pytest.mark.parametrize(
    ("slug", "lines", "kept"),
    [
        ("abi-mismatch-torch-version", (OF_ABI, OF_TORCH_2_2, OF_VISION), [2]),
        ("abi-mismatch-cxx11", (OF_TORCH_2_2, OF_ABI), [2]),
        ("windows-dll-missing", (DLL.format("zork"), DLL.format("flash_attn_2_cuda")), [2]),
        ("flash-attn-stub-namespace", (SHORT, NO_PART, EXTRA), [2]),
        ("no-prebuilt-wheel", (NOT_FOUND, NO_404), [2]),
    ],
)
def test_only_the_lines_that_count_are_evidence(slug, lines, kept):
    assert [line.line for line in told(slug, "".join(lines)).evidence] == kept
