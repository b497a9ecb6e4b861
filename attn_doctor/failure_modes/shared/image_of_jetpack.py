"""Recognise a container image for another JetPack than the board's: the board's own libraries, which are mounted into it, do not load there. Pure.

https://github.com/dusty-nv/jetson-containers/blob/master/docs/run.md (the tags r35 and r36 are releases of Jetson Linux)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.knowledge.jetson import jetpack_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

SIGNS = (
    Sign(
        pattern=r"\bdustynv/(?P<jetson_image>[\w.-]{2,60}):r(?P<l4t_of_image>3\d(?:\.\d+){1,2})",
        literal="dustynv/",
        sample="dustynv/l4t-pytorch:r35.3.1",
        strength="context",
    ),
)


class Other(Variant, frozen=True, kw_only=True):
    """Hold the name of the image ("torch_tensorrt") and the JetPack that it is for ("5.1")."""

    image: str
    jetpack: str


def told(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit if the image is for another major version of JetPack than that of the board; else None.

    None also if one of the two is not known.
    """
    image, l4t, here = seen.group("jetson_image"), seen.group("l4t_of_image"), facts.system.jetpack
    jetpack = jetpack_of(l4t) if l4t else None
    if (
        image is None
        or jetpack is None
        or not isinstance(here, str)
        or here.partition(".")[0] == jetpack.partition(".")[0]
    ):
        return None
    return Hit(
        message=f"The image {image} is for JetPack {jetpack}, and the board has JetPack {here}: the board's libraries, which are mounted into the container, do not load there.",
        evidence=building.lines(list(seen.matches)),
        variant=Other(image=image, jetpack=jetpack),
    )


def fix(facts: Facts, other: Other) -> Fix:
    """Return the fix: an image for the board's own JetPack."""
    newer = commands.by_hand(
        ("git", "-C", "jetson-containers", "pull"),
        "in the folder that has the clone: knows the images for newer JetPacks",
        "the clone",
        "none",
    )
    run = commands.by_hand(
        ("sh", "-c", f"jetson-containers run $(autotag {other.image})"),
        f"chooses an image for JetPack {facts.system.jetpack}. If it takes the old one again: jetson-containers build {other.image}, which makes one for this board",
        "a new container",
        takes="up to an hour",
    )
    return Fix(title="Use an image for this JetPack", steps=(newer, run), verify=commands.check(facts))
