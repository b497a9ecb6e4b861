"""Docker cannot pass a GPU into containers, because NVIDIA's toolkit for it is missing.

What it is
    `docker run --gpus all` needs nvidia-container-toolkit on the host, and Docker has to be configured for it.

How it shows
    "could not select device driver "" with capabilities: [[gpu]]" (or "nvidia" from a compose file); "unknown or invalid runtime
    name: nvidia"; "nvidia-container-cli: initialization error".

Why it happens
    The toolkit is not installed; Docker was not restarted after `nvidia-ctk runtime configure`; Docker comes as a snap, or runs rootless,
    and reads another configuration; Docker Desktop on Linux has its own virtual machine without a GPU.

What to do
    Install nvidia-container-toolkit on the host, configure Docker with it, restart Docker. On a host without an NVIDIA
    GPU, start the container without `--gpus`.

How to reproduce
    There is no recipe: it needs a host with Docker and without NVIDIA's toolkit, and attn-doctor changes nothing on a
    host.

References
    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
    https://github.com/NVIDIA/nvidia-docker/issues/1034
"""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.commands import gpu_containers, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, lxc_driver, old_windows
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Interpreter
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.machine import AMD, nvidia_on_bus, nvidia_present

MODE = FailureMode(
    code="AD408",
    slug="container-toolkit-missing",
    title="Docker cannot pass a GPU into containers",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("torch-sees-no-gpu", "container-without-gpu", "driver-missing", "cuda-init-error", "no-gpu-present"),
    signs=(
        Sign(
            pattern=r"could not select device driver .{0,20} with capabilities: \[\[.{0,10}gpu",
            literal="could not select device driver",
            sample='docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
        ),
        Sign(
            pattern=r"nknown runtime specified:? ?\"?nvidia",
            literal="nknown runtime specified",
            sample="docker: Error response from daemon: Unknown runtime specified nvidia.",
        ),
        Sign(
            pattern=r"unknown or invalid runtime name:? ?\"?nvidia",
            literal="invalid runtime name",
            sample="docker: Error response from daemon: unknown or invalid runtime name: nvidia.",
        ),
        Sign(
            pattern=r"nvidia-container-cli(?:\.real)?: (?:initialization error|requirement error: (?!unsatisfied condition: cuda)|ldcache error|mount error(?!: file creation failed: .{0,500}: file exists)|detection error)",
            literal="nvidia-container-cli",
            sample="nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file",
        ),
        Sign(
            pattern=r"unresolvable CDI devices nvidia\.com/gpu",
            literal="unresolvable CDI devices",
            sample="Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all",
        ),
        # Docker 25 to 28.2 read such descriptions (CDI) only if they are switched on: https://docs.docker.com/build/building/cdi/
        Sign(
            pattern=r"could not select device driver \W{0,2}(?P<off>cdi)\b",
            literal="could not select device driver",
            sample='docker: Error response from daemon: could not select device driver "cdi" with capabilities: [].',
        ),
        # The description of the GPUs (CDI) names files of a driver or devices that are no longer there.
        # https://github.com/NVIDIA/nvidia-container-toolkit/issues/885, https://github.com/NVIDIA/nvidia-container-toolkit/issues/856
        Sign(
            pattern=r"(?P<stale>failed to stat CDI host device) \"?(?P<lost>/dev/[\w/.-]{1,80})",
            literal="failed to stat CDI host device",
            sample='Error: setting up CDI devices: failed to inject devices: failed to stat CDI host device "/dev/nvidia1": no such file or directory',
        ),
        Sign(
            pattern=r"(?P<stale>error stat'ing file) [`'\"]?(?P<lost>/[\w/.+-]{0,160}nvidia[\w.+-]{0,80})",
            literal="error stat'ing file ",
            sample="crun: error stat'ing file /lib/x86_64-linux-gnu/libEGL_nvidia.so.550.54.14: No such file or directory: OCI runtime attempted to invoke a "
            "command that was not found",
        ),
        # Docker inside a container of Proxmox (LXC): the driver's libraries have to be in that container too.
        *(
            Sign(
                pattern=rf"(?P<lxc>\b{word}\b)",
                literal=word,
                sample=f"root@{word}-docker:~# docker compose up",
                strength="context",
            )
            for word in ("lxc", "LXC", "proxmox", "Proxmox")
        ),
        # https://github.com/NVIDIA/enroot/blob/master/conf/hooks/98-nvidia.sh: it needs nvidia-container-cli on the compute node.
        Sign(
            pattern=r"(?P<enroot>Command not found: nvidia-container-cli|hooks\.d/98-nvidia\.sh exited with return code)",
            literal="nvidia",
            sample="slurmstepd: error: pyxis:     [ERROR] /etc/enroot/hooks.d/98-nvidia.sh exited with return code 1",
        ),
        *old_windows.SIGNS,
    ),
)
# There is no `detect`: the doctor runs inside the container, and does not ask Docker on the host.


