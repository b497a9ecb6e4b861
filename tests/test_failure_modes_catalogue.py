"""Of the whole catalogue: every failure mode is met in some case, and told from one that looks like it in another."""

from __future__ import annotations

from typing import Any

import pytest
from recorded_logs import CASES
from recorded_machines import MACHINES, expected

from attn_doctor.failure_modes import ALL

SLUGS = sorted(module.MODE.slug for module in ALL)
# Only a run of the model shows it: tests/test_failure_modes_gpu.py and tests/test_best.py have both cases, as trials.
BY_TRIALS = {"torch-cpu-batchnorm-gradient", "model-not-built", "eager-fails", "backend-fails"}


def expectations() -> list[dict[str, Any]]:
    """What is expected of each machine, under one goal or the other."""
    wanted = []
    for folder in MACHINES:
        wanted += [part for part in expected(folder).values() if isinstance(part, dict)]
    return wanted


def named(key: str) -> set[str]:
    return {slug for part in expectations() for slug in part.get(key, ())}


each = pytest.mark.parametrize("slug", SLUGS)


@each
def test_it_is_met_in_a_case(slug):
    in_logs = {case.root for case in CASES} | {also for case in CASES for also in case.expect.get("also", ())}
    assert slug in in_logs | named("findings") | named("info") | BY_TRIALS


@each
def test_it_is_absent_from_a_case_that_looks_like_it(slug):
    in_logs = {other for case in CASES for other in case.expect.get("not", ())}
    assert slug in in_logs | named("absent")


def test_machines_name_what_there_is():
    assert named("findings") | named("info") | named("absent") <= set(SLUGS)
