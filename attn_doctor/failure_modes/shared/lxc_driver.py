"""Make the fix for Docker in a container of LXC (Proxmox) that has no NVIDIA driver: the devices and the libraries of its host's driver. Pure.

https://pve.proxmox.com/wiki/Linux_Container, https://github.com/NVIDIA/libnvidia-container/issues/176 (no-cgroups)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Variant
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_RUN = "https://us.download.nvidia.com/XFree86/Linux-x86_64/$V/NVIDIA-Linux-x86_64-$V.run"
_LIBRARIES = f"V=$(grep -om1 '[0-9]\\{{3\\}}\\.[0-9.]*' /proc/driver/nvidia/version) && wget {_RUN} && sh NVIDIA-Linux-x86_64-$V.run --no-kernel-modules"


class InLxc(Variant, frozen=True):
    """Mark the case that Docker runs in a container of LXC."""


def fix(facts: Facts) -> Fix:
    """Return the fix: the driver on the host, its devices in the container of LXC, and its libraries there."""
    look = commands.by_hand(
        ("nvidia-smi",),
        "on the Proxmox host: has to list the GPU. If it does not, install the driver there first",
        "nothing",
        "none",
    )
    devices = commands.by_hand(
        (),
        "on the Proxmox host, add to /etc/pve/lxc/NUMBER.conf (`pct list` prints the numbers) the lines  lxc.cgroup2.devices.allow: c 195:* rwm  and, for each of nvidia0, nvidiactl, "
        "nvidia-uvm and nvidia-uvm-tools,  lxc.mount.entry: /dev/nvidia0 dev/nvidia0 none bind,optional,create=file  and for the two with uvm also  lxc.cgroup2.devices.allow: c N:* rwm  with "
        "the number N that `ls -l /dev/nvidia-uvm` shows; then start that container again",
        "the configuration of the container",
    )
    libraries = commands.by_hand(
        ("sh", "-c", _LIBRARIES),
        "in the container of LXC, as root: the libraries of exactly the host's driver, without a kernel module of their own",
        "the driver's libraries",
        takes="400 MB",
    )
    groups = commands.by_hand(
        (
            "sh",
            "-c",
            "sed -i 's/^#\\?no-cgroups = .*/no-cgroups = true/' /etc/nvidia-container-runtime/config.toml && systemctl restart docker",
        ),
        "there too: LXC manages the devices, so that the toolkit must not",
        "the toolkit's configuration",
    )
    return Fix(
        title="Give the container of LXC the driver of its host",
        steps=(look, devices, libraries, groups),
        verify=commands.check(facts),
    )
