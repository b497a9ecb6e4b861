"""Read the two releases of cuDNN in torch's error, and give the fix that installs the one for which torch was compiled. Pure."""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared.torch_facts import of_conda as installed_by_conda
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

# torch/backends/cudnn/__init__.py: "against 7102 but linked against 7605" in torch 0.2 to 1.2, "against (8, 9, 2) but found runtime version (8, 5, 0)" today.
PAIR = r"(?: \(?(?P<compiled>\d[\d, ]{1,10}\d)\)? but (?:found runtime version|linked against) \(?(?P<running>\d[\d, ]{1,10}\d))?"


class Releases(NamedTuple):
    """Hold the release of cuDNN for which torch was compiled, and the release that was found."""

    compiled: str  # "7.1.2"
    found: str


def told(seen: Seen) -> Releases | None:
    """Return both releases of the error; None if the log does not show them."""
    compiled, found = seen.group("compiled"), seen.group("running")
    return Releases(_dotted(compiled), _dotted(found)) if compiled and found else None


def _dotted(text: str) -> str:
    """Return a release as "8.9.2": the error writes it as a tuple, or as major * 1000 + minor * 100 + patch, since cuDNN 9 as major * 10000 + minor * 100 + patch."""
    if "," in text:
        return ".".join(part.strip() for part in text.split(","))
    number = int(text)
    major = 10_000 if number >= 90_000 else 1000
    return f"{number // major}.{number % major // 100}.{number % 100}"


def of_conda(facts: Facts, release: str) -> tuple[Fix, ...]:
    """Return the fix that installs the cuDNN 7 for which torch was compiled, into a conda environment.

    Empty elsewhere, and for any other major version: cuDNN 8 and newer are brought by torch itself.
    https://github.com/xingyizhou/CenterNet/issues/119
    """
    if not release.startswith("7.") or not (installed_by_conda(facts, "torch") or places.environment_tool(facts)):
        return ()
    step = commands.by_hand(
        places.conda_install(facts, f"cudnn={release}", channels=()),
        "a torch so old loads the cuDNN of its environment, and takes only the release for which it was compiled; if conda has no package of that release, "
        "use the next fix",
        "cudnn of this environment",
        "medium",
        takes="about 250 MB",
    )
    return (Fix(title=f"Install cuDNN {release}", steps=(step,), verify=commands.check(facts)),)
