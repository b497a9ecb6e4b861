"""Name the repository and the packages of the NVIDIA driver for Fedora, Red Hat and its clones, Amazon Linux and SUSE. Pure.

https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/ has NVIDIA's repositories, the branches of the dnf module, and, for Red
Hat 10 without modules, the version lock; https://rpmfusion.org/Howto/NVIDIA has Fedora's. Driver 580 is the last branch for GPUs
older than Turing.
"""

from __future__ import annotations

from attn_doctor.commands import places
from attn_doctor.commands.cuda_repositories import repository
from attn_doctor.commands.debian_drivers import Lines
from attn_doctor.model.facts import Facts
from attn_doctor.model.versions import pair

LAST = "driver 580 is the last for GPUs older than Turing: "
_RPM_FUSION = "https://mirrors.rpmfusion.org"
_REPOSITORIES = "https://developer.download.nvidia.com/compute/cuda/repos"
_WITHOUT_MODULES = 10  # the first release of Red Hat that has no module streams
_CRB = 9  # the first release of Red Hat whose builder repository is called crb; before it was powertools


def newest(facts: Facts, *, old: bool) -> Lines:
    """Return the commands that install the newest driver; empty without rpm, or without a repository of NVIDIA.

    `old`: the machine has a GPU older than Turing.
    """
    release = _release(facts)
    if facts.system.distribution == "fedora":
        return _fedora(release, old=old)
    manager, found = places.manager(facts), repository(facts)
    if found is None or manager not in ("dnf", "zypper"):
        return ()
    architecture = "sbsa" if places.architecture(facts) == "aarch64" else "x86_64"
    file = f"{_REPOSITORIES}/{found.folder}/{architecture}/cuda-{found.folder}.repo"
    if manager == "dnf":
        return _red_hat(facts, file, release, old=old)
    package = "cuda-drivers-580" if old else "nvidia-open"
    return (
        (("zypper", "addrepo", file), "NVIDIA's repository for this release"),
        (("zypper", "--gpg-auto-import-keys", "install", "-y", package), f"{LAST if old else ''}the driver"),
    )


def _fedora(release: int | None, *, old: bool) -> Lines:
    branch, why = "-580xx" if old else "", f"{LAST if old else ''}from RPM Fusion: https://rpmfusion.org/Howto/NVIDIA"
    install = ("dnf", "install", "-y", f"akmod-nvidia{branch}", f"xorg-x11-drv-nvidia{branch}-cuda")
    if not release:
        return ((install, f"{why}, which has to be set up first: https://rpmfusion.org/Configuration"),)
    fusion = tuple(
        f"{_RPM_FUSION}/{kind}/fedora/rpmfusion-{kind}-release-{release}.noarch.rpm" for kind in ("free", "nonfree")
    )
    sets_up = (("dnf", "install", "-y", *fusion), "RPM Fusion, which has NVIDIA's driver for Fedora")
    return sets_up, (install, why)


def _red_hat(facts: Facts, file: str, release: int | None, *, old: bool) -> Lines:
    """Return the commands for Red Hat, its clones and Amazon Linux. On Red Hat 10 the commands lock versions, because it has no module streams."""
    locks = release is not None and release >= _WITHOUT_MODULES and facts.system.distribution != "amzn"
    branch: Lines = ()
    if locks and old:
        branch = (
            (("dnf", "install", "-y", "python3-dnf-plugin-versionlock"), "lets dnf stay at a branch"),
            (("dnf", "versionlock", "add", "*nvidia*580*"), f"{LAST}keeps dnf at it"),
        )
    elif release and not locks:
        stream = "580-dkms" if old else "open-dkms"
        branch = ((("dnf", "module", "enable", "-y", f"nvidia-driver:{stream}"), "chooses the branch"),)
    packages: tuple[str, ...] = ("cuda-drivers",) if old else ("nvidia-open",)
    if locks and old:  # the lock covers packages with nvidia in the name, and cuda-drivers needs the newest of them
        packages = ("kmod-nvidia-latest-dkms", "nvidia-driver", "nvidia-driver-cuda")
    return (
        *_dkms(facts, release),
        (("dnf", "config-manager", "--add-repo", file), "NVIDIA's repository for this release"),
        *branch,
        (("dnf", "install", "-y", *packages), "the driver and its kernel modules, rebuilt for each new kernel"),
    )


def _dkms(facts: Facts, release: int | None) -> Lines:
    """Return the commands that install what a build of kernel modules needs: dkms (on Red Hat from EPEL), and the kernel's headers."""
    kernel = facts.system.kernel
    headers = f"kernel-devel-{kernel}" if isinstance(kernel, str) else "kernel-devel"
    tools = (("dnf", "install", "-y", "dnf-plugins-core", headers), "the kernel's headers, and `dnf config-manager`")
    if facts.system.distribution == "amzn" or release is None:
        return (tools,)
    builder = ("dnf", "config-manager", "--set-enabled", "crb" if release >= _CRB else "powertools")
    more: Lines = (
        ((builder, "packages of EPEL need it"),)
        if facts.system.distribution in ("rocky", "almalinux", "centos")
        else ()
    )
    epel = f"https://dl.fedoraproject.org/pub/epel/epel-release-latest-{release}.noarch.rpm"
    return tools, *more, (("dnf", "install", "-y", epel), "EPEL, which has dkms")


def _release(facts: Facts) -> int | None:
    text = facts.system.distribution_version
    found = pair(text) if isinstance(text, str) else None
    return found[0] if found else None
