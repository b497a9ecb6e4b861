"""Judge whether a Windows is too old for GPUs in WSL and in containers: WSL 2 has them since Windows 10 21H2 (build 19044) and in Windows 11. Pure.

Previews between the two (builds 20000 to 21999) had them, and lost them in some builds of 2021: https://github.com/microsoft/WSL/issues/6617,
https://github.com/microsoft/WSL/issues/6702. https://learn.microsoft.com/windows/wsl/tutorials/gpu-compute, https://docs.docker.com/desktop/features/gpu/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import gpu_containers
from attn_doctor.failure_modes.mode import Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step

_FIRST = 19044  # the build of Windows 10 21H2
_PREVIEWS = range(20000, 22000)  # Windows 11 begins with build 22000
_BUILDS = {"1903": 18362, "1909": 18363, "2004": 19041, "20H2": 19042, "21H1": 19043}

SIGNS = (
    Sign(
        pattern=r"\b10\.0\.(?P<build>1\d{4})\b",
        literal="10.0.1",
        sample="Microsoft Windows [Version 10.0.19042.928]",
        strength="context",
    ),
    # The previews before Windows 11.
    Sign(
        pattern=r"\b10\.0\.(?P<build>2[01]\d{3})\b",
        literal="10.0.2",
        sample="Microsoft Windows [Version 10.0.21337.1000]",
        strength="context",
    ),
    # A table of PowerShell's [System.Environment]::OSVersion.Version
    Sign(
        pattern=r"^10\s+0\s+(?P<build>1\d{4})\s+\d+$",
        literal="     0      1",
        sample="10     0      19042  928",
        strength="context",
    ),
    Sign(
        pattern=r"\bWindows 10\b.{0,24}?\b(?P<named>1903|1909|2004|20H2|21H1)\b",
        literal="Windows 10",
        sample="Windows 10 Pro, 20H2",
        strength="context",
    ),
)


class TooOld(Variant, frozen=True, kw_only=True):
    """Hold the build of a Windows that gives WSL and containers no GPU: 19042, or 21337, a preview."""

    build: int


def told(seen: Seen) -> TooOld | None:
    """Return the build of Windows that a log states, if GPUs in WSL 2 need a newer one; else None, also if the log states none."""
    stated = seen.group("build") or str(_BUILDS.get(seen.group("named") or "", ""))
    return TooOld(build=int(stated)) if stated and (int(stated) < _FIRST or int(stated) in _PREVIEWS) else None


def in_wsl(found: TooOld) -> str:
    """Return the message of the hit for WSL without containers."""
    if found.build in _PREVIEWS:
        return (
            f"WSL gets no GPU from this Windows: build {found.build} is a preview of Windows 11, and several of those previews lost the GPU in WSL. No driver "
            "changes that."
        )
    return f"WSL gets no GPU from this Windows (build {found.build}): GPUs in WSL 2 need Windows 10 21H2 (build {_FIRST}) or newer, or Windows 11."


def message(found: TooOld) -> str:
    """Return the sentence for the user: this build of Windows is too old to pass the GPU into containers."""
    return (
        f"Docker Desktop cannot pass the GPU into containers: this Windows (build {found.build}) is too old. GPUs in WSL 2 need Windows 10 21H2 "
        f"(build {_FIRST}) or newer, or Windows 11."
    )


def fixes(facts: Facts, *, wsl: bool = False) -> tuple[Fix, ...]:
    """Return the fix: update Windows, then the kernel of WSL, and Docker Desktop or with `wsl` the driver in Windows."""
    update = commands.by_hand(
        ("start", "ms-settings:windowsupdate"),
        "in Windows: opens Windows Update. Install the newest Windows 10 (22H2) or Windows 11, and restart; winver shows the version after that",
        "Windows",
        "medium",
        takes="an hour",
    )
    if wsl:
        steps = (update, *_of_wsl())
        return (Fix(title="Update Windows, then WSL", steps=steps, verify=commands.check(facts)),)
    steps = (update, *gpu_containers.docker_desktop())
    return (Fix(title="Update Windows to 21H2 or newer", steps=steps, verify=commands.check(facts)),)


def _of_wsl() -> tuple[Step, ...]:
    kernel = commands.by_hand(("wsl.exe", "--update"), "in a terminal of Windows: the newest kernel of WSL", "WSL")
    again = commands.by_hand(("wsl.exe", "--shutdown"), "in the same terminal; then open WSL again", "restarts WSL")
    look = commands.by_hand(
        ("/usr/lib/wsl/lib/nvidia-smi",),
        "in WSL: has to list the GPU. It is the command of the Windows driver; install none inside WSL",
        "nothing",
        "none",
    )
    return kernel, again, look
