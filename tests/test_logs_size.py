"""A log may be a gigabyte, and it may be made to be slow: memory stays bounded, and no pattern can be led astray."""

from __future__ import annotations

import io
import re
import sys
from itertools import pairwise

import pytest
from recorded_logs import LOGS, reader

from attn_doctor import child
from attn_doctor.failure_modes import ALL
from attn_doctor.logs.literal_search import Needles, bare
from attn_doctor.logs.unwrap import joined

if sys.version_info >= (3, 11):
    import re._constants as constants
    import re._parser as parser
else:
    import sre_constants as constants
    import sre_parse as parser

SIGNS = [(module.MODE.slug, sign) for module in ALL for sign in module.MODE.signs]
NO_PREFIX = re.compile(rb"(?!)")

MEASURE = """
import re, sys
from attn_doctor.failure_modes import patterns
from attn_doctor.logs.reader import Reader
with open(sys.argv[1], "rb") as stream:
    log = Reader(patterns()).read(stream, "log")
# Not ru_maxrss: that is inherited from the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
print(log.size, log.lines, sorted({m.slug for m in log.matches}), peak)
"""


@pytest.mark.heavy
def test_three_hundred_megabytes_are_read_in_less_than_a_hundred(tmp_path):
    path = tmp_path / "huge.log"
    recorded = [file.read_bytes() for file in sorted(LOGS.glob("[hn]*/*.log"))]
    written = 0
    with path.open("wb") as out:
        out.write(b"c++: fatal error: Killed signal terminated program cc1plus\n")
        while written < 300 << 20:
            for number, data in enumerate(recorded):
                written += out.write(data + b"worker %d of step %d says %x\n" % (number, written, written * 2654435761))
        out.write(
            b"x" * (8 << 20) + b"\r" * (1 << 20) + b"\nnvcc fatal   : Unsupported gpu architecture 'compute_120'\n"
        )
    run = child.command([sys.executable, "-c", MEASURE, str(path)], deadline=280.0)
    assert run.fault is None, run.stderr
    size, _, rest = run.stdout.partition(" ")
    kilobytes = int(rest.rpartition(" ")[2])
    assert int(size) > 300 << 20
    assert "out-of-memory-build" in rest
    assert "cross-compile-archs" in rest
    assert kilobytes < 100 << 10


def adversarial(literal: str, sample: str):
    """Lines that hold the literal and nearly match: runs of what patterns repeat, and what begins as the sample does."""
    longest = 8192
    yield literal * (longest // len(literal))
    for filler in ("a", " ", "0", "'", '"', "/x", "(a", ": ", ":1:1: ", "https://github.com/", "lib.so", "\\n"):
        run = filler * (longest // len(filler))
        yield literal + run
        yield run + literal
        yield run[: longest // 2] + literal + run[: longest // 2]
    yield sample[:-1] * (longest // max(1, len(sample) - 1))
    yield sample[: len(sample) // 2] * (2 * longest // len(sample)) + literal


@pytest.mark.parametrize("slug", sorted({slug for slug, _ in SIGNS}))
def test_lines_made_to_be_slow_are_read(slug):
    """It ends: a pattern that backtracks badly would not, for all of these lines, within the time that a test has."""
    lines = [line for name, sign in SIGNS if name == slug for line in adversarial(sign.literal, sign.sample)]
    if lines:
        assert reader().read(io.BytesIO("\n".join(lines).encode()), "log").lines == len(lines)


def repeats(pattern, inside: bool = False):
    """Whether an unbounded repetition stands inside of another."""
    for kind, value in pattern:
        if kind in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            _, most, body = value
            endless = most == constants.MAXREPEAT
            if (endless and inside) or repeats(body, inside or endless):
                return True
        elif kind is constants.BRANCH:
            if any(repeats(branch, inside) for branch in value[1]):
                return True
        elif kind is constants.SUBPATTERN:
            if repeats(value[-1], inside):
                return True
        elif kind in (constants.ASSERT, constants.ASSERT_NOT) and repeats(value[1], inside):
            return True
    return False


def opens_endlessly(pattern) -> bool:
    """Whether a pattern begins with an unbounded repetition, so that it is tried again from every character of a long run."""
    for kind, value in pattern:
        if kind in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            least, most, body = value
            if most == constants.MAXREPEAT:
                return True
            if least:
                return opens_endlessly(body)
        elif kind is constants.BRANCH:
            return any(opens_endlessly(branch) for branch in value[1])
        elif kind is constants.SUBPATTERN:
            return opens_endlessly(value[-1])
        else:
            return False
    return False


@pytest.mark.parametrize(("slug", "sign"), SIGNS, ids=[f"{slug}-{n}" for n, (slug, _) in enumerate(SIGNS)])
def test_no_pattern_is_made_to_backtrack(slug, sign):
    parsed = parser.parse(sign.pattern)
    assert not repeats(parsed), "nested unbounded repetitions"
    assert not opens_endlessly(parsed), "begins with an unbounded repetition: bound it, or put something in front"


def test_needles_find_what_a_plain_search_finds():
    needles = [sign.literal.encode() for _, sign in SIGNS]
    sought = Needles(needles)
    for path in sorted(LOGS.glob("*/*.log")):
        lines = path.read_bytes().split(b"\n")
        hot = sought.among(map(bare, lines))
        for line in lines:
            expected = {index for index, needle in enumerate(needles) if needle in line}
            assert expected <= set(hot.get(bare(line), ())), (path, line)


def test_a_needle_without_anything_but_digits_is_refused():
    with pytest.raises(ValueError, match="too short"):
        Needles([b"137"])


def whole(*lines: bytes) -> set[bytes]:
    return {one.text for one in joined(lines, lines, NO_PREFIX)}


def test_what_was_broken_at_a_column_is_put_together():
    text = b"The quick brown fox jumps over the lazy dog, and it does so again and again, as it is told to do."
    parts = [text[at : at + 45] for at in range(0, len(text), 45)]
    assert text in whole(b"first", *parts, b"last")


def test_what_was_broken_at_blanks_is_put_together():
    parts = [
        b"The quick brown fox jumps over the lazy dog,",
        b"and_it_does_so_again_and_again, as it is told",
        b"to do",
    ]
    assert b" ".join(parts) in whole(b"first", *parts, b"last")


def test_lines_that_had_room_left_are_left_alone():
    assert whole(b"a short line", b"and another", b"x" * 60) == set()
    assert whole(b"x" * 60, b"x" * 2000) == set()


def test_lines_that_differ_in_digits_alone_are_no_halves_of_one():
    lines = [b"epoch %03d of 100 took 12.%02d s and lost 0.%04d of what was there" % (n, n, n * 7) for n in range(40)]
    assert not list(joined(lines, [bare(line) for line in lines], NO_PREFIX))
    assert all(len(one) == len(other) for one, other in pairwise(lines))
