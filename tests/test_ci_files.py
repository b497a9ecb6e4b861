"""JUnit and SARIF of a report, as other programs read them, and the pieces of YAML in docs/ci.md."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pytest
from ruamel.yaml import YAML

from attn_doctor.cli import parser
from attn_doctor.examination import Options, examine
from attn_doctor.failure_modes import ALL
from attn_doctor.model.acceptance import Acceptance, Baseline, Exempt, Gone
from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.report import Report, decode_report
from attn_doctor.report import junit, sarif
from attn_doctor.report.formats import Answer, Junit, Sarif
from attn_doctor.report.gate import Gate

ROOT = Path(__file__).parent.parent
MACHINE = ROOT / "fixtures" / "machines" / "h200-memory-errors" / "facts.json"
HOSTILE = "\x1b[2J\x00\x0b <b>&amp;]]> \u202e\ufffe\ud800 \"'"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    log = tmp_path_factory.mktemp("log") / "build log.txt"
    log.write_text(
        "line\nNVRM: Xid (PCI:0000:41:00): 79, GPU has fallen off the bus.\n"
        "RuntimeError: CUDA error: unspecified launch failure\n"
    )
    made = examine(Options(facts=str(MACHINE), goal=Goal.TRAIN, logs=(str(log),), fail_on=Severity.WARNING))
    found = [msgspec.structs.replace(f, evidence=tuple(_short(e, log) for e in f.evidence)) for f in made.findings]
    return msgspec.structs.replace(made, findings=tuple(found))


def _short(evidence, log):
    return msgspec.structs.replace(evidence, file="logs/build log.txt") if evidence.file == str(log) else evidence


def results(report: Report, **more) -> dict[str, dict]:
    return {one["ruleId"]: one for one in sarif.document(report, **more)["runs"][0]["results"]}


def test_sarif_has_rules_places_and_fingerprints(report):
    (run,) = sarif.document(report)["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert re.fullmatch("[0-9a-f]{32}", result["partialFingerprints"]["attnDoctorFinding/v1"])
        assert result["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1
    told = results(report)
    assert told["AD446"]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "logs/build%20log.txt"
    assert told["AD446"]["locations"][0]["physicalLocation"]["region"]["startLine"] == 2
    by_facts = told["AD441"]
    assert by_facts["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "environment", "index": 0}
    assert (
        by_facts["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]
        == "graphics.gpus.3.health.uncorrected_errors"
    )
    assert "sudo nvidia-smi --gpu-reset -i 3" in by_facts["message"]["text"]
    assert by_facts["level"] == "error"
    rule = next(rule for rule in rules if rule["id"] == "AD441")
    assert rule["name"] == "GpuEccErrors"
    assert "Start the program again from its last checkpoint." in rule["help"]["text"]
    assert rule["help"]["markdown"].startswith("**What it is**")


def test_the_cures_of_a_saved_report_are_no_advice(report):
    assert "gpu-reset" not in json.dumps(sarif.document(report, saved=True))
    assert "gpu-reset" not in junit.document(report, saved=True)
    assert "gpu-reset" in junit.document(report)


def test_the_fingerprint_stays_where_lines_and_numbers_change(report):
    def changed(finding):
        evidence = tuple(
            msgspec.structs.replace(e, line=e.line + 40 if e.line else None, text="other") for e in finding.evidence
        )
        return msgspec.structs.replace(finding, message="other", evidence=evidence)

    other = msgspec.structs.replace(report, findings=tuple(map(changed, report.findings)))
    before, after = results(report), results(other)
    assert {c: r["partialFingerprints"] for c, r in before.items()} == {
        c: r["partialFingerprints"] for c, r in after.items()
    }
    assert len({r["partialFingerprints"]["attnDoctorFinding/v1"] for r in before.values()}) == len(before)


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("a/b.log", "a/b.log"),
        ("/var/log/a b.log", "file:///var/log/a%20b.log"),
        ("C:\\logs\\b.log", "file:///C:/logs/b.log"),
        ("a#b?c.log", "a%23b%3Fc.log"),
        ("standard input", "standard%20input"),
        ("x:y.log", "x%3Ay.log"),
    ],
)
def test_paths_are_references(file, uri):
    assert sarif._uri(file) == uri


def accepted(report: Report) -> Report:
    codes = [f.code for f in report.findings]
    told = Acceptance(
        fail_on="warning",
        exceptions=(
            Exempt(code="AD401", slug="driver-too-old", reason="later", severity=Severity.ERROR, message="too old"),
        ),
        baseline=Baseline(
            file="known.json",
            created="2026-01-01",
            version="0",
            new=("AD441",),
            known=tuple(c for c in codes if c != "AD441"),
            gone=(Gone(code="AD101", slug="torch-missing-at-build", message="m"),),
        ),
    )
    return msgspec.structs.replace(report, acceptance=told)


def test_sarif_of_a_baseline_and_of_exceptions(report):
    told = results(accepted(report))
    assert (told["AD441"]["baselineState"], told["AD446"]["baselineState"]) == ("new", "unchanged")
    assert (told["AD101"]["baselineState"], told["AD101"]["level"]) == ("absent", "none")
    assert told["AD401"]["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "later"}]


def cases(text: str) -> dict[str, ET.Element]:
    return {case.get("name").partition(" ")[0]: case for case in ET.fromstring(text).iter("testcase")}


def test_junit_has_a_case_for_each_failure_mode(report):
    text = junit.document(report)
    top = ET.fromstring(text)
    told = cases(text)
    assert {m.MODE.code for m in ALL} <= set(told)
    failed = told["AD441"].find("failure")
    assert failed.get("type") == "error"
    assert failed.get("message").startswith("The memory of GPU 3")
    assert "    sudo nvidia-smi --gpu-reset -i 3" in failed.text
    assert told["AD101"].find("failure") is None
    assert "logs/build log.txt:2: NVRM: Xid" in told["AD446"].find("failure").text
    for suite in top.iter("testsuite"):
        listed = suite.findall("testcase")
        assert int(suite.get("tests")) == len(listed)
        for state, word in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(state)) == sum(case.find(word) is not None for case in listed)
    assert int(top.get("failures")) == sum(int(suite.get("failures")) for suite in top) > 0


def test_junit_of_a_baseline_of_exceptions_and_of_what_is_not_known(report):
    made = msgspec.structs.replace(accepted(report), unexamined=("whether torch imports: it hangs",))
    told = cases(junit.document(made))
    assert told["AD446"].find("failure") is None
    assert "known from the baseline" in told["AD446"].find("system-out").text
    assert told["AD441"].find("failure") is not None
    assert told["AD401"].find("skipped").get("message") == "ignored: later"
    assert told["examined:"].find("error").get("message") == "could not tell whether torch imports: it hangs"
    for least, fails in (("error", 1), ("never", 0)):
        one = msgspec.structs.replace(report, acceptance=Acceptance(fail_on=least), findings=report.findings[:1])
        assert junit.document(one).count("<failure") == fails


def hostile(report: Report) -> Report:
    bad = tuple(
        msgspec.structs.replace(
            f,
            message=HOSTILE + f.message,
            evidence=tuple(
                msgspec.structs.replace(e, text=HOSTILE, file=HOSTILE if e.file else None) for e in f.evidence
            ),
        )
        for f in report.findings
    )
    exempt = Exempt(code="AD401", slug="driver-too-old", reason=HOSTILE, severity=Severity.ERROR, message=HOSTILE)
    return msgspec.structs.replace(report, findings=bad, acceptance=Acceptance(exceptions=(exempt,)))


def test_foreign_text_is_harmless(report):
    bad = hostile(report)
    for made in (Junit(), Sarif()):
        written = Gate().finished(made.render(Answer(bad)), "file").decode()
        for character in "\x1b\x00\x0b\u202e":
            assert character not in written
        if made.option == "junit":
            assert "\ufffe" not in written  # no XML may have it
            assert ET.fromstring(written).find(".//b") is None
        else:
            assert json.loads(written)["version"] == "2.1.0"


def test_both_are_redacted(report, monkeypatch):
    user = "quentinsmith"
    secret = f"token ghp_{'a1B2' * 9} of /home/{user}/x"
    made = msgspec.structs.replace(
        report, findings=tuple(msgspec.structs.replace(f, message=secret) for f in report.findings), acceptance=None
    )
    clean = Gate().report(made)
    for one in (Junit(), Sarif()):
        written = one.render(Answer(clean))
        text = written if isinstance(written, str) else written.decode()
        assert "ghp_" not in text
        assert user not in text


def test_a_report_of_another_version_with_a_code_that_nobody_knows(report):
    first = msgspec.structs.replace(report.findings[0], code="AD999", slug="of-the-future", title="Of the future")
    made = msgspec.structs.replace(report, findings=(first,))
    rule = sarif.document(made)["runs"][0]["tool"]["driver"]["rules"][0]
    assert rule == {"id": "AD999", "shortDescription": {"text": "Of the future"}}
    assert cases(junit.document(made))["AD999"].find("failure") is not None


def test_an_older_report_has_no_acceptance():
    old = decode_report((ROOT / "fixtures" / "reports" / "version-1.json").read_bytes(), "old")
    assert old.acceptance is None
    assert ET.fromstring(junit.document(old)).tag == "testsuites"
    assert sarif.document(old)["runs"][0]["results"]


def test_junit_as_its_readers_read_it(report, tmp_path):
    import junitparser

    (tmp_path / "j.xml").write_text(junit.document(accepted(report)))
    read = junitparser.JUnitXml.fromfile(str(tmp_path / "j.xml"))
    failed = [c.name for suite in read for c in suite if any(isinstance(r, junitparser.Failure) for r in c.result)]
    assert failed == ["AD441 gpu-ecc-errors"]


@pytest.mark.heavy
def test_sarif_by_the_schema_of_oasis(report, tmp_path):
    """The schema comes with Microsoft's matchers for jest."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    subprocess.run(["npm", "pack", "@microsoft/jest-sarif@1.0.0-beta.0"], cwd=tmp_path, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        name = next(n for n in archive.getnames() if n.endswith("sarif-2.1.0-rtm.5.json"))
        schema = json.load(archive.extractfile(name))
    judge = jsonschema.validators.validator_for(schema)(schema)
    for made in (report, accepted(report), hostile(report)):
        assert [e.message for e in judge.iter_errors(json.loads(Sarif().render(Answer(made))))] == []


