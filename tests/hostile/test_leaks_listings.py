"""What the lines above show to be private, what a sentence gives away, and what only looks like it."""

from __future__ import annotations

import pytest
from listed_names import KEPT, LISTED, SENTENCES

from attn_doctor.report.redact import Own, redact

OWN = Own(home="/home/owner1", user="owner1", host="ownhost-9")


def cleaned(text):
    return redact({"x": text}, OWN)["x"]


@pytest.mark.parametrize(("text", "private"), LISTED.values(), ids=LISTED)
def test_no_name_beside_it_shows_that_it_is_private(text, private):
    made = cleaned(text)
    assert [one for one in private if one in made] == []


@pytest.mark.parametrize("text", SENTENCES.values(), ids=SENTENCES)
def test_a_sentence_gives_a_password_away(text):
    assert "mellan7" in text
    assert "mellan7" not in cleaned(text)


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_is_kept(text):
    assert cleaned(text) == text


def test_a_heading_counts_for_the_lines_of_a_list():
    lines = ["JOBID PARTITION USER ST", " 7713 batch  zqbobby R", "SerialNumber", "ZQ9KD71L3M", "done"]
    made = redact({"lines": lines}, OWN)
    assert made["lines"] == ["JOBID PARTITION USER ST", " 7713 batch  <user-1> R", "SerialNumber", "<serial-1>", "done"]
    assert made["redacted"] == {"serial": 1, "user": 1}


def test_the_rest_of_a_table_is_kept():
    table = "USER       PID COMMAND  ARGS\nroot         1 init     x\nzqcarol   4411 python   t.py\n\nzqcarol is not in a table here"
    assert cleaned(table) == table.replace("zqcarol  ", "<user-1>  ", 1)


def test_this_machines_user_below_a_heading_has_its_own_placeholder():
    assert cleaned("PID USER COMMAND\n  7 owner1 python") == "PID USER COMMAND\n  7 <user> python"


@pytest.mark.parametrize(
    "unit",
    ["USER ", "USER\n", "a b\n", "curl ", "login ", "...e/", "10.0.0.1 a", "random_password ", "a:x:1:", "mpirun ", "h:1,", "password is ", "« ", "пароль ", "://", "a-b1 ", "backup codes\n", "1234-5678\n"],
)  # fmt: skip
def test_a_long_text_ends(unit):
    text = (unit * 20_000)[:20_000]
    assert "10.20.30.40" not in redact({"x": f"{text} to 10.20.30.40", "y": text.split("\n")}, OWN)["x"]
