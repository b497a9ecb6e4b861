"""Recognise a list of packages that was written on Linux, by packages that have wheels for Linux alone. Pure.

torch for Linux requires these itself, so `pip freeze` writes them into the list: https://pypi.org/project/nvidia-nccl-cu12/#files, https://pypi.org/project/triton/#files
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

_NAMES = r"nvidia-(?:nccl|cufile|nvshmem)-cu\d\d|triton|pytorch-triton"

SIGNS = (
    Sign(
        pattern=rf"(?:satisfies the requirement|distribution found for) (?P<linux_only>{_NAMES})(?=[=<>~! ]|$)",
        literal=" for ",
        sample="ERROR: No matching distribution found for nvidia-nccl-cu12==2.21.5",
        strength="hint",
    ),
    Sign(
        pattern=rf"satisfies the requirement (?P<linux_only>{_NAMES})(?=[=<>~! ])",
        literal="satisfies the requirement",
        sample="ERROR: Could not find a version that satisfies the requirement triton==2.1.0 (from versions: none)",
        strength="hint",
    ),
    Sign(
        pattern=rf"[Bb]ecause (?P<linux_only>{_NAMES})(?:==\S{{1,30}}|[<>]=?\S{{1,40}})? has no (?:wheels|`)",
        literal=" has no ",
        sample="Because nvidia-nccl-cu12==2.21.5 has no wheels with a matching platform tag (e.g., `win_amd64`) and you require",
        strength="hint",
    ),
    # The package itself was typed, and stands in no list.
    *(
        Sign(
            pattern=rf"(?:pip3?|pip3?\.exe|uv|poetry|pdm|conda|mamba)[\"']? {word}(?! .{{0,100}}(?:-r|--requirement) ).{{0,120}}? [\"']?(?P<typed>{_NAMES})(?=[=<>~!\s\"']|$)",
            literal=f" {word} ",
            sample=f"C:\\work>pip {word} triton==2.1.0",
            strength="context",
        )
        for word in ("install", "add")
    ),
    Sign(
        pattern=r"\(e\.g\., [`'](?P<tag>win_amd64|macosx_\w{1,30})",
        literal="(e.g., ",
        sample="nvidia-nccl-cu12==2.21.5 has no wheels with a matching platform tag (e.g., `win_amd64`)",
        strength="context",
    ),
    *(
        Sign(
            pattern=rf"(?<![A-Za-z])(?P<drive>{drive}:\\)\w",
            literal=f"{drive}:\\",
            sample=f"PS {drive}:\\work> pip install -r requirements.txt",
            strength="context",
        )
        for drive in ("C", "D", "E")
    ),
)


class OfLinux(Variant, frozen=True, kw_only=True):
    """Hold the packages of the list that exist for Linux alone."""

    names: tuple[str, ...]
    typed: bool = False  # the user asked for the package itself, and not for a list


def told(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for packages with wheels for Linux alone that are asked for on Windows or macOS; else None.

    Example: "nvidia-nccl-cu12". The message is another one if the user typed the package, and did not take it from a
    list. None also for a typed triton.
    """
    lines: Sequence[Match] = [m for m in seen.matches if m.groups.get("linux_only")]
    tag = seen.group("tag") or ("win" if seen.group("drive") is not None else "")
    os = facts.system.os if isinstance(facts.system.os, str) else None
    here = (
        "Windows"
        if os == "windows" or (os is None and tag.startswith("win"))
        else "macOS"
        if os == "darwin" or (os is None and tag)
        else None
    )
    if not lines or here is None:
        return None
    names = tuple(dict.fromkeys(m.groups["linux_only"] for m in lines))
    asked = {m.groups["typed"] for m in seen.matches if m.groups.get("typed")}
    if set(names) <= asked:
        if any("triton" in name for name in names):
            return None  # triton-missing names the build of Triton for Windows
        return Hit(
            message=f"{', '.join(names)} has wheels for Linux alone, and torch for {here} does without it.",
            evidence=building.lines(list(lines)),
            variant=OfLinux(names=names, typed=True),
            explains=(
                "environment-pollution",
                "no-matching-distribution",
                "python-too-new-no-wheel",
                "requirements-missing",
            ),
        )
    return Hit(
        message=f"The list of packages is from Linux: {', '.join(names)} has wheels for Linux alone, and torch for {here} does without it.",
        evidence=building.lines(list(lines)),
        variant=OfLinux(names=names),
        severity=Severity.ERROR,
        explains=("environment-pollution", "no-matching-distribution", "python-too-new-no-wheel", "requirements-missing"),
    )  # fmt: skip


def fixes(facts: Facts, found: OfLinux) -> tuple[Fix, ...]:
    """Return the fixes: take the lines of Linux out of the list, or give them a marker.

    On Windows, for a list with triton, also install triton-windows. If the user typed the package: leave it out.
    """
    verify = commands.check(facts)
    if found.typed:
        words = "torch for this system needs no such package: install torch alone, and do without what needs NCCL (several GPUs with the backend nccl: gloo here, or Linux and WSL2)"
        step = commands.by_hand((), words, "nothing", "none")
        return (Fix(title="Leave that package out", steps=(step,), verify=verify),)
    out = commands.by_hand(
        (),
        "delete these lines from the list, and all others that begin with nvidia- or triton: torch installs itself what it needs on each system. Then repeat your command",
        "your list of packages",
        "none",
    )
    marker = commands.by_hand(
        (),
        'if the list is for Linux too: write `; sys_platform == "linux"` behind each of these lines. uv makes such a list by `uv pip compile --universal`',
        "your list of packages",
        "none",
    )
    made = [Fix(title="Take the packages of Linux out of the list", steps=(out, marker), verify=verify)]
    if facts.system.os == "windows" and any(re.fullmatch("triton|pytorch-triton", name) for name in found.names):
        own = commands.install(
            "triton-windows",
            why="if the program itself imports triton: a build of Triton for Windows by its community (https://github.com/woct0rdho/triton-windows)",
            changes="adds triton-windows",
        )
        made.append(Fix(title="Install the Triton for Windows", steps=(own,), verify=verify))
    return tuple(made)