def blocks_of_yaml() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "ci.md").read_text("utf-8"), re.DOTALL)


def typed(text: str) -> list[list[str]]:
    """The command lines of attn-doctor in a text, as words; variables of a shell stand for themselves."""
    return [
        shlex.split(line, comments=True)
        for line in re.findall(r"attn-doctor (?:check|diagnose|show|fix)\b[^`\n]*", text)
    ]


def test_the_yaml_is_yaml_and_its_commands_are_ours():
    texts = [*blocks_of_yaml(), (ROOT / ".github" / "actions" / "attn-doctor" / "action.yml").read_text("utf-8")]
    assert len(texts) == 5
    for text in texts:
        assert YAML(typ="safe").load(text)
    lines = [words for words in typed((ROOT / "docs" / "ci.md").read_text("utf-8")) if len(words) > 2]
    assert len(lines) > 4
    for words in lines:
        parser().parse_args([*words[1:], *(["FILE"] if words[1:] == ["diagnose"] else [])])


def test_the_action_passes_options_that_check_has():
    action = YAML(typ="safe").load(ROOT / ".github" / "actions" / "attn-doctor" / "action.yml")
    run = next(step["run"] for step in action["runs"]["steps"] if step.get("id") == "check")
    known = {
        option
        for one in parser()._subparsers._group_actions[0].choices["check"]._actions
        for option in one.option_strings
    }
    assert set(re.findall(r"--[a-z-]+", run)) <= known
    used = {name for step in action["runs"]["steps"] for name in re.findall(r"inputs\.([a-z-]+)", json.dumps(step))}
    assert used == set(action["inputs"])
    assert "${{ inputs" not in run  # an input in a script could be a command: it comes as a variable


