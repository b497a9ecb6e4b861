"""Each failure mode on a few machines: all its cures, in their order, with the lines of each, as `fixtures/cures` has them.

fixtures/cures/<slug>.toml has a table for a recorded log and a machine on which the same happened, `[log.machine]`: titles, and
for each the lines to run. A step that only hands can do is there by its words, in brackets. The machines are those of
fixtures/machines. A few logs for each failure mode: each of its branches that a machine decides is there once.
"""

from __future__ import annotations

import functools
import io

import pytest
from recorded_logs import LOGS, reader, tables
from recorded_machines import MACHINES, read

from attn_doctor.failure_modes import find
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Goal
from attn_doctor.model.steps import SetVariable, Step

CURES = LOGS.parent / "cures"
FOLDERS = {folder.name: folder for folder in MACHINES}


@functools.cache
def facts_of(machine: str) -> Facts:
    return read(FOLDERS[machine])[0]


def line(step: Step) -> str:
    if isinstance(step, SetVariable):
        return f"unset {step.name}" if step.value is None else f"{step.name}={step.value}"
    return " ".join((*step.argv, *((">", step.into) if step.into else ()))) if step.argv else f"({step.why})"


def cures(slug: str, log: str, machine: str) -> tuple[Fix, ...]:
    read_log = reader().read(io.BytesIO((LOGS / slug / f"{log}.log").read_bytes()), "log")
    diagnosis = diagnose(facts_of(machine), Goal.FLASH_ATTN, logs=[read_log], modules=[find(slug)])
    return next(finding.fixes for finding in diagnosis.findings if finding.slug == slug)


@pytest.mark.parametrize("slug", sorted(path.stem for path in CURES.glob("*.toml")))
def test_the_cures_of_a_failure_mode_on_this_machine_and_that(slug):
    table = tables(CURES, f"{slug}.toml")
    assert table
    for log, machines in table.items():
        for machine, expected in machines.items():
            found = [(fix.title, [line(step) for step in fix.steps]) for fix in cures(slug, log, machine)]
            assert found == list(expected.items()), (log, machine)
