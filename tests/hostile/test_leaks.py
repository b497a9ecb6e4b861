"""Nothing private leaves the machine: each kind of private data in each quoting, and no harmless text changes."""

from __future__ import annotations

import json
import re
from random import Random
from string import ascii_letters, digits
from urllib.parse import quote

import pytest
import second_secret_list as second
import third_secret_list as third
from hypothesis import given, settings
from hypothesis import strategies as st
from secret_kinds import HARMLESS, IDENTITIES, KEYED, KEYED_SECRET, LETTERS, OTHERS, OWN, SHAPES

from attn_doctor.report.redact import Own, redact

ZQ = Own(home="/home/zquser", user="zquser", host="zqhost-17")
PLACEHOLDER = re.compile(r"<[a-z]+(?:-\d+)?>")

# How a text can stand in a report: alone, in a message, in a repr, as JSON in JSON, in a line of source that has the repr.
QUOTINGS = {
    "alone": lambda text: text,
    "after a colon": lambda text: f"ImportError: {text}",
    "in parentheses": lambda text: f"failed ({text})",
    "in a repr": lambda text: f"ImportError({('x' + chr(10) + text)!r})",
    "in JSON": lambda text: json.dumps({"x": f"\n{text}"}),
    "in JSON in JSON": lambda text: json.dumps({"x": json.dumps({"y": f"\t{text}"})}),
    "as code": lambda text: f"raise ImportError({('b' + chr(10) + text + chr(10))!r}) from None",
    "escaped": lambda text: "".join(f"\\u{ord(c):04x}" for c in f" {text}"),
    "in colour": lambda text: f"\x1b[31m{text}\x1b[0m",
}


def cleaned(text: str) -> str:
    """The text without what is private, and without the placeholders."""
    return redact({"x": text}, ZQ)["x"]