def test_the_action_runs(tmp_path):
    """Its script, with a stand-in for the program that writes its options down."""
    action = YAML(typ="safe").load(ROOT / ".github" / "actions" / "attn-doctor" / "action.yml")
    run = next(step["run"] for step in action["runs"]["steps"] if step.get("id") == "check")
    program = tmp_path / "attn-doctor" / "bin" / "attn-doctor"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > words; exit 1\n')
    program.chmod(0o755)
    inputs = {name: str(one["default"]) for name, one in action["inputs"].items()}
    environ = {
        "PATH": "/usr/bin:/bin",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "TARGET": ".venv/bin/python",
        "CONFIG": "off",
        "BASELINE": "a b.json",
        "FAIL_ON": "warning",
        "EXPECT_GPUS": "2",
        "MORE": inputs["arguments"],
        "OUTPUT": inputs["output"],
    }
    subprocess.run(["bash", "-eo", "pipefail", "-c", run], cwd=tmp_path, env=environ, check=True)
    words = (tmp_path / "words").read_text().splitlines()
    asked = parser().parse_args(words)
    assert (asked.target, asked.baseline, asked.fail_on, asked.expect_gpus) == (
        ".venv/bin/python",
        "a b.json",
        "warning",
        2,
    )
    assert (asked.no_config, asked.no_trial, asked.sarif) == (True, True, "attn-doctor-report/report.sarif")
    assert (tmp_path / "output").read_text().splitlines()[0] == "exit-code=1"
