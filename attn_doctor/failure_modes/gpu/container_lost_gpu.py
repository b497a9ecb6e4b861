"""A running container lost its GPU, or cannot open it: NVML says "Unknown Error".

What it is
    The kernel lets a container open only the devices of a list (its cgroup). The container saw the GPU when it started, and
    the list was written again without the GPU.

How it shows
    In the container: "Failed to initialize NVML: Unknown Error" from nvidia-smi, and then "CUDA unknown error" or "No CUDA
    GPUs are available" from torch, while nvidia-smi works on the host.

Why it happens
    systemd manages the cgroups, and `systemctl daemon-reload`, which every update of packages calls, writes the list again
    without the GPU, which Docker's --gpus does not tell to systemd. Or, at once after the start: the container toolkit is set
    to no-cgroups = true (for rootless Docker) and the container is not rootless.

What to do
    Start the container again: it has the GPU until the next reload. So that it stays: name the devices
    (`--device /dev/nvidia0 --device /dev/nvidiactl --device /dev/nvidia-uvm`), or use CDI
    (`--device nvidia.com/gpu=all`), or let Docker manage the cgroups ("exec-opts": ["native.cgroupdriver=cgroupfs"]).

How to reproduce
    There is no recipe: it needs a host with a GPU and Docker. `sudo systemctl daemon-reload` on the host shows whether it is
    concerned.

References
    https://github.com/NVIDIA/nvidia-docker/issues/1730
    https://github.com/NVIDIA/nvidia-container-toolkit/issues/48
    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import container_starts, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD455",
    slug="container-lost-gpu",
    title="The container lost its GPU",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("torch-sees-no-gpu", "cuda-init-error", "driver-missing", "container-without-gpu", "no-gpu-present"),
    signs=(
        Sign(
            pattern=r"Failed to initialize NVML: Unknown Error",
            literal="Failed to initialize NVML: Unknown Error",
            sample="Failed to initialize NVML: Unknown Error",
        ),
        Sign(
            pattern=r"NVMLError_Unknown: Unknown Error",
            literal="NVMLError_Unknown: Unknown Error",
            sample="pynvml.nvml.NVMLError_Unknown: Unknown Error",
        ),
    ),
)
# There is no `detect`: the list of a container's devices is not among the facts.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    inside = places.container(facts) is not None
    return Hit(
        message="The container may not open the GPU any more: its list of devices was written again without the GPU, as `systemctl daemon-reload` on the host does."
        if inside
        else "NVML cannot open the GPU, and does not say why: in a container its list of devices was written again without the GPU; on a host the driver needs a restart.",
        evidence=building.lines(seen.matches),
        confidence=Confidence.HIGH if inside else Confidence.MEDIUM,
    )


# https://docs.docker.com/reference/cli/dockerd/#configure-cgroup-driver
_SETTING = '"exec-opts": ["native.cgroupdriver=cgroupfs"]'


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if places.container(facts) == "kubernetes":
        pod = commands.by_hand(
            ("kubectl", "delete", "pod", "POD"),
            "with the name of your pod: the new pod gets the GPU. So that it stays: the administrators upgrade NVIDIA's GPU operator or device plugin",
            "a new pod",
        )
        return (Fix(title="Start the pod again", steps=(pod,), verify=verify),)
    again = commands.by_hand(
        ("docker", "restart", "CONTAINER"),
        "on the host, with the name that `docker ps` prints: the container has its GPU again until the next `systemctl daemon-reload`",
        "the container is started again",
        "low",
    )
    named = commands.by_hand(
        container_starts.start(
            facts,
            "--gpus",
            "all",
            "--device",
            "/dev/nvidia0",
            "--device",
            "/dev/nvidiactl",
            "--device",
            "/dev/nvidia-uvm",
            "--device",
            "/dev/nvidia-uvm-tools",
        ),
        "so that it stays: start it with the devices named (nvidia0 is the first GPU; add nvidia1 for a second)",
        "a new container",
        "none",
    )
    setting = commands.by_hand(
        (),
        f"or for all containers of the host: add {_SETTING} to /etc/docker/daemon.json, then `sudo systemctl restart docker`. If nvidia-smi failed right after the "
        "start: set no-cgroups = false in /etc/nvidia-container-runtime/config.toml",
        "Docker's settings",
        "medium",
        risk_text="stops all containers",
    )
    first = Fix(title="Start the container again, with its devices named", steps=(again, named, setting), verify=verify)
    if places.container(facts):
        return (first,)
    reboot = commands.by_hand(
        places.as_root(facts, "reboot"),
        "if nvidia-smi fails on the host too, and no container is there",
        "this machine",
        "medium",
        risk_text="stops everything on it",
    )
    return (first, Fix(title="Reboot, if it is no container", steps=(reboot,), verify=verify))
