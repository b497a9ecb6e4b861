"""The kernel driver for AMD GPUs is not loaded, or this user may not use it.

What it is
    ROCm reaches the GPU through the device files /dev/kfd and /dev/dri, which the kernel module amdgpu creates. They
    are missing, or belong to a group that the user is not in. The Python packages are not the cause.

How it shows
    rocminfo: "ROCk module is NOT loaded, possibly no GPU devices", "Unable to open /dev/kfd read-write: No such file or directory" or
    "Permission denied", "is not member of render group, the default DRM access group"; Docker: "error gathering device
    information while adding custom device /dev/kfd: no such file or directory"; torch: "No HIP GPUs are available".

Why it happens
    Outside a container: there is no amdgpu module for the running kernel. In a container: it was started without the
    devices. In WSL: there is never an amdgpu module; ROCm uses the driver of Windows there, and supports few cards.

What to do
    Outside a container: install AMD's driver (amdgpu-dkms) or run `sudo modprobe amdgpu`, and join the groups render
    and video. In a container: start it with `--device=/dev/kfd --device=/dev/dri --group-add video`. In WSL: install
    AMD's Adrenalin driver for Windows and ROCm for WSL, or use Linux without Windows.

How to reproduce
    There is no recipe: rocminfo prints these errors on every machine without an AMD GPU.

References
    https://rocm.docs.amd.com/projects/install-on-linux/en/latest/how-to/docker.html
    https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/docs/install/installrad/wsl/howto_wsl.html
    https://github.com/ROCm/legacy-rocm-build/issues/1794
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import container_starts, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.failure_modes.shared.fact_queries import in_container, under_wsl
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD435",
    slug="rocm-driver-not-loaded",
    title="No kernel driver for the AMD GPU",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("torch-sees-no-gpu", "rocm-specific", "torch-cpu-build", "no-gpu-present", "segfault"),
    signs=(
        Sign(
            pattern=r"(?P<torch>No HIP GPUs are available)",
            literal="No HIP GPUs are available",
            sample="RuntimeError: No HIP GPUs are available",
        ),
        Sign(
            pattern=r"ROCk module is NOT loaded",
            literal="ROCk module is NOT loaded",
            sample="ROCk module is NOT loaded, possibly no GPU devices",
        ),
        Sign(
            pattern=r"Unable to open /dev/kfd read-write: (?:(?P<refused>Permission denied|Operation not permitted)|(?P<fails>Invalid argument|Cannot allocate memory)|\w)",
            literal="Unable to open /dev/kfd",
            sample="Unable to open /dev/kfd read-write: Permission denied",
        ),
        Sign(
            pattern=r'is not member of "(?P<group>\w+)" group, the default DRM access group',
            literal="default DRM access group",
            sample='user is not member of "render" group, the default DRM access group. Users must be a member of it',
        ),
        Sign(
            pattern=r"ROCk module (?:version \S+ )?is (?P<loaded>loaded)",
            literal="ROCk module",
            sample="ROCk module version 6.7.0 is loaded",
            strength="context",
        ),
        # rocminfo lists the GPU: then the driver works, and torch loads another runtime than rocminfo.
        Sign(
            pattern=r"^\s*Name:\s+(?P<listed>gfx\w{3,5})",
            literal="gfx",
            sample="  Name:                    gfx1100",
            strength="context",
        ),
        Sign(
            pattern=r'adding custom device "/dev/(?P<host>kfd|dri)": no such file',
            literal="adding custom device ",
            sample='docker: Error response from daemon: error gathering device information while adding custom device "/dev/kfd": no such '
            "file or directory.",
        ),
    ),
)


class Stands(Variant, frozen=True, kw_only=True):
    """Hold why ROCm does not reach the GPU through its device files, /dev/kfd and /dev/dri."""

    by: Literal[
        "missing", "refused", "fails"
    ]  # there are no such files; this user may not open them; or the driver itself refuses
    of_host: bool = False  # they are missing on the host of a container
    listed: bool = False  # rocminfo lists the GPU: the driver works, and torch's own ROCm runtime does not know WSL


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if all(m.strength == "context" for m in seen.matches):
        return None
    loaded = seen.group("loaded") is not None  # so this process may not or cannot open the device
    if (fails := seen.group("fails")) is not None and seen.group("group") is None:
        return Hit(
            message=f"The kernel's driver for AMD GPUs is there, and refuses to open /dev/kfd: {fails}. That is no question of permissions.",
            evidence=building.lines([m for m in seen.matches if "fails" in m.groups]),
            variant=Stands(by="fails"),
            confidence=Confidence.MEDIUM,
        )
    refused = seen.group("refused") is not None or seen.group("group") is not None or loaded
    missing = (any(not m.groups for m in seen.matches) and not loaded) or seen.group("host") is not None
    by: Literal["missing", "refused"] = "refused" if refused and not missing else "missing"
    listed = seen.group("listed")
    if listed and any("torch" in m.groups for m in seen.matches) and _wsl(facts):
        return Hit(
            message=f"rocminfo sees the AMD GPU ({listed}), and torch does not: the libhsa-runtime64.so in torch's own folder knows no WSL.",
            evidence=building.lines([m for m in seen.matches if "torch" in m.groups or "listed" in m.groups][:4]),
            variant=Stands(by="missing", listed=True),
        )
    if all("torch" in m.groups or "listed" in m.groups for m in seen.matches):
        return Hit(
            message="The torch for AMD GPUs sees no GPU: the driver or its devices are missing, or this user may not open them.",
            evidence=building.lines([m for m in seen.matches if "torch" in m.groups]),
            variant=Stands(by="missing"),
            confidence=Confidence.MEDIUM,
        )
    message = (
        "The container was not given /dev/kfd, the device of the AMD GPU: the kernel module is loaded on its host."
        if loaded and in_container(facts) is True and any("No such file" in m.text for m in seen.matches)
        else "The AMD GPU is in the machine, but this user may not open /dev/kfd, which ROCm needs."
        if by == "refused"
        else "The kernel module amdgpu, which ROCm needs for an AMD GPU, is not loaded, or its devices are not visible."
    )
    return Hit(
        message=message,
        evidence=building.lines(seen.matches),
        variant=Stands(by=by, of_host=seen.group("host") is not None),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    variant = hit.variant if isinstance(hit.variant, Stands) else Stands(by="missing")
    if _wsl(facts) and facts.system.os != "windows" and variant.listed:
        return (_own_runtime(facts),)
    if _wsl(facts):
        step = commands.by_hand(
            (),
            "WSL has no amdgpu module and no /dev/kfd, and you cannot load them. Install AMD's Adrenalin driver on Windows, and ROCm for "
            "WSL inside WSL (https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/docs/install/installrad/wsl/howto_wsl.html lists the "
            "supported cards). Any other card needs Linux without Windows",
            "the driver of Windows, and ROCm in WSL",
            "medium",
        )
        made = Fix(title="Use AMD's Windows driver and ROCm for WSL", steps=(step,), verify=verify)
        return (made,) if facts.system.os == "windows" else (made, _own_runtime(facts))
    if variant.by == "fails":
        return (_kernel_says(facts),)
    if variant.by == "refused" and places.on_cluster(facts):
        return (_job(facts),)
    if variant.by == "refused":
        return (
            (_groups(facts), _devices(facts)) if in_container(facts) is not True else (_devices(facts), _groups(facts))
        )
    inside = in_container(facts)
    if inside and not variant.of_host:
        return (_devices(facts), _module(facts, "on the host of the container: "))
    if inside is None and not variant.of_host:
        return (_module(facts, ""), _devices(facts), _groups(facts))
    return (_module(facts, ""),)


def _wsl(facts: Facts) -> bool:
    """Return whether this is WSL, or Windows, whose containers run in WSL."""
    try:
        return facts.system.os == "windows" or under_wsl(facts)
    except Unsure:
        return False


def _own_runtime(facts: Facts) -> Fix:
    """Return the fix for WSL: torch's own copy of ROCm's runtime goes, so that the system's copy, which knows WSL, is loaded.

    https://rocm.docs.amd.com/projects/radeon-ryzen/en/latest/docs/install/installrad/wsl/install-pytorch.html, https://github.com/ROCm/librocdxg
    """
    script = (
        "import glob, os, sysconfig; "
        "[os.remove(f) for f in glob.glob(sysconfig.get_paths()['purelib'] + '/torch/lib/libhsa-runtime64.so*')]"
    )
    gone = commands.by_hand(
        (*commands.starting(facts), "-c", script),
        "deletes torch's copy of libhsa-runtime64.so, which knows no WSL: torch then loads that of /opt/rocm. If torch does not import after it: cp "
        "/opt/rocm/lib/libhsa-runtime64.so.1 into that folder, as libhsa-runtime64.so",
        "one library of torch",
        "medium",
    )
    detection = commands.variable(
        "HSA_ENABLE_DXG_DETECTION",
        "1",
        "only ROCm 7.2 and newer, whose bridge to Windows is librocdxg (https://github.com/ROCm/librocdxg/releases): switches it on",
    )
    old = commands.by_hand(
        ("sudo", "apt-get", "remove", "-y", "libhsa-runtime64-1", "libhsakmt1"),
        "only if rocminfo fails in WSL: Ubuntu's own old copies, which the loader finds before those of /opt/rocm",
        "packages of Ubuntu",
    )
    return Fix(title="Let torch load WSL's ROCm runtime", steps=(gone, detection, old), verify=commands.check(facts))


def _kernel_says(facts: Facts) -> Fix:
    """Return the fix for a driver that refuses to open its device, /dev/kfd: read the reason in the kernel log, and restart the machine.

    https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdkfd/kfd_chardev.c
    """
    look = commands.by_hand(
        ("sh", "-c", "sudo dmesg | grep -iE 'kfd|amdgpu' | tail -n 30"),
        "on the host, not in a container: the kernel says there why it refused: a GPU that its driver did not start, no memory, or a GPU that this driver does not know",
        "nothing",
        "none",
    )
    again = commands.by_hand(
        ("sudo", "reboot"),
        "after an update of the kernel or of amdgpu-dkms, and after a GPU that hangs: the driver starts afresh. If the error is the same after it: install the driver of the "
        "present ROCm (https://rocm.docs.amd.com/projects/install-on-linux/en/latest/)",
        "every program",
    )
    return Fix(
        title="Ask the kernel why, and start its driver afresh", steps=(look, again), verify=commands.check(facts)
    )


def _module(facts: Facts, where: str) -> Fix:
    step = commands.by_hand(
        ("sudo", "modprobe", "amdgpu"),
        f"{where}loads the module; if it is not found, install AMD's driver for this kernel (amdgpu-dkms, "
        "https://rocm.docs.amd.com/projects/install-on-linux/en/latest/) and reboot. `ls -l /dev/kfd /dev/dri` then lists the device files",
        "the kernel module amdgpu",
        "medium",
    )
    return Fix(title="Load the kernel module amdgpu", steps=(step,), verify=commands.check(facts))


def _devices(facts: Facts) -> Fix:
    program = "podman" if facts.system.container == "podman" else "docker"
    surely = "" if in_container(facts) else "if this ran in a container: "
    argv = container_starts.start(
        facts, "--device=/dev/kfd", "--device=/dev/dri", "--group-add", "video", program=program
    )
    step = commands.by_hand(
        argv,
        f"{surely}start the container again, on the host, with the AMD GPU. If /dev/kfd belongs to the group render, add this group by its number "
        "on the host: --group-add $(getent group render | cut -d: -f3)",
        "a new container",
        "none",
    )
    look = container_starts.look(facts, program) if container_starts.IMAGE in argv else ()
    return Fix(title="Pass the AMD GPU into the container", steps=(*look, step), verify=commands.check(facts))


def _job(facts: Facts) -> Fix:
    """Return the fix for a cluster: ask it for a GPU, because a job may use only the GPUs that it asks for.

    https://slurm.schedmd.com/gres.html
    """
    ask = commands.by_hand(
        ("sh", "-c", "ls -l /dev/kfd /dev/dri; id -nG"),
        "prints the group of the devices (render, mostly), and your groups. On a node that you share, a job may open only the GPUs that it asked for",
        "nothing",
        "none",
    )
    job = commands.by_hand(
        ("srun", "--gres=gpu:1", "--pty", "bash"),
        "a shell on a node with a GPU of its own, in which rocminfo has to list the GPU (PBS: qsub -I -l ngpus=1). If it is refused there too: ask the administrators of the cluster "
        "to add you to that group",
        "a job",
        "none",
    )
    return Fix(title="Ask the cluster for a GPU", steps=(ask, job), verify=commands.check(facts))


def _groups(facts: Facts) -> Fix:
    step = commands.by_hand(
        ("sh", "-c", "sudo usermod -a -G render,video $USER"),
        "then log in again; `ls -l /dev/kfd` shows the group that it belongs to",
        "the groups of the user",
    )
    return Fix(title="Join the groups that may use the GPU", steps=(step,), verify=commands.check(facts))
