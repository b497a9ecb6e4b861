"""NCCL, by which the GPUs of a training exchange data, reports an error.

What it is
    A training on several GPUs exchanges gradients through NCCL. Its errors say which kind of call failed; the reason is
    in NCCL's own log, which is off by default.

How it shows
    "torch.distributed.DistBackendError: NCCL error in: ... unhandled system error", "ncclSystemError: System call (e.g. socket, malloc) or
    external library call failed", "ncclUnhandledCudaError: Call to CUDA function failed", "ncclInvalidUsage: ... Duplicate GPU detected : rank 1
    and rank 0 both on CUDA device 1a000", "ncclRemoteError".

Why it happens
    System error: /dev/shm or the locked memory of a container is too small, NCCL uses a network interface that does not
    reach the other rank, or a firewall blocks it. Unhandled CUDA error: another rank failed first, the driver is too
    old, or the GPUs cannot reach each other. Invalid usage: two processes were given the same GPU.

What to do
    Start again with NCCL_DEBUG=INFO: the line with WARN names the call. In a container: start it with --shm-size=8g and
    --ulimit memlock=-1. With several network interfaces: name one in NCCL_SOCKET_IFNAME. Duplicate GPU: start one
    process for each GPU.

How to reproduce
    `attn-doctor reproduce nccl-error` reduces a tensor by NCCL on a stand-in GPU, on which it cannot start. Stand-in: the GPU; its
    driver. It needs gcc and a CUDA build of torch in the target.

References
    https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html
    https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import container_starts
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import File, Recipe, StubDriver, StubGpu, Torch
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity

MODE = FailureMode(
    code="AD437",
    slug="nccl-error",
    title="NCCL reports an error",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"(?P<duplicate>Duplicate GPU detected)",
            literal="Duplicate GPU detected",
            sample="Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1a000",
        ),
        *(
            Sign(pattern=pattern, literal=literal, sample=sample)
            for pattern, literal, sample in (
                (
                    r"ncclSystemError",
                    "ncclSystemError",
                    "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.",
                ),
                (
                    r"unhandled (?P<system>system error)",
                    "unhandled system error",
                    "unhandled system error, NCCL version 2.20.5",
                ),
                (
                    r"(?P<cuda>ncclUnhandledCudaError)",
                    "ncclUnhandledCudaError",
                    "ncclUnhandledCudaError: Call to CUDA function failed.",
                ),
                (
                    r"(?P<cuda>unhandled cuda error)",
                    "unhandled cuda error",
                    "unhandled cuda error, NCCL version 2.18.1",
                ),
                (
                    r"ncclRemoteError",
                    "ncclRemoteError",
                    "ncclRemoteError: A call failed possibly due to a network error.",
                ),
                (r"ncclInternalError", "ncclInternalError", "ncclInternalError: Internal check failed."),
                (
                    r"ncclInvalidUsage",
                    "ncclInvalidUsage",
                    "ncclInvalidUsage: This usually reflects invalid usage of NCCL library.",
                ),
                (
                    r"NCCL error in: ",
                    "NCCL error in: ",
                    "NCCL error in: ../torch/csrc/distributed/c10d/NCCLUtils.hpp:219",
                ),
            )
        ),
        Sign(
            pattern=r"torch\.distributed\.DistBackendError: NCCL error",
            literal="DistBackendError: NCCL error",
            sample="torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1970",
        ),
    ),
    recipe=Recipe(
        does="reduces a tensor by NCCL on a stand-in GPU, on which it cannot start",
        of=(
            Torch(build="cuda"),
            StubDriver(cuda="13.9", nvml=True, gpus=(StubGpu("NVIDIA A10", "8.6", 22515),), runtime=True),
            File(
                path="reduce.py",
                text="import torch\nimport torch.distributed as processes\n"
                "processes.init_process_group('nccl', init_method='file://{folder}/meeting', rank=0, world_size=1)\n"
                "processes.all_reduce(torch.empty(1, device='cuda'))\n",
            ),
        ),
        run=(("{python}", "reduce.py"),),
        shows="NCCL error",
        goal=Goal.TRAIN,
        seconds=10,
        stands_in=("the GPU", "its driver"),
    ),
)


Kind = Literal["duplicate", "system", "cuda", "other"]


class Failed(Variant, frozen=True, kw_only=True):
    """Hold the kind of call that failed."""

    by: Kind


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    text = " ".join(m.text for m in seen.matches)
    kind: Kind
    if seen.group("duplicate"):
        kind, message = (
            "duplicate",
            "Two processes of the training were given the same GPU: NCCL needs a separate GPU for each process.",
        )
    elif "ncclSystemError" in text or seen.group("system"):
        kind, message = (
            "system",
            "A system call of NCCL failed: shared or locked memory, or the network between the processes.",
        )
    elif seen.group("cuda"):
        kind, message = "cuda", "A CUDA call of NCCL failed; the first error of the other ranks is often the cause."
    else:
        kind, message = "other", "NCCL reports an error; the reason is in NCCL's own log, which is off by default."
    return Hit(
        message=message,
        evidence=evidence,
        variant=Failed(by=kind),
        confidence=Confidence.HIGH if kind == "duplicate" else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    ask = commands.variable(
        "NCCL_DEBUG", "INFO", "start the training again: the line with WARN names the call that failed and why"
    )
    asked = Fix(title="Make NCCL print the reason", steps=(ask,), verify=verify)
    kind = hit.variant.by if isinstance(hit.variant, Failed) else "other"
    if kind == "duplicate":
        fewer = commands.by_hand(
            (),
            "start as many processes as there are GPUs (torchrun --nproc-per-node N, ultralytics device=0,1), and let CUDA_VISIBLE_DEVICES "
            "name each GPU once",
            "how the training is started",
            "none",
        )
        return (Fix(title="Give each process its own GPU", steps=(fewer,), verify=verify), asked)
    if kind == "system" and (isinstance(facts.system.container, str) or facts.system.container is not None):
        larger = commands.by_hand(
            container_starts.start(facts, "--shm-size=8g", "--ulimit", "memlock=-1", "--gpus", "all"),
            "if this ran in a container: NCCL shares memory between its processes in /dev/shm, and a container has only 64 MB of it",
            "how the container is started",
        )
        return (asked, Fix(title="Give the container shared and locked memory", steps=(larger,), verify=verify))
    return (asked,)
