"""The driver ended a kernel that ran longer than a screen may wait.

What it is
    A GPU that draws the screen cannot draw while a kernel computes. Windows resets the driver after two seconds (TDR), and the driver for
    Linux ends a kernel after some seconds if a display server uses the GPU.

How it shows
    "CUDA error: the launch timed out and was terminated", on Windows also a black screen and "Display driver nvlddmkm stopped
    responding and has recovered" in the event log.

Why it happens
    One kernel takes too long: a large batch on a slow or old GPU, or a GPU that is overheated or out of memory and swaps to the memory of
    the host (Windows' shared GPU memory).

What to do
    Smaller work for each call: a smaller batch or image. Windows: raise TdrDelay to 60 seconds. Linux: compute on a GPU without a
    screen, or stop the display server.

How to reproduce
    There is no recipe: it needs a GPU that draws a screen.

References
    https://learn.microsoft.com/windows-hardware/drivers/display/tdr-registry-keys
    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#compute-modes
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

MODE = FailureMode(
    code="AD517",
    slug="display-time-limit",
    title="A kernel ran longer than the screen may wait",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    says="The driver ended a kernel that took too long: this GPU also draws the screen, for which the system sets a time limit.",
    signs=(
        Sign(
            pattern=r"the launch timed out and was terminated",
            literal="the launch timed out and was terminated",
            sample="RuntimeError: CUDA error: the launch timed out and was terminated",
        ),
        Sign(
            pattern=r"(?:nvlddmkm|Display driver).{0,80}stopped responding and has (?:successfully )?recovered",
            literal="stopped responding and has",
            sample="Display driver nvlddmkm stopped responding and has successfully recovered.",
        ),
        Sign(
            pattern=r"CUDA_ERROR_LAUNCH_TIMEOUT",
            literal="CUDA_ERROR_LAUNCH_TIMEOUT",
            sample="cuda error: CUDA_ERROR_LAUNCH_TIMEOUT: the launch timed out",
        ),
    ),
)
# There is no `detect`: how long a kernel takes is seen when it runs.

_KEY = r"HKLM\SYSTEM\CurrentControlSet\Control\GraphicsDrivers"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    smaller = commands.by_hand(
        (),
        "train with a smaller batch or imgsz: each kernel then takes less time",
        "the settings of the training",
        "none",
    )
    less = Fix(title="Give each call less work", steps=(smaller,), verify=verify)
    if facts.system.os == "windows" or places.wsl(facts):
        raised = commands.by_hand(
            ("reg", "add", _KEY, "/v", "TdrDelay", "/t", "REG_DWORD", "/d", "60", "/f"),
            "in an administrator's command prompt of Windows: 60 seconds in place of 2; then restart Windows",
            "one value of the registry",
            "medium",
            risk_text="a GPU that really hangs then freezes the screen for a minute",
        )
        return (less, Fix(title="Raise Windows' time limit", steps=(raised,), verify=verify))
    screen = commands.by_hand(
        ("nvidia-smi",),
        "shows the GPUs, and in its list of processes Xorg or gnome-shell on the GPU that draws the screen: compute on another one (device=1), or log in by "
        "ssh and stop the display server (sudo systemctl isolate multi-user.target)",
        "nothing",
        "none",
    )
    return (less, Fix(title="Compute on a GPU without a screen", steps=(screen,), verify=verify))
