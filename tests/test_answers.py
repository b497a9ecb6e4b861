"""No answer changes unnoticed: each is compared with fixtures/answers. Where a change is meant: scripts/refresh_answers.py, and read the difference."""

from __future__ import annotations

import answers
import pytest
from recorded_logs import CASES
from recorded_machines import MACHINES

from attn_doctor.model.findings import Goal

_IDS = [f"{case.folder}/{case.name}" for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_the_answer_to_a_log(case):
    assert answers.of_log(case) == answers.kept(f"{case.folder}.txt")[case.name]


@pytest.mark.parametrize("case", CASES, ids=_IDS)
def test_the_answer_to_a_log_on_another_machine(case):
    assert answers.of_log_on_machine(case) == answers.kept(f"{case.folder}.txt")[answers.on_machine(case)]


@pytest.mark.parametrize("goal", Goal, ids=lambda goal: goal.value)
@pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)
def test_the_answer_for_a_machine(folder, goal):
    assert answers.of_machine(folder, goal) == answers.kept(answers.MACHINE_FILE)[answers.in_words(folder, goal)]
