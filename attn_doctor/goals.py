"""What the user wants, when it is not said: to train with what is here, or to have flash-attn working. Pure."""

from __future__ import annotations

import re

from attn_doctor.facts import Facts, Unknown
from attn_doctor.findings import Goal

_FLASH_REQUIREMENT = re.compile(r"(?i)^flash[-_]attn\b|(?:^|/)flash_attn-")


def implied(facts: Facts) -> tuple[Goal, str]:
    """The goal that this machine's state implies, and why in one phrase."""
    for attempt in () if isinstance(facts.imports, Unknown) else facts.imports:
        if attempt.module in ("flash_attn", "flash_attn_2_cuda") and attempt.ok is False:
            installed = isinstance(facts.flash_attention.version, str)
            what = "flash-attn is installed but" if installed else f"a module {attempt.module} is there, which"
            return Goal.FLASH_ATTN, f"{what} does not import"
    if isinstance(facts.imports, Unknown):  # nothing was imported: then the files say what importing would
        for binary in () if isinstance(facts.binaries, Unknown) else facts.binaries:
            if binary.module == "flash_attn_2_cuda" and binary.verdict == "fails":
                return Goal.FLASH_ATTN, "flash-attn is installed, and by its files it cannot load"
    for pin in () if isinstance(facts.project.pins, Unknown) else facts.project.pins:
        if _FLASH_REQUIREMENT.search(pin.requirement):
            return Goal.FLASH_ATTN, f"{pin.file} line {pin.line} requires {pin.requirement}"
    if facts.yolo.kind == "fork":
        return Goal.FLASH_ATTN, "the installed ultralytics is a fork that uses flash-attn"
    return Goal.TRAIN, "train and predict with what is here"
