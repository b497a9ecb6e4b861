"""Make the fixes for a container image whose software has no code for the GPU: another release of NVIDIA's image, or the same image, newer. Pure.

https://docs.nvidia.com/deeplearning/frameworks/support-matrix/index.html (the GPUs, the CUDA and the driver of each release)
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import container_starts
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import capability

_MATRIX = "https://docs.nvidia.com/deeplearning/frameworks/support-matrix/index.html"
# (newest compute capability, release of nvcr.io/nvidia/pytorch that supports it, the driver that it needs), the release with the oldest driver first.
_RELEASES = (
    ((9, 0), "22.12-py3", "driver 520 or newer, on a data center card 450 or newer"),
    ((12, 1), "25.03-py3", "driver 570 or newer"),
)
_OLDER = "20.12-py3"  # the last releases for Kepler; Pascal and Volta are in the releases up to 25.01
_NAME = re.compile(r"--name[= ](?P<name>[\w.-]+)")


def of_nvidia(facts: Facts, card: str | None, *, older: bool) -> Fix:
    """Return the fix that starts another release of NVIDIA's image, because this one does not support the GPU.

    `card`: its compute capability, "8.0"; None: not known. `older`: the image is too new for the GPU; False: too old.
    """
    which = "an older" if older else "a newer"
    number = capability(card) if card else None
    release, needs = _OLDER, "the GPUs of Kepler and newer"
    if not older or (number is not None and number >= (6, 0)):
        release, needs = next(
            ((r, n) for most, r, n in _RELEASES if number is None or number <= most), _RELEASES[-1][1:]
        )
    own = container_starts.image(facts)
    typed = container_starts.typed(facts)
    image = f"nvcr.io/nvidia/pytorch:{release}"
    argv = (
        container_starts.with_image(typed, own, image)
        if typed
        else ("docker", "run", "--gpus", "all", "-it", "--rm", "--ipc=host", image)
    )
    start = commands.by_hand(
        argv,
        f"on the host: a release of the image that supports the GPU ({needs}: nvidia-smi shows yours). The table of all releases: {_MATRIX}",
        "a new container",
        "none",
        takes="up to 20 GB",
    )
    return Fix(title=f"Use {which} container image", steps=(start,), verify=commands.check(facts))


def newer(facts: Facts) -> tuple[Fix, ...]:
    """Return the fix that pulls the newest image of the same name, and starts the container again from it.

    Empty if the log does not show how the container was started, or if the tag of the image is not "latest": another
    tag does not become newer.
    """
    typed, image = container_starts.typed(facts), container_starts.image(facts)
    again = container_starts.again(facts)
    if typed is None or again is None or image == container_starts.IMAGE or not image.endswith(":latest"):
        return ()
    root = ("sudo",) if typed.startswith("sudo ") else ()
    name = _NAME.search(typed)
    pull = commands.by_hand(
        (*root, "docker", "pull", image),
        "on the host: what pip changes inside of a container is gone when the container is made anew; a newer image has a newer torch",
        "the image",
        "none",
        takes="10 to 20 GB",
    )
    gone: tuple[Step, ...] = ()
    if name is not None:
        gone = (
            commands.by_hand(
                (*root, "docker", "rm", "-f", name["name"]),
                "the container of the old image",
                f"the container {name['name']}",
                "medium",
            ),
        )
    start = commands.by_hand(again, "the same command, with the new image", "a new container", "none")
    return (Fix(title="Start from the newest image", steps=(pull, *gone, start), verify=commands.check(facts)),)
