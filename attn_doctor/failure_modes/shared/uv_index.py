"""Judge uv's "there is no version of torch==2.4.0+cu124": such a build is on PyTorch's own index, which uv was not told to search. Pure.

https://docs.astral.sh/uv/guides/integration/pytorch/
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.knowledge import torch_choice
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity
from attn_doctor.model.steps import Install

_BUILD = re.compile(
    r"(?P<name>torch|torchvision|torchaudio)==(?P<version>\d[\d.]*)\+(?P<flavour>cu\d{2,3}|cpu|xpu|rocm[\d.]+)"
)
_OF_PROJECT = "your project"  # `uv pip install` writes "and you require" in its place


class OnAnotherIndex(Variant, frozen=True, kw_only=True):
    """Hold the builds that uv did not find."""

    builds: tuple[str, ...]  # "torch==2.4.0+cu124"
    flavour: str  # "cu124": PyTorch's index of this name has them
    project: bool  # of a project with pyproject.toml, not of `uv pip install`


def told(seen: Seen) -> Hit | None:
    """Return the hit for a log in which uv finds no build with a local version; None for any other log."""
    lines = [m for m in seen.matches if "ecause there " in m.text and m.strength == "proof"]
    found = [build for m in lines if (build := _BUILD.search(m.groups.get("requirement", "")))]
    if not found:
        return None
    flavour = found[0]["flavour"]
    project = any(_OF_PROJECT in m.text for m in lines)
    message = f"uv found no {found[0][0]} on the indexes that it searched: builds with +{flavour} are only on PyTorch's own index."
    if project:
        message += " `uv sync`, `uv lock` and `uv run` do not read the indexes under [tool.uv.pip]; they read [[tool.uv.index]]."
    return Hit(
        message=message,
        evidence=building.lines(lines),
        variant=OnAnotherIndex(
            builds=tuple(dict.fromkeys(build[0] for build in found)),
            flavour=flavour,
            project=project,
        ),
        severity=Severity.ERROR,
        explains=("environment-pollution",),
    )


def fixes(facts: Facts, found: OnAnotherIndex) -> tuple[Fix, ...]:
    """Return the fix that names PyTorch's index: in pyproject.toml for a project, on the command line else."""
    address = torch_choice.index_of(found.flavour)
    if not found.project:
        step = Install(requirements=found.builds, why="", changes="", index_url=address)
        made = commands.by_own_tool(facts, step)
        taken = commands.by_hand(made.argv, "takes the build from PyTorch's own index", ", ".join(found.builds))
        return (Fix(title="Take the build from PyTorch's index", steps=(taken,), verify=commands.check(facts)),)
    name = f"pytorch-{found.flavour.replace('.', '-')}"
    add = commands.by_hand(
        ("uv", "add", *found.builds, "--index", f"{name}={address}"),
        "writes [[tool.uv.index]] with PyTorch's index, and under [tool.uv.sources] that this package comes from there; then it installs",
        "pyproject.toml, uv.lock and the environment",
    )
    explicit = commands.by_hand(
        (),
        f'in pyproject.toml, add the line explicit = true below url = "{address}": uv then takes no other package from that index. The entries under '
        "[tool.uv.pip] are only for `uv pip`, and can go",
        "pyproject.toml",
        "none",
    )
    return (Fix(title="Name PyTorch's index in pyproject.toml", steps=(add, explicit), verify=commands.check(facts)),)
