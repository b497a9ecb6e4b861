"""Read the words of mamba, and of conda with mamba's solver, for the packages of an environment file that it does not find. Pure.

A line is "readline ==8.2 h5eee18b_0 does not exist (perhaps a typo or a missing channel)", or names a virtual package: "__linux, which is
missing on the system". The build string ends with a hash of the build's variants, which differ from system to system.
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Match, Seen

SIGNS = (
    Sign(
        pattern=r"(?P<absent>[\w.-]{1,60}) ={1,2} ?[\w.!+]{1,40}[ =](?P<build>[\w.]{1,80}) does not exist \(perhaps a typo or a missing channel",
        literal=" does not exist (perhaps a typo",
        sample="├─ readline ==8.2 h5eee18b_0 does not exist (perhaps a typo or a missing channel);",
        strength="hint",
    ),
    *(
        Sign(
            pattern=rf"(?P<{name}>(?P<virtual>{package}))(?: [=<>]\S* ?\S*)?, which is missing on the system",
            literal=package,
            sample=f"│  └─ {package}, which is missing on the system;",
            strength="hint",
        )
        for name, package in (("linux", "__linux"), ("linux", "__glibc"), ("windows", "__win"), ("darwin", "__osx"))
    ),
    # The channels that mamba lists first.
    *(
        Sign(
            pattern=rf"^\S{{0,120}}/(?P<channel>{system})-(?:64|arm64|aarch64)\s+(?:No change|Using cache|\S{{1,12}} ?[kKMG]?B)\b",
            literal=f"/{system}-",
            sample=f"conda-forge/{system}-64                                    Using cache",
            strength="context",
        )
        for system in ("win", "osx", "linux")
    ),
    # For conda, __unix is Linux or macOS: where it is missing, this is Windows.
    Sign(
        pattern=r"(?P<linux>(?P<virtual>__unix))(?: [=<>]\S* ?\S*)?, which is missing on the system",
        literal="__unix",
        sample="│  └─ __unix =* *, which is missing on the system;",
        strength="hint",
    ),
    Sign(
        pattern=r"(?:^|[\s>])(?P<tool>mamba|micromamba) (?:env )?create\b",
        literal="create",
        sample="(base) C:\\work>mamba env create -f environment.yml",
        strength="context",
    ),
)

# Hashes of builds without further variants, as Anaconda's and conda-forge's packages of many names have them.
_HASHES: dict[str, Literal["linux", "windows", "darwin"]] = {
    **dict.fromkeys(
        ("h06a4308", "h5eee18b", "h6a678d5", "h7f8727e", "h27cfd23", "h7b6447c", "h1234567", "h1181459", "hdb19cb5"),
        "linux",
    ),
    **dict.fromkeys(("hd590300", "h166bdaf", "h7f98852", "h295c915"), "linux"),
    **dict.fromkeys(("haa95532", "h2bbff1b", "hd77b12b", "h8cc25b3", "hcfcfb64", "h63175ca", "h8ffe710"), "windows"),
    **dict.fromkeys(("hecd8cb5", "h9ed2024", "hca72f7f", "hca03da5", "h80987f9", "h313beb8"), "darwin"),
}


def system_of(match: Match) -> str | None:
    """Return the system for which the build in this line was made, by its hash; None if the line has no such build."""
    build = match.groups.get("build")
    found = re.findall(r"h[0-9a-f]{7}", build) if build else []
    return next((_HASHES[text] for text in found if text in _HASHES), None)


def tool(seen: Seen) -> str:
    """Return the program that solved the file, as it was typed; "conda" if the log does not show it."""
    return seen.group("tool") or "conda"
