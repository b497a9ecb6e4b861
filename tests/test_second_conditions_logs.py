"""What a rule makes of the lines of a log where the second of two conditions decides: whether it is met, how sure it is, how grave."""

from __future__ import annotations

import pytest
from one_rule import check_lines, told

from attn_doctor.model.findings import Severity

FAILED = "error: metadata-generation-failed\n"  # a build failed


NO_TORCH = "ERROR: No matching distribution found for torch==2.1.0\n"
NO_ZORK = "ERROR: No matching distribution found for zork==2.1.0\n"
SOUGHT = "ERROR: Could not find a version that satisfies the requirement torch==2.1.0 (from versions: {})\n"
IGNORED = "ERROR: Ignored the following versions that require a different python version: 2.8.3 Requires-Python >=3.9\n"
OTHER_PYTHON = "ERROR: Package 'flash-attn' requires a different Python: 3.8.18 not in '>=3.9'\n"
NO_TAG = "hint: `torch` has no wheels with a matching Python ABI tag (e.g., `cp313`)\n"
NUM_GPUS = 'RuntimeError: device >= 0 && device < num_gpus INTERNAL ASSERT FAILED at "/p/CUDAContext.cpp":49\n'
COUNT = "torch.cuda.device_count(): 0\n"
ASKED = "In [7]: torch.cuda.device_count()\n"
SLICE = "  MIG 3g.40gb     Device  0: (UUID: MIG-00000000-0000-0000-0000-000000000001)\n"
ROCM = "torch.__version__  = 2.7.0+rocm6.3\n"
SCHEMA = "RuntimeError: schema_.has_value() INTERNAL ASSERT FAILED\n"
CK = "csrc/composable_kernel/include/ck_tile/core/config.hpp:36:2: error: static assertion failed\n"
GFX = "RuntimeError: gfx1100 is invalid or not supported by Flash-Attention\n"
NUMPY_WARNED = "UserWarning: Failed to initialize NumPy: No module named 'numpy' (Triggered internally at x.cpp:84.)\n"
NUMPY_NOT_AVAILABLE = "RuntimeError: Numpy is not available\n"
NUMPY_RAISED = "ModuleNotFoundError: No module named 'numpy'\n"
NUMPY_OLD = "RuntimeError: module compiled against API version 0x10 but this version of numpy is 0xe\n"
NUMPY_NEW = "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.1.0 as it may crash.\n"
WHEEL = "  Building wheel for flash-attn (setup.py) ... -\n"
WHEEL_DONE = "  Building wheel for flash-attn (setup.py) ... done\n"
CANCELLED = "##[error]The operation was canceled.\n"
UNSET = "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.\n"


