"""Whole outputs as people attach them: made for real, each with its cause, its first command, and how far the cure was followed."""

from __future__ import annotations

import io
import lzma
from pathlib import Path
from typing import Any

import pytest
from recorded_logs import tables

from attn_doctor import commands
from attn_doctor.examination.inputs import log_reader
from attn_doctor.failure_modes import ALL
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts import facts_of_logs
from attn_doctor.model.findings import Goal, Severity

FOLDER = Path(__file__).parents[1] / "fixtures" / "long_logs"
EXPECTED: dict[str, dict[str, Any]] = tables(FOLDER, "expect.toml")
ORIGIN: dict[str, dict[str, Any]] = tables(FOLDER, "origin.toml")
READER = log_reader()
SLUGS = {module.MODE.slug for module in ALL}


def whole(name: str) -> Log:
    return READER.read(io.BytesIO(lzma.decompress((FOLDER / f"{name}.log.xz").read_bytes())), name)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_cause_and_the_first_command_are_those_that_a_reader_expects(name):
    expect, log = EXPECTED[name], whole(name)
    facts = facts_of_logs([log])
    diagnosis = diagnose(facts, Goal.FLASH_ATTN, logs=(log,))
    if not expect["cause"]:
        assert all(finding.severity is Severity.INFO for finding in diagnosis.findings)
        unknown = [error.text for error in diagnosis.unrecognised]
        assert (
            [expect["unrecognised"] in text for text in unknown] == [True] if "unrecognised" in expect else not unknown
        )
        return
    first = diagnosis.findings[0]
    assert (first.slug, first.root_cause) == (expect["cause"], True)
    shell = commands.shell_of(facts)
    lines = [commands.shown(step, shell) for step in first.fixes[0].steps]
    assert [line for line in lines if line is not None][: len(expect["commands"])] == expect["commands"]
    assert bool(expect["commands"]) == any(lines)


def test_every_log_has_an_expectation_and_an_origin():
    logs = {path.name.removesuffix(".log.xz") for path in FOLDER.glob("*.log.xz")}
    assert logs == set(EXPECTED) == set(ORIGIN)
    assert len(logs) >= 20
    for name, expect in EXPECTED.items():
        assert expect["cause"] in {"", *SLUGS}, name
        assert ORIGIN[name]["made"] in {"run", "simulated"}, name
        assert ORIGIN[name]["how"], name
        assert ORIGIN[name]["followed"], name
