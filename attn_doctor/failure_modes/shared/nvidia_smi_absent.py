"""Read that the shell does not find nvidia-smi, and make the fixes: on a Mac, on a Jetson, on Windows, on Linux. Pure.

Inside WSL and containers other failure modes read the same line.
"""

from __future__ import annotations

from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers, places
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix
from attn_doctor.model.machine import only_intel

# sh, bash, zsh, fish and cmd; PowerShell breaks its sentence after the name. Its words in other languages end with the same name.
SIGNS = (
    Sign(
        pattern=r"(?:nvidia-smi: (?:command )?(?P<smi>not found)|command not found: (?P<smi_zsh>nvidia-smi)|Unknown command:? '?(?P<smi_fish>nvidia-smi)|Command '(?P<smi_ubuntu>nvidia-smi)' not found)",
        literal="nvidia-smi",
        sample="bash: nvidia-smi: command not found",
        strength="hint",
    ),
    Sign(
        pattern=r"^'?(?P<smi_windows>nvidia-smi)(?:\.exe)?'? (?:is not recognized as|n'est pas reconnu|wird nicht als|no se reconoce|не является|不是内部或外部命令)|"
        r"The term '(?P<smi_power>nvidia-smi)(?:\.exe)?' is not recognized",
        literal="nvidia-smi",
        sample="'nvidia-smi' is not recognized as an internal or external command,",
        strength="hint",
    ),
)
_GROUPS = ("smi", "smi_zsh", "smi_fish", "smi_ubuntu", "smi_windows", "smi_power")


class Absent(Variant, frozen=True, kw_only=True):
    """Hold where the command nvidia-smi was not found."""

    where: Literal["mac", "jetson", "windows", "linux"]


def is_sign(match: Match) -> bool:
    """Return whether a match is of the signs of this module."""
    return any(name in match.groups for name in _GROUPS)


def needless(facts: Facts) -> bool:
    """Return whether this machine has no nvidia-smi although nothing is wrong: a Mac, or a Jetson."""
    return facts.system.os == "darwin" or places.jetson(facts)


def hit(
    facts: Facts, matches: tuple[Match, ...], *, here: bool, kind: Literal["mac", "jetson"] | None = None
) -> Hit | None:
    """Return the hit for a command nvidia-smi that was not found; None inside WSL and containers, which other failure modes report.

    `here`: only for a Mac or a Jetson; else only for other machines. `kind`: which of the two the log shows beside the facts.
    """
    found = [m for m in matches if is_sign(m)]
    if (needless(facts) or kind is not None) is not here:
        return None
    if not found or places.wsl(facts) or places.container(facts):
        return None
    windows = any("smi_windows" in m.groups or "smi_power" in m.groups for m in found)
    where: Literal["mac", "jetson", "windows", "linux"]
    if facts.system.os == "darwin" or kind == "mac":
        where, message = (
            "mac",
            "nvidia-smi does not exist on a Mac: macOS has no NVIDIA driver. torch computes on the GPU of a Mac by MPS.",
        )
    elif places.jetson(facts) or kind == "jetson":
        where, message = (
            "jetson",
            "JetPack before 7 has no nvidia-smi, or only a small one: tegrastats shows the Jetson's GPU. This says nothing about the GPU itself.",
        )
    elif windows or facts.system.os == "windows":
        where, message = (
            "windows",
            "Windows does not find nvidia-smi, which NVIDIA's driver installs: the driver is missing, or there is no NVIDIA GPU.",
        )
    else:
        where, message = (
            "linux",
            "The shell does not find nvidia-smi, which NVIDIA's driver installs: the driver is missing, or there is no NVIDIA GPU.",
        )
    return Hit(
        message=message,
        evidence=building.lines(found[:1]),
        variant=Absent(where=where),
        confidence=Confidence.MEDIUM,
    )


def fixes(facts: Facts, absent: Absent) -> tuple[Fix, ...]:
    """Return the fixes for this place: another command, the driver, or what to do without an NVIDIA GPU."""
    verify = commands.check(facts)
    if absent.where == "mac":
        step = commands.by_hand(
            (
                *commands.starting(facts),
                "-c",
                "import torch; print(torch.__version__, torch.backends.mps.is_available())",
            ),
            "True: train and predict with device=mps. A program that needs CUDA runs only where there is an NVIDIA GPU, not on a Mac",
            "nothing",
            "none",
        )
        return (Fix(title="Use the GPU of the Mac (MPS)", steps=(step,), verify=verify),)
    if absent.where == "jetson":
        see = commands.by_hand(
            ("tegrastats",), "shows the use of the Jetson's GPU (GR3D_FREQ) and memory", "nothing", "none"
        )
        ask = commands.by_hand(
            (*commands.starting(facts), "-c", "import torch; print(torch.__version__, torch.cuda.is_available())"),
            "True: all is well. False: this torch is not NVIDIA's build for the Jetson",
            "nothing",
            "none",
        )
        return (Fix(title="Look at the Jetson's GPU by its own tools", steps=(see, ask), verify=verify),)
    if only_intel(facts):
        return (nvidia_drivers.no_nvidia_gpu(facts),)
    if absent.where == "windows":
        look = commands.by_hand(
            ("powershell", "-NoProfile", "-Command", "Get-CimInstance Win32_VideoController | Select-Object Name"),
            "lists the graphics cards: without an NVIDIA card among them there is nothing to install, and programs for CUDA do not run here",
            "nothing",
            "none",
        )
    else:
        look = commands.by_hand(
            ("sh", "-c", "lspci | grep -iE 'vga|3d|display'"),
            "lists the graphics cards: without an NVIDIA card among them there is nothing to install, and programs for CUDA do not run here",
            "nothing",
            "none",
        )
    first = Fix(title="See whether there is an NVIDIA GPU", steps=(look,), verify=verify)
    return (first, *nvidia_drivers.install(facts))
