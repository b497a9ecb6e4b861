"""What other programs do to a log changes nothing of what it says: cuts, prefixes, colours, encodings, wrapping, noise."""

from __future__ import annotations

import io
import random
import textwrap
from collections.abc import Callable, Iterator

import pytest
from recorded_logs import CASES, Case, reader

from attn_doctor.failure_modes import ALL
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.logs.decode import as_text
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal

FOUND = [case for case in CASES if case.root]
# A test a cause, over all of its logs and all that can be done to them: thousands of tests of a millisecond each cost minutes.
each_cause = pytest.mark.parametrize("slug", sorted({case.folder for case in FOUND}))


def said_otherwise(slug: str, changed: dict[str, Callable[[list[str]], bytes]]) -> list[str]:
    """The logs of a cause, and what was done to each, that another root cause is named for."""
    return [
        f"{case.folder}/{case.name}, {how}: {slug_of(change(lines_of(case)))}"
        for case in FOUND
        if case.folder == slug
        for how, change in changed.items()
        if slug_of(change(lines_of(case))) != case.root
    ]


def findings_of(data: bytes) -> tuple[Finding, ...]:
    """What is said of a log. Only those rules are asked whose signs are in it: the others have nothing to say."""
    log = reader().read(io.BytesIO(data), "log")
    concerned = {match.slug for match in log.matches}
    modules = [module for module in ALL if module.MODE.slug in concerned]
    return diagnose(Facts(), Goal.FLASH_ATTN, logs=[log], modules=modules).findings


def slug_of(data: bytes) -> str | None:
    """The root cause."""
    found = findings_of(data)
    return found[0].slug if found and found[0].root_cause else None


def lines_of(case: Case) -> list[str]:
    return [as_text(line) for line in case.data.split(b"\n")]


def joined(lines: list[str], end: str = "\n") -> bytes:
    return end.join(lines).encode()


PREFIXES = {
    "docker build": "#12 34.56 ",
    "docker build, no time": "#7 ",
    "GitHub Actions": "2026-11-20T12:31:00.1234567Z ",
    "logger": "2026-11-20 12:31:00,123 ",
    "torchrun": "[rank0]: ",
    "default rank": "[default0]:",
    "Slurm": "0: ",
    "docker compose": "trainer-1  | ",
    "ray": "(Worker pid=4242, ip=10.0.0.1) ",
    "indented": "        ",
    "pip's frame": "      │ ",
}


def prefixed(prefix: str) -> Callable[[list[str]], bytes]:
    return lambda lines: joined([prefix + line for line in lines])


@each_cause
def test_a_prefix_on_every_line(slug):
    assert said_otherwise(slug, {name: prefixed(prefix) for name, prefix in PREFIXES.items()}) == []


def coloured(lines: list[str]) -> list[str]:
    """As programs colour: a whole line, its first word, a word in the middle, and a line that is erased before it is written."""
    chance = random.Random(1)
    made = []
    for line in lines:
        words = line.split(" ")
        at = chance.randrange(len(words))
        words[at] = f"\x1b[1;31m{words[at]}\x1b[0m"
        made.append(f"\x1b[2K\x1b[36m{' '.join(words)}\x1b[39;49m")
    return made


WAYS: dict[str, Callable[[list[str]], bytes]] = {
    "CRLF": lambda lines: joined(lines, "\r\n"),
    "carriage returns": lambda lines: joined(
        [f" 10%|#   | 1/10\r 99%|####| 9/10\r{line}" if line else "" for line in lines]
    ),
    "colours": lambda lines: joined(coloured(lines)),
    "links": lambda lines: joined([f"\x1b]8;;file:///x\x1b\\{line}\x1b]8;;\x1b\\" for line in lines]),
    "UTF-16": lambda lines: "\r\n".join(lines).encode("utf-16"),
    "UTF-16 without a mark": lambda lines: "\n".join(lines).encode("utf-16-le"),
    "UTF-8 with a mark": lambda lines: b"\xef\xbb\xbf" + joined(lines),
    "blank lines between": lambda lines: joined(lines, "\n\n"),
    "trailing blanks": lambda lines: joined([line + "    " for line in lines]),
}


