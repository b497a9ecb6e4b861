"""Judge the line "detectron2 arch flags" of detectron2's collect_env: the GPUs for which its extension was compiled. Pure.

https://github.com/facebookresearch/detectron2/blob/main/detectron2/utils/collect_env.py lists them with cuobjdump --list-elf, which does not show PTX.
An extension that was compiled beside an older GPU may hold PTX for newer ones: hence a warning there.
https://github.com/facebookresearch/detectron2/blob/main/INSTALL.md ("invalid device function", "no kernel image is available")
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit
from attn_doctor.failure_modes.shared import building, code_for_gpu, code_in_binaries
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Severity


def told(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit if the listed code surely does not run on a GPU of the same report; None if there is no list, or it fits."""
    lines = [m for m in seen.matches if "flags" in m.groups]
    if not lines or not code_for_gpu.lacks(facts, flags := lines[-1].groups["flags"]):
        return None
    owner, gpus = lines[-1].groups["owner"], facts.graphics.gpus
    cards = gpus if isinstance(gpus, tuple) else ()
    names = dict.fromkeys(f"{card.compute_capability}" for card in cards if isinstance(card.compute_capability, str))
    return Hit(
        message=f"{owner} was compiled for compute capability {flags.strip()}, and the GPU has {', '.join(names)}: its kernels do not start there.",
        evidence=building.lines(lines[-1:]),
        variant=code_in_binaries.Lacking(binary=owner),
        confidence=Confidence.MEDIUM,
        severity=Severity.WARNING,
    )
