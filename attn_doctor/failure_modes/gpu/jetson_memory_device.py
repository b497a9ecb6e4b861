"""On a Jetson, the user may not open the device of its memory.

What it is
    The GPU of a Jetson uses the memory of the board through /dev/nvmap and /dev/nvhost-*. These files belong to the groups video and render. A
    user, or a container, without these groups cannot use the GPU.

How it shows
    "NvRmMemInitNvmap failed with Permission denied", "Memory Manager Not supported", "NvRmMemMgrInit failed error type: 196626"; then
    torch.cuda.is_available() is False, or cuInit returns 999.

Why it happens
    A user was added later, and not to the group video. A program runs in a container as another user than root, as a service, or over SSH.

What to do
    Add the user to the groups video and render, and log in again. In a container: --runtime nvidia, and --group-add video.

How to reproduce
    There is no recipe, because it takes a Jetson.

References
    https://github.com/NVIDIA/NemoClaw/pull/5018 (/dev/nvmap belongs to root:video; --group-add)
    https://docs.nvidia.com/jetson/archives/r36.4/DeveloperGuide/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD482",
    slug="jetson-memory-device",
    title="A user may not open the memory device of a Jetson",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    stops="gpu",
    explains=("torch-sees-no-gpu", "cuda-init-error", "driver-missing", "segfault"),
    signs=(
        Sign(
            pattern=r"NvRmMemInitNvmap failed(?: with|: error)? Permission denied",
            literal="NvRmMemInitNvmap failed",
            sample="NvRmMemInitNvmap failed with Permission denied",
        ),
        Sign(
            pattern=r"NvRmMem(?:Mgr)?Init failed\*{0,4}",
            literal="NvRmMem",
            sample="****NvRmMemMgrInit failed**** error type: 196626",
            strength="context",
        ),
    ),
)
# There is no `detect`: the owners of the board's devices are not among the facts.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    if not any(m.strength == "proof" for m in seen.matches):
        return None
    message = "The user may not open /dev/nvmap, the memory device of the Jetson, which belongs to the group video: so no program of this user can use the GPU."
    return Hit(message=message, evidence=evidence)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = (*commands.starting(facts), "-c", "import torch; print(torch.cuda.is_available())")
    groups = (
        commands.by_hand(
            ("sh", "-c", "sudo usermod -aG video,render $USER"),
            "adds this user to the groups that own the devices of the board",
            "the groups of this user",
        ),
        commands.by_hand(
            (), "log out and in again, or restart the board: the groups count from the next login on", "none", "none"
        ),
    )
    mine = Fix(title="Add the user to the groups video and render", steps=groups, verify=verify)
    words = "start the container with --runtime nvidia --group-add video. If it is refused still: --group-add with the number that `stat -c %g /dev/nvmap` prints on the board itself"
    container = Fix(
        title="Give the container the group video",
        steps=(commands.by_hand((), words, "the command that starts the container", "none"),),
        verify=verify,
    )
    return (container, mine) if places.container(facts) else (mine, container)
