"""Cure a torch that was asked for from an index of PyTorch for a CUDA for which PyTorch publishes nothing: cu122, cu125, cu131. Pure.

https://download.pytorch.org/whl/ lists the indexes; https://github.com/pytorch/pytorch/blob/main/RELEASE.md has the CUDA of each release. nvidia-smi
shows the newest CUDA that the driver runs, and people write this number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from attn_doctor import commands
from attn_doctor.commands.installers import chosen
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.knowledge import pytorch
from attn_doctor.knowledge.rows import TorchBuild
from attn_doctor.knowledge.tables import load
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import Pair, dotted, pair

_FIRST = (11, 7)  # the tables of builds begin here; before it are other names


SIGNS = (
    # uv and poetry: such an address answers 403.
    Sign(
        pattern=r"[Bb]ecause (?P<missing>torch(?:vision|audio)?) was not found in the (?:package registry|provided package locations)",
        literal=" was not found in the ",
        sample="  ╰─▶ Because torch was not found in the package registry and you require torch, we can conclude that your requirements are unsatisfiable.",
        strength="hint",
    ),
    Sign(
        pattern=r"403 Client Error: Forbidden for url: https://download\.pytorch\.org/whl/cu\d{3}/(?P<missing>torch\w{0,8})",
        literal="403 Client Error: Forbidden for url",
        sample="403 Client Error: Forbidden for url: https://download.pytorch.org/whl/cu122/torch/",
        strength="hint",
    ),
)


class NoSuchIndex(Variant, frozen=True, kw_only=True):
    """Hold the CUDA of the index that does not exist, "13.1", and the release of torch that was asked for."""

    cuda: str
    torch: str | None


def told(seen: Seen, lines: Sequence[Match]) -> Hit | None:
    """Return the hit if the log asks PyTorch's index of a CUDA for which no torch was built ("cu122"); None for other logs.

    `lines`: the lines in which the installer says that there is no such release. If it is empty, the lines of uv and Poetry count.
    """
    lines = lines or [m for m in seen.matches if m.groups.get("missing")]
    found = re.search(r"whl/cu(\d{2})(\d)\b", seen.group("cuda") or "")
    asked = (int(found[1]), int(found[2])) if found else None
    known = _known()
    if asked is None or not _FIRST < asked < max(known) or asked in known:
        return None
    if not any("torch" in m.text for m in lines):
        return None
    torch = next((m[1] for line in lines if (m := re.search(r"\btorch==(\d+\.\d+(?:\.\d+)?)", line.text))), None)
    flavour = f"cu{asked[0]}{asked[1]}"
    return Hit(
        message=f"PyTorch has no index {flavour}: no torch is built for CUDA {dotted(asked)}. A driver that shows this number runs torch for an older CUDA too.",
        evidence=building.lines(list(lines)),
        explains=("environment-pollution",),
        variant=NoSuchIndex(cuda=dotted(asked), torch=torch),
    )


def _known() -> set[Pair]:
    return {found for row in load(TorchBuild) if (found := pair(row.cuda))}


def fixes(facts: Facts, found: NoSuchIndex) -> tuple[Fix, ...]:
    """Return the fixes that install a torch from an index that exists.

    If the log names the release of torch: that release, built for the newest CUDA below the requested one ("13.0" for
    "13.1"). Else, and for Poetry, the newest torch. For Poetry the first step removes the source that does not exist.
    """
    asked = pair(found.cuda) or _FIRST
    title = "Take the index that exists"
    if chosen(facts)[0] == "poetry":
        made = torch_steps.newest(
            facts, title, why="an index that exists; torch brings its own CUDA, and needs no toolkit"
        )
        gone = commands.by_hand(
            ("poetry", "source", "show"),
            f"shows the sources of the project; take the one of CUDA {found.cuda} out of it, with `poetry source remove` and its name: Poetry asks every source",
            "nothing",
            "none",
        )
        return tuple(msgspec.structs.replace(fix, steps=(gone, *fix.steps)) for fix in made)
    if found.torch is not None:
        cudas = [cuda for row in pytorch.builds(found.torch) if (cuda := pair(row.cuda))]
        fitting = max((cuda for cuda in cudas if cuda < asked), default=None)
        why = f"the build of torch {found.torch} for an older CUDA, which the same driver runs"
        steps = torch_steps.release(facts, found.torch, why, dotted(fitting) if fitting else None)
        if steps:
            return (Fix(title=title, steps=steps, verify=commands.check(facts)),)
    return torch_steps.newest(facts, title, why="an index that exists; torch brings its own CUDA, and needs no toolkit")
