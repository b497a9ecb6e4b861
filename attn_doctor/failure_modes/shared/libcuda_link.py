"""Recognise that a program looks for libcuda.so, a link to the driver's libcuda.so.1, and make the link. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix

SIGNS = (
    # cuDNN 8 looks for libcuda.so without .1: that link is missing if the driver's development package is not installed.
    Sign(
        pattern=r"(?:Error: |OSError: |ImportError: )(?P<unlinked>libcuda\.so): cannot open shared object file",
        literal="libcuda.so: cannot open",
        sample="Could not load library libcudnn_cnn_infer.so.8. Error: libcuda.so: cannot open shared object file: No such file or directory",
        strength="hint",
    ),
)


class Unlinked(Variant, frozen=True):
    """Mark the case that a program looked for libcuda.so, a link to the driver's libcuda.so.1."""


def told(matches: tuple[Match, ...]) -> bool:
    """Return whether one of the lines says that libcuda.so was not found."""
    return any("unlinked" in m.groups for m in matches)


def hit(evidence: tuple[Evidence, ...]) -> Hit:
    """Return the hit for a missing libcuda.so."""
    return Hit(
        message="libcuda.so is not found: the link to the driver's libcuda.so.1 is missing, or there is no driver.",
        evidence=evidence,
        variant=Unlinked(),
        confidence=Confidence.MEDIUM,
    )


def fix(facts: Facts) -> Fix:
    """Return the fix that makes the missing link libcuda.so. Under WSL the library is in another folder, /usr/lib/wsl/lib.

    https://github.com/microsoft/WSL/issues/8587, https://github.com/facebookresearch/nougat/issues/105
    """
    look = commands.by_hand(
        ("sh", "-c", "ldconfig -p | grep libcuda.so"),
        "prints the folder of libcuda.so.1. If it prints nothing, the driver is missing: use the other fix. Under WSL, run only: "
        "export LD_LIBRARY_PATH=/usr/lib/wsl/lib",
        "nothing",
        "none",
    )
    folder = f"/usr/lib/{places.architecture(facts)}-linux-gnu"
    link = commands.by_hand(
        places.as_root(facts, "ln", "-s", "libcuda.so.1", f"{folder}/libcuda.so"),
        f"{folder} is the folder on Ubuntu and Debian: replace it by the folder that the command before printed",
        "adds a link",
    )
    return Fix(title="Link libcuda.so to the driver's library", steps=(look, link), verify=commands.check(facts))
