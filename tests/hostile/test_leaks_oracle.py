"""detect-secrets as the oracle: what its patterns take for a secret is not left by ours. Heavy tier: it needs the extra `heavy`."""

from __future__ import annotations

import math
import re
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from secret_kinds import KEYED, LETTERS, SHAPES

from attn_doctor.report.redact import Own, redact

ZQ = Own(home="/home/zquser", user="zquser", host="zqhost-17")
PLACEHOLDER = re.compile(r"<[a-z]+(?:-\d+)?>")
# Its detectors that go by an alphabet and a length alone, and one of three letters ("APA" and eight more): hashes and symbols match them too.
GENERIC = frozenset(("Base64 High Entropy String", "Hex High Entropy String"))
MODULES = (
    "artifactory aws azure_storage_key discord github_token gitlab_token jwt mailchimp openai pypi_token sendgrid slack square_oauth stripe "
    "telegram_token twilio"
).split()
LEFT_OUT = r"AP[\dABCDEF]"


def cleaned(text: str) -> str:
    return redact({"x": text}, ZQ)["x"]


def patterns():
    plugins = pytest.importorskip("detect_secrets.plugins")
    for name in MODULES:
        module = __import__(f"{plugins.__name__}.{name}", fromlist=["x"])
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and kind.__module__ == module.__name__
                and isinstance(getattr(kind, "denylist", None), list | tuple)
            ):
                yield from ((name, pattern) for pattern in kind.denylist if LEFT_OUT not in pattern.pattern)


def is_likely(text):
    """Return whether the longest word could be a real secret: 3.5 bits of entropy a character, as detect-secrets itself asks of Base64."""
    longest = max(re.findall(r"[\w/+-]+", text), key=len, default="")
    shares = [longest.count(letter) / len(longest) for letter in set(longest)]
    return -sum(share * math.log2(share) for share in shares) >= 3.5


def first_left(name, pattern):
    """Return a text of this pattern that ours leaves; None: none was found."""

    @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(pattern, fullmatch=True))
    def check(text):
        shortest = {"slack": 70, "jwt": 80}.get(name, 20)  # of a real address of a webhook; of a signed token
        if len(text) >= shortest and text.isascii() and text.isprintable() and is_likely(text):
            said = PLACEHOLDER.sub(" ", cleaned(f"x {text} y"))
            assert not pattern.search(said), (name, text, said)

    try:
        check()
    except AssertionError as error:
        return str(error).splitlines()[0]
    return None


@pytest.mark.heavy
def test_what_its_patterns_make_is_taken_out():
    found = list(patterns())
    assert len(found) > 20
    assert [left for name, pattern in found if (left := first_left(name, pattern))] == []


@pytest.mark.heavy
def test_it_finds_nothing_in_what_ours_leaves():
    pytest.importorskip("detect_secrets")
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import default_settings

    texts = [prefix + secret for prefix, secret in SHAPES.values()] + [
        text.format(LETTERS[:20]) for text in KEYED.values()
    ]
    with default_settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = sum(bool(list(scan_line(line))) for text in texts for line in text.splitlines())
        left = [
            (text, secret.secret_value)
            for text in texts
            for line in cleaned(text).splitlines()
            for secret in scan_line(line)
            if secret.type not in GENERIC and not PLACEHOLDER.search(secret.secret_value or "")
        ]
    assert before > 50  # the oracle sees
    assert left == []
