"""Logs as they really are: encodings, colours, progress bars, prefixes, and far too long."""

from __future__ import annotations

import io
import re

import pytest

from attn_doctor.logs.prefixes import clean
from attn_doctor.logs.reader import BLOCK, Pattern, Reader

PATTERNS = [
    Pattern("numpy", b"_ARRAY_API not found", re.compile("_ARRAY_API not found"), "proof"),
    Pattern("symbol", b"undefined symbol", re.compile(r"undefined symbol: (?P<symbol>\w+)"), "proof"),
    Pattern("glibc", b"GLIBC_", re.compile(r"version `(?P<version>GLIBC_[\d.]+)' not found"), "proof"),
]


def read(data: bytes):
    return Reader(PATTERNS).read(io.BytesIO(data), "build.log")


def found(data: bytes):
    return [(m.slug, m.line, m.text) for m in read(data).matches]


LINE = "AttributeError: _ARRAY_API not found"


@pytest.mark.parametrize(
    "data",
    [
        LINE.encode(),
        b"\n\n" + LINE.encode() + b"\n",
        b"\r\n\r\n" + LINE.encode() + b"\r\n",
        (b"\n\n\x1b[31;1mAttributeError\x1b[0m: \x1b[33m_ARRAY_API not found\x1b[0m\n"),
        ("\n\n\x1b]8;;http://x\x07" + LINE + "\x1b]8;;\x07\n").encode(),
        b"\n\n  10%|# | 1/10\r 100%|##########| 10/10\r" + LINE.encode() + b"\n",
        ("\n\n" + LINE + "\n").encode("utf-16"),
        ("\n\n" + LINE + "\n").encode("utf-16-le"),
        b"\xef\xbb\xbf\n\n" + LINE.encode(),
        "\n编译失败\n".encode("gb18030") + LINE.encode(),
        "\n\xfcberfl\xfcssig\n".encode("latin-1") + LINE.encode(),
        b"\n\n#12 34.56 " + LINE.encode(),
        b"\n\n2026-11-20T12:31:00.123Z " + LINE.encode(),
        b"\n\n[rank0]: " + LINE.encode(),
        b"\n\n 3: " + LINE.encode(),
        b"\n\ntrainer-1  | " + LINE.encode(),
        "\n\n      │ ".encode() + LINE.encode(),
        b"\n\n(Worker pid=123, ip=10.0.0.1) " + LINE.encode(),
    ],
    ids=range(18),
)
def test_the_line_is_found_whatever_is_around_it(data):
    matches = found(data)
    assert [(slug, text) for slug, _, text in matches] == [("numpy", LINE)]
    assert matches[0][1] in (1, 3)


def test_values_are_captured_and_line_numbers_are_true():
    log = read(b"one\ntwo\nx.so: undefined symbol: _ZN3c10\n\nversion `GLIBC_2.32' not found\n")
    assert [(m.slug, m.line, m.groups) for m in log.matches] == [
        ("symbol", 3, {"symbol": "_ZN3c10"}),
        ("glibc", 5, {"version": "GLIBC_2.32"}),
    ]
    assert (log.lines, log.size) == (5, 72)
    assert log.tail == ("one", "two", "x.so: undefined symbol: _ZN3c10", "version `GLIBC_2.32' not found")


@pytest.mark.parametrize("offset", range(-40, 41, 8))
def test_a_line_across_the_border_of_two_blocks_is_found_once(offset):
    filler = b"x" * 79 + b"\n"
    before = filler * ((BLOCK + offset) // 80)
    log = read(before + LINE.encode() + b"\n" + filler * 50)
    assert [m.line for m in log.matches] == [before.count(b"\n") + 1]


def test_a_line_of_megabytes_costs_little_and_is_searched():
    log = read(b"y" * (9 << 20) + b" undefined symbol: _Z1f " + b"y" * (1 << 20) + b"\n" + LINE.encode())
    assert [m.slug for m in log.matches] == ["symbol", "numpy"]
    assert len(log.matches[0].text) < 400


def test_a_thousand_repetitions_keep_the_first_and_the_last():
    lines = b"".join(b"%d: undefined symbol: _Z%d\n" % (i, i) for i in range(1000))
    log = read(lines)
    assert len(log.matches) == 40
    assert (log.matches[0].line, log.matches[-1].line) == (1, 1000)


def test_an_empty_log():
    log = read(b"")
    assert (log.lines, log.size, log.matches, log.tail) == (0, 0, (), ())


def test_binary_rubbish_is_read_without_complaint():
    assert read(bytes(range(256)) * 4000).matches == ()


def test_control_characters_do_not_reach_the_screen():
    assert clean("a\x07b\x1bc\x00") == "a b c"
