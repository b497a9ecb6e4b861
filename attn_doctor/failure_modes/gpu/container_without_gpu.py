"""The container was not given the GPU of its host.

What it is
    The host has an NVIDIA card, but the container was started without it: inside there are no /dev/nvidia* files and no
    driver libraries.

How it shows
    "Found no NVIDIA driver on your system" with paths in /app, /workspace or /opt/conda; nvidia-smi: command not found;
    "libcuda.so.1: cannot open shared object file" in a container.

Why it happens
    `docker run` without --gpus, a compose file without a device reservation, or code that needs the GPU during `docker
    build`, where there is never a GPU.

What to do
    Start the container with `--gpus all` (docker), a `deploy.resources.reservations.devices` entry (compose), `--device
    nvidia.com/gpu=all` (podman) or --nv (apptainer). During `docker build`, compile for architectures that
    TORCH_CUDA_ARCH_LIST names; test on the GPU when the container runs.

How to reproduce
    `attn-doctor reproduce container-without-gpu` looks for a driver in a played container that was started without --gpus, and
    examines that machine. Stand-in: the container; the card of its host. Both are a folder of files. If that is not available, a simulated
    machine is judged.

References
    https://docs.docker.com/engine/containers/gpu/
    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import container_starts, nvidia_drivers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known, some
from attn_doctor.failure_modes.recipe import ASK_DRIVER, PlayedMachine, Recipe, Torch, Variable, no_system_library
from attn_doctor.failure_modes.shared import gpu_into_container, gpu_sentences
from attn_doctor.failure_modes.shared.fact_queries import cuda_build, variable
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.machine import NVIDIA

MODE = FailureMode(
    code="AD407",
    slug="container-without-gpu",
    title="The container was not given the GPU",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=(
        "torch-sees-no-gpu",
        "driver-missing",
        "cuda-init-error",
        "config-device-cpu",
        "torch-cpu-build",
        "no-gpu-present",
        "yolo12-flash-not-used",
        "transformers-flash-attn-2-not-installed",
    ),
    signs=(
        Sign(
            pattern=r"The NVIDIA Driver was not detected",
            literal="The NVIDIA Driver was not detected",
            sample="WARNING: The NVIDIA Driver was not detected.  GPU functionality will not be available.",
        ),
        Sign(
            pattern=r"Found no NVIDIA driver on your system",
            literal="Found no NVIDIA driver",
            sample="RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
            strength="hint",
        ),
        Sign(
            pattern=r"\"nvidia-smi\": executable file not found in \$PATH|nvidia-smi: (?:command )?not found",
            literal="nvidia-smi",
            sample="/bin/sh: 1: nvidia-smi: not found",
            strength="hint",
        ),
        Sign(
            pattern=r"No CUDA GPUs are available",
            literal="No CUDA GPUs are available",
            sample="RuntimeError: No CUDA GPUs are available",
            strength="hint",
        ),
        # The driver's own library: a container gets it from its host.
        Sign(
            pattern=r"(?:ImportError|OSError): libcuda\.so\.1: cannot open shared object file",
            literal="libcuda.so.1: cannot open",
            sample="ImportError: libcuda.so.1: cannot open shared object file: No such file or directory",
            strength="hint",
        ),
        # Any program's words count where the log shows that the container was started without a GPU.
        *(
            Sign(
                pattern=rf"(?P<sentence>{re.escape(words)})",
                literal=words,
                sample=f"RuntimeError: {words}.",
                strength="hint",
            )
            for words in gpu_sentences.SENTENCES
        ),
        Sign(
            pattern=r"Invalid CUDA '?(?P<sentence>device)=",
            literal="Invalid CUDA ",
            sample="ValueError: Invalid CUDA 'device=0' requested. Use 'device=cpu' or pass valid CUDA device(s) if available",
            strength="hint",
        ),
        Sign(
            pattern=r"torch\.cuda\.device_count\(\): (?P<count>[1-9])",
            literal="torch.cuda.device_count()",
            sample="torch.cuda.device_count(): 1",
            strength="context",
        ),
        # A person describes it.
        Sign(
            pattern=r"(?<!not )\b(?:in|inside|within|using|from|with) (?:of )?(?:a |an |the |my |our )?[Dd]ocker(?:file)?\b|\b[Dd]ocker (?:image|container)\b",
            literal="ocker",
            sample="It fails inside the Docker container that I built, and not on the host.",
            strength="context",
        ),
        *(
            Sign(
                pattern=rf"(?<!not in )\b(?P<engine>(?i:{word[0]}){word[1:]}) (?:exec|run|shell|container|image)\b",
                literal=word[1:],
                sample=f"$ {word} exec image.sif python train.py",
                strength="context",
            )
            for word in ("apptainer", "singularity")
        ),
        Sign(
            pattern=r"root@[0-9a-f]{12}:",
            literal="root@",
            sample="root@4728a09607c1:/opt/project# python3 test.py",
            strength="context",
        ),
        Sign(
            pattern=r"\b(?P<compose>docker[- ]compose|compose\.ya?ml)\b",
            literal="compose",
            sample="the GPU-enabled docker-compose.yml of the project",
            strength="context",
        ),
        # What compose prints when it starts services: the first release with underscores, the second with hyphens.
        Sign(
            pattern=r"^(?P<compose>(?:Creating|Starting|Recreating) [\w.-]+_[\w.-]+_(?:run(?:_\w+)?|\d+) +\.\.\. )",
            literal=" ... ",
            sample="Creating segmenter_trainer_run ... done",
            strength="context",
        ),
        Sign(
            pattern=r"^\W{0,4}(?P<compose>Container [\w.-]+-\d+ +(?:Creat|Start|Recreat|Runn)\w{2,3})\b",
            literal="Container ",
            sample=" Container segmenter-trainer-1  Started",
            strength="context",
        ),
        Sign(
            pattern=r"docker(?:-compose)? (?:run|exec|compose|build|up|container run)\b",
            literal="docker",
            sample="$ docker run -it image:latest python train.py",
            strength="context",
        ),
        Sign(
            pattern=r"^(?:[^$#>]{0,80}[$#>] ?)?(?P<run>(?:sudo )?(?:docker|podman) run .{5,800}?)\s?(?=[A-Z]\w{2,40}(?:Error|Exception): |Traceback \(most|$)",
            literal=" run ",
            sample="$ docker run --rm --gpus 0 image:latest python train.py",
            strength="context",
        ),
        Sign(
            pattern=r"File \"/(?:app|workspace|usr/src/app|code)/",
            literal='File "/',
            sample='  File "/app/train.py", line 12, in <module>',
            strength="context",
        ),
        Sign(
            pattern=r"File \"/opt/conda/lib/python3",
            literal='File "/opt/conda/lib/python3',
            sample='  File "/opt/conda/lib/python3.11/site-packages/torch/cuda/__init__.py", line 491, in _lazy_init',
            strength="context",
        ),
        Sign(
            pattern=r"(?P<build>Step \d+/\d+ : RUN )",
            literal=" : RUN ",
            sample="Step 7/9 : RUN python -c 'import torch; torch.ones(1).cuda()'",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<build>\[[^\]]{0,60}\d+/\d+\] RUN )",
            literal="] RUN ",
            sample="#12 [stage-1 7/9] RUN python -c 'import torch; torch.ones(1).cuda()'",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="looks for a driver in a played container that was started without --gpus, and examines that machine",
        of=(
            Torch(build="cuda", if_there=True),
            PlayedMachine(
                pci=(("10de", "2684", "nvidia"),),
                files=(
                    ("/.dockerenv", ""),
                    ("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05\n"),
                ),
            ),
            Variable(name="NVIDIA_VISIBLE_DEVICES", value="all"),
            *no_system_library("libcuda.so*"),
        ),
        run=(ASK_DRIVER,),
        shows="libcuda.so.1: cannot open shared object file",
        examine=("--no-trial",),
        goal=Goal.TRAIN,
        seconds=8,
        stands_in=("the container", "the card of its host"),
    ),
)


class Inside(Variant, frozen=True, kw_only=True):
    """Hold the name of the program that started the container, if the log shows it: "apptainer", "singularity"."""

    engine: str


class Composed(Variant, frozen=True):
    """Mark the case that docker compose started the container. Then its file must request the GPU, because there is no command to change."""


class Started(Variant, frozen=True, kw_only=True):
    """Hold the command that started the container."""

    command: str


def detect(facts: Facts) -> Hit | None:
    graphics = facts.graphics

    def card() -> bool:
        return any(d.vendor == NVIDIA for d in known(graphics.pci))

    def meant_for_one() -> bool:
        # NVIDIA's own images set this variable, whether or not a GPU is passed on.
        return every(lambda: variable(facts, "NVIDIA_VISIBLE_DEVICES") is not None, lambda: cuda_build(facts))

    if not every(
        lambda: known(facts.system.container) is not None,
        lambda: not known(graphics.device_nodes),
        lambda: not known(graphics.gpus),
        lambda: known(facts.system.wsl) is None,
        lambda: some(card, meant_for_one),
    ):
        return None
    seen = isinstance(graphics.pci, tuple) and card()
    reason = (
        fact(facts, "graphics.pci", "the host has an NVIDIA card")
        if seen
        else fact(facts, "environment", "NVIDIA_VISIBLE_DEVICES is set, as in images that are meant for a GPU")
    )
    return Hit(
        message=f"This {facts.system.container} container was not given a GPU: there is no /dev/nvidia* inside.",
        evidence=(reason, fact(facts, "graphics.device_nodes", "no /dev/nvidia* in the container")),
        certainty=Certainty.OBSERVED if seen else Certainty.PREDICTED,
        confidence=Confidence.HIGH if seen else Confidence.MEDIUM,
        severity=None if seen else Severity.WARNING,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proven = any(m.strength == "proof" for m in seen.matches)
    composed = seen.group("compose") is not None or _of_compose(facts)
    pod = places.container(facts) == "kubernetes"
    inside = composed or pod or any(m.strength == "context" and "count" not in m.groups for m in seen.matches)
    if not proven and not inside:
        return None  # without a sign of a container, a missing driver is more likely
    if seen.group("count") or not (proven or _told_enough(facts, seen, composed=composed, pod=pod)):
        return None
    build = any("build" in m.groups for m in seen.matches)
    asked = any("--gpus" in m.text or "--runtime" in m.text or " --nv" in m.text for m in seen.matches)
    message = (
        "There is no GPU while a container image is built: steps that need a GPU have to run later, in the container."
        if build
        else "The container was not given the GPU of its host."
    )
    typed = seen.group("run")
    engine = seen.group("engine")
    started = (
        Started(command=typed)
        if typed
        else Inside(engine=engine.lower())
        if engine
        else Composed()
        if composed
        else None
    )
    none = typed is not None and container_starts.asks_for_no_gpu(typed)
    if none and not build:
        message += " `--gpus 0` asks for no GPU: the number is a count, not an index."
    return Hit(
        message=message,
        evidence=evidence,
        confidence=Confidence.HIGH if proven else Confidence.LOW if asked and not none else Confidence.MEDIUM,
        variant=None if build else started,
    )


def _told_enough(facts: Facts, seen: Seen, *, composed: bool, pod: bool) -> bool:
    """Return whether the log shows that the container was started without a GPU, or that no driver is there.

    A program that only says that it sees no GPU may have a CPU build of torch.
    """
    if any(m.strength == "hint" and "sentence" not in m.groups for m in seen.matches):
        return True
    typed, engine = seen.group("run"), seen.group("engine")
    if typed is not None:
        return not container_starts.passes_a_gpu(typed) or container_starts.asks_for_no_gpu(typed)
    return composed or pod or (engine is not None and not any(" --nv" in m.text for m in seen.matches))


def _of_compose(facts: Facts) -> bool:
    """Return whether the log is the output of docker compose: in a service, nobody types commands."""
    return places.container(facts) == "docker" and commands.shell_of(facts) == "dockerfile"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    session = nvidia_drivers.session_with_gpu(facts)
    if session is not None:
        return (session,)
    kind = places.container(facts)
    if kind is None and isinstance(hit.variant, Inside):
        kind = hit.variant.engine
    if kind == places.BUILD:
        return (gpu_into_container.after_the_build(facts),)
    if isinstance(hit.variant, Composed):
        return (gpu_into_container.in_compose(facts),)
    if kind == "kubernetes":
        return (gpu_into_container.in_pod(facts),)
    command = hit.variant.command if isinstance(hit.variant, Started) else None
    again = gpu_into_container.started_again(facts, kind, command)
    if kind not in (None, "docker") or facts.grade != "stated":
        return (again,)
    return (again, gpu_into_container.host_without_toolkit(facts))
