"""Work out the user's goal if none is given: train with the present packages, or get flash-attn to work. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attn_doctor.failure_modes import ALL
from attn_doctor.logs.reader import Log, Pattern
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.machine import failed_flash_attn, flash_attn_cannot_load

_FLASH_REQUIREMENT = re.compile(r"(?i)^flash[-_]attn\b|(?:^|/)flash_attn-")

_NAMED, _TRAINING = "names flash-attn", "a run of ultralytics"
# What in a log tells what was wanted; searched for together with the signs.
PATTERNS = (
    *(
        Pattern(_NAMED, literal, re.compile(r"(?i)flash[-_]attn"), "context")
        for literal in (b"flash-attn", b"flash_attn", b"Flash-attn", b"Flash_attn", b"FLASH_ATTN")
    ),
    Pattern(_TRAINING, b"Ultralytics ", re.compile(r"Ultralytics (?:YOLOv?)?\d+\.\d+"), "context"),
    Pattern(_TRAINING, b"ultralytics/engine", re.compile(r"ultralytics/engine/"), "context"),
    Pattern(_TRAINING, b"ultralytics\\engine", re.compile(r"ultralytics\\engine\\"), "context"),
)


def implied_by(logs: Iterable[Log]) -> Goal:
    """Return the goal of the people who wrote these logs: to build or import flash-attn or another extension, or else to train.

    A log that shows what only stands in the way of an extension is of one, whatever its name.
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


def implied(facts: Facts) -> tuple[Goal, str]:
    """Return the goal that this machine's state implies, and the reason in one phrase."""
    failed = failed_flash_attn(facts)
    if failed is not None:
        installed = isinstance(facts.flash_attention.version, str)
        what = "flash-attn is installed but" if installed else f"a module {failed.module} is there, which"
        return Goal.FLASH_ATTN, f"{what} does not import"
    if flash_attn_cannot_load(facts):
        return Goal.FLASH_ATTN, "flash-attn is installed, and by its files it cannot load"
    for pin in () if isinstance(facts.project.pins, Unknown) else facts.project.pins:
        if _FLASH_REQUIREMENT.search(pin.requirement):
            return Goal.FLASH_ATTN, f"{pin.file} line {pin.line} requires {pin.requirement}"
    if facts.yolo.kind == "fork":
        return Goal.FLASH_ATTN, "the installed ultralytics is a fork that uses flash-attn"
    return Goal.TRAIN, "train and predict with what is here"
