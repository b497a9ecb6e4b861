"""A program asks NVIDIA's Multi-Process Service (MPS) for the GPU, and the service does not answer.

What it is
    MPS lets several programs share a GPU. Where its folder exists (/tmp/nvidia-mps, or the folder that CUDA_MPS_PIPE_DIRECTORY names),
    CUDA connects to the service in place of the GPU. If no service answers there, no program of this user reaches the GPU. (Apple's MPS
    is something else.)

How it shows
    "CUDA error: MPS client failed to connect to the MPS control daemon or the MPS server" (error 805); "the remote procedural call between
    the MPS server and the MPS client failed" (806); "MPS server is not ready to accept new MPS client requests" (807).

Why it happens
    The service was ended, and its folder stayed; it belongs to another user; or the program runs in a container that sees the variable and
    not the service of the host. nvidia-smi then works, because it does not use MPS.

What to do
    Let this program go without MPS: set CUDA_MPS_PIPE_DIRECTORY to /dev/null, where no service is. Or start the service again:
    `nvidia-cuda-mps-control -d`. In a container: give it the folder and the memory of the host.

How to reproduce
    There is no recipe: it needs a GPU. A folder with a stale pipe in CUDA_MPS_PIPE_DIRECTORY shows it.

References
    https://docs.nvidia.com/deploy/mps/index.html
    https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html
    https://github.com/NVIDIA/nvidia-container-toolkit/issues/714
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import container_starts, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

MODE = FailureMode(
    code="AD490",
    slug="mps-not-reached",
    title="NVIDIA's MPS service does not answer",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("cuda-init-error", "torch-sees-no-gpu", "config-device-cpu", "nccl-error"),
    says="CUDA asks NVIDIA's service MPS for the GPU, and the service does not answer: it was ended, belongs to another user, or is not in this container.",
    signs=tuple(
        Sign(pattern=words, literal=words, sample=f"RuntimeError: CUDA error: {words}")
        for words in (
            "MPS client failed to connect to the MPS control daemon or the MPS server",
            "remote procedural call between the MPS server and the MPS client failed",
            "MPS server is not ready to accept new MPS client requests",
            "cudaErrorMpsConnectionFailed",
            "CUDA_ERROR_MPS_CONNECTION_FAILED",
        )
    ),
)
# There is no `detect`: whether the service answers is seen when CUDA starts, and torch's error then says so.

_PIPES = "/tmp/nvidia-mps"  # noqa: S108 - NVIDIA's own folder; nothing is written there


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    # Where no daemon is found, CUDA works without MPS: https://docs.nvidia.com/deploy/mps/index.html, "Client Attach/Detach".
    without = commands.variable(
        "CUDA_MPS_PIPE_DIRECTORY",
        "/dev/null",
        "no service is there: CUDA then uses the GPU directly, for programs of this shell",
    )
    alone = Fix(title="Use the GPU without MPS", steps=(without,), verify=verify)
    if places.container(facts) is not None:
        again = commands.by_hand(
            container_starts.start(facts, "--gpus=all", "--ipc=host", f"--volume={_PIPES}:{_PIPES}"),
            "start the container again, on the host where the service runs: it then sees the service's folder, and shares its memory",
            "a new container",
            "none",
        )
        return (alone, Fix(title="Show the host's service to the container", steps=(again,), verify=verify))
    if places.on_cluster(facts):
        ask = commands.by_hand(
            (),
            "ask the administrators of this cluster to start MPS for your job, or leave the option for MPS out of the job",
            "the job",
            "none",
        )
        return (alone, Fix(title="Ask for a job with MPS", steps=(ask,), verify=verify))
    quit_ = commands.by_hand(
        ("sh", "-c", "echo quit | nvidia-cuda-mps-control"),
        "ends a service that hangs; if none runs, it prints an error, which does no harm. sudo in front if root started it",
        "the service MPS",
        "medium",
        risk_text="ends the programs that use it",
    )
    start = commands.by_hand(
        ("nvidia-cuda-mps-control", "-d"), "starts the service for this user", "the service MPS", "low"
    )
    return (alone, Fix(title="Start MPS again", steps=(quit_, start), verify=verify))
