"""torch has no NCCL here, and the training on several GPUs asks for it.

What it is
    A training on several GPUs exchanges gradients through a backend. NCCL is the backend for NVIDIA GPUs, and only
    torch's CUDA and ROCm builds for Linux contain it. Builds for Windows and macOS, and CPU builds, have gloo.

How it shows
    "RuntimeError: Distributed package doesn't have NCCL built in", on Windows after "The client socket has failed to
    connect to [kubernetes.docker.internal]:29500"; "ValueError: ProcessGroupNCCL is only supported with GPUs, no GPUs
    found!" if torch has NCCL and sees no GPU.

Why it happens
    The training was started for several GPUs (device=0,1; torchrun; accelerate) on Windows or a Mac, or with a CPU
    build of torch on Linux, or on a Jetson whose torch was built without NCCL.

What to do
    Windows, with one GPU: train on this GPU alone (device=0), which needs no backend. With several: choose the backend gloo
    where the program has an option for it, or train in WSL 2 or Linux, which have NCCL. Linux: install a CUDA build of
    torch.

How to reproduce
    `attn-doctor reproduce nccl-not-built-in` starts a process group with NCCL in a CPU build of torch. It downloads a
    CPU build of torch (200 MB) where the target has none.

References
    https://docs.pytorch.org/docs/stable/distributed.html#backends
    https://github.com/fishaudio/fish-diffusion/issues/2
    https://github.com/torchgeo/torchgeo/issues/1198
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Goal, Severity

MODE = FailureMode(
    code="AD452",
    slug="nccl-not-built-in",
    title="torch has no NCCL here",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"Distributed package doesn't have NCCL\W{1,6}built in",
            literal="Distributed package doesn't have NCCL",
            sample="RuntimeError: Distributed package doesn't have NCCL built in",
        ),
    ),
    recipe=Recipe(
        does="starts a process group with NCCL in a CPU build of torch",
        of=(
            Torch(build="cpu"),
            File(
                path="group.py",
                text="import torch.distributed as processes\n"
                "processes.init_process_group('nccl', init_method='file://{folder}/meeting', rank=0, world_size=1)\n",
            ),
        ),
        run=(("{python}", "group.py"),),
        shows="NCCL",
        goal=Goal.TRAIN,
        seconds=10,
    ),
)
# There is no `detect`: a training on one GPU needs no NCCL.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    os = facts.system.os
    why = {
        "windows": "torch for Windows never contains it",
        "darwin": "torch for macOS never contains it",
        "linux": "this torch is a CPU build, or was built without it",
    }.get(os if isinstance(os, str) else "", "torch for Windows and macOS, and CPU builds, do not contain it")
    return Hit(message=f"The training on several GPUs asks for NCCL, and {why}.", evidence=evidence)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    os = facts.system.os
    one = commands.by_hand(
        (),
        'start the training without torchrun, accelerate or DDP, on one GPU: ultralytics: device=0; Lightning: devices=1, strategy="auto"; other programs: '
        "python train.py without the launcher"
        if os != "darwin"
        else "start the training on one device, without torchrun or accelerate: ultralytics: device=mps",
        "how the training is started",
        "none",
    )
    alone = Fix(title="Train on one GPU", steps=(one,), verify=verify)
    gloo = commands.by_hand(
        (),
        'write "gloo" in place of "nccl" where the program calls init_process_group, or in its option for the backend (Lightning: '
        'DDPStrategy(process_group_backend="gloo"); YOLOX: --dist-backend gloo; YOLOv5 chooses by itself). gloo is slower',
        "the settings of the program",
        "none",
    )
    other = Fix(title="Use the backend gloo", steps=(gloo,), verify=verify)
    if os == "darwin":
        return (alone,)
    if os == "windows":
        wsl = commands.by_hand(
            ("wsl.exe", "--install"),
            "for several GPUs: torch for Linux inside WSL 2 has NCCL, and uses the driver of Windows",
            "adds WSL 2 and Ubuntu",
            "medium",
            risk_text="a restart of Windows",
        )
        return (alone, other, Fix(title="Train in WSL 2", steps=(wsl,), verify=verify))
    if os == "linux" and places.jetson(facts):
        return (alone, other)
    build = torch_steps.newest(facts, "Install a CUDA build of torch", reinstall=True) if os == "linux" else ()
    return (*build, alone, other)
