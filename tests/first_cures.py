"""Read a log as the command line does, and return the cures of its first finding as a person would paste them."""

from __future__ import annotations

import io

from attn_doctor import commands
from attn_doctor.failure_modes import patterns
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.reader import Reader
from attn_doctor.logs.stated_facts import PATTERNS, facts_of_logs
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal

READER = Reader((*patterns(), *PATTERNS), keeps_end=True)


def first(text: str) -> tuple[Facts, Finding]:
    """Return what the log states of its machine, and the finding that is printed first."""
    log = READER.read(io.BytesIO(text.encode()), "log")
    facts = facts_of_logs([log])
    findings = diagnose(facts, Goal.FLASH_ATTN, logs=(log,)).findings
    assert findings, text
    return facts, findings[0]


def cures(text: str) -> list[list[str | None]]:
    """Return the lines of each fix; None for a step that only hands can do."""
    facts, finding = first(text)
    shell = commands.shell_of(facts)
    return [[commands.shown(step, shell) for step in fix.steps] for fix in finding.fixes]
