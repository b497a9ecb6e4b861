"""The one sentence that sums a report up, for each of its cases; and which texts redaction takes out."""

from __future__ import annotations

import pytest
from little_plans import cause, report
from whole_machines import RTX_4090, changed, with_flash_attn

from attn_doctor.model.findings import Goal, Severity
from attn_doctor.model.report import Unrecognised
from attn_doctor.model.trials import Trial
from attn_doctor.report.redact import redact
from attn_doctor.report.verdict import counted, verdict
from attn_doctor.system.own_names import Own

ALL_SEEN = ("torch imported", "ultralytics imported", "model built", "eager trained")
FACTS = changed(RTX_4090, torch__version="2.8.0", yolo__version="8.4.0")
ROWS = (
    Trial(backend="sdpa-flash", status="ok", dtype="float16", model="other.yaml", device="cuda:1"),
    Trial(backend="eager", status="ok", dtype="float32", model="yolo12n.yaml", device="cuda:0"),
)
WARNING, SECOND = cause("AD2", Severity.WARNING), cause("AD3", Severity.WARNING)
EFFECT = cause("AD4", Severity.ERROR, root=False)


@pytest.mark.parametrize(
    ("findings", "values", "says", "tone"),
    [
        ((cause("AD1"),), {}, "One thing stands in the way of training here.", "bad"),
        (
            (cause("AD1"), cause("AD5"), WARNING),
            {"goal": Goal.FLASH_ATTN, "outcome": "healthy"},
            "2 things stand in the way of flash-attn here.",
            "bad",
        ),
        (
            (EFFECT,),
            {"outcome": "healthy", "seen": ALL_SEEN, "trials": ROWS},
            "torch 2.8.0 and ultralytics 8.4.0 import here, and yolo12n.yaml trains on cuda:0.",
            "good",
        ),
        (
            (WARNING,),
            {"outcome": "healthy", "seen": (*ALL_SEEN, "flash-attn imported"), "trials": ROWS},
            (
                "torch 2.8.0, ultralytics 8.4.0 and flash-attn 2.8.3 import here, and yolo12n.yaml trains on cuda:0, "
                "with one thing to know about."
            ),
            "warn",
        ),
        (
            (),
            {"outcome": "healthy", "seen": ("torch imported",)},
            "torch 2.8.0 imports here. The model was not tried.",
            "good",
        ),
        (
            (WARNING, SECOND),
            {"outcome": "healthy", "seen": ("torch imported", "eager trained"), "trials": (Trial(backend="eager", status="ok", dtype="float32"),)},
            (
                "torch 2.8.0 imports here, and YOLO12's attention alone trains on cpu, with 2 things to know about. "
                "There is no ultralytics here: no model was built."
            ),
            "warn",
        ),
        ((), {"unexamined": ("one", "two"), "unrecognised": (Unrecognised(file="f", line=1, text="t"),)}, "Could not tell one; nor two.", "warn"),
        (
            (),
            {"unrecognised": (Unrecognised(file="f", line=1, text="t"),)},
            "Not recognised: a log has an error that attn-doctor does not know.",
            "warn",
        ),
        (
            (),
            {"facts": changed(FACTS, grade="static")},
            "Files show nothing in the way of training. Nothing was run.",
            "",
        ),
        (
            (WARNING,),
            {"facts": changed(FACTS, grade="static"), "goal": Goal.FLASH_ATTN},
            "Files show nothing in the way of flash-attn, with one thing to know about. Nothing was run.",
            "warn",
        ),
        (
            (),
            {"goal": Goal.FLASH_ATTN, "seen": ("torch imported",)},
            "Nothing was found in the way of flash-attn. It was not seen to import.",
            "",
        ),
        (
            (WARNING, SECOND),
            {"goal": Goal.FLASH_ATTN, "seen": ("torch imported",)},
            "Nothing was found in the way of flash-attn, with 2 things to know about. It was not seen to import.",
            "warn",
        ),
        ((WARNING,), {"seen": ("torch imported",)}, "torch 2.8.0 imports here, but one thing may stop training.", "warn"),
        ((WARNING, SECOND), {"seen": ("torch imported",)}, "torch 2.8.0 imports here, but 2 things may stop training.", "warn"),
        ((), {}, "Nothing was found in the way of training in these facts. Nothing was run.", ""),
        (
            (WARNING,),
            {"goal": Goal.FLASH_ATTN},
            "Nothing was found in the way of flash-attn in these facts, with one thing to know about. Nothing was run.",
            "warn",
        ),
        ((), {"seen": ("torch imported",)}, "Nothing was found in the way of training in these facts. Nothing was run.", ""),
    ],
)  # fmt: skip
def test_the_sentence_of_a_report(findings, values, says, tone):
    facts = with_flash_attn(FACTS) if "flash-attn imported" in values.get("seen", ()) else FACTS
    made = verdict(report(*findings, **{"facts": facts, **values}))
    assert (made.text, made.tone) == (says, tone)


