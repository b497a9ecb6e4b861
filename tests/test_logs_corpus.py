"""Recorded logs and what must be said of each: the expectations stand beside the logs, written by hand (fixtures/README.md)."""

from __future__ import annotations

import io

import pytest
from plan_reading import fixed_twice
from recorded_logs import CASES, LOGS, NOTHING, reader, tables

from attn_doctor.failure_modes import ALL
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.decode import as_text
from attn_doctor.logs.stated_facts import as_facts, stated_facts
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Diagnosis, Finding, Fix, Goal, Severity
from attn_doctor.model.steps import SetVariable


def judge(*datas: bytes) -> Diagnosis:
    """What is said of logs of which nothing else is known."""
    logs = [reader().read(io.BytesIO(data), f"log {number}") for number, data in enumerate(datas)]
    return diagnose(Facts(), Goal.FLASH_ATTN, logs=logs)


def first_root(diagnosis: Diagnosis) -> Finding | None:
    first = diagnosis.findings[0] if diagnosis.findings else None
    return first if first and first.root_cause else None


# The newest torch that supports every GPU, as a cure names it where nothing is known of GPU and Python: `{torch}` in an expectation.
NEWEST = "torch torchvision --index-url https://download.pytorch.org/whl/cu126"


def _plain(argv: tuple[str, ...]) -> str:
    """Return a command as an expectation has it.

    The lines that set NVIDIA's repository up, in whichever Ubuntu or Debian it is, are of one wording: tests/test_system_lines.py has it.
    """
    if argv[:2] == ("sh", "-c"):
        argv = argv[2:]
    if any("cuda-keyring" in word and "os-release" in word for word in argv):
        return "(NVIDIA's repository)"
    return " ".join(argv)


def in_words(fix: Fix) -> str:
    """Return "title: command ; command", as `fixes` of an expect.toml has it. A step that only says something to do is left out."""
    steps = [
        (f"unset {step.name}" if step.value is None else f"{step.name}={step.value}")
        if isinstance(step, SetVariable)
        else " ".join((_plain(step.argv), *(("> " + step.into,) if step.into else ())))
        for step in fix.steps
    ]
    return ": ".join([fix.title, *filter(None, [" ; ".join(filter(None, steps))])])


each_case = pytest.mark.parametrize("case", CASES, ids=[f"{c.folder}/{c.name}" for c in CASES])


@each_case
def test_what_is_said_of_a_log_is_what_its_reader_expects(case):
    diagnosis = judge(case.data)
    met = {finding.slug: finding for finding in diagnosis.findings}
    also, wanted = set(case.expect.get("also", ())), case.root
    roots = {finding.slug for finding in diagnosis.findings if finding.root_cause}
    assert not fixed_twice(diagnosis)
    assert roots == ({wanted} if wanted else set())
    assert also <= set(met)
    assert not set(case.expect.get("not", ())) & set(met)
    assert not [u.why for u in diagnosis.undetermined if "the rule itself failed" in u.why]
    if wanted is None:
        assert all(finding.severity is Severity.INFO for finding in diagnosis.findings)
        return
    root = first_root(diagnosis)
    assert root is not None
    assert root.slug == wanted
    assert root.certainty is Certainty.OBSERVED
    assert root.confidence is Confidence(case.expect.get("confidence", "high"))
    assert root.severity is Severity(case.expect.get("severity", "error"))
    assert root.message == case.expect.get("says", root.message)
    ways = [in_words(fix) for fix in root.fixes]
    assert ways == [way.replace("{torch}", NEWEST) for way in case.expect.get("fixes", ways)]
    texts = [line.text for line in root.evidence if line.kind == "log"]
    assert texts
    for text in case.expect.get("proof", ()):
        assert any(text in line for line in texts), texts


@each_case
def test_the_lines_of_evidence_are_lines_of_the_log(case):
    """Judged as `attn-doctor diagnose` does it: with what the log states of its machine."""
    lines = [as_text(line) for line in case.data.splitlines()]
    logs = [reader().read(io.BytesIO(case.data), "log 0")]
    facts = as_facts(stated_facts(logs), Facts(grade="stated")).facts
    diagnosis = diagnose(facts, Goal.FLASH_ATTN, logs=logs)
    assert not fixed_twice(diagnosis)
    for finding in diagnosis.findings:
        for line in finding.evidence:
            if line.kind == "log":
                said = line.text.strip("…").strip()
                assert line.line is not None
                assert said[:40] in lines[line.line - 1].replace("\t", " ").replace("\xa0", " "), (finding.slug, line)


def test_every_log_is_expected_and_its_origin_told():
    keys = {"also", "not", "proof", "confidence", "severity", "says", "fixes", "cut", "unrecognised"}
    for folder in sorted(path for path in LOGS.iterdir() if path.is_dir()):
        logs = {path.stem for path in folder.glob("*.log")}
        expect, origin = tables(folder, "expect.toml"), tables(folder, "origin.toml")
        assert logs == set(expect) == set(origin), folder.name
        assert folder.name in NOTHING or folder.name in SLUGS
        for name, table in expect.items():
            assert set(table) <= keys, (folder.name, name)
            assert {*table.get("also", ()), *table.get("not", ())} <= SLUGS
        for name, table in origin.items():
            assert table["made"] in {"run", "simulated", "written"}, (folder.name, name)
            assert table["how"], (folder.name, name)


SLUGS = {module.MODE.slug for module in ALL}


def test_two_logs_together_say_what_each_says():
    """Joined into one, or given side by side."""
    proven = [c for c in CASES if c.root and not c.expect and c.folder != "build-failed-unspecified"]
    for one, other in zip(proven, proven[7:], strict=False):
        both = {one.root, other.root}
        for diagnosis in (judge(one.data, other.data), judge(one.data + b"\n" + other.data)):
            assert both <= {finding.slug for finding in diagnosis.findings}, (one, other)
