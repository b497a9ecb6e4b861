"""Judge the driver model of a card in Windows: WSL sees only cards in WDDM. Signs, sentence and cures. Pure.

TCC is NVIDIA's model for cards without a screen, MCDM that of newer drivers for data centers; nvidia-smi in Windows shows the model where
Linux shows Persistence-M. https://github.com/microsoft/WSL/issues/9952, https://github.com/microsoft/WSL/issues/12835
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix

SIGNS = (
    *(
        Sign(
            pattern=rf"\|\s+(?P<gpu>\d+)\s+(?P<card>\S.{{2,40}}?)\s+(?P<model>{model})\s+\|",
            literal=f" {model} ",
            sample=f"|   0  NVIDIA A10                    {model}   |   00000000:04:00.0 Off |                    0 |",
            strength="hint",
        )
        for model in ("TCC", "MCDM")
    ),
    # nvidia-smi -q: "Driver Model", and below it "Current : TCC".
    Sign(
        pattern=r"^\s*Current\s{1,60}:\s?(?P<model>TCC|MCDM)\b",
        literal="Current",
        sample="        Current                           : TCC",
        strength="hint",
    ),
    Sign(
        pattern=r"\b(?P<model>TCC) (?:[Mm]ode|driver model)\b|driver[ -]model:? (?:is )?(?P<named>TCC|MCDM)\b",
        literal="TCC",
        sample="The Tesla P40 runs in TCC mode",
        strength="hint",
    ),
    # https://github.com/microsoft/WSL/issues/13027
    Sign(
        pattern=r"(?P<handle>Unable to determine the device handle for (?:GPU ?\d*|gpu))",
        literal="Unable to determine the device handle",
        sample="Unable to determine the device handle for GPU0: 0000:C1:00.0: Unknown Error",
        strength="hint",
    ),
)
_WITHOUT_GRAPHICS = re.compile(r"\b[HB][12]00\b|\bGH200\b")  # https://github.com/microsoft/WSL/issues/9952


class Model(Variant, frozen=True, kw_only=True):
    """Hold the driver model, and the numbers and names of the cards that are in it."""

    model: str
    gpus: tuple[str, ...] = ()
    cards: tuple[str, ...] = ()


def is_sign(match: Match) -> bool:
    return any(name in match.groups for name in ("model", "named", "handle"))


def of(seen: Seen) -> Model | None:
    """Return the driver model that keeps cards from WSL; None if the log shows none."""
    model = seen.group("model") or seen.group("named")
    if model is None:
        return None
    shown = [m for m in seen.matches if "gpu" in m.groups]
    return Model(
        model=model,
        gpus=tuple(dict.fromkeys(m.groups["gpu"] for m in shown)),
        cards=tuple(dict.fromkeys(m.groups["card"].rstrip(" .") for m in shown)),
    )


def evidence(seen: Seen) -> tuple[Evidence, ...]:
    """Return as evidence the first line of the failure, and the last line that shows the driver model."""
    shown = [m for m in seen.matches if "model" in m.groups or "named" in m.groups]
    failed = [m for m in seen.matches if m.strength == "proof" or "handle" in m.groups]
    return building.lines((*failed[:1], *shown[-1:]))


def sentence(found: Model) -> str:
    """Return the message: the card is in this driver model, and WSL reaches only cards in WDDM."""
    whose = f"{', '.join(found.cards)} is" if len(found.cards) == 1 else "The card is"
    return f"{whose} in the driver model {found.model}, and WSL reaches only cards in the driver model WDDM."


def fixes(facts: Facts, found: Model) -> tuple[Fix, ...]:
    """Return the cures, all of them in Windows: switch the cards to WDDM, or use them without WSL.

    Cards without graphics (H100, B200) have no WDDM: only the second.
    https://docs.nvidia.com/deploy/nvidia-smi/ (-dm)
    """
    verify = commands.check(facts)
    native = Fix(
        title="Use the card without WSL",
        steps=(
            commands.by_hand(
                (),
                f"in Windows itself, where programs reach a card in {found.model}, or on a Linux that runs on the machine itself (not in WSL)",
                "another Python",
                "none",
            ),
        ),
        verify=verify,
    )
    if any(_WITHOUT_GRAPHICS.search(card) for card in found.cards):
        return (native,)  # these cards have no WDDM
    words = (
        "in a terminal of Windows that runs as administrator: 0 is WDDM. If it refuses, the installed driver has no WDDM for this card: data center "
        "cards need NVIDIA's vGPU (GRID) or RTX driver for Windows in place of the data center driver"
    )
    numbers = found.gpus or ("0",)
    switch = [
        commands.by_hand(
            ("nvidia-smi", "-g", gpu, "-dm", "0"),
            words if gpu == numbers[0] else "the same for this card",
            "the driver model of this card",
            "medium",
            risk_text="the card can then be used for a screen, and Windows limits how long one kernel may run",
        )
        for gpu in numbers
    ]
    restart = commands.by_hand(
        (),
        "restart Windows: the model changes at the next start. `nvidia-smi` in Windows must then show WDDM",
        "restarts Windows",
    )
    return (Fix(title="Switch the card to WDDM, in Windows", steps=(*switch, restart), verify=verify), native)
