"""Build the steps after which a host passes its GPU into containers: NVIDIA's container toolkit, or Docker Desktop. Pure.

https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers, places
from attn_doctor.model.facts import Facts, Interpreter, System, Unknown
from attn_doctor.model.steps import Step

_CONTAINERS = "https://nvidia.github.io/libnvidia-container"


def toolkit(facts: Facts, engine: str = "docker") -> tuple[Step, ...]:
    """Return the steps after which a container engine gives the GPU of its host to containers. `engine`: "docker" or "podman".

    They are steps for the host, even if the log is from a container.
    """
    facts = _host(facts)
    if facts.system.os == "darwin":
        return (commands.by_hand((), "a Mac has no NVIDIA GPU that Docker could pass on", "Docker Desktop", "none"),)
    if facts.system.os == "windows":
        return docker_desktop()
    root = places.as_root
    engine_steps: tuple[Step, ...] = (
        commands.by_hand(
            root(facts, "nvidia-ctk", "runtime", "configure", "--runtime=docker"),
            "configures Docker for it",
            "/etc/docker/daemon.json",
        ),
        commands.by_hand(
            # A WSL without systemd has no systemctl; `service` is in both.
            root(
                facts, *(("service", "docker", "restart") if places.wsl(facts) else ("systemctl", "restart", "docker"))
            ),
            "Docker reads its configuration at its start",
            "Docker",
            risk="medium",
            risk_text="stops containers",
        ),
    )
    if engine == "podman":
        engine_steps = (_cdi(facts, "describes the GPUs for Podman (CDI)"),)
    return *_packages(facts), *engine_steps


def described(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that write the description of the GPUs (CDI) again, on the host, after a change of the driver or the devices.

    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html
    """
    why = (
        "on the host: describes the GPUs and the driver that are there now. Where NVIDIA's container toolkit is 1.18 or newer: `sudo systemctl restart "
        "nvidia-cdi-refresh` in place of this line"
    )
    look = commands.by_hand(
        ("nvidia-ctk", "cdi", "list"),
        "has to list nvidia.com/gpu=all; then start the container again",
        "nothing",
        "none",
    )
    return _cdi(_host(facts), why), look


def _cdi(facts: Facts, why: str) -> Step:
    argv = places.as_root(facts, "nvidia-ctk", "cdi", "generate", "--output=/etc/cdi/nvidia.yaml")
    return commands.by_hand(argv, why, "/etc/cdi/nvidia.yaml")


def docker_desktop() -> tuple[Step, ...]:
    """Return the steps for Docker Desktop on Windows: WSL 2 passes the GPU on, so nothing is installed in a container or a distribution.

    https://docs.docker.com/desktop/features/gpu/
    """
    update = commands.by_hand(
        ("wsl", "--update"),
        "run this in a terminal of Windows: WSL 2 passes the GPUs on to Docker, and needs its newest kernel for that",
        "WSL",
    )
    engine = commands.by_hand(
        (),
        "update Docker Desktop, and switch 'Use the WSL 2 based engine' on (Settings, General): the engine of Hyper-V passes no GPU on",
        "Docker Desktop",
        "none",
    )
    look = commands.by_hand(
        ("docker", "run", "--rm", "--gpus", "all", "nvidia/cuda:12.4.1-base-ubuntu22.04", "nvidia-smi"),
        "has to list the GPU",
        "adds an image",
        "none",
    )
    return update, engine, nvidia_drivers.in_windows("the newest driver in Windows"), look


def _host(facts: Facts) -> Facts:
    """Return the known facts of a container's host. The container's distribution is left out, because the host's may be another."""
    if places.container(facts) is None:
        return facts
    inside = facts.system
    system = System(os=inside.os, wsl=inside.wsl, container=None)
    return msgspec.structs.replace(facts, system=system, interpreter=Interpreter())


def _packages(facts: Facts) -> tuple[Step, ...]:
    # A distribution that is not known is taken as Ubuntu or Debian, which most hosts of Docker have; a WSL as Ubuntu, the default of `wsl --install`.
    guessed = isinstance(facts.system.distribution, Unknown)
    ubuntu: places.Manager | None = "apt-get" if guessed else None
    guide = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
    where = (
        f"on the host, if it is Ubuntu or Debian (another distribution: {guide})"
        if guessed and not places.wsl(facts)
        else "on the host"
    )
    manager, package, changes = places.manager(facts) or ubuntu, "nvidia-container-toolkit", "installs the toolkit"
    root = places.as_root
    repo = f"{_CONTAINERS}/stable/rpm/nvidia-container-toolkit.repo"
    if manager == "apt-get":
        key = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg"
        script = (
            f"curl -fsSL {_CONTAINERS}/gpgkey | gpg --dearmor -o {key} && "
            f"curl -fsSL {_CONTAINERS}/stable/deb/nvidia-container-toolkit.list | "
            f'sed "s#deb https://#deb [signed-by={key}] https://#g" > /etc/apt/sources.list.d/nvidia-container-toolkit.list'
        )
        return (
            commands.by_hand(
                root(facts, "sh", "-c", script), f"{where}: adds NVIDIA's repository, and its key", "apt's repositories"
            ),
            commands.by_hand(root(facts, "apt-get", "update"), "reads its list of packages", "apt's lists"),
            commands.by_hand(root(facts, "apt-get", "install", "-y", package), "on the host", changes),
        )
    if manager == "dnf":
        new = facts.system.distribution == "fedora"
        add = ("addrepo", f"--from-repofile={repo}") if new else ("--add-repo", repo)
        return (
            commands.by_hand(
                root(facts, "dnf", "config-manager", *add),
                "on the host: adds NVIDIA's repository",
                "dnf's repositories",
            ),
            commands.by_hand(root(facts, "dnf", "install", "-y", package), "on the host", changes),
        )
    if manager == "zypper":
        return (
            commands.by_hand(
                root(facts, "zypper", "addrepo", repo), "on the host: adds NVIDIA's repository", "zypper's repositories"
            ),
            commands.by_hand(
                root(facts, "zypper", "--gpg-auto-import-keys", "install", "-y", package), "on the host", changes
            ),
        )
    if manager == "pacman":
        return (commands.by_hand(root(facts, "pacman", "-S", package), "on the host", changes),)
    why = f"on the host, install nvidia-container-toolkit from NVIDIA's repository for its distribution: {guide}"
    return (commands.by_hand((), why, changes),)
