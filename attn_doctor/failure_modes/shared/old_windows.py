"""Judge whether a Windows is too old for GPUs in containers: WSL 2 has them since Windows 10 21H2 (build 19044) and in Windows 11. Pure.

https://learn.microsoft.com/windows/wsl/tutorials/gpu-compute, https://docs.docker.com/desktop/features/gpu/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import gpu_containers
from attn_doctor.failure_modes.mode import Sign, Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_FIRST = 19044  # the build of Windows 10 21H2
_BUILDS = {"1903": 18362, "1909": 18363, "2004": 19041, "20H2": 19042, "21H1": 19043}

SIGNS = (
    Sign(
        pattern=r"\b10\.0\.(?P<build>1\d{4})\b",
        literal="10.0.1",
        sample="Microsoft Windows [Version 10.0.19042.928]",
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
    """Hold the build of a Windows that passes no GPU into containers: 19042."""

    build: int


def told(seen: Seen) -> TooOld | None:
    """Return the build of Windows that a log states, if GPUs in WSL 2 need a newer one; else None, also if the log states none."""
    stated = seen.group("build") or str(_BUILDS.get(seen.group("named") or "", ""))
    return TooOld(build=int(stated)) if stated and int(stated) < _FIRST else None


def message(found: TooOld) -> str:
    """Return the sentence for the user: this build of Windows is too old to pass the GPU into containers."""
    return (
        f"Docker Desktop cannot pass the GPU into containers: this Windows (build {found.build}) is too old. GPUs in WSL 2 need Windows 10 21H2 "
        f"(build {_FIRST}) or newer, or Windows 11."
    )


def fixes(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix: update Windows, then the kernel of WSL and Docker Desktop."""
    update = commands.by_hand(
        ("start", "ms-settings:windowsupdate"),
        "in Windows: opens Windows Update. Install the newest Windows 10 (22H2) or Windows 11, and restart; winver shows the version after that",
        "Windows",
        "medium",
        takes="an hour",
    )
    steps = (update, *gpu_containers.docker_desktop())
    return (Fix(title="Update Windows to 21H2 or newer", steps=steps, verify=commands.check(facts)),)
