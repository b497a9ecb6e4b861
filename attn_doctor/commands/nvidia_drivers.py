"""Build the fixes that install, update or restart an NVIDIA driver. Pure.

The driver is not always in the system that needs it: under WSL it is in Windows, for a container on the host, on a Jetson in JetPack.

Commands by distribution: https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/ (kernel modules);
https://ubuntu.com/server/docs/nvidia-drivers-installation; https://wiki.debian.org/NvidiaGraphicsDrivers;
https://wiki.archlinux.org/title/NVIDIA
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import debian_drivers, places, rpm_drivers, wsl_conversion
from attn_doctor.commands.places import Argv
from attn_doctor.knowledge import pci_gpu
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

PAGE = "https://www.nvidia.com/drivers"
_REBOOT = "a reboot"
_OPEN_FROM = (7, 5)  # newer drivers have open kernel modules only, which support Turing and newer GPUs
_UBUNTU = ((("ubuntu-drivers", "install"), "the driver that Ubuntu's tool recommends for this GPU"),)
# A DGX Spark's driver comes with DGX OS. https://docs.nvidia.com/dgx/dgx-spark/os-and-component-update.html
_OF_DGX_OS = (
    (("apt-get", "update"), "a DGX Spark's driver is updated with DGX OS"),
    (("apt-get", "dist-upgrade", "-y"), "brings DGX OS, and its driver, up to date"),
)
_OPENSUSE_NVIDIA = "openSUSE-repos-Tumbleweed-NVIDIA"
# Distributions whose own tool or package chooses the driver branch that the card needs, an old branch too.
# https://support.system76.com/articles/system76-driver/, https://www.kali.org/docs/general-use/install-nvidia-drivers-on-kali-linux/,
# https://wiki.manjaro.org/index.php/Configure_Graphics_Cards, https://wiki.cachyos.org/features/chwd/, https://en.opensuse.org/SDB:NVIDIA_drivers
_OWN_TOOL: dict[str, tuple[tuple[Argv, str], ...]] = {
    **dict.fromkeys(("ubuntu", "linuxmint", "zorin", "elementary"), _UBUNTU),
    "pop": ((("apt-get", "install", "-y", "system76-driver-nvidia"), "the driver that Pop!_OS provides"),),
    "kali": ((("apt-get", "install", "-y", "nvidia-driver", "linux-headers-amd64"), "the driver that Kali provides"),),
    "manjaro": ((("mhwd", "-a", "pci", "nonfree", "0300"), "the driver that Manjaro's tool finds for this GPU"),),
    "cachyos": ((("chwd", "-a"), "the driver that CachyOS's tool finds for this GPU"),),
    "opensuse-tumbleweed": (
        (("zypper", "install", "-y", _OPENSUSE_NVIDIA), "NVIDIA's repository for Tumbleweed"),
        (
            ("zypper", "--gpg-auto-import-keys", "install-new-recommends", "--repo", "repo-non-free"),
            "the driver that the repository recommends for this GPU",
        ),
    ),
}


def install(facts: Facts, least: str | None = None) -> tuple[Fix, ...]:
    """Return the fixes that install a driver, the best for this machine first. `least`: the oldest version that is enough, "580.65.06"."""
    verify = commands.check(facts)
    wanted = f"driver {least} or newer" if least else "the newest driver"
    title = f"Install NVIDIA driver {least} or newer" if least else "Install or repair the NVIDIA driver"
    if places.wsl(facts) == 1:
        title = "Change to WSL 2"
    steps = not_here(facts, wanted) or _packages(facts, wanted, least)
    return (Fix(title=title, steps=steps, verify=verify),)


def not_here(facts: Facts, wanted: str = "the driver") -> tuple[Step, ...]:
    """Return the steps for a system on which its packages cannot install the driver: WSL, Windows, macOS, container, cluster, notebook, Jetson.

    Empty for any other system. `wanted`: the driver in words, "driver 580 or newer".
    """
    if places.wsl(facts) == 1:
        return *wsl_conversion.to_wsl_2(facts), in_windows(f"{wanted} in Windows, never a Linux driver inside WSL")
    if places.wsl(facts):
        windows = in_windows(f"{wanted} in Windows, never a Linux driver inside WSL: WSL uses the Windows driver")
        again = commands.by_hand(
            ("wsl.exe", "--shutdown"), "run this in a terminal of Windows, then open WSL again", "restarts WSL"
        )
        return windows, again
    if facts.system.os == "windows":
        return (in_windows(f"{wanted} in Windows"),)
    if places.hosted(facts) in ("colab", "kaggle"):
        why = f"the driver of a notebook's machine belongs to the service: choose a session with a GPU in the notebook's settings ({wanted})"
        return (commands.by_hand((), why, "another session", "none"),)
    if places.container(facts):
        why = f"install {wanted} on the host, never in the image: the host's driver is passed into the container"
        return (commands.by_hand((), why, "the host's driver", risk="medium", risk_text=f"{_REBOOT} of the host"),)
    if places.on_cluster(facts):
        why = f"ask the administrators of the cluster for {wanted}: users cannot install drivers"
        return (commands.by_hand((), why, "nothing of yours", "none"),)
    if places.jetson(facts):
        why = f"a Jetson's driver comes with JetPack ({wanted}): update JetPack, https://developer.nvidia.com/embedded/jetpack"
        return (commands.by_hand((), why, "JetPack", risk="medium", risk_text=_REBOOT),)
    if facts.system.os == "darwin":
        return (commands.by_hand((), "there is no NVIDIA driver for macOS", "nothing", "none"),)
    return ()


def in_windows(what: str) -> Step:
    """Return the step that installs a driver in Windows by hand. `what`: a noun for it, "the newest driver"."""
    return commands.by_hand(
        (),
        f"install {what}: {PAGE}, or the NVIDIA App (Drivers)",
        "Windows' driver",
        risk="medium",
        risk_text="the screen flickers",
    )


def _packages(facts: Facts, wanted: str, least: str | None) -> tuple[Step, ...]:
    """Return the steps that install the driver by the packages of this distribution, and the reboot after them."""
    lines = _lines(facts, least)
    if not lines and facts.system.distribution in ("arch", "endeavouros"):
        get = commands.by_hand(
            ("yay", "-S", "nvidia-580xx-dkms"),
            f"{rpm_drivers.LAST}from the AUR (any of its helpers, as your own user and not as root); the headers of your kernel must be installed (linux-headers)",
            "the kernel driver",
            risk="medium",
            risk_text=_REBOOT,
        )
        return get, *by_hand(facts, ())
    if not lines:
        why = f"install {wanted}: the package of the distribution, or {PAGE}"
        if isinstance(facts.system.wsl, Unknown):
            why += " (on the host of a container; under WSL, in Windows)"
        return (commands.by_hand((), why, "the kernel driver", risk="medium", risk_text=_REBOOT),)
    return by_hand(facts, lines)


def by_hand(facts: Facts, lines: tuple[tuple[Argv, str], ...]) -> tuple[Step, ...]:
    """Return the steps that install a driver, one for each (command, reason), and the reboot after them."""
    secure = "with Secure Boot on, enrol the key that the installation asks about"
    made = [
        commands.by_hand(places.as_root(facts, *argv), why, "the kernel driver", risk="medium", risk_text=_REBOOT)
        for argv, why in lines
    ]
    reboot = commands.by_hand(
        places.as_root(facts, "reboot"),
        f"the new driver is loaded at boot; {secure}",
        "this machine",
        risk="medium",
        risk_text="stops everything on it",
    )
    return *made, reboot


def _lines(facts: Facts, least: str | None) -> tuple[tuple[Argv, str], ...]:
    name = facts.system.distribution
    old = _before_turing(facts)
    if places.dgx_spark(facts):
        return _OF_DGX_OS
    if name in _OWN_TOOL:
        return _OWN_TOOL[name]
    if name == "debian":
        return debian_drivers.newest(facts, least, old=old)
    if found := rpm_drivers.newest(facts, old=old):
        return found
    if name in ("arch", "endeavouros") and not old:
        why = "the driver of Turing and newer GPUs; older ones need nvidia-580xx-dkms of the AUR"
        return ((("pacman", "-S", "nvidia-open"), why),)
    return ()


# Paths of the key that signs kernel modules: Ubuntu's key, akmods' key (RPM Fusion), DKMS's key.
_KEYS = {
    **dict.fromkeys(("ubuntu", "linuxmint", "pop", "zorin", "elementary"), "/var/lib/shim-signed/mok/MOK.der"),
    "fedora": "/etc/pki/akmods/certs/public_key.der",
}


def enrol(facts: Facts) -> Fix:
    """Return the fix that enrols the key of the driver's modules, for a Secure Boot that refuses the modules.

    https://wiki.ubuntu.com/UEFI/SecureBoot/DKMS; https://rpmfusion.org/Howto/Secure%20Boot; https://github.com/dell/dkms#secure-boot
    """
    key = _KEYS.get(str(facts.system.distribution), "/var/lib/dkms/mok.pub")
    ask = commands.by_hand(
        places.as_root(facts, "mokutil", "--import", key),
        "choose a password, which the next start asks for again. If this file is missing, `sudo dkms status` shows which tool built the modules",
        "the keys of Secure Boot, at the next start",
        risk="medium",
        risk_text=_REBOOT,
    )
    reboot = commands.by_hand(
        places.as_root(facts, "reboot"),
        "choose Enroll MOK in the blue menu before the system starts, and type that password",
        "this machine",
        risk="medium",
        risk_text="stops everything on it",
    )
    return Fix(title="Enrol the key of the driver's module", steps=(ask, reboot), verify=commands.check(facts))


def _before_turing(facts: Facts) -> bool:
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    known = [pair(g.compute_capability) for g in gpus if isinstance(g.compute_capability, str)]
    return any(c is not None and c < _OPEN_FROM for c in known) or (not gpus and pci_gpu.before_turing(facts))


def session_with_gpu(facts: Facts) -> Fix | None:
    """Return the fix that starts a session with a GPU, on Colab, Kaggle and a cluster; None elsewhere.

    None also on a machine of a cluster on which a GPU is seen.
    """
    gpus = facts.graphics.gpus
    if places.on_cluster(facts) and not (isinstance(gpus, tuple) and gpus):
        return _job_with_gpu(facts)
    where = {"colab": "Runtime > Change runtime type > T4 GPU", "kaggle": "Session options > Accelerator"}.get(
        places.hosted(facts) or ""
    )
    if where is None:
        return None
    step = commands.by_hand((), f"choose a GPU: {where}; the session starts again", "another session", "none")
    return Fix(title="Choose a session with a GPU", steps=(step,), verify=commands.check(facts))


def _job_with_gpu(facts: Facts) -> Fix:
    """Return the fix that starts a job with a GPU: login nodes have none, and a job sees only the GPUs that it asked for.

    https://slurm.schedmd.com/gres.html#Running_Jobs
    """
    look = commands.by_hand(
        ("sinfo", "-o", "%P %G"),
        "lists the partitions of Slurm and their GPUs (gpu:a100:4): choose one with a GPU",
        "nothing",
        "none",
    )
    job = commands.by_hand(
        ("srun", "--partition=PARTITION", "--gres=gpu:1", "--pty", "bash"),
        "opens a shell on a node with a GPU, with the partition that you chose: start the program there. For sbatch, add the line `#SBATCH --gres=gpu:1` to "
        "the script. A login node has no GPU, and a job sees only the GPUs that it asked for. Some clusters also want --account; PBS: qsub -I -l ngpus=1",
        "a job of the cluster",
        "none",
    )
    return Fix(title="Run the program in a job that asks for a GPU", steps=(look, job), verify=commands.check(facts))


def no_nvidia_gpu(facts: Facts) -> Fix:
    """Return the fix for a program that needs CUDA on a machine whose only GPU is from Intel.

    torch's build for Intel GPUs supports the Arc cards and the newer Core Ultra: https://docs.pytorch.org/docs/stable/notes/get_start_xpu.html
    """
    look = commands.by_hand(
        ("nvidia-smi",),
        "must list a GPU; if there is no such command, there is no NVIDIA GPU, or no driver for it",
        "nothing",
        "none",
    )
    words = (
        "without an NVIDIA GPU, CUDA cannot run: use the CPU (device=cpu, slow, and some programs refuse it), or run the program where there is "
        "such a GPU (another computer, or a session with a GPU in Google Colab). An Intel Arc, or the graphics of a Core Ultra, computes with PyTorch's "
        "build for Intel GPUs (XPU) if the program supports device=xpu"
    )
    step = commands.by_hand((), words, "where the program runs", "none")
    title = "Run the program on the CPU, or where there is an NVIDIA GPU"
    return Fix(title=title, steps=(look, step), verify=commands.check(facts))


def restart(facts: Facts, why: str) -> Fix:
    """Return the fix that loads the driver again: a reboot, or the way of WSL, a notebook, a container or a cluster.

    `why`: the reason, which is the text of the step on most systems.
    """
    verify, risk = commands.check(facts), "stops everything on it"
    if places.wsl(facts):
        steps: tuple[Step, ...] = (
            commands.by_hand(
                ("wsl.exe", "--shutdown"),
                "run this in a terminal of Windows, then open WSL again: WSL uses the Windows driver. If that does not help, restart Windows",
                "restarts WSL",
                risk="medium",
                risk_text="stops everything in WSL",
            ),
        )
        return Fix(title="Load the Windows driver again", steps=steps, verify=verify)
    if facts.system.os == "windows":
        windows = commands.by_hand(
            (), "restart Windows, which loads its driver again", "this machine", risk="medium", risk_text=risk
        )
        return Fix(title="Load the Windows driver again", steps=(windows,), verify=verify)
    if places.hosted(facts) in ("colab", "kaggle"):
        session = commands.by_hand(
            (),
            f"restart the session of the notebook: {why}",
            "a new session",
            risk="medium",
            risk_text="its memory is lost",
        )
        return Fix(title="Restart the session", steps=(session,), verify=verify)
    if places.container(facts):
        host = commands.by_hand(
            (), f"reboot the host, then start the container again: {why}", "the host", risk="medium", risk_text=risk
        )
        return Fix(title="Reboot the host", steps=(host,), verify=verify)
    if places.on_cluster(facts):
        ask = commands.by_hand(
            (), f"tell the administrators of the cluster, and use another node: {why}", "nothing of yours", "none"
        )
        return Fix(title="Have the node rebooted", steps=(ask,), verify=verify)
    reboot = commands.by_hand(places.as_root(facts, "reboot"), why, "this machine", risk="medium", risk_text=risk)
    return Fix(title="Reboot", steps=(reboot,), verify=verify)
