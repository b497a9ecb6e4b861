"""Read from a resolver's output that a torch and a torchvision (or torchaudio) were asked for that do not belong together. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix
from attn_doctor.model.versions import strict

_FAMILY = r"(?P<member>torchvision|torchaudio)"

SIGNS = (
    # pip, Poetry and uv, in this order.
    *(
        Sign(pattern=pattern, literal=literal, sample=sample, strength="context")
        for pattern, literal, sample in (
            (
                rf"(?:^|\s){_FAMILY} (?P<release>\d[\w.+]*) depends on torch==(?P<needs>\d[\w.+]*\w)",
                " depends on torch==",
                "    torchvision 0.17.0 depends on torch==2.2.0",
            ),
            (
                rf"\b{_FAMILY} \((?P<release>\d[\w.+]*)\) depends on torch \((?P<needs>\d[\w.+]*)\)",
                ") depends on torch (",
                " and torchvision (0.16.0) depends on torch (2.1.0), torchvision (>=0.16.0,<0.17.0) requires torch (2.1.0).",
            ),
            (
                rf"\b{_FAMILY}==(?P<release>\d[\w.+]*) depends on torch==(?P<needs>\d[\w.+]*\w)",
                " depends on torch==",
                "  ╰─▶ Because torchvision==0.17.0 depends on torch==2.2.0 and your project depends on torch==2.1.0,",
            ),
            (
                r"The user requested torch==(?P<mine>\d[\w.+]*)",
                "The user requested torch==",
                "    The user requested torch==2.1.0",
            ),
            (
                r"depends on both torch \((?P<mine>\d[\w.+]*)\)",
                "depends on both torch (",
                "So, because app depends on both torch (2.2.0) and torchvision (0.16.0), version solving failed.",
            ),
            (
                r"(?:your project depends on|you require) torch==(?P<mine>\d[\w.+]*\w)",
                " torch==",
                "and your project depends on torch==2.1.0, we can conclude that your project's requirements are unsatisfiable.",
            ),
        )
    ),
)


class Pair(Variant, frozen=True, kw_only=True):
    """Hold the torch that was asked for, "2.1.0", and the package that belongs to another torch."""

    torch: str
    member: str


def read(seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    """Return the hit for a torch and a torchvision that do not belong together; None if the log does not show both."""
    mine, needs, member, release = (seen.group(name) for name in ("mine", "needs", "member", "release"))
    if mine is None or needs is None or member is None or _same(mine, needs):
        return None
    return Hit(
        message=f"{member} {release} belongs to torch {needs}, and torch {mine} was asked for.",
        evidence=evidence,
        variant=Pair(torch=mine.partition("+")[0], member=member),
    )


def _same(one: str, other: str) -> bool:
    first, second = strict(one.partition("+")[0]), strict(other.partition("+")[0])
    return first is None or second is None or first == second


def fixes(facts: Facts, pair: Pair) -> tuple[Fix, ...]:
    """Return the fix: the torch that was asked for, with the torchvision that belongs to it."""
    why = f"the torch that was asked for, with the {pair.member} that belongs to it: write these two releases into the file of requirements"
    steps = torch_steps.release(facts, pair.torch, why)
    return (Fix(title=f"Ask for the {pair.member} of torch {pair.torch}", steps=steps, verify=commands.check(facts)),)
