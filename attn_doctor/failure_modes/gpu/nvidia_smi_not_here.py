"""nvidia-smi does not exist on this kind of machine.

What it is
    nvidia-smi belongs to NVIDIA's driver for PCs and servers. A Mac has none, and a Jetson has other tools.

How it shows
    "zsh: command not found: nvidia-smi" on a Mac, "bash: nvidia-smi: command not found" on a Jetson.

Why it happens
    macOS has no NVIDIA driver: torch computes on the GPU of a Mac by MPS. JetPack 4 and 5 have no nvidia-smi, and that of JetPack 6 shows little:
    tegrastats shows the GPU.

What to do
    Ask torch itself: torch.backends.mps.is_available() on a Mac, torch.cuda.is_available() on a Jetson.

How to reproduce
    There is no recipe: type nvidia-smi on a Mac.

References
    https://docs.pytorch.org/docs/stable/notes/mps.html
    https://github.com/ultralytics/ultralytics/pull/20680 (none in JetPack 5; in JetPack 6 most fields are empty)
    https://docs.nvidia.com/jetson/archives/r36.4/DeveloperGuide/AT/JetsonLinuxDevelopmentTools/TegrastatsUtility.html
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import nvidia_smi_absent
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD463",
    slug="nvidia-smi-not-here",
    title="This kind of machine has no nvidia-smi",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    explains=("driver-missing",),
    signs=(
        *nvidia_smi_absent.SIGNS,
        Sign(
            pattern=r"^ProductName:\s{1,24}(?P<mac>macOS)",
            literal="macOS",
            sample="ProductName:\t\tmacOS",
            strength="context",
        ),
        Sign(
            pattern=r"^\S{1,60}@\S{0,60}(?P<mac>Mac)\S{0,30} ",
            literal="Mac",
            sample="user@users-MacBook-Air ~ % nvidia-smi",
            strength="context",
        ),
        Sign(
            pattern=r"(?P<jetson>-tegra)\b",
            literal="-tegra",
            sample="Linux nano 5.10.120-tegra aarch64",
            strength="context",
        ),
    ),
)
# There is no `detect`: nobody misses the command on such a machine, unless a program or a guide asks for it.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    mac, jetson = seen.group("mac"), seen.group("jetson")
    return nvidia_smi_absent.hit(facts, seen.matches, here=True, kind="mac" if mac else "jetson" if jetson else None)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    absent = hit.variant if isinstance(hit.variant, nvidia_smi_absent.Absent) else None
    return nvidia_smi_absent.fixes(facts, absent or nvidia_smi_absent.Absent(where="mac"))
