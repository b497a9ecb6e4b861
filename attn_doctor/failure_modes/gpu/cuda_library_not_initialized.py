"""cuBLAS or cuDNN could not start on the GPU.

What it is
    torch calls cuBLAS for products of matrices and cuDNN for convolutions. At the first such call each makes a handle on the GPU, and
    that failed.

How it shows
    "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "GET was unable to find an engine to execute this computation".

Why it happens
    Mostly the memory of the GPU is full, and the library tells it so. Or a kernel before it failed, and this is the first call that
    notices: an index out of range, such as a class number that the model does not have. Or a cuBLAS or cuDNN of another version stands in
    front of torch's own (LD_LIBRARY_PATH).

What to do
    Try a smaller batch, or free the GPU (`nvidia-smi` shows who holds its memory). If batch=1 fails too: CUDA_LAUNCH_BLOCKING=1 shows the kernel
    that failed, and a run on the CPU its true error. If every program fails: unset LD_LIBRARY_PATH.

How to reproduce
    `attn-doctor reproduce cuda-library-not-initialized` starts cuDNN on a stand-in GPU, on which it cannot start. Stand-in: the GPU; its
    driver. It takes gcc and a CUDA build of torch in the target.

References
    https://discuss.pytorch.org/t/cuda-error-cublas-status-not-initialized-when-calling-cublascreate-handle/125450
    https://github.com/pytorch/pytorch/issues/91958
    https://docs.nvidia.com/cuda/cublas/#cublasstatus-t
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, StubGpu, Torch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity

MODE = FailureMode(
    code="AD436",
    slug="cuda-library-not-initialized",
    title="cuBLAS or cuDNN could not start",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"CUBLAS_STATUS_NOT_INITIALIZED|cublasStatus_t\.CUBLAS_STATUS_NOT_INITIALIZED",
            literal="CUBLAS_STATUS_NOT_INITIALIZED",
            sample="RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        ),
        Sign(
            pattern=r"CUDNN_STATUS_NOT_INITIALIZED",
            literal="CUDNN_STATUS_NOT_INITIALIZED",
            sample="RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        ),
        Sign(
            pattern=r"(?:GET|FIND) was unable to find an engine to execute this computation",
            literal="was unable to find an engine to execute this computation",
            sample="RuntimeError: GET was unable to find an engine to execute this computation",
        ),
        Sign(
            pattern=r"device-side assert|Assertion `.{1,120}` failed",
            literal="ssert",
            sample="../aten/src/ATen/native/cuda/Loss.cu:250: Assertion `t >= 0 && t < n_classes` failed.",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="starts cuDNN on a stand-in GPU, on which it cannot start",
        of=(
            Torch(build="cuda"),
            StubDriver(cuda="13.9", nvml=True, gpus=(StubGpu("NVIDIA A10", "8.6", 22515),), runtime=True),
        ),
        run=(
            (
                "{python}",
                "-c",
                "import torch; torch.nn.functional.conv2d(*(torch.empty(1, 3, 8, 8, device='cuda') for _ in 'ab'))",
            ),
        ),
        shows="CUDNN_STATUS_NOT_INITIALIZED",
        goal=Goal.TRAIN,
        seconds=10,
        stands_in=("the GPU", "its driver"),
    ),
)


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs or any(m.strength == "context" and m.line < proofs[0].line for m in seen.matches):
        return None  # an assertion of a kernel came first: that is the error, and of the program's own data
    return Hit(
        message="cuBLAS or cuDNN could not start on the GPU. Mostly its memory is full; else a kernel before it had failed.",
        evidence=evidence,
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    smaller = commands.by_hand(
        ("nvidia-smi",), "shows who holds the GPU's memory: end what is not needed, and try batch=1", "nothing", "none"
    )
    blocking = commands.variable(
        "CUDA_LAUNCH_BLOCKING", "1", "start again: the traceback then ends at the kernel that really failed"
    )
    made = [
        Fix(title="Free the GPU's memory, or use a smaller batch", steps=(smaller,), verify=verify),
        Fix(title="Find the kernel that failed before it", steps=(blocking,), verify=verify),
    ]
    variables = facts.environment if isinstance(facts.environment, tuple) else ()
    if any(v.name == "LD_LIBRARY_PATH" and v.value for v in variables):
        unset = commands.without_library_path(
            facts, "a cuBLAS or cuDNN of another version may stand in front of torch's own"
        )
        made.append(Fix(title="Let torch load its own libraries", steps=(unset,), verify=verify))
    return tuple(made)
