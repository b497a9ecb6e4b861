"""Find in a stated environment two packages that write the same folder, in different releases: two OpenCVs. Pure.

https://pypi.org/project/opencv-python/ (section "Installation and Usage": only one of the four packages)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared.fact_queries import package_evidence
from attn_doctor.failure_modes.shared.torch_facts import distribution
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

# The most complete first: it has what the others have.
_OPENCV = ("opencv-contrib-python", "opencv-python", "opencv-contrib-python-headless", "opencv-python-headless")


class Shared(Variant, frozen=True, kw_only=True):
    """Hold the packages that write one folder, and the requirement of the one to keep."""

    packages: tuple[str, ...]
    keep: str


def found(facts: Facts) -> Hit | None:
    """Return the hit if pip installed several OpenCVs of different releases; None else: copies of one release replace each other."""
    if facts.grade != "stated":
        return None
    listed = [one for name in _OPENCV if (one := distribution(facts, name)) and one.installer != "conda"]
    versions = [one.version for one in listed if isinstance(one.version, str) and one.version]
    if len(versions) < 2 or len({".".join(version.split(".")[:3]) for version in versions}) < 2:
        return None
    newest = max(versions, key=lambda version: [int(part) for part in version.split(".") if part.isdigit()])
    names = " and ".join(f"{one.name} {one.version}" for one in listed)
    return Hit(
        message=f"{names} write the same folder cv2: its files are a mixture of two releases.",
        evidence=tuple(package_evidence(facts, one.name) for one in listed),
        variant=Shared(packages=tuple(one.name for one in listed), keep=f"{listed[0].name}=={newest}"),
        explains=("opencv-without-windows",),
    )


def fixes(facts: Facts, shared: Shared) -> tuple[Fix, ...]:
    """Return the fix: remove all of them, and install one."""
    gone = commands.uninstall(*shared.packages, why="they share one folder: removing only one damages the others")
    one = commands.install(
        shared.keep,
        why="one OpenCV; where the machine has no screen, take opencv-python-headless of the same release",
        changes="OpenCV",
    )
    return (Fix(title="Keep one OpenCV", steps=(gone, one), verify=commands.check(facts)),)
