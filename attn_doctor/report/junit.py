"""Write a report as JUnit XML, which CI systems show as tests: a suite for each area, a case for each failure mode. Pure.

There is no standard; the elements are those that Jenkins accepts (junit-10.xsd of its xUnit plugin) and GitLab reads:
https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from xml.etree import ElementTree as ET

from attn_doctor import commands
from attn_doctor.failure_modes import ALL
from attn_doctor.failure_modes.areas import AREAS, area_of
from attn_doctor.model import foreign_text
from attn_doctor.model.acceptance import Acceptance
from attn_doctor.model.findings import Finding, Severity
from attn_doctor.model.report import Report
from attn_doctor.system.printable import one_line, printable

# XML 1.0 has no such characters, also not as references: https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Case(NamedTuple):
    name: str
    state: str = ""  # "failure", "error", "skipped", or "" for a case that passed
    message: str = ""
    type: str = ""
    text: str = ""


def document(report: Report, *, saved: bool = False) -> str:
    """Return the XML of a report. The report is redacted already.

    The states of a test case mean: "failure": a finding at or above --fail-on, unless the baseline knows it. "error": a
    requested part that could not be examined, or an error in a log that attn-doctor does not know. "skipped": a failure
    mode that could not be judged, or that the configuration ignores. A finding below --fail-on, or one that the
    baseline knows, passes; its text is in the output of its case.

    `saved`: the report was read from a file, so its cures are left out.
    """
    told = report.acceptance or Acceptance()

    def words(finding: Finding) -> str:
        return _words(finding, None if saved else commands.shell_of(report.facts))

    suites: dict[str, list[_Case]] = {"examination": _examination(report)}
    suites |= {area.name: [] for area in AREAS}
    cases = {finding.code: _of_finding(finding, told, words(finding)) for finding in report.findings}
    names = {f.code: f.slug for f in report.findings}
    for u in report.undetermined:
        if u.code:
            cases.setdefault(u.code, _Case(f"{u.code} {u.slug}", "skipped", f"could not be judged: {u.why}"))
            names.setdefault(u.code, u.slug)
    for e in told.exceptions:
        if not e.ran_out:
            cases[e.code] = _Case(
                f"{e.code} {e.slug}",
                "skipped",
                f"ignored: {e.reason}" + (f" (until {e.until})" if e.until else ""),
                text=e.message or "",
            )
    for module in ALL:
        cases.setdefault(module.MODE.code, _Case(f"{module.MODE.code} {module.MODE.slug}"))
    for code in sorted(cases):
        area = area_of(code)
        suites[area.name if area else "examination"].append(cases[code])
    suites["project"] = [_of_project(finding, words(finding)) for finding in report.project]
    top = ET.Element("testsuites", name="attn-doctor")
    for name, listed in suites.items():
        if listed:
            top.append(_suite(name, listed, report))
    _count(top, [case for listed in suites.values() for case in listed])
    ET.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def _suite(name: str, cases: Iterable[_Case], report: Report) -> ET.Element:
    listed = list(cases)
    suite = ET.Element("testsuite", name=f"attn-doctor.{name}", timestamp=report.created[:19], time="0")
    _count(suite, listed)
    for case in listed:
        made = ET.SubElement(suite, "testcase", name=_attribute(case.name), classname=f"attn-doctor.{name}", time="0")
        if case.state:
            what = ET.SubElement(made, case.state, message=_attribute(case.message))
            if case.type:
                what.set("type", case.type)
            if case.text and case.state != "skipped":
                what.text = _text(case.text)
        if case.text and case.state in ("", "skipped"):
            ET.SubElement(made, "system-out").text = _text(case.text)
    return suite


def _count(element: ET.Element, cases: list[_Case]) -> None:
    element.set("tests", str(len(cases)))
    for name, state in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        if element.tag == "testsuites" and name == "skipped":
            continue  # Jenkins allows it for a suite alone
        element.set(name, str(sum(case.state == state for case in cases)))


def _examination(report: Report) -> list[_Case]:
    cases = [_Case(what) for what in report.seen]
    cases += [
        _Case(f"examined: {what.partition(':')[0]}", "error", f"could not tell {what}", "unexamined")
        for what in report.unexamined
    ]
    cases += [
        _Case(f"recognised: {e.file}:{e.line}", "error", "attn-doctor does not know this error", "unrecognised", e.text)
        for e in report.unrecognised
    ]
    return cases or [_Case("attn-doctor")]


def _of_finding(finding: Finding, told: Acceptance, text: str) -> _Case:
    name = f"{finding.code} {finding.slug}"
    least = {"error": 2, "warning": 1, "never": 3}[told.fail_on]
    if told.is_known(finding.code):
        return _Case(name, text=f"known from the baseline\n{text}")
    if finding.severity.rank < least:
        return _Case(name, text=text)
    return _Case(name, "failure", finding.message, finding.severity.value, text)


def _of_project(finding: Finding, text: str) -> _Case:
    """Return the test case for a requirement of the project that would not work on this machine.

    The case passes, because such a requirement does not change the exit code.
    """
    place = next((f"{e.file}:{e.line}" for e in finding.evidence if e.file and e.line), finding.slug)
    return _Case(f"{place} {finding.code} {finding.slug}", text=text)


def _words(finding: Finding, shell: str | None) -> str:
    """Return a finding as text: its message, its evidence, and its cures as commands for a shell.

    `shell` None: without cures.
    """
    lines = [f"{finding.severity.value}, {finding.certainty.value}: {finding.message}"]
    if finding.explained_by:
        lines.append(f"it comes from {finding.explained_by}")
    lines += [f"{e.file}:{e.line}: {e.text}" if e.file and e.line else e.text for e in finding.evidence]
    for fix in finding.fixes if shell and finding.severity is not Severity.INFO else ():
        lines.append(f"cure: {fix.title}")
        lines += [f"    {commands.shown(step, shell or '') or step.why}" for step in fix.steps]
    lines.append(f"more: attn-doctor explain {finding.code}")
    return "\n".join(lines)


def _text(text: str) -> str:
    return _NO_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", printable(foreign_text.text(text)))


def _attribute(text: str) -> str:
    return _NO_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", one_line(foreign_text.text(text)))
