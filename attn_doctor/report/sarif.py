"""Write a report as SARIF 2.1.0, which code hosts show beside the files of a project. Pure.

The format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. The part of it that GitHub reads:
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from attn_doctor.commands import shell_of, shown
from attn_doctor.errors import FINDINGS, OK
from attn_doctor.failure_modes import UnknownName, find
from attn_doctor.failure_modes.page import Page, page
from attn_doctor.model import foreign_text
from attn_doctor.model.acceptance import Exempt, Gone
from attn_doctor.model.findings import Evidence, Finding, Severity
from attn_doctor.model.report import Report
from attn_doctor.report.markdown import escape
from attn_doctor.system.printable import printable

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ENVIRONMENT = (
    "environment"  # stands for the machine, if no file shows a finding: GitHub refuses a result without a place
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_HELP = ("What it is", "Why it happens", "What to do", "How it shows")


def document(report: Report, *, saved: bool = False) -> dict[str, Any]:
    """Return the SARIF document of a report as plain data. The report is redacted already.

    `saved`: it was read from a file, so its cures are left out.
    """
    results = [*_results(report, None if saved else shell_of(report.facts))]
    codes = sorted({result["ruleId"] for result in results})
    for result in results:
        result["ruleIndex"] = codes.index(result["ruleId"])
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "attn-doctor",
                "version": _text(report.tool.version),
                "rules": [_rule(code, report) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "automationDetails": {"id": "attn-doctor/"},
        "invocations": [_invocation(report)],
        "artifacts": [
            {
                "location": {"uri": ENVIRONMENT},
                "description": {
                    "text": "The machine and its Python environment: no file of the project shows the finding."
                },
            }
        ],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _text(text: str) -> str:
    return printable(foreign_text.text(text))


def _results(report: Report, shell: str | None) -> Iterator[dict[str, Any]]:
    told = report.acceptance
    baseline = told.baseline if told else None
    for finding in report.findings:
        state = {} if baseline is None else {"baselineState": "new" if finding.code in baseline.new else "unchanged"}
        yield {**_result(finding, shell), **state}
    for finding in report.project:
        yield {**_result(finding, shell), **({} if baseline is None else {"baselineState": "unchanged"})}
    for exempt in told.exceptions if told else ():
        if exempt.severity is not None and not exempt.ran_out:
            yield {**_suppressed(exempt), **({} if baseline is None else {"baselineState": "unchanged"})}
    for gone in baseline.gone if baseline else ():
        yield _absent(gone)


def _result(finding: Finding, shell: str | None) -> dict[str, Any]:
    cause = f" It comes from {finding.explained_by}." if finding.explained_by else ""
    cures = [
        f"{fix.title}: {'; '.join(shown(step, shell) or step.why for step in fix.steps)}"
        for fix in finding.fixes
        if shell
    ]
    places = [e for e in finding.evidence if e.file and e.line]
    told = [e.text for e in finding.evidence if not (e.file and e.line)]
    words = [finding.message + cause, *told, *(f"Cure: {cure}" for cure in cures[:1])]
    return {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": _text("\n".join(words))},
        "locations": [_location(place) for place in places[:1]] or [_machine(finding.evidence)],
        "relatedLocations": [{"id": number, **_location(place)} for number, place in enumerate(places[1:], 1)],
        "partialFingerprints": {"attnDoctorFinding/v1": _fingerprint(finding.code, places[0].file if places else None)},
        "properties": {"certainty": finding.certainty.value, "confidence": finding.confidence.value},
    }


def _suppressed(exempt: Exempt) -> dict[str, Any]:
    assert exempt.severity is not None
    return {
        "ruleId": exempt.code,
        "level": _LEVELS[exempt.severity],
        "message": {"text": _text(exempt.message or exempt.slug)},
        "locations": [_machine(())],
        "partialFingerprints": {"attnDoctorFinding/v1": _fingerprint(exempt.code, None)},
        "suppressions": [{"kind": "external", "status": "accepted", "justification": _text(exempt.reason)}],
    }


def _absent(gone: Gone) -> dict[str, Any]:
    return {
        "ruleId": gone.code,
        "level": "none",
        "kind": "pass",
        "message": {"text": _text(f"Gone: {gone.message}")},
        "locations": [_machine(())],
        "partialFingerprints": {"attnDoctorFinding/v1": _fingerprint(gone.code, None)},
        "baselineState": "absent",
    }


def _location(place: Evidence) -> dict[str, Any]:
    assert place.file is not None
    region: dict[str, Any] = {"startLine": max(place.line or 1, 1), "snippet": {"text": _text(place.text)}}
    return {
        "physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}, "region": region},
        "message": {"text": _text(place.text)},
    }


def _machine(evidence: Iterable[Evidence]) -> dict[str, Any]:
    """Return the location of a finding that is in no file: the paths of its facts, in an artifact that represents the machine."""
    paths = [e.path for e in evidence if e.path]
    made: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": ENVIRONMENT, "index": 0}, "region": {"startLine": 1}}
    }
    if paths:
        made["logicalLocations"] = [
            {"fullyQualifiedName": _text(path), "kind": "member"} for path in dict.fromkeys(paths)
        ]
    return made


def _uri(file: str) -> str:
    """Return the URI of a file; it is relative if the path is. "C:" is not taken for a scheme, and standard input not for a file."""
    path = _text(file).replace("\\", "/")
    if re.match(r"[A-Za-z]:/", path):
        return f"file:///{quote(path, safe='/:')}"
    return f"file://{quote(path)}" if path.startswith("/") else quote(path) or ENVIRONMENT


def _fingerprint(code: str, file: str | None) -> str:
    """Return the identity of a finding: its code and its file. Lines and versions are left out, because they change."""
    return hashlib.sha256(f"{code}|{_text(file or '')}".encode()).hexdigest()[:32]


def _rule(code: str, report: Report) -> dict[str, Any]:
    """Return the description of a failure mode, with the text of its page."""
    try:
        told: Page = page(find(code))
    except UnknownName:  # of a report by another version
        title = next((f.title for f in (*report.findings, *report.project) if f.code == code), code)
        return {"id": _text(code), "shortDescription": {"text": _text(title)}}
    plain, marked = [], []
    for heading in _HELP:
        if paragraphs := told.sections.get(heading):
            plain.append("\n\n".join((heading, *paragraphs)))
            marked.append("\n\n".join((f"**{heading}**", *map(escape, paragraphs))))
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in told.mode.slug.split("-")),
        "shortDescription": {"text": told.mode.title},
        "fullDescription": {"text": told.summary},
        "help": {"text": "\n\n".join(plain), "markdown": "\n\n".join(marked)},
        "defaultConfiguration": {"level": _LEVELS[told.mode.severity(report.goal)]},
        "properties": {"tags": [told.area, told.mode.slug]},
    }


def _invocation(report: Report) -> dict[str, Any]:
    """Return the record of the run: the parts that were not examined, not recognised and not judged, as notifications."""
    texts = [("error", f"Could not examine {what}") for what in report.unexamined]
    texts += [("error", f"Not recognised: {e.file}:{e.line}: {e.text}") for e in report.unrecognised]
    texts += [("note", f"{u.code} {u.slug} could not be judged: {u.why}") for u in report.undetermined]
    return {
        "executionSuccessful": report.exit_code in (OK, FINDINGS),
        "exitCode": report.exit_code,
        "endTimeUtc": _time(report.created),
        "toolExecutionNotifications": [{"level": level, "message": {"text": _text(text)}} for level, text in texts],
    }


def _time(created: str) -> str:
    found = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", created)
    return f"{found[0]}Z" if found else "1970-01-01T00:00:00Z"