def left(text: str, secret: str) -> bool:
    """Return whether a part of a secret is left: eight letters of it, or all of a shorter one."""
    said = PLACEHOLDER.sub("|", cleaned(text))
    while True:  # what is left is read as a person would: with all escapes undone
        plain = re.sub(r"\\u([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), said).replace("\\n", "\n").replace("\\", "")
        if plain == said:
            break
        said = plain
    said = said.lower()
    pieces = [secret[at : at + 8] for at in range(max(len(secret) - 7, 1))]
    return any(piece.lower() in said for piece in pieces if "-----" not in piece and "\n" not in piece)


@pytest.mark.parametrize("quoting", QUOTINGS.values(), ids=QUOTINGS)
def test_a_token_is_known_by_its_shape(quoting):
    passed = [name for name, (prefix, secret) in SHAPES.items() if left(quoting(prefix + secret), secret)]
    lines = ["a line of a private key"]  # is one only where it is a line
    assert [name for name in passed if name not in lines] == []
    if quoting is QUOTINGS["alone"]:
        assert passed == []


@pytest.mark.parametrize("quoting", QUOTINGS.values(), ids=QUOTINGS)
def test_a_secret_is_known_by_the_name_beside_it(quoting):
    passed = []
    for name, text in KEYED.items():
        secret = KEYED_SECRET.get(name, LETTERS[:20])
        if left(quoting(text.format(secret)), secret):
            passed.append(name)
    assert passed == []


@pytest.mark.parametrize("quoting", QUOTINGS.values(), ids=QUOTINGS)
def test_the_second_list(quoting):
    if quoting is QUOTINGS["escaped"]:
        pytest.skip("escapes that hide the line of a command are in the test of the first list")
    passed = [name for name, (prefix, secret) in second.SHAPES.items() if left(quoting(prefix + secret), secret)]
    for name, text in second.KEYED.items():
        secret = second.KEYED_SECRET.get(name, second.PASSWORD)
        if left(quoting(text.format(secret)), secret):
            passed.append(name)
    assert passed == []


@pytest.mark.parametrize("quoting", QUOTINGS.values(), ids=QUOTINGS)
def test_the_third_list(quoting):
    """Each token in one of twelve sentences that do not call it a secret; each password in a command, a file or a language."""
    passed = []
    for number, (name, (prefix, secret, end, _)) in enumerate(third.SHAPES.items()):
        dress = third.DRESSES[number % len(third.DRESSES)]
        if left(quoting(dress.format(prefix + secret + end)), secret):
            passed.append(name)
    for name, text in third.KEYED.items():
        if quoting is not QUOTINGS["escaped"] and left(quoting(text.format(third.PASSWORD)), third.PASSWORD):
            passed.append(name)
    assert passed == []


@pytest.mark.parametrize("letters", ["base 62 of 32", "base 62 of 44"])
def test_a_token_of_a_service_that_no_row_names(letters):
    """Nine of ten, at least: by chance a few tokens look like a name."""
    random = Random(7)
    known = 0
    for _ in range(200):
        secret = "".join(random.choices(ascii_letters + digits, k=int(letters[-2:])))
        known += not left(f"got vendor_{secret} from the file", secret)
    assert known >= 180


@pytest.mark.parametrize("quoting", QUOTINGS.values(), ids=QUOTINGS)
def test_identifiers_and_addresses(quoting):
    passed = [name for name, (text, piece) in IDENTITIES.items() if left(quoting(text), piece)]
    assert passed == []


@pytest.mark.parametrize("quoting", QUOTINGS.values(), ids=QUOTINGS)
def test_names_of_this_machine_and_of_others(quoting):
    passed = [name for name, text in OWN.items() if left(quoting(text), "zquser") or left(quoting(text), "zqhost")]
    passed += [name for name, text in OTHERS.items() if left(quoting(text), "bobby") or left(quoting(text), "carol")]
    assert passed == []


def test_a_serial_number_below_its_heading():
    table = "NAME    MODEL                  SERIAL\nnvme0n1 SAMSUNG MZQL23T8HCLS   S64HNG0R74G5UY\nsda     X                      7"
    assert cleaned(table) == table.replace("S64HNG0R74G5UY", "<serial-1>")


def test_a_list_of_nodes_that_slurm_writes_together():
    own = ZQ._replace(host="gpu-zqheron-12")
    assert (
        redact({"x": "NodeList=gpu-zqheron-[11-12] BatchHost=n/a"}, own)["x"]
        == "NodeList=<host-1>[11-12] BatchHost=n/a"
    )
    assert redact({"x": "gpu-zqheron- is a prefix"}, own)["x"] == "gpu-zqheron- is a prefix"


@pytest.mark.parametrize("quoting", [QUOTINGS["alone"], QUOTINGS["after a colon"], QUOTINGS["in parentheses"]])
def test_what_is_harmless_is_kept_whole(quoting):
    assert [
        text for text in (*HARMLESS, *second.HARMLESS, *third.HARMLESS) if cleaned(quoting(text)) != quoting(text)
    ] == []


def test_there_are_enough_kinds():
    assert len(SHAPES) + len(KEYED) + len(IDENTITIES) + len(OWN) + len(OTHERS) > 200
    assert len(third.SHAPES) + len(third.KEYED) > 250
    assert len(HARMLESS) > 40


def test_percent_encoding_hides_nothing():
    texts = [KEYED["query"].format(LETTERS[:20]), "/home/zquser/x", "zq.bob@corp.example", "password=" + LETTERS[:20]]
    for text in texts:
        said = cleaned(quote(text, safe="")).lower()
        assert not any(piece in said for piece in (LETTERS[:20].lower(), "zquser", "bob"))


def test_what_was_replaced_is_counted_by_kind():
    data = redact({"a": "10.2.3.4 zquser ZQUSER", "b": {"password": "x1"}, "c": ["--token", "y2"], "d": "10.2.3.4"}, ZQ)
    assert data == {
        "a": "<ip-1> <user> <user-1>",
        "b": {"password": "<secret-1>"},
        "c": ["--token", "<secret-2>"],
        "d": "<ip-1>",
        "redacted": {"ip": 2, "secret": 2, "user": 2},
    }


def test_a_variable_is_judged_by_its_name():
    variables = [
        {"name": "MY_PASSWORD", "value": "two words"},
        {"name": "HOSTNAME", "value": "n17"},
        {"name": "CC", "value": "gcc"},
    ]
    values = [v["value"] for v in redact({"environment": variables}, ZQ)["environment"]]
    assert values == ["<secret-1>", "<host-1>", "gcc"]


def test_a_second_redaction_takes_no_number_twice():
    once = redact({"x": "10.2.3.4"}, ZQ)
    assert redact({**once, "y": "10.9.9.9"}, ZQ) == {"x": "<ip-1>", "y": "<ip-2>", "redacted": {"ip": 2}}
    said = "a token <token-1> and more <secret-1> text <user> that stays"
    assert redact({"x": said}, ZQ)["x"] == said
    assert redact({"x": 1, "redacted": {"zquser": 3, "ip": "many"}}, ZQ) == {"x": 1, "redacted": {}}


SHORT = [
    ("gpu", "gpu0 of the GPU, /home/gpu/x, /scratch/gpu/x, USER=gpu", "gpu0 of the GPU, /home/<user-1>/x, /scratch/<user-1>/x, USER=<user-1>"),
    ("torch", "torch 2.6, /x/torch/lib, C:\\Users\\torch\\x", "torch 2.6, /x/torch/lib, C:\\Users\\<user-1>\\x"),
    ("al", "also al, /home/al/x, /tmp/torchinductor_al/x", "also al, /home/<user-1>/x, /tmp/torchinductor_<user-1>/x"),
    ("data", "data of /data/images, /home/data", "data of /data/images, /home/<user-1>"),
]  # fmt: skip


@pytest.mark.parametrize(("user", "text", "made"), SHORT, ids=[user for user, _, _ in SHORT])
def test_a_short_or_common_name_counts_in_paths_only(user, text, made):
    own = Own(home=f"/nowhere/{user}", user=user, host="dev")
    assert redact({"x": text}, own)["x"] == made


def test_the_names_of_a_machine(monkeypatch):
    own = Own("/home/zq", "zq", "box.corp.example", more_homes=("C:\\Users\\Zq Bob", "/"), more_users=("Zq Bob",))
    assert own.homes == ("/home/zq", "C:\\Users\\Zq Bob")
    assert own.users == ("zq", "Zq Bob")
    assert own.hosts == ("box.corp.example", "box", "corp.example")
    for name, value in {"HOME": "/x/zqhome", "USER": "zqenv", "LOGNAME": "zqlog", "HOSTNAME": "zqbox"}.items():
        monkeypatch.setenv(name, value)
    here = Own.of_this_machine()
    assert (here.home, here.user) == ("/x/zqhome", "zqlog")
    assert {"zqenv", "zqlog", "zqhome"} <= set(here.users)
    assert "zqbox" in here.hosts


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("/home/u/envs/ft", "/home/<user-1>/envs/ft"),  # a user of one letter
        ("/home/x/miniconda3/envs/zero/bin/python", "/home/<user-1>/miniconda3/envs/zero/bin/python"),
        ("C:\\Users\\k\\.conda", "C:\\Users\\<user-1>\\.conda"),
        ("/home/b/bobby/train.py", "/home/b/<user-1>/train.py"),  # a folder of one letter
        ("/home/b/environment/train.py", "/home/b/<user-1>/train.py"),
    ],
)
def test_a_letter_below_home_is_a_user_or_a_folder_of_users(text, made):
    assert redact({"x": text}, ZQ)["x"] == made


