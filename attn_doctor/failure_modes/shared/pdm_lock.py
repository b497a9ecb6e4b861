"""Read PDM's words for a lock file that has no file of a package for this system, and lock it again. Pure.

https://pdm-project.org/latest/usage/lock-targets/ (pdm.lock is for the system where it was made, unless more targets are locked), https://github.com/pdm-project/pdm/issues/3605,
https://github.com/pdm-project/pdm/blob/main/src/pdm/cli/actions.py (do_lock keeps to the targets of the file)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

SIGNS = (
    Sign(
        pattern=r"No candidate is found for [`'](?P<pdm>[\w.-]{1,60})[`'] that matches the environment or hashes",
        literal="No candidate is found for ",
        sample="pdm.exceptions.CandidateNotFound: No candidate is found for `torch` that matches the environment or hashes",
    ),
)


class Locked(Variant, frozen=True, kw_only=True):
    """Hold the package of which pdm.lock has no file for this system: "torch"."""

    name: str


def told(seen: Seen) -> Hit | None:
    """Return the hit for a pdm.lock that has no file of a package for this system; None for other logs."""
    name = seen.group("pdm")
    if name is None:
        return None
    return Hit(
        message=f"pdm.lock has no file of {name} for this system or this Python: it was made on another system, or names a build (+cpu, +cu128) that does not exist here.",
        evidence=building.lines([m for m in seen.matches if m.groups.get("pdm")]),
        variant=Locked(name=name),
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, found: Locked) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    again = commands.by_hand(
        ("pdm", "update", found.name), f"locks {found.name} again for this system, and installs it", "pdm.lock and the environment of this project"
    )  # fmt: skip
    both = commands.by_hand(
        (),
        "if the error comes again, pdm.lock is locked for other systems by name (its metadata.targets), and an update keeps to those; the same where others use the file on another system. "
        "PDM 2.17 and newer add a system: `pdm lock --append --platform=PLATFORM` (macos_arm64, linux, windows_amd64), then pdm install",
        "pdm.lock",
        "none",
    )
    return (Fix(title=f"Lock {found.name} for this system", steps=(again, both), verify=verify),)