class Enroot(Variant, frozen=True):
    """Mark the case that enroot, which Slurm's pyxis starts, could not pass the GPU: Docker has no part in it."""


class Stale(Variant, frozen=True):
    """Mark the case that the description of the GPUs (CDI) is older than the driver or the devices.

    The toolkit is there.
    """


class Off(Variant, frozen=True):
    """Mark the case that Docker does not read the descriptions of the GPUs (CDI), because they are not switched on."""


class Engine(Variant, frozen=True, kw_only=True):
    """Hold the name of the program that starts the containers: "docker", "podman"."""

    name: Literal["docker", "podman"]


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit:
    if facts.system.os != "darwin" and (old := old_windows.told(seen)) is not None:
        lines = tuple(
            m for m in seen.matches if m.strength == "proof" or m.groups.get("build") or m.groups.get("named")
        )
        return Hit(
            message=old_windows.message(old),
            evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in lines[:4]),
            variant=old,
        )
    if seen.group("enroot") is not None:
        return Hit(
            message="enroot cannot pass the GPU into the container: its hook 98-nvidia.sh calls nvidia-container-cli on the compute node, and that program is missing there or fails.",
            evidence=evidence,
            variant=Enroot(),
        )
    if seen.group("stale") is not None:
        return Hit(
            message=f"The description of the GPUs for containers (CDI) names {seen.group('lost')}, which is no longer there: the driver or the devices changed after it was written.",
            evidence=evidence,
            variant=Stale(),
        )
    if seen.group("off") is not None:
        return Hit(
            message="Docker was asked for a GPU by its description (CDI), and does not read such descriptions: they are not switched on, or Docker is older than 25.",
            evidence=evidence,
            variant=Off(),
        )
    if seen.group("lxc") and any("libnvidia-ml.so.1: cannot open" in m.text for m in seen.matches):
        return Hit(
            message="Docker runs in a container of LXC, and NVIDIA's container toolkit finds no driver there (libnvidia-ml.so.1): the driver is on its host alone, or nowhere.",
            evidence=building.lines([m for m in seen.matches if m.strength != "context"]),
            variant=lxc_driver.InLxc(),
        )
    podman = any("CDI" in m.text for m in seen.matches)
    name: Literal["docker", "podman"] = "podman" if podman else "docker"
    why = (
        "Docker Desktop can do it only with its WSL 2 engine and a driver that is new enough."
        if facts.system.os == "windows"
        else "NVIDIA's container toolkit is missing, or not configured."
    )
    return Hit(
        message=f"{name.capitalize()} cannot pass the GPU into containers: {why}",
        evidence=evidence,
        variant=Engine(name=name),
        confidence=Confidence.HIGH,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, old_windows.TooOld):
        return old_windows.fixes(facts)
    if isinstance(hit.variant, lxc_driver.InLxc):
        return (lxc_driver.fix(facts),)
    if isinstance(hit.variant, Enroot):
        return _of_enroot(facts)
    if isinstance(hit.variant, Stale):
        return (
            Fix(title="Describe the GPUs again", steps=gpu_containers.described(facts), verify=commands.check(facts)),
        )
    if isinstance(hit.variant, Off):
        switched = commands.by_hand(
            (),
            'write "features": {"cdi": true} into /etc/docker/daemon.json on the host, then: sudo systemctl restart docker. Docker 28.3 and newer has it switched on. On NixOS: '
            "virtualisation.docker.daemon.settings.features.cdi = true, with hardware.nvidia-container-toolkit.enable = true",
            "the configuration of Docker",
        )
        other = commands.by_hand(
            (),
            "or start the container with --gpus all in place of --device nvidia.com/gpu=all, which needs no CDI",
            "a new container",
            "none",
        )
        return (
            Fix(
                title="Switch CDI on in Docker",
                steps=(switched, *gpu_containers.described(facts), other),
                verify=commands.check(facts),
            ),
        )
    engine = hit.variant.name if isinstance(hit.variant, Engine) else "docker"
    steps = gpu_containers.toolkit(_of_the_host(facts), engine)
    without = (_without_gpu(facts),) if _has_none(facts) else ()
    title = "Install and configure nvidia-container-toolkit"
    if facts.system.os in ("windows", "darwin"):
        title = "Let Docker Desktop pass the GPU on"
    made = Fix(title=title, steps=steps, verify=commands.check(facts))
    return (*without, made, *_in_windows(facts, engine))


