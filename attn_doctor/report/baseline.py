"""Compare a report with an older one, the baseline. Only findings that are new since then fail a CI. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from attn_doctor.errors import FINDINGS, NOT_EXAMINED, OK
from attn_doctor.failure_modes import ALL
from attn_doctor.model.acceptance import Acceptance, Baseline, Gone
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Diagnosis, Goal
from attn_doctor.model.report import Report
from attn_doctor.report.comparison import compare


def against(report: Report, baseline: Report, file: str, judge: Callable[[Facts, Goal], Diagnosis]) -> Report:
    """Return the report with the comparison in it, and with a new exit code.

    The exit code is 1 if a new finding is at or above --fail-on; else 3 if something could not be examined or
    recognised; else 0. A finding is known if the baseline has a finding with the same code and at least the same
    severity. If another version of attn-doctor wrote the baseline, `judge` judges the facts of the baseline by today's
    rules. The findings of that judgement are known too, because the rules changed, and not the machine. `file`: the
    name of the baseline for readers.
    """
    compared = compare(baseline, report)
    before = {finding.code: finding.severity.rank for finding in baseline.findings}
    graver = {finding.code for finding in compared.kept if finding.severity.rank > before[finding.code]}
    unknown = {finding.code for finding in compared.gained} | graver
    same_rules = (baseline.tool.version, baseline.tool.knowledge_date) == (
        report.tool.version,
        report.tool.knowledge_date,
    )
    told: tuple[str, ...] = ()
    if unknown and not same_rules:
        again = {f.code: f.severity.rank for f in judge(baseline.facts, report.goal).findings}
        told = tuple(f.code for f in report.findings if f.code in unknown and again.get(f.code, -1) >= f.severity.rank)
    new = [finding for finding in report.findings if finding.code in unknown and finding.code not in told]
    today = {module.MODE.code for module in ALL}
    acceptance = report.acceptance or Acceptance()
    exempt = {one.code for one in acceptance.exceptions if not one.ran_out}
    made = Baseline(
        file=file,
        created=baseline.created,
        version=baseline.tool.version,
        new=tuple(finding.code for finding in new),
        known=tuple(finding.code for finding in compared.kept if finding.code not in unknown),
        told_today=told,
        gone=tuple(
            Gone(code=one.code, slug=one.slug, message=one.message, retired=one.code not in today)
            for one in compared.lost
            if one.code not in exempt
        ),
    )
    least = {"error": 2, "warning": 1, "never": 3}[acceptance.fail_on]
    failed = any(finding.severity.rank >= least for finding in new)
    code = FINDINGS if failed else NOT_EXAMINED if report.unexamined or report.unrecognised else OK
    return msgspec.structs.replace(
        report, exit_code=code, acceptance=msgspec.structs.replace(acceptance, baseline=made)
    )
