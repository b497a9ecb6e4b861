"""Find the graphics unit of a processor among AMD's GPUs: HIP counts it too, and a program that takes device 0 may get it. Pure.

https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html (HIP_VISIBLE_DEVICES),
https://rocm.docs.amd.com/projects/install-on-linux/en/latest/reference/system-requirements.html
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Sign
from attn_doctor.logs.reader import Seen
from attn_doctor.model.steps import Step

# The graphics units of Ryzen processors, by the name of their code.
_OF_PROCESSORS = {
    "gfx902", "gfx909", "gfx90c", "gfx1033", "gfx1035", "gfx1036", "gfx1037", "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153",
}  # fmt: skip
SIGNS = (
    Sign(
        pattern=r"^Name:\s+(?P<agent>gfx\d+[a-f]?)$",
        literal="Name:  ",
        sample="Name:                    gfx1036",
        strength="context",
    ),
)


def index(seen: Seen) -> int | None:
    """Return the number that HIP gives the first graphics card, if rocminfo lists the graphics unit of a processor before it.

    None if the card is the first GPU, if there is none, or if the log has no output of rocminfo.
    """
    lines: dict[int, str] = {m.line: m.groups["agent"] for m in seen.matches if m.groups.get("agent")}
    agents = list(lines.values())
    cards = [at for at, gfx in enumerate(agents) if gfx not in _OF_PROCESSORS]
    return cards[0] if cards and cards[0] > 0 else None


def hide(number: int) -> Step:
    """Return the step that lets HIP see the card with this number alone."""
    return commands.variable(
        "HIP_VISIBLE_DEVICES",
        str(number),
        "rocminfo lists the graphics unit of the processor first, so that it is device 0, and there is no code for it either: programs then see the card alone",
    )