@each_cause
def test_another_dress(slug):
    assert said_otherwise(slug, WAYS) == []


def hard(lines: list[str], width: int) -> list[str]:
    """As a terminal wraps: at the width, whatever stands there."""
    return [line[at : at + width] for line in lines for at in range(0, max(1, len(line)), width)]


def soft(lines: list[str], width: int) -> list[str]:
    """As rich and editors wrap: at blanks."""
    wrap = textwrap.TextWrapper(width, replace_whitespace=False, drop_whitespace=True, break_on_hyphens=False)
    return [part for line in lines for part in (wrap.wrap(line) or [""])]


def boxed(lines: list[str], width: int) -> list[str]:
    """As uv shows what a build printed: indented, broken at blanks, and a long path alone in its line."""
    wrap = textwrap.TextWrapper(width - 20, replace_whitespace=False, break_on_hyphens=False, break_long_words=False)
    parts = [f"      {part}" for line in lines for part in (wrap.wrap(line) or [""])]
    head = ["  × Failed to build `x==1`", "  ├─▶ The build backend returned an error"]
    return [
        *head,
        "  ╰─▶ Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit status: 1)",
        "",
        "      [stderr]",
        *parts,
    ]


def wrapped(wrap: Callable[[list[str], int], list[str]], width: int) -> Callable[[list[str]], bytes]:
    return lambda lines: joined(wrap(lines, width))


@each_cause
def test_wrapped_at_a_width(slug):
    ways = {f"{wrap.__name__} at {width}": wrapped(wrap, width) for wrap in (hard, soft) for width in (80, 100, 120)}
    assert said_otherwise(slug, ways) == []


def test_in_the_box_of_uv():
    """At most one in twelve is read otherwise: the box says that a build failed, which a log of a time limit does not."""
    built = [case for case in FOUND if "pip" not in case.data.decode("utf-8", "replace")[:2000]][::3]
    lost = [case for case in built if slug_of(joined(boxed(lines_of(case), 80))) != case.root]
    assert len(lost) <= len(built) // 12, [(case.folder, case.name) for case in lost]


def test_wrapped_and_prefixed():
    """A terminal's lines, each then put into a collector's."""
    for case in FOUND[::7]:
        parts = [f"#9 12.34 {part}" for part in hard(lines_of(case), 100)]
        assert slug_of(joined(parts)) == case.root, case


def cuts(case: Case) -> Iterator[list[str]]:
    """The log without its head, without its tail, and without both, in several places; what proves it stays."""
    lines = lines_of(case)
    needed = {case.root, *case.expect.get("also", ())} - {"build-failed-unspecified"}
    told = [f for f in findings_of(case.data) if f.slug in needed] or findings_of(case.data)[:1]
    proof = [line.line for finding in told for line in finding.evidence if line.line is not None]
    first, last = min(proof) - 1, max(proof)
    for head in {0, first // 2, max(0, first - 8), first}:
        for tail in {len(lines), (len(lines) + last) // 2, min(len(lines), last + 8), last}:
            yield lines[head:tail]


@each_cause
def test_cut_at_either_end(slug):
    for case in FOUND:
        if case.folder == slug and case.expect.get("cut", True):
            for rest in cuts(case):
                assert slug_of(joined(rest)) == case.root, (case.name, rest)


def test_a_great_deal_of_other_lines_around_it():
    noise = [
        f"[{n}/73] compiling kernel {n * 7919 % 1000} of the flash kernels ... ok in {n * 31 % 97}.{n % 10} s"
        for n in range(3000)
    ]
    for case in FOUND[::5]:
        if not case.expect.get("cut", True):
            continue
        assert slug_of(joined([*noise, *lines_of(case), *noise])) == case.root, case
