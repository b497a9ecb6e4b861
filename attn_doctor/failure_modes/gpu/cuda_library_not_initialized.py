"""cuBLAS or cuDNN could not start on the GPU, or failed at a call.

What it is
    torch calls cuBLAS for products of matrices and cuDNN for convolutions. At its first call, each library makes a
    handle on the GPU, and this failed.

How it shows
    "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    "GET was unable to find an engine to execute this computation". A call that fails later: CUBLAS_STATUS_EXECUTION_FAILED,
    CUDNN_STATUS_EXECUTION_FAILED, CUDNN_STATUS_INTERNAL_ERROR, CUDNN_STATUS_ALLOC_FAILED.

Why it happens
    In most cases the memory of the GPU is full, and the library reports this. Or an earlier kernel failed, and this is
    the first call that notices it: for example an index is out of range, such as a class number that the model does not
    have. Or LD_LIBRARY_PATH makes torch load a cuBLAS or cuDNN of another version. On a GTX 16 (1650, 1660), torch
    before 1.12 has known faults.

What to do
    Try a smaller batch, or free the GPU (`nvidia-smi` shows which programs use its memory). If batch=1 fails too:
    CUDA_LAUNCH_BLOCKING=1 shows the kernel that failed, and a run on the CPU shows its true error. If every program
    fails: unset LD_LIBRARY_PATH.

How to reproduce
    `attn-doctor reproduce cuda-library-not-initialized` starts cuDNN on a stand-in GPU, on which it cannot start. Stand-in: the GPU; its
    driver. It needs gcc and a CUDA build of torch in the target.

References
    https://discuss.pytorch.org/t/cuda-error-cublas-status-not-initialized-when-calling-cublascreate-handle/125450
    https://github.com/pytorch/pytorch/issues/91958
    https://docs.nvidia.com/cuda/cublas/#cublasstatus-t
    https://github.com/ultralytics/yolov5/issues/7908
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import Recipe, StubDriver, StubGpu, Torch
from attn_doctor.failure_modes.shared import another_copy, building, old_torch_steps, rocm_steps, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import gpu, old_torch, pytorch, torch_choice
from attn_doctor.knowledge.old_torch import OldBuild
from attn_doctor.knowledge.yes_no_unknown import Answer
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity
from attn_doctor.model.versions import pair

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
            # The library started, and a later call failed: cublasGemmEx on a card with little memory, a convolution under a CUDA older than the card.
            pattern=r"(?P<call>(?:CUBLAS_STATUS|CUDNN_STATUS)_(?:EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR))\b(?! ?\()",
            literal="_STATUS_",
            sample="RuntimeError: CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k)`",
        ),
        Sign(
            pattern=r"CUDNN_STATUS_ALLOC_FAILED",
            literal="CUDNN_STATUS_ALLOC_FAILED",
            sample="RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        ),
        Sign(
            pattern=r"(?:GET|FIND) was unable to find an engine to execute this computation",
            literal="was unable to find an engine to execute this computation",
            sample="RuntimeError: GET was unable to find an engine to execute this computation",
        ),
        Sign(
            pattern=r"(?P<solver>cusolver error: CUSOLVER_STATUS_\w+)",
            literal="cusolver error: ",
            sample="RuntimeError: cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`",
        ),
        # cuBLAS refused the arguments that torch gave: nearly always it is not the cuBLAS of this torch.
        Sign(
            pattern=r"(?P<another>CUBLAS_STATUS_(?:INVALID_VALUE|NOT_SUPPORTED|ARCH_MISMATCH)) when calling",
            literal="CUBLAS_STATUS_",
            sample="RuntimeError: CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx( handle, opa, opb, m, n, k)`",
        ),
        Sign(
            pattern=r"CUDNN_FE failure \d+: CUDNN_\w+",
            literal="CUDNN_FE failure",
            sample="[ONNXRuntimeError] : 1 : FAIL : CUDNN_FE failure 11: CUDNN_BACKEND_API_FAILED ; GPU=0 ; hostname=box",
        ),
        Sign(
            pattern=r"(?P<zluda>\[ZLUDA\]|\bzluda[\\/]|\bZLUDA\b)",
            literal="ZLUDA",
            sample="CUDA available on AMD Radeon RX 6800 [ZLUDA]",
            strength="context",
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


class Refused(Variant, frozen=True):
    """Mark the case that cuBLAS refused the arguments of a call, as a cuBLAS of another release does."""


class OnZluda(Variant, frozen=True):
    """Mark the case that ZLUDA stands in the place of CUDA on an AMD GPU."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    zluda = any("zluda" in m.groups for m in seen.matches)
    if proofs and zluda:
        return Hit(
            message="ZLUDA, which replaces CUDA on an AMD GPU, does not serve this call of cuDNN or cuBLAS.",
            evidence=building.lines(proofs),
            variant=OnZluda(),
        )
    if not proofs or any(
        m.strength == "context" and "zluda" not in m.groups and m.line < proofs[0].line for m in seen.matches
    ):
        return None  # an assertion in a kernel failed before: that is the error, and its cause is the program's data
    if all("another" in m.groups for m in proofs):
        return Hit(
            message=f"cuBLAS refused a call of torch ({seen.group('another')}): most often the loader found another cuBLAS than the one of this torch.",
            evidence=evidence,
            variant=Refused(),
            confidence=Confidence.MEDIUM,
        )
    repaired = _mended(facts)
    if repaired is not None:
        return Hit(
            message=f"torch {facts.torch.version} for CUDA {facts.torch.cuda} has a fault: its cuBLAS and cuDNN do not start on many GPUs. {repaired.row.torch} mends it.",
            evidence=evidence,
        )
    card = _unfit(facts)
    if card is not None:
        return Hit(
            message=f"cuBLAS or cuDNN could not start: torch {facts.torch.version} for CUDA {facts.torch.cuda} does not support this GPU (compute capability {card}).",
            evidence=evidence,
        )
    how = "failed at a call" if all("call" in m.groups for m in proofs) else "could not start"
    return Hit(
        message=f"cuBLAS or cuDNN {how} on the GPU. In most cases the GPU's memory is full; else an earlier kernel failed.",
        evidence=evidence,
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if isinstance(hit.variant, Refused):
        return _own_cublas(facts)
    if isinstance(hit.variant, OnZluda):
        return rocm_steps.without_cudnn(facts)
    smaller = commands.by_hand(
        ("nvidia-smi",),
        "shows which programs use the GPU's memory: end those that you do not need, and try batch=1",
        "nothing",
        "none",
    )
    blocking = commands.variable(
        "CUDA_LAUNCH_BLOCKING", "1", "start again: the traceback then ends at the kernel that really failed"
    )
    repaired = _mended(facts)
    if repaired is not None:
        title = f"Install torch {repaired.row.torch}, in which this fault is mended"
        return (Fix(title=title, steps=old_torch_steps.steps(facts, repaired), verify=verify),)
    if _unfit(facts) is not None:
        why = "this torch does not support the GPU"
        return torch_steps.kept_or_newest(facts, "Install a torch for CUDA {cuda}", why, reinstall=True)
    made = [
        Fix(title="Free the GPU's memory, or use a smaller batch", steps=(smaller,), verify=verify),
        Fix(title="Find the kernel that failed first", steps=(blocking,), verify=verify),
    ]
    if _old_for_gtx_16(facts):
        why = "releases before 1.12 have known faults on a GTX 16"
        made[1:1] = torch_steps.newest(facts, "Install a newer torch", why=why, reinstall=True)
    variables = facts.environment if isinstance(facts.environment, tuple) else ()
    if any(v.name == "LD_LIBRARY_PATH" and v.value for v in variables):
        unset = commands.without_library_path(
            facts, "torch may load a cuBLAS or cuDNN of another version from this path"
        )
        made.append(Fix(title="Let torch load its own libraries", steps=(unset,), verify=verify))
    return (*made, *_another_build(facts))


def _mended(facts: Facts) -> OldBuild | None:
    """Return the release in which a known fault of the installed torch is mended; None if none is known."""
    version, cuda = facts.torch.version, facts.torch.cuda
    if not isinstance(version, str) or not isinstance(cuda, str):
        return None
    return old_torch.mended(version, cuda, machine_of(facts))


def _unfit(facts: Facts) -> str | None:
    """Return the compute capability of a GPU for which the installed torch has no code, "8.6"; None if there is none, or nothing is known."""
    version, cuda = facts.torch.version, facts.torch.cuda
    if not isinstance(version, str) or not isinstance(cuda, str) or torch_choice.by_others(version):
        return None
    archs = facts.torch.archs if isinstance(facts.torch.archs, tuple) else pytorch.archs(version, cuda)
    for card in machine_of(facts).capabilities:
        if gpu.too_new_for(cuda, card):
            return card
        judged = gpu.runs(archs, card, cuda=cuda) if isinstance(archs, tuple) and archs else None
        if isinstance(judged, Answer) and not judged.yes:
            return card
    return None


def _another_build(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that installs the same old torch for another CUDA, with another cuBLAS and cuDNN; empty for torch 2.

    https://github.com/Turoad/CLRNet/issues/24
    """
    found = old_torch_steps.same_release(facts)
    if found is None or found.cuda == facts.torch.cuda:
        return ()
    title = (
        f"If every program fails: install torch {found.row.torch} for CUDA {found.cuda}, with another cuBLAS and cuDNN"
    )
    return (Fix(title=title, steps=old_torch_steps.steps(facts, found), verify=commands.check(facts)),)


def _own_cublas(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes that let torch load its own cuBLAS, and not one of another release.

    https://github.com/vllm-project/vllm/issues/35608, pytorch/pytorch#174320
    """
    if facts.system.os == "windows":
        return (another_copy.on_windows(facts),)
    unset = commands.without_library_path(
        facts, "torch finds its own cuBLAS without this variable, and start the program again in the same shell"
    )
    first = Fix(title="Let torch load its own cuBLAS", steps=(unset,), verify=commands.check(facts))
    return (first, another_copy.one_index(facts))


def _old_for_gtx_16(facts: Facts) -> bool:
    """Return whether a torch before 1.12 is used with a GTX 16, on which its cuDNN gives wrong results: https://github.com/ultralytics/yolov5/issues/7908."""
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    card = any(isinstance(gpu.name, str) and re.search(r"\b16[356]0\b", gpu.name) for gpu in gpus)
    version = pair(facts.torch.version) if isinstance(facts.torch.version, str) else None
    return card and version is not None and version < (1, 12)
