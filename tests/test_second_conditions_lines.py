"""The second of two conditions in what a rule makes of a few lines: one line more, or the same in another place, decides."""

from __future__ import annotations

import pytest
from one_rule import told
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor.model.facts import Unknown, Variable
from attn_doctor.model.findings import Finding, Severity

OTHER = "a line of the program\n"
CUBLAS = "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`\n"
ASSERTED = "../aten/src/ATen/native/cuda/Loss.cu:250: Assertion `t >= 0 && t < n_classes` failed.\n"
NO_IMAGE = "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"
FUNCTION = "RuntimeError: CUDA error: invalid device function\n"
FRAME = (
    '  File "/venv/lib/python3.11/site-packages/flash_attn/flash_attn_interface.py", line 91, in _flash_attn_forward\n'
)
FULL = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 8.00 GiB\n"
EAGER = "    attn = (q.transpose(-2, -1) @ k) * (self.head_dim**-0.5)\n"
TWO_GPUS = "yolo detect train data=coco8.yaml model=yolo12n.pt device=0,1\n"
INVALID = "ValueError: Invalid CUDA 'device={}' requested. Use 'device=cpu' or pass valid CUDA device(s) if available\n"
COUNT = "torch.cuda.device_count(): {}\n"
HIDDEN = "os.environ['CUDA_VISIBLE_DEVICES']: '-1'\n"
UNSET = "os.environ['CUDA_VISIBLE_DEVICES']: None\n"
NO_GPUS = "RuntimeError: No CUDA GPUs are available\n"
ORDINAL = "RuntimeError: CUDA error: invalid device ordinal\n"
MATPLOTLIB = "ModuleNotFoundError: No module named 'matplotlib'\n"
PSUTIL = "ModuleNotFoundError: No module named 'psutil'\n"
ULTRALYTICS = 'File "/home/user/v/lib/python3.11/site-packages/ultralytics/utils/__init__.py", line 27, in <module>\n'
BUILD_FAILED = "ninja: build stopped: subcommand failed.\n"
GLIBCXX = "ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by {})\n"
ABI = "ImportError: {}: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE\n"
RESOLUTION = "ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/\n"
IGNORING = "WARNING: Ignoring invalid distribution ~orch (/venv/lib/python3.11/site-packages)\n"
DENIED = "PermissionError: [Errno 13] Permission denied: 'build'\n"
NOT_MANAGED = "error: externally-managed-environment\n"
NCCL = {
    "duplicate": "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1a000\n",
    "system": "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.\n",
    "unhandled": "unhandled system error, NCCL version 2.20.5\n",
    "cuda": "ncclUnhandledCudaError: Call to CUDA function failed.\n",
    "other": "ncclInternalError: Internal check failed.\n",
}
HALF = "RuntimeError: FlashAttention only support fp16 and bf16 data type\n"
BF16 = "ValueError: Your setup doesn't support bf16/gpu. You need torch>=1.10, using Ampere GPU with cuda>=11.0\n"
CURRENT = "Flash Attention 2 only supports torch.float16 and torch.bfloat16 dtypes, but the current dype in Model is torch.float32.\n"


