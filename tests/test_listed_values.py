"""A value that its list does not hold: from the target, from a report of another version, from a facts file."""

import msgspec
import pytest

from attn_doctor import child
from attn_doctor.child.reading import _message
from attn_doctor.model import listed_values
from attn_doctor.model.facts import ChosenPython, Facts, Unknown
from attn_doctor.model.report import Unreadable, decode_facts, decode_report
from attn_doctor.probes import ask
from attn_doctor.probes.interpreter import interpreter

UNKNOWN = Unknown("attn-doctor does not know the value 'new'")
REPORT = {
    "tool": {"version": "9", "knowledge_date": "2026-01-01"},
    "created": "2026-01-01T00:00:00Z",
    "command": ["attn-doctor", "check"],
    "goal": "train",
    "target": {"python": "/usr/bin/python", "why": "it was named", "version": "3.12.0"},
    "exit_code": 0,
    "facts": {"system": {"os": "new"}, "yolo": {"kind": "fork"}},
    "findings": [],
    "undetermined": [],
    "trials": [],
    "recommendation": {"backend": "sdpa-new", "install_flash_attn": "no", "measured": False, "summary": ""},
}


def test_a_facts_file_with_values_of_another_version_is_read():
    facts = decode_facts(
        b'{"system": {"os": "new", "container": "docker"}, "yolo": {"kind": "new", "layout": "qkv"},'
        b' "binaries": [{"module": "a", "path": "a", "cause": "new"}, {"module": "b", "path": "b", "cause": "glibc"}]}',
        "facts.json",
    )
    assert facts.system.os == UNKNOWN
    assert facts.system.container == "docker"
    assert facts.yolo.kind == UNKNOWN
    assert facts.yolo.layout == "qkv"
    assert isinstance(facts.binaries, tuple)
    assert [binary.cause for binary in facts.binaries] == [UNKNOWN, "glibc"]


def test_a_report_with_facts_of_another_version_is_read():
    report = decode_report(msgspec.json.encode(REPORT), "report.json")
    assert report.facts.system.os == UNKNOWN
    assert report.facts.yolo.kind == "fork"
    assert report.recommendation.backend == "sdpa-new"


def test_a_value_that_cannot_be_unknown_is_told():
    wrong = {**REPORT, "recommendation": {**REPORT["recommendation"], "install_flash_attn": "perhaps"}}
    with pytest.raises(Unreadable) as error:
        decode_report(msgspec.json.encode(wrong), "report.json")
    assert "report.json is no report of attn-doctor" in str(error.value)
    assert "'perhaps'" in str(error.value)
    assert "recommendation.install_flash_attn" in str(error.value)


def test_what_is_no_matter_of_lists_is_refused_as_before():
    with pytest.raises(msgspec.ValidationError):
        listed_values.convert({"system": {"cores": "many"}}, Facts)


def test_a_target_that_names_another_kind_of_environment_is_examined():
    said = {"interpreter": {"kind": "new", "prefix": "/opt", "version": "3.12.0"}, "modules": []}
    outcome = child.Outcome([], None, "", None, 0.0, 0)
    answer = ask.Answer(interpreter=ask._interpreter("/opt/bin/python", said, outcome, ""))
    record, _ = interpreter(ChosenPython("/opt/bin/python", "it was named"), answer, [], [], {})
    assert record.kind == UNKNOWN
    assert record.version == "3.12.0"


def test_an_exception_of_a_kind_that_is_none_is_no_record():
    good = b'{"at": "raised", "section": "torch", "data": {"kind": "raised", "type": "E"}}'
    assert _message(good) is not None
    assert _message(good.replace(b'"kind": "raised"', b'"kind": "new"')) is None