@pytest.mark.parametrize(
    ("slug", "text", "confidence", "says"),
    [
        ("disk-full", "OSError: [Errno 122] Disk quota exceeded\n", "high", "quota"),
        ("disk-full", "OSError: [Errno 28] No space left on device\n", "high", "disk was full"),
        (
            "disk-full",
            "tar: write error: Disk quota exceeded\ncause: No space left on device (os error 28)\n",
            "high",
            "disk was full",
        ),
        ("python-too-new-no-wheel", OTHER_PYTHON, "high", "Python 3.8.18"),
        ("python-too-new-no-wheel", NO_TAG, "high", "that Python or platform"),
        ("python-too-new-no-wheel", f"{NO_TAG}{OTHER_PYTHON}", "high", "Python 3.8.18"),
        ("python-too-new-no-wheel", NO_TORCH, "medium", "no torch at all"),
        ("python-too-new-no-wheel", SOUGHT.format("none"), "medium", "no torch at all"),
        ("python-too-new-no-wheel", SOUGHT.format("2.2.0, 2.2.1"), "high", "it has 2.2.0, 2.2.1"),
        ("python-too-new-no-wheel", f"{NO_TORCH}{SOUGHT.format('2.2.0, 2.2.1')}", "high", "it has 2.2.0"),
        ("python-too-new-no-wheel", f"{IGNORED}{NO_ZORK}", "high", "zork==2.1.0 exists for other Python versions"),
        ("python-too-new-no-wheel", IGNORED, None, ""),
        ("python-too-new-no-wheel", NO_ZORK, None, ""),
        ("mig", COUNT, None, ""),
        ("mig", NUM_GPUS, "low", "CUDA_VISIBLE_DEVICES changed"),
        ("mig", f"{COUNT}{NUM_GPUS}", "low", "CUDA_VISIBLE_DEVICES changed"),
        ("mig", f"{SLICE}{COUNT}", "high", "only one MIG instance"),
        ("mig", f"{SLICE}{ASKED}", "medium", "only one MIG instance"),
        ("mig", f"{SLICE}{ASKED}{COUNT}", "high", "only one MIG instance"),
        ("mig", SLICE, None, ""),
        ("rocm-specific", ROCM, None, ""),
        ("rocm-specific", f"{ROCM}{UNSET}", "high", "2.7.0+rocm6.3"),
        ("rocm-specific", f"{ROCM}{FAILED}", "high", "2.7.0+rocm6.3"),
        ("rocm-specific", UNSET, None, ""),
        ("rocm-specific", SCHEMA, "low", "An internal check"),
        ("rocm-specific", CK, "medium", "This is an AMD GPU"),
        ("rocm-specific", f"{CK}{SCHEMA}", "medium", "This is an AMD GPU"),
        ("rocm-specific", f"{ROCM}{SCHEMA}", "high", "2.7.0+rocm6.3"),
        ("rocm-specific", GFX, "high", "This is an AMD GPU"),
        ("numpy-missing-or-old", NUMPY_NOT_AVAILABLE, None, ""),
        ("numpy-missing-or-old", NUMPY_OLD, "high", "newer NumPy"),
        ("numpy-missing-or-old", f"{NUMPY_WARNED}{NUMPY_OLD}", "high", "newer NumPy"),
        ("numpy-missing-or-old", f"{NUMPY_NEW}{NUMPY_RAISED}", None, ""),
        ("numpy-missing-or-old", f"{NUMPY_NEW}{NUMPY_OLD}", "high", "newer NumPy"),
        ("numpy-missing-or-old", f"{NUMPY_WARNED}{NUMPY_NOT_AVAILABLE}", "high", "NumPy is not installed"),
        ("numpy-missing-or-old", NUMPY_RAISED, "medium", "NumPy is not installed"),
        ("build-timeout-hang", WHEEL, "medium", "The log ends"),
        ("build-timeout-hang", f"{WHEEL}[exit code: 1]\n", "medium", "The log ends"),
        ("build-timeout-hang", f"{WHEEL}step\n", None, ""),
        ("build-timeout-hang", WHEEL_DONE, None, ""),
        ("build-timeout-hang", f"{WHEEL}{CANCELLED}", "high", "stopped from outside"),
        ("build-timeout-hang", CANCELLED, None, ""),
        (
            "triton-libcuda-link",
            "/usr/bin/ld: cannot find -lcuda: No such file or directory\n",
            "high",
            "no libcuda.so",
        ),
        (
            "cuda-headers-incomplete",
            "a.h:7:10: fatal error: cusparse.h: No such file or directory\n",
            "high",
            "cusparse.h",
        ),
        ("cuda-headers-incomplete", "/usr/bin/ld: cannot find -lcudart: x\n", "high", "the library cudart"),
        (
            "cuda-headers-incomplete",
            "error: #error -- CUDA compiler and CUDA toolkit headers are incompatible, please check\n",
            "high",
            "have different versions",
        ),
    ],
)
def test_what_a_rule_makes_of_lines(slug, text, confidence, says):
    check_lines(slug, text, confidence, says)


def test_a_numpy_that_torch_misses_and_goes_on_without_is_a_note():
    assert told("numpy-missing-or-old", NUMPY_WARNED).severity is Severity.INFO
    assert told("numpy-missing-or-old", f"{NUMPY_WARNED}{NUMPY_NOT_AVAILABLE}").severity is Severity.ERROR
    assert told("numpy-missing-or-old", f"{NUMPY_WARNED}{NUMPY_RAISED}").severity is Severity.ERROR