@pytest.mark.parametrize(
    ("slug", "text", "confidence", "says"),
    [
        ("cuda-library-not-initialized", CUBLAS, "medium", "could not start on the GPU"),
        ("cuda-library-not-initialized", CUBLAS + ASSERTED, "medium", "could not start on the GPU"),
        ("cuda-library-not-initialized", ASSERTED + CUBLAS, None, ""),  # the assertion is the error
        ("cuda-library-not-initialized", ASSERTED, None, ""),
        ("no-kernel-image", NO_IMAGE, "high", "A binary has no code"),
        ("no-kernel-image", FUNCTION, "medium", "A binary has no code"),
        ("no-kernel-image", FUNCTION + NO_IMAGE, "high", "A binary has no code"),
        ("no-kernel-image", FRAME + OTHER * 11 + NO_IMAGE, "high", "flash-attn has no code"),  # 12 lines above
        ("no-kernel-image", FRAME + OTHER * 12 + NO_IMAGE, "high", "A binary has no code"),
        ("no-kernel-image", NO_IMAGE + FRAME, "high", "A binary has no code"),
        ("no-kernel-image", FRAME, None, ""),
        ("out-of-memory-gpu", FULL, "high", "when 1.50 GiB were requested."),
        (
            "out-of-memory-gpu",
            EAGER + OTHER * 5 + FULL,
            "high",
            "The memory was requested for an attention matrix",
        ),  # 6 lines above
        ("out-of-memory-gpu", EAGER + OTHER * 6 + FULL, "high", "were requested."),
        ("out-of-memory-gpu", FULL + EAGER, "high", "were requested."),
        ("config-device-cpu", INVALID.format(3) + COUNT.format(2), "high", "device 3, and sees 2 GPU(s)"),
        ("config-device-cpu", INVALID.format(0) + COUNT.format(0), "medium", "The program sees no GPU"),
        ("config-device-cpu", INVALID.format(0) + COUNT.format(0) + UNSET, None, ""),
        ("config-device-cpu", INVALID.format("xpu") + COUNT.format(0) + UNSET, "medium", "xpu, a GPU of Intel"),
        ("torch-sees-no-gpu", INVALID.format(0) + COUNT.format(0) + UNSET, "low", "Device 0 was asked for"),
        ("torch-sees-no-gpu", INVALID.format(0) + COUNT.format(1) + UNSET, None, ""),
        ("torch-sees-no-gpu", INVALID.format(0) + COUNT.format(0), None, ""),
        ("config-device-cpu", INVALID.format(0) + HIDDEN, "high", "hides every GPU"),
        ("config-device-cpu", HIDDEN + NO_GPUS, "high", "hides every GPU"),
        ("config-device-cpu", HIDDEN, None, ""),
        ("config-device-cpu", NO_GPUS, None, ""),
        ("gpu-count-differs", ORDINAL, "high", "a GPU number that no GPU has"),
        ("requirements-missing", MATPLOTLIB, "high", "matplotlib is not installed, and the program imports it"),
        ("requirements-missing", ULTRALYTICS + MATPLOTLIB, "high", "and ultralytics imports it"),
        ("requirements-missing", MATPLOTLIB + ULTRALYTICS, "high", "and the program imports it"),
        ("requirements-missing", MATPLOTLIB + BUILD_FAILED, None, ""),
        ("requirements-missing", PSUTIL, None, ""),
        ("requirements-missing", ULTRALYTICS + PSUTIL, "high", "psutil is not installed, and"),
        (
            "glibcxx-too-old",
            GLIBCXX.format("/v/site-packages/flash_attn_2_cuda.so"),
            "high",
            "flash_attn_2_cuda.so was",
        ),
        ("glibcxx-too-old", GLIBCXX.format("/usr/bin/blender"), None, ""),
        ("glibcxx-too-old", GLIBCXX.format("/opt/zork/lib/libzork.so"), "high", "libzork.so was built"),
        ("glibcxx-too-old", GLIBCXX.format("/opt/conda/bin/zork"), "high", "zork was built"),
        ("abi-mismatch-cxx11", ABI.format("/v/site-packages/xformers/_C.so"), "high", "xformers was built"),
        ("abi-mismatch-cxx11", ABI.format("/v/site-packages/torchvision/_C.so"), None, ""),
        ("environment-pollution", RESOLUTION, "high", "do not fit together"),
        ("environment-pollution", IGNORING, "medium", ""),
        ("permission", DENIED, None, ""),
        ("permission", DENIED + BUILD_FAILED, "high", "There was no permission"),
        ("permission", NOT_MANAGED, "high", "pip refused to change"),
        ("nccl-error", NCCL["duplicate"], "high", "the same GPU"),
        ("nccl-error", NCCL["system"], "medium", "A system call of NCCL"),
        ("nccl-error", NCCL["unhandled"], "medium", "A system call of NCCL"),
        ("nccl-error", NCCL["cuda"], "medium", "A CUDA call of NCCL"),
        ("nccl-error", NCCL["other"], "medium", "the reason is in NCCL's own log"),
        ("nccl-error", NCCL["cuda"] + NCCL["duplicate"], "high", "the same GPU"),
        ("nccl-error", NCCL["cuda"] + NCCL["system"], "medium", "A system call of NCCL"),
        ("dtype-unsupported", HALF, "high", "support only float16 and bfloat16"),
        ("dtype-unsupported", BF16, "high", "older than Ampere"),
        ("dtype-unsupported", CURRENT, "high", "the program continues"),
        ("dtype-unsupported", CURRENT + HALF, "high", "support only float16 and bfloat16"),
    ],
)
def test_what_a_few_lines_say(slug, text, confidence, says):
    finding = told(slug, text)
    assert (finding and finding.confidence.value) == confidence
    assert finding is None or says in finding.message


