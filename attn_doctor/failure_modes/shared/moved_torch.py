"""Make the fixes if an installation replaced torch and not its torchvision. Pure.

The fixes install the torchvision for the new torch, or the old torch again. pip reports the case in lines such as "torchvision 0.15.2
requires torch==2.0.1, but you have torch 2.1.0+cu118 which is incompatible."
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Variant
from attn_doctor.failure_modes.shared import subject, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import machine_of
from attn_doctor.knowledge import built_packages, torch_choice
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

_FAMILY = ("torchvision", "torchaudio")
_LAST_AUDIO = (2, 11)  # the last torchaudio has the number of torch 2.11


class Moved(Variant, frozen=True, kw_only=True):
    """Hold the new torch, and the packages that need another torch according to pip."""

    torch: str  # the torch that is installed now, "2.1.0+cu118"
    belong: tuple[str, ...]  # the packages that have a release for each torch: "torchvision"
    before: str | None  # the torch that these packages need, "2.0.1"; None: they need different ones
    others: tuple[str, ...]  # the other packages in pip's lines


def of_pip(pairs: list[Match]) -> Moved | None:
    """Return the new torch, and the packages that need the old one, by pip's lines about conflicts with torch.

    None if none of these packages has a release for each torch, as torchvision has.
    """
    asked = [m.groups for m in pairs if m.groups["requires"] == "torch"]
    have = next((found[1] for g in asked if (found := re.match(r"torch (\d[\w.+]*)", g["have"]))), None)
    named = list(dict.fromkeys(g["package"].lower().replace("_", "-") for g in asked))
    belong = tuple(name for name in named if name in _FAMILY or _on_the_index(name))
    if have is None or not belong or pair(have) is None:
        return None
    exact = [found[1] for m in pairs if (found := re.search(r"requires torch==(\d[\d.]*\d)(?=[,;\s])", m.text))]
    return Moved(
        torch=have.rstrip("."),
        belong=belong,
        before=exact[0] if exact and set(exact) == {exact[0]} else None,
        others=tuple(name for name in named if name not in belong),
    )


def _on_the_index(name: str) -> bool:
    """Return whether this package has a release for each torch on the index of PyTorch."""
    row = built_packages.row_of(name)
    return row is not None and row.wheels == "pytorch-index"


def sentence(moved: Moved) -> str:
    """Return the message: "torch 2.1.0 is installed now, and torchvision is built for torch 2.0.1: only torch was replaced."."""
    names = " and ".join(moved.belong)
    those = f"torch {moved.before}" if moved.before else "another torch"
    return (
        f"torch {moved.torch} is installed now, and {names} {'is' if len(moved.belong) == 1 else 'are'} built for {those}: "
        "only torch was replaced."
    )


def fixes(facts: Facts, moved: Moved) -> tuple[Fix, ...]:
    """Return the fixes, in this order: Colab's or Kaggle's own torch; the releases for the installed torch; the previous torch."""
    stated = subject.stated(facts)
    names = tuple(dict.fromkeys((*moved.belong, *((stated,) if stated and _on_the_index(stated) else ()))))
    numbers = pair(moved.torch) or (0, 0)
    family = tuple(name for name in names if name in _FAMILY and (name != "torchaudio" or numbers <= _LAST_AUDIO))
    with_code = tuple(name for name in names if name not in _FAMILY)
    left = (
        f"; pip may still print conflicts of {', '.join(moved.others)}: remove those that you do not use"
        if moved.others
        else ""
    )
    belonging = commands.install(
        *with_code,
        *torch_choice.same(moved.torch, *family),
        index_url=torch_choice.index_of_build(moved.torch, machine_of(facts)),
        upgrade=bool(with_code),  # an xformers for another CUDA has the same version number
        why=f"torch stays; this installs the releases that were built for it, from the index of its build{left}",
        changes=", ".join((*with_code, *family)),
        takes="up to 1 GB",
    )
    verify = commands.check(facts)
    made = [
        *torch_steps.fresh_runtime(facts),
        Fix(title="Install the releases that fit the installed torch", steps=(belonging,), verify=verify),
    ]
    back: tuple[Step, ...] = ()
    if moved.before is not None:
        flavour = moved.torch.partition("+")[2]
        cuda = f"{flavour[2:-1]}.{flavour[-1]}" if re.fullmatch(r"cu\d{3}", flavour) else None
        back = torch_steps.release(facts, moved.before, "the torch that they were built for", cuda, reinstall=True)
    if back:
        made.append(Fix(title="Install the torch from before again", steps=back, verify=verify))
    return tuple(made)
