"""Say of a log that it is of WSL 1, which reaches no GPU, and build the cure; remove a driver for Linux that was installed inside WSL. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import nvidia_drivers, places, wsl_conversion
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix
from attn_doctor.model.steps import Step

SIGNS = (
    # On WSL 1 they alone show that a person wants the GPU: there no tool prints an error of its own.
    Sign(
        pattern=r"\bnvidia-smi(?: command)? (?:is not working|(?:does|did)(?:n't| not) work|not working|fails)",
        literal="nvidia-smi",
        sample="nvidia-smi does not work",
        strength="hint",
    ),
    Sign(
        pattern=r"(?P<linux_driver>\b(?:apt|apt-get|aptitude) (?:-\S{1,20} ){0,3}install (?:-\S{1,20} ){0,3}(?:nvidia-(?:driver|utils|kernel|dkms)[\w-]{0,30}|cuda(?:-drivers[\w-]{0,20})?)(?=$|\s))",
        literal=" install ",
        sample="$ sudo apt-get install -y nvidia-driver-550",
        strength="context",
    ),
)


class Installed(Variant, frozen=True):
    """Mark the case that a driver for Linux was installed inside WSL, which would hide the Windows driver."""


def found(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for a log of WSL 1 in which somebody looks for the GPU; None if the log has no error of it.

    An installed driver alone is no error.
    """
    if all(m.strength == "context" for m in seen.matches):
        return None
    kernel = f" (its kernel is {facts.system.kernel})" if isinstance(facts.system.kernel, str) else ""
    return Hit(
        message=f"This is WSL 1{kernel}: it reaches no GPU, whatever is installed in it. WSL 2 does.",
        evidence=evidence,
        variant=Installed() if any("linux_driver" in m.groups for m in seen.matches) else None,
    )


def converted(facts: Facts, hit: Hit) -> Fix:
    """Return the fix: WSL 2, the driver in Windows, and no driver for Linux inside."""
    driver = nvidia_drivers.in_windows("the newest driver in Windows, never a Linux driver inside WSL")
    gone = removal(facts) if isinstance(hit.variant, Installed) else ()
    look = commands.by_hand(
        ("/usr/lib/wsl/lib/nvidia-smi",), "in the distribution, opened again: has to list the GPU", "nothing", "none"
    )
    steps = (*wsl_conversion.to_wsl_2(facts), driver, *gone, look)
    return Fix(title="Convert it to WSL2", steps=steps, verify=commands.check(facts))


def removal(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that remove a driver for Linux from inside WSL."""
    argv = {
        "dnf": ("dnf", "remove", "-y", "nvidia-*", "libnvidia-*"),
        "zypper": ("zypper", "remove", "-y", "nvidia-*", "libnvidia-*"),
        "pacman": ("pacman", "-R", "nvidia-utils"),
    }.get(places.manager(facts) or "", ("apt-get", "purge", "-y", "nvidia-*", "libnvidia-*"))
    purge = commands.by_hand(
        places.as_root(facts, *argv),
        "WSL uses the driver of Windows; a Linux driver inside WSL hides the Windows driver",
        "removes the Linux driver",
    )
    again = commands.by_hand(
        ("wsl.exe", "--shutdown"), "run this in a Windows terminal, then open WSL again", "restarts WSL"
    )
    return purge, again