def words(finding: Finding | None) -> list[str]:
    """Return the title of each fix, with what its steps say: a command, or words."""
    assert finding is not None
    return [
        f"{fix.title}: " + " ; ".join(" ".join(getattr(step, "argv", ())) or step.why for step in fix.steps)
        for fix in finding.fixes
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (INVALID.format(3) + COUNT.format(2), "torch sees: device=0 to device=1 ("),
        (INVALID.format(3) + COUNT.format(1), "torch sees: device=0 ("),
    ],
)
def test_the_gpu_to_name_is_one_of_those_that_torch_saw(text, says):
    assert says in words(told("config-device-cpu", text))[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ORDINAL, "use a GPU that torch sees: device 0."),
        (
            "Attempting to deserialize object on CUDA device 3 but torch.cuda.device_count() is 2.\n",
            'map_location="cuda:0"',
        ),
    ],
)
def test_a_gpu_number_that_no_gpu_has(text, says):
    assert says in words(told("gpu-count-differs", text))[0]


def test_a_hidden_gpu_is_no_wrong_number():
    assert told("gpu-count-differs", HIDDEN + ORDINAL) is None


@pytest.mark.parametrize(("text", "several"), [(FULL, False), (TWO_GPUS + FULL, True)])
def test_with_several_gpus_ultralytics_cannot_choose_the_batch(text, several):
    fix = told("out-of-memory-gpu", text).fixes[-1]
    assert ("works only on one GPU" in fix.steps[0].why) is several


@pytest.mark.parametrize(("text", "first"), [(FULL, "Use less GPU memory"), (EAGER + FULL, "Use fused attention")])
def test_fused_attention_is_the_cure_where_attention_filled_the_memory(text, first):
    assert told("out-of-memory-gpu", text).fixes[0].title == first


@pytest.mark.parametrize(
    ("text", "severity"), [(CURRENT, Severity.INFO), (HALF, Severity.ERROR), (CURRENT + HALF, Severity.ERROR)]
)
def test_a_warning_about_the_dtype_stops_nothing(text, severity):
    assert told("dtype-unsupported", text).severity is severity


UNKNOWN = Unknown("not asked")
SHADOWED = "ImportError: /venv/lib/python3.11/site-packages/torch/lib/../../nvidia/cusparse/lib/libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink.so.12\n"


@pytest.mark.parametrize(
    ("changes", "unset"),
    [
        ({"environment": (Variable(name="LD_LIBRARY_PATH", value="/c"),), "toolchain__library_path": UNKNOWN}, True),
        ({"environment": (), "toolchain__library_path": UNKNOWN}, False),
        ({"environment": (Variable(name="LD_LIBRARY_PATH", value=""),), "toolchain__library_path": UNKNOWN}, False),
    ],
)
def test_a_folder_is_taken_off_the_path_where_one_may_stand_there(changes, unset):
    """Else the library came with a package of another release."""
    finding = told("ld-library-path-shadowing", SHADOWED, changed(RTX_4090, **changes))
    assert any("LD_LIBRARY_PATH" in line for line in words(finding)) is unset


MISSING = "ImportError: libcudart.so.11.0: cannot open shared object file: No such file or directory\n"


def test_a_missing_runtime_is_compared_with_that_of_torch():
    assert "your torch" not in told("libcudart-missing", MISSING).message
    fixes = told("libcudart-missing", MISSING, with_flash_attn(RTX_4090)).fixes
    assert fixes[-1].title == "Do without flash-attn"
