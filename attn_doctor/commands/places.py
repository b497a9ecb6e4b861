"""Answer the questions that decide how software is installed here: package manager, root, WSL, container, cluster, board. Pure.

Each answer comes from facts, also from facts that a log states. If the facts do not show the answer, it is None or False, and the
caller names every possible command.
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.versions import pair

Manager = Literal["apt-get", "dnf", "zypper", "apk", "pacman"]
EnvironmentTool = Literal["conda", "mamba", "micromamba", "pixi"]
Argv = tuple[str, ...]

BUILD = "docker build"  # the container in which an image is being built
_MANAGERS: dict[str, Manager] = {
    **dict.fromkeys(("ubuntu", "debian", "linuxmint", "pop", "raspbian", "kali", "zorin", "elementary"), "apt-get"),
    **dict.fromkeys(("rhel", "rocky", "almalinux", "centos", "ol", "fedora", "amzn", "azurelinux"), "dnf"),
    **dict.fromkeys(("opensuse", "opensuse-leap", "opensuse-tumbleweed", "sles", "sled"), "zypper"),
    **dict.fromkeys(("arch", "manjaro", "endeavouros", "cachyos"), "pacman"),
    "alpine": "apk",
}
# Folders in which clusters keep software for all users: CVMFS of the Alliance and EESSI, Spack and EasyBuild trees, Bright.
_SHARED = re.compile(
    r"^/(?:cvmfs|sw|apps|software|cm/shared|cluster/(?:software|apps)|opt/(?:software|apps|cray|ohpc)|usr/local/(?:apps|easybuild))/"
)


def manager(facts: Facts) -> Manager | None:
    """Return the package manager of this Linux; None if its distribution is not known or has only yum, and on macOS and Windows."""
    name = facts.system.distribution
    found = _MANAGERS.get(name) if isinstance(name, str) and facts.system.os not in ("windows", "darwin") else None
    version = pair(facts.system.distribution_version) if isinstance(facts.system.distribution_version, str) else None
    if found == "dnf" and version is not None and name != "fedora":
        return (
            found if version[0] >= (3 if name in ("amzn", "azurelinux") else 8) else None
        )  # older releases have only yum
    return found


def container(facts: Facts) -> str | None:
    """Return the kind of container in which this is: "docker", "docker build", ...; None outside of containers, or if not known."""
    found = facts.system.container
    return found if isinstance(found, str) else None


def hosted(facts: Facts) -> str | None:
    """Return the notebook service to which the machine belongs: "colab", "kaggle", "sagemaker"; None for any other machine."""
    found = facts.system.hosted
    return found if isinstance(found, str) else None


def wsl(facts: Facts) -> int | None:
    """Return the version of WSL, 1 or 2, if this Linux is known to run inside Windows; else None."""
    found = facts.system.wsl
    return found if isinstance(found, int) else None


def jetson(facts: Facts) -> bool:
    """Return whether this is a Jetson, by its board or its kernel."""
    kernel = facts.system.kernel
    return facts.system.board == "jetson" or (isinstance(kernel, str) and "tegra" in kernel)


def dgx_spark(facts: Facts) -> bool:
    """Return whether this is a DGX Spark, by its board, or by the name of its GPU (GB10)."""
    gpus = facts.graphics.gpus
    named = (gpu.name for gpu in gpus if isinstance(gpu.name, str)) if isinstance(gpus, tuple) else ()
    return facts.system.board == "dgx-spark" or any("GB10" in name for name in named)


def architecture(facts: Facts) -> str:
    """Return the architecture, "x86_64" or "aarch64"; x86_64 if it is not known."""
    machine = facts.system.machine
    return "aarch64" if isinstance(machine, str) and machine.lower() in ("aarch64", "arm64") else "x86_64"


def on_cluster(facts: Facts) -> bool:
    """Return whether this is a computer of many users, who load software by `module` and are not root.

    Signs: environment modules or Lmod, a job of Slurm, or a path in a folder for shared software.
    """
    if container(facts) is not None:
        return False
    if facts.system.modules is True:
        return True
    if isinstance(facts.environment, tuple) and any(v.name == "SLURM_JOB_ID" for v in facts.environment):
        return True
    paths = (facts.toolchain.cuda_home, facts.interpreter.prefix, facts.interpreter.base_prefix)
    return any(isinstance(path, str) and _SHARED.match(path) for path in paths)


def is_root(facts: Facts) -> bool:
    """Return whether commands are known to run as root here: in a container, on Colab or Kaggle, or with an environment below /root.

    Then they need no sudo, which is often not installed for root.
    """
    if container(facts) is not None or hosted(facts) in ("colab", "kaggle"):
        return True
    home = facts.interpreter.prefix
    return isinstance(home, str) and home.startswith("/root/")


def as_root(facts: Facts, *argv: str) -> Argv:
    """Return a command that needs root, with sudo in front unless commands are known to run as root (`is_root`)."""
    return argv if is_root(facts) else ("sudo", *argv)


def environment_tool(facts: Facts) -> EnvironmentTool | None:
    """Return the tool that can install compilers and a CUDA toolkit into this environment: conda's or pixi's; None for other environments."""
    kind, found = facts.interpreter.kind, facts.interpreter.installers
    if kind == "pixi":
        return "pixi"
    if kind != "conda":
        return None
    names = () if isinstance(found, Unknown) else tuple(text.partition(" ")[0] for text in found)
    known: tuple[EnvironmentTool, ...] = ("mamba", "micromamba")
    return next((name for name in known if name in names), "conda")


def conda_install(facts: Facts, *packages: str, channels: tuple[str, ...] = ("conda-forge",)) -> Argv:
    """Return the command that adds packages of conda's channels to this environment. pixi gets no channels: its manifest has them."""
    tool = environment_tool(facts) or "conda"
    if tool == "pixi":
        return ("pixi", "add", *packages)
    prefix = facts.interpreter.prefix
    where = ("--prefix", prefix) if facts.interpreter.kind == "conda" and isinstance(prefix, str) else ()
    named = tuple(word for channel in channels for word in ("-c", channel))
    return (tool, "install", *where, "--yes", *named, *packages)
