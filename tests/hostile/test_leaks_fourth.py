"""The fourth list: lines with a mark where something private stands, and lines that only look like it."""

from __future__ import annotations

import time

import fourth_name_list as names
import fourth_secret_list as secrets
import pytest
from fourth_kept_list import KEPT
from fourth_list import filled, left
from fourth_sentence_list import SENTENCES

from attn_doctor.report.redact import Own, password_words, redact

OWN = Own(home="/home/owner1", user="owner1", host="ownhost-9")
LISTS = (secrets.COMMANDS_AND_FILES, secrets.CALLS, SENTENCES, names.LINES, names.SERIALS, names.FOLDERS)


def cleaned(text):
    return redact({"x": text}, OWN)["x"]


@pytest.mark.parametrize(("text", "private"), [row for lines in LISTS for row in filled(lines)])
def test_nothing_private_is_left(text, private):
    assert private
    assert left(cleaned(text), private) == []


@pytest.mark.parametrize("text", KEPT.strip("\n").split("\n"))
def test_what_only_looks_like_it_is_kept(text):
    assert cleaned(text) == text


def test_a_word_of_each_language_is_enough():
    for language, beginnings in password_words.LANGUAGES.items():
        for one in beginnings:
            word = one.replace(r"\b", "")
            assert "Wal77-Quitte" not in cleaned(f"{word} Wal77-Quitte ..."), (language, word)


UNITS = (
    "user = a:", "bundle config set a b:", "connect to a user b using ", 'send "a', 'getenv("a_token") ', "recovery key = A1B2-", 'User "a" cannot ',
    "acls to: a,", " with view permissions: a, ", "user:a:r", "CORP\\a:(", "valid users = a,", "1 1 1 1 1 a ", "(a) CMD", "a : a ", "useradd a ", "chown a ", "sudo -u a ", "<Author>A\\a", "CORP\\a 1:00",
    "12\tAda B", "Received: from a1 by ", "inquiry: A1 ", "[0:0:0:0] a A1B2C3D4 ", "ata-A1_A1B2C3D4", "adb -s ", "/a/people/", "/data/a/b/", "/scratch/a.b", "Client('a', ", "connect('a', 1, ", "jwt.encode(a, ",
    "pgp_sym_decrypt(a, ", "authorization code ", "PRAGMA key=", "ATTACH a KEY ", 'SIGN="0 ', "https://a b ", "/a a ", "a * A1-", "x.secrets\na", "auth-user-pass\na\n", "use aB1-aB1-a to ", "unlock a a with ",
    "is the password ", "set the password to ", "ist jetzt ", "zrok enable ", "infracost auth set ", "codecov -t ", "-Dx", "a.b.c.login=", "tensor base64 ", "cache key ", "4/0A", "Name: a1\n", "tfevents.1764500000.a.", "$ hostname\n", "$ whoami\na\n", "1.pts-0.a ", "a1 (1", "a1. IN ",
    "CN = a1.", "DNS:a1", "'@'a", "<1>1 2026-11-30T ", "Linux 6.8 (a", "startup(): 1 1 ", " a||1||", "1 a b COMPLETED", "<key>token</key> ", "token REG_SZ ", '"token": {"value": ', '["token"]=> ', "密码", "密码aB1-",
)  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_text_ends(unit):
    text = (unit * 20_000)[:20_000]
    begin = time.process_time()
    assert "10.20.30.40" not in redact({"x": f"{text} to 10.20.30.40", "y": text.split("\n")}, OWN)["x"]
    assert time.process_time() - begin < 30
