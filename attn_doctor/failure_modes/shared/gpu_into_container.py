"""Make the fixes that pass the GPU of the host into a container: by its command, its compose file or its pod, and after a build. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import container_starts, gpu_containers
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_OPTION = {
    "docker": ("docker", "run", *container_starts.EVERY_GPU["docker"]),
    "podman": ("podman", "run", *container_starts.EVERY_GPU["podman"]),
    "apptainer": ("apptainer", "exec", "--nv"),
    "singularity": ("singularity", "exec", "--nv"),
}
# https://docs.docker.com/compose/how-tos/gpu-support/; an image that does not set NVIDIA_DRIVER_CAPABILITIES gets utility alone, without
# CUDA: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
_RESERVED = "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu, compute, utility]}]}}}"
_TITLE = "Pass the GPU into the container"


def after_the_build(facts: Facts) -> Fix:
    """Return the fix for `docker build`, which never has a GPU: the steps that need one run later, in the container."""
    later = commands.by_hand(
        (),
        "run the steps that need a GPU later, in the container (`docker run --gpus all IMAGE`). A step that only compiles "
        "needs no GPU: set TORCH_CUDA_ARCH_LIST to the compute capability, 8.9 for an RTX 4090",
        "your Dockerfile",
        "none",
    )
    return Fix(
        title="Run the program in the container: there is no GPU while a container image is built",
        steps=(later,),
        verify=commands.check(facts),
    )


def in_compose(facts: Facts) -> Fix:
    """Return the fix for a service of docker compose: write the GPU into the compose file, and start the service again."""
    look = commands.by_hand(
        ("nvidia-smi",),
        "on the host: must list the GPU. If it fails, install the driver on the host first",
        "nothing",
        "none",
    )
    words = (
        f"in docker-compose.yml (or compose.yaml), below the name of the service, beside its `image:`, add this line: {_RESERVED}. If the service has "
        "`capabilities: [gpu]` already, add compute and utility to it"
    )
    write = commands.by_hand((), words, "the compose file")
    start = commands.by_hand(
        ("docker", "compose", "up", "-d", "--force-recreate"), "on the host, beside that file", "the services"
    )
    return Fix(
        title="Give the service the GPU in the compose file", steps=(look, write, start), verify=commands.check(facts)
    )


def in_pod(facts: Facts) -> Fix:
    """Return the fix for a pod of Kubernetes: write a GPU into its specification, and create it again."""
    words = (
        "add to the container in the pod's specification, beside its image, the line  resources: {limits: {nvidia.com/gpu: 1}}  and create the pod again: a pod "
        "gets a GPU only if it asks for one. The last column of `kubectl get nodes -o custom-columns=NAME:.metadata.name,GPU:.status.allocatable.nvidia\\.com/gpu` "
        "shows which nodes offer one"
    )
    step = commands.by_hand((), words, "the pod's specification")
    return Fix(title=_TITLE, steps=(step,), verify=commands.check(facts))


def started_again(facts: Facts, engine: str | None, typed: str | None) -> Fix:
    """Return the fix that starts the container again with all GPUs of the host.

    `engine`: the program that started it ("apptainer"); docker stands for all that are not known. `typed`: the command that started
    it; None if the log does not show it.
    """
    again = container_starts.with_every_gpu(typed) if typed else None
    if again:
        step = commands.by_hand(
            again,
            "your command with all GPUs of the host, to run on the host: it makes a new container, in which you start the program again",
            "a new container",
            "none",
        )
    else:
        one = engine if engine in _OPTION else "docker"
        ways = (
            ""
            if engine in _OPTION
            else "; with podman or apptainer: "
            + "; ".join(" ".join((*_OPTION[other], container_starts.image(facts))) for other in ("podman", "apptainer"))
        )
        made = (
            container_starts.start(facts, *container_starts.EVERY_GPU[one], program=one)
            if one in container_starts.EVERY_GPU
            else (*_OPTION[one], container_starts.image(facts), "COMMAND")
        )
        step = commands.by_hand(
            made, f"start the container again, on the host, with its GPUs{ways}", "a new container", "none"
        )
        if container_starts.IMAGE in made and one in container_starts.EVERY_GPU:
            return Fix(title=_TITLE, steps=(*container_starts.look(facts, one), step), verify=commands.check(facts))
    return Fix(title=_TITLE, steps=(step,), verify=commands.check(facts))


def host_without_toolkit(facts: Facts) -> Fix:
    """Return the fix for a host that cannot pass its GPU on yet: docker then answers the command with an error of its own.

    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
    """
    title = "If docker answers 'could not select device driver': install NVIDIA's container toolkit on the host"
    return Fix(title=title, steps=gpu_containers.toolkit(facts), verify=commands.check(facts))
