"""Work out the goal of the people who wrote a log: to train, or to get flash-attn to work. Pure.

The goal that the state of a machine implies is `model.machine.implied_goal`.
"""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.failure_modes import ALL
from attn_doctor.logs.reader import Log, Pattern
from attn_doctor.model.findings import Goal, Severity

_NAMED, _TRAINING = "names flash-attn", "a run of ultralytics"
# Texts in a log that show its goal; searched for together with the signs.
PATTERNS = (
    *(
        Pattern(_NAMED, literal, r"(?i)flash[-_]attn", "context")
        for literal in (b"flash-attn", b"flash_attn", b"Flash-attn", b"Flash_attn", b"FLASH_ATTN")
    ),
    Pattern(_TRAINING, b"Ultralytics ", r"Ultralytics (?:YOLOv?)?\d+\.\d+", "context"),
    Pattern(_TRAINING, b"ultralytics/engine", r"ultralytics/engine/", "context"),
    Pattern(_TRAINING, b"ultralytics\\engine", r"ultralytics\\engine\\", "context"),
)


def implied_by(logs: Iterable[Log]) -> Goal:
    """Return the goal of the people who wrote these logs.

    It is "flash-attn" if a log names flash-attn, or shows a failure that stops only extensions; else "train". The log
    of a training by Ultralytics is an exception: there the name flash-attn does not count, and neither does a failure
    of a mode that is not `catch_all`.
    """
    modes = {m.MODE.slug: m.MODE for m in ALL}
    for log in logs:
        trained = bool(log.of(_TRAINING))
        for match in log.matches:
            mode = modes.get(match.slug)
            if match.slug == _NAMED and not trained:
                return Goal.FLASH_ATTN
            if mode is None or (match.strength == "context" and (trained or not mode.catch_all)):
                continue
            if (
                mode.train is Severity.INFO
                and mode.flash_attn is not Severity.INFO
                and not (trained and not mode.catch_all)
            ):
                return Goal.FLASH_ATTN
    return Goal.TRAIN
