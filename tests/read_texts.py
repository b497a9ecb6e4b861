"""Read a text as `diagnose -` does, and judge it: what a person pastes, without facts of a machine."""

from __future__ import annotations

import io
from typing import NamedTuple

from attn_doctor import project_files
from attn_doctor.examination.inputs import log_reader
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.goals import implied_by
from attn_doctor.logs.stated_facts import as_facts, stated_facts
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Diagnosis, Finding, Goal
from attn_doctor.model.steps import Install
from attn_doctor.report.blocks import Verdict
from attn_doctor.report.log_outline import of_diagnosis

READER = log_reader()


class Answer(NamedTuple):
    """Hold the answer to one text."""

    diagnosis: Diagnosis
    facts: Facts
    verdict: str  # the sentence for a text without a known error; else empty

    @property
    def roots(self) -> list[str]:
        return [finding.slug for finding in self.diagnosis.findings if finding.root_cause]

    def finding(self, slug: str) -> Finding:
        return next(finding for finding in self.diagnosis.findings if finding.slug == slug)

    @property
    def unknown(self) -> list[tuple[int, str]]:
        """Return the line and the text of each error that is not recognised."""
        return [(error.line, error.text) for error in self.diagnosis.unrecognised]

    @property
    def installed(self) -> list[str]:
        """Return all requirements that the fixes of the first root cause install."""
        first = next(finding for finding in self.diagnosis.findings if finding.root_cause)
        return [
            str(r) for fix in first.fixes for step in fix.steps if isinstance(step, Install) for r in step.requirements
        ]


def answer(text: str) -> Answer:
    """Judge a text, which is a log, a description of an environment, or a project file."""
    file = project_files.read(text, "pasted") if project_files.might_be_one(text, "pasted") else None
    logs = () if file else (READER.read(io.BytesIO(text.encode()), "pasted"),)
    files = (file,) if file else ()
    base = Facts(grade="stated")
    facts = as_facts(stated_facts(logs), project_files.as_facts(files, base) if files else base).facts
    goal = Goal.FLASH_ATTN if project_files.asks_for_flash_attn(files) else implied_by(logs)
    diagnosis = diagnose(facts, goal, logs=logs)
    blocks = of_diagnosis(diagnosis, facts, logs, files)
    verdict = next((block.text for block in blocks if isinstance(block, Verdict)), "")
    return Answer(diagnosis, facts, verdict)