def test_a_full_name_and_a_domain_are_found_in_other_spellings():
    own = Own("/home/zqbob", "zqbob", "zqbox", more_users=("Zq Bobson",), more_hosts=("zqbox.corpzq.example",))
    text = "zq.bobson ZQ_BOBSON zq-bobson Zq%20Bobson node9.corpzq.example zqbox.corpzq.example"
    assert re.search("(?i)bobson|corpzq|zqbox", redact({"x": text}, own)["x"]) is None


LONG = (
    "\\", "\\\\", "%41", "\\u0041", "&amp;", "\x1b[", "\u200b", "@", "a@", ":", "::", "fe80:", "aa:", "aa-", "10.1.", "10.1.2.3 ", "GPU-", "serial ",
    "uuid,", "/home/", "/home/a ", "C:\\Users\\", "\\\\a\\", "zquser", "zq", "password=", '"password": "', "token ", "Authorization: ", "Cookie: a;",
    "<password>", "eyJ", "sk-", "SG.", "-----BEGIN PRIV" + "ATE KEY-----", "https://a:", "https://a:b@", "<user-1>", "mysql ", " -u a:", "login(", "a.",
    "0", "a/", "=", "\n", "A1B2C-", "[at]", "you have ", "versions: 1.2, ", "USER=", "{", "key", "X-Amz-Signature=", "-", "1,",
)  # fmt: skip


@pytest.mark.parametrize("unit", LONG, ids=repr)
def test_a_long_hostile_text_ends(unit):
    """A pattern that reads a text again from each of its places would need hours for some of these."""
    text = (unit * 20_000)[:20_000]
    made = redact({"x": text, "y": f"{text} to 10.20.30.40"}, ZQ)
    assert "10.20.30.40" not in made["y"]


PIECES = st.lists(st.sampled_from(LONG) | st.text(max_size=8), max_size=30).map("".join)


@settings(max_examples=60, deadline=None, database=None)
@given(PIECES)
def test_any_text_gets_through_twice_and_no_name_is_left(text):
    once = redact({"x": text}, ZQ)["x"]
    assert "zquser" not in once.lower()
    assert "zquser" not in redact({"x": once}, ZQ)["x"].lower()


def test_a_value_longer_than_a_pattern_is_replaced_whole():
    long = LETTERS * 400
    for text in (
        f"password={long}",
        f"Bearer {long}",
        "gh" + f"p_{long}",
        f'"token": "{long[:4000]}"',
        f"Cookie: a={long[:4000]}",
    ):
        assert LETTERS[:12] not in cleaned(text), text[:20]
