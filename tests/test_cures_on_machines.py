"""Each recorded log together with machines that it is not of: whatever its rule and its cures ask of facts, they bear the answer."""

from __future__ import annotations

import functools
import io
import re

import pytest
from recorded_logs import CASES, reader
from recorded_machines import MACHINES, read

from attn_doctor.failure_modes import ALL, find
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Goal

EACH = 2  # machines for each log: others for the next
# What Python writes for a value that nobody looked at before it was put into a sentence.
RAW = re.compile(r"\bNone\b|\bUnknown\(|frozenset|\{\w*\}| ,|^\s*$")


@functools.cache
def facts_of(index: int) -> Facts:
    return read(MACHINES[index])[0]


def texts(fix: Fix) -> list[str]:
    said = [fix.title, *fix.verify]
    for step in fix.steps:
        said += [step.why, *step.argv]
    return said


@pytest.mark.parametrize("slug", [module.MODE.slug for module in ALL])
def test_a_log_on_any_machine_is_judged_and_its_cure_is_whole(slug):
    for number, case in enumerate(case for case in CASES if case.root == slug):
        log = reader().read(io.BytesIO(case.data), "log")
        for turn in range(EACH):
            machine = (number * EACH + turn * 17 + len(slug) * 5) % len(MACHINES)
            diagnosis = diagnose(facts_of(machine), Goal.FLASH_ATTN, logs=[log], modules=[find(slug)])
            where = case.name, MACHINES[machine].name
            assert not [u.why for u in diagnosis.undetermined if "please report" in u.why], where
            for finding in diagnosis.findings:
                titles = [fix.title for fix in finding.fixes]
                assert len(titles) == len(set(titles)), where
                for fix in finding.fixes:
                    assert fix.steps, where
                    assert fix.verify, where
                    assert not [text for text in texts(fix) if RAW.search(text)], where