def test_a_flash_attn_without_a_known_version():
    facts = changed(with_flash_attn(FACTS), flash_attention__version=None)
    made = verdict(report(facts=facts, outcome="healthy", seen=("torch imported", "flash-attn imported")))
    assert made.text == "torch 2.8.0 and flash-attn import here. The model was not tried."


def test_counts():
    assert [counted(1), counted(2), counted(1, "more"), counted(2, "more")] == [
        "One thing stands",
        "2 things stand",
        "one thing more",
        "2 things more",
    ]


# -- redaction

ALICE = Own(home="/home/alice", user="alice", host="cygnus-7")


def cleaned(value, own: Own = ALICE):
    data = redact({"x": value}, own)
    return data["x"], data["redacted"]


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("/home/alice", "<home>"),
        ("/home/alice/x", "<home>/x"),
        ("/home/alice.old", "/home/<user-1>"),
        ("/home/alicex", "/home/<user-1>"),
        ("alice alice-x x_alice Alice malice", "<user> <user>-x x_<user> <user-1> malice"),
        ("cygnus-7 cygnus-70", "<host> cygnus-70"),
        ("127.0.0.1 0.0.0.0 255.255.255.0", "127.0.0.1 0.0.0.0 255.255.255.0"),
        ("10.1.2.3 10.1.2.3 10.1.2.4", "<ip-1> <ip-1> <ip-2>"),
        ("nvidia-cublas-cu12 12.4.5.8", "nvidia-cublas-cu12 12.4.5.8"),
        ("git@github.com a@b.org", "git@github.com <email-1>"),
        ("https://me:pw@host/x", "https://<credentials>@host/x"),
        ("token=<token-1>", "token=<token-1>"),
        ("password = 'hunter2x'", "password = '<secret-1>'"),
        ("/home/<user>/x", "/home/<user>/x"),
        ("serial: ABC1234", "serial: <serial-1>"),
        ("C:\\Users\\bob\\x", "C:\\Users\\<user-1>\\x"),
    ],
)
def test_texts(text, made):
    assert cleaned(text)[0] == made


def test_each_kind_is_counted():
    text = "/home/alice alice cygnus-7 https://me:pw@host/ 10.1.2.3 10.1.2.3 aa:bb:cc:dd:ee:ff /home/bob"
    assert cleaned(text)[1] == {"credentials": 1, "home": 1, "host": 1, "ip": 2, "mac": 1, "user": 2}
    assert cleaned("nothing")[1] == {}


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (Own(home="", user="alice", host=""), "<user> /"),
        (Own(home="/", user="alice", host=""), "<user> /"),
        (Own(home="/r", user="al", host="root"), "alice /"),
        (Own(home="/r", user="ROOT", host="hal"), "alice /"),
        (Own(home="/r", user="alice", host="hal"), "<user> /"),
    ],
)
def test_short_and_common_names_are_no_secret(own, text):
    assert cleaned("alice /", own)[0] == text
    assert cleaned("al root ROOT", own)[0] == "al root ROOT"
    assert cleaned("hal", own)[0] == "hal"


def test_versions_of_four_parts_are_told_by_the_fields_beside_them():
    data = {
        "packages": [{"name": "a", "version": "9.1.0.70", "requires": ["b==10.3.0.86", "c"]}],
        "tuple": ({"driver": "10.2.2.2"}, 3),
        "evidence": "9.1.0.70 10.3.0.86 10.2.2.2 10.9.9.9",
        "kernel": "10.8.8.8 /home/alice",
    }
    made = redact(data, ALICE)
    assert made["evidence"] == "9.1.0.70 10.3.0.86 10.2.2.2 <ip-1>"
    assert made["kernel"] == "<ip-2> <home>"  # a field of versions is left alone only if it has a version
    assert made["tuple"] == [{"driver": "10.2.2.2"}, 3]
    assert redact({"redacted": {"ip": 5}, "x": 1}, ALICE) == {"x": 1, "redacted": {"ip": 5}}


def test_a_list_of_versions_may_be_long():
    listed = ", ".join(f"1.{number}.0.1" for number in range(100))
    said = cleaned(f"(from versions: {listed})")[0]
    assert said.startswith("(from versions: 1.0.0.1, 1.1.0.1")
    assert cleaned(f"address {'x' * 10} 1.2.3.4")[0].endswith("<ip-1>")


def test_a_line_for_a_shell_is_made_of_redacted_words():
    step = {
        "kind": "remove",
        "paths": ["/home/alice/a b"],
        "argv": ["rm", "-r", "/home/alice/a b"],
        "why": "",
        "changes": "",
    }
    made = redact({"one": {"step": step, "shown": {"bash": "rm -r '/home/alice/a b'"}}, "two": {"shown": 1}}, ALICE)
    assert made["one"]["shown"] == {"bash": 'rm -r "<home>/a b"'}
    assert made["two"] == {"shown": 1}