def _in_windows(facts: Facts, engine: str) -> tuple[Fix, ...]:
    """Return the fix for Docker Desktop: used if the log does not show the operating system, and for WSL, because Docker in WSL is usually Docker Desktop."""
    known = isinstance(facts.system.os, str) and not places.wsl(facts)
    if engine != "docker" or known:
        return ()
    title = "If it is Docker Desktop on Windows: let it pass the GPU on"
    return (Fix(title=title, steps=gpu_containers.docker_desktop(), verify=commands.check(facts)),)


def _of_the_host(facts: Facts) -> Facts:
    """Return the facts of a log as facts of the host, without the container.

    The engine printed this error on its host, before any container started.
    """
    if facts.grade != "stated":
        return facts
    system = msgspec.structs.replace(facts.system, container=None)
    # The Python of the log ran in the container, perhaps as root: that says nothing of the user on the host.
    inside = facts.interpreter if places.container(facts) is None else Interpreter()
    return msgspec.structs.replace(facts, system=system, interpreter=inside)


def _has_none(facts: Facts) -> bool:
    """Return whether the PCI bus of the host was read and has no NVIDIA GPU. False for Windows, macOS and WSL: their bus shows no GPU."""
    elsewhere = facts.system.os in ("windows", "darwin") or places.wsl(facts)
    return nvidia_on_bus(facts) == () and nvidia_present(facts) is not True and not elsewhere


def _without_gpu(facts: Facts) -> Fix:
    """Return the fix for a host on whose bus no NVIDIA GPU was seen. It looks again: a log with only "VGA" lines does not show every GPU."""
    look = commands.by_hand(
        ("lspci", "-d", "10de:"),
        "lists the NVIDIA devices of the host; the log shows no device. If the command lists no device, the toolkit does not help",
        "nothing",
        "none",
    )
    bus = facts.graphics.pci if isinstance(facts.graphics.pci, tuple) else ()
    instead = (
        "with `--device=/dev/kfd --device=/dev/dri` in place of `--gpus`, from an image for ROCm: `--gpus` is only for NVIDIA"
        if any(device.vendor == AMD for device in bus)
        else "without `--gpus` (in a compose file: without the `devices` of `deploy.resources`): the program then runs on the CPU, if it can"
    )
    start = commands.by_hand((), f"start the container {instead}", "a new container")
    return Fix(title="Start the container without --gpus", steps=(look, start), verify=commands.check(facts))


def _of_enroot(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes for enroot: ask the operator of the cluster for nvidia-container-cli on the compute nodes; until then, do without enroot.

    https://github.com/NVIDIA/pyxis/issues/110, https://github.com/NVIDIA/enroot/issues/138
    """
    verify = commands.check(facts)
    look = commands.by_hand(
        ("srun", "--gpus=1", "sh", "-c", "nvidia-smi -L; command -v nvidia-container-cli && nvidia-container-cli info"),
        "without a container, with the same partition: the first part shows the GPU of the job, the second whether the node has the program and what it reports",
        "nothing",
        "none",
    )
    tell = commands.by_hand(
        (),
        "send this and the log to the operator of the cluster: each compute node with GPUs needs the package libnvidia-container-tools (https://github.com/NVIDIA/libnvidia-container), and "
        "the driver's modules loaded before the job (nvidia-modprobe)",
        "nothing",
        "none",
    )
    other = commands.by_hand(
        (),
        "until then: use the cluster's Apptainer (`apptainer exec --nv IMAGE ...`), or an environment of your own without a container",
        "nothing",
        "none",
    )
    return (
        Fix(
            title="Let the operator install nvidia-container-cli on the compute nodes",
            steps=(look, tell),
            verify=verify,
        ),
        Fix(title="Do without enroot", steps=(other,), verify=verify),
    )
