"""The lines of programs with the names of machines and users, one text for each form, and harmless lines that look like them."""

from __future__ import annotations

import program_secrets as secrets
import pytest
from program_names import HOSTS, KEPT, MOUNTS, SERIALS, USERS

from attn_doctor.report.redact import Own, redact

OWN = Own(home="/home/owner1", user="owner1", host="ownhost-9")
ROWS = {
    f"{of}: {name}": row
    for of, rows in (("host", HOSTS), ("mount", MOUNTS), ("user", USERS), ("table", SERIALS))
    for name, row in rows.items()
}


def cleaned(text):
    return redact({"x": text}, OWN)["x"]


@pytest.mark.parametrize(("text", "private"), ROWS.values(), ids=ROWS)
def test_the_form_of_a_line_shows_the_name(text, private):
    assert all(one in text for one in private)
    made = cleaned(text)
    assert [one for one in private if one in made] == []


@pytest.mark.parametrize(("text", "private"), [*secrets.COMMANDS, *secrets.SENTENCES, *secrets.LINES])
def test_a_command_or_a_sentence_shows_the_secret(text, private):
    assert all(one in text for one in private)
    made = cleaned(text)
    assert [one for one in private if one in made] == []


@pytest.mark.parametrize("text", [*KEPT, *secrets.KEPT])
def test_a_line_that_looks_like_it_is_kept(text):
    assert cleaned(text) == text


UNITS = (
    "h-1:/x ", "//h/x ", "10.0.0.1 h1 ", "mount a1:/", "host=", "a1,", "a1:1,", "hosts: a,", "ssh a ", "-L 1:a", "Node a ", "a | b", "| user |\n", "login ", "log in as a / ", "password a 1 ",
    "passphrase is a ", "echo 'a", "echo a |", "snmpget ", "mysql ", "-p a", "arn:aws:iam::1:user/", "/Volumes/a ", "/data/a/users/", "kaggle.com/", "?a=", "https://a/invite/", "magic link ", "sha256-", "A  B  C\n",
    "oathtool ", "AAAA ", "<<< a", "user a on >", "AUTH ", "1.a b ", "idle a1", "Connected to a1.", "vault kv put a ", "'s ", "TMPDIR=/tmp/", "Local host: ", "exec_host = a/", "a" * 9 + "_",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_text_ends(unit):
    """A pattern that reads a text again from each of its places would need hours for some of these."""
    text = (unit * 20_000)[:20_000]
    assert "10.20.30.40" not in redact({"x": f"{text} to 10.20.30.40", "y": text.split("\n")}, OWN)["x"]
