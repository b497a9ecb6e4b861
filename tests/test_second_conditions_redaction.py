"""The second of two conditions in what is taken out of a report."""

from __future__ import annotations

import pytest

from attn_doctor.report.redact import Own, redact

ZORK = Own(home="/home/zork", user="zork", host="frobnitz")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("/home/zork/x", "<home>/x"),
        ("/home/zorkine/x", "/home/<user-1>/x"),
        ("of zork, on frobnitz", "of <user>, on <host>"),
        ("zork-lib", "<user>-lib"),
        ("/Users/anna/x", "/Users/<user-1>/x"),
        ("git@github.com:a/b", "git@github.com:a/b"),
        ("anna@example.org", "<email-1>"),
        ("https://me:pw@host.example/x", "https://<credentials>@host.example/x"),
        ("token = abcdef123456", "token = <secret-1>"),
        ("serial: ABC123456", "serial: <serial-1>"),
        ("at 10.11.12.13 and 10.11.12.13, 10.1.1.1", "at <ip-1> and <ip-1>, <ip-2>"),
        ("127.0.0.1 and 255.255.255.0", "127.0.0.1 and 255.255.255.0"),
        ("cudnn 9.1.0.70", "cudnn 9.1.0.70"),
        ("torch==1.2.3.4", "torch==1.2.3.4"),
        ("2001:db8::1", "<ip-1>"),
    ],
)
def test_what_is_taken_out_of_a_text(said, left):
    assert redact({"text": said}, ZORK)["text"] == left


def test_a_number_that_is_a_version_elsewhere_in_the_report_is_one_everywhere():
    data = {"facts": {"version": "12.4.5.8"}, "text": "12.4.5.8 and 172.16.5.9"}
    assert redact(data, ZORK)["text"] == "12.4.5.8 and <ip-1>"
    asked = {"facts": [{"requirement": "zork>=7.7.7.7"}], "text": "7.7.7.7"}
    assert redact(asked, ZORK)["text"] == "7.7.7.7"
    assert redact({"facts": {"name": "7.7.7.7"}, "text": "7.7.7.7"}, ZORK)["text"] == "<ip-1>"


def test_a_version_field_is_kept_as_it_is_where_it_has_a_version():
    assert redact({"kernel": "6.8.0-zork", "cudnn": "10.1.0.70", "name": "10.1.0.71"}, ZORK) == {
        "kernel": "6.8.0-<user>",
        "cudnn": "10.1.0.70",
        "name": "<ip-1>",
        "redacted": {"ip": 1, "user": 1},
    }


@pytest.mark.parametrize(
    ("user", "said"), [("ab", "of ab"), ("root", "of root"), ("abc", "of abc"), ("abcd", "of <user>")]
)
def test_short_and_common_names_identify_nobody(user, said):
    assert redact({"text": f"of {user}"}, Own(home="/", user=user, host=""))["text"] == said
    assert redact({"text": f"at / of {user}"}, Own(home="/", user=user, host=""))["text"] == f"at / {said}"
