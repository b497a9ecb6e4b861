"""Make steps, causes and drafts for the tests of plans."""

from __future__ import annotations

import msgspec
from little_plans import cause as plain_cause
from whole_machines import RTX_4090

from attn_doctor.fixes.plan import WORK, Change, Draft, PlannedStep
from attn_doctor.model.findings import Fix, Goal
from attn_doctor.model.steps import Install, SetVariable, Step, Uninstall

H = RTX_4090
WHEEL = "https://host/flash_attn-2.8.3+cu12torch2.8cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
WORDS = {"why": "w", "changes": "c"}


def install(*requirements: str, **options) -> Install:
    return Install(requirements=requirements, **WORDS, **options)


def uninstall(*names: str) -> Uninstall:
    return Uninstall(requirements=names, **WORDS)


def variable(name: str, value: str | None = "v") -> SetVariable:
    return SetVariable(name=name, value=value, **WORDS)


def cause(code: str, *fixes: Fix, slug: str = "", **values):
    return msgspec.structs.replace(plain_cause(code), fixes=fixes, slug=slug or f"slug-{code}", **values)


def draft(*steps: Step, **values) -> Draft:
    given = {"title": "t", "intent": WORK, "goal": Goal.FLASH_ATTN, "cures": (), "verify": (), **values}
    return Draft(steps=steps, **given)


def said(steps) -> list[str]:
    """The requirements, names or words of steps."""
    return [
        " ".join(step.requirements)
        if isinstance(step, Install | Uninstall)
        else getattr(step, "name", type(step).__name__)
        for step in steps
    ]


def step(one: Step, *changes: Change | None) -> PlannedStep:
    return PlannedStep(step=one, changes=None if None in changes else changes)
