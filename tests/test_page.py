"""The page of a report: its order, what it holds, and what it can never do. In a real browser: test_page_in_chromium.py."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from pages import EVIL, page, reports, rows

from attn_doctor.report import html
from attn_doctor.report.blocks import Cell, Details, Field, Fields, Heading, Listing, Notes, Problem, Table, Verdict
from attn_doctor.report.charts import charts
from attn_doctor.report.formats import Answer, Html
from attn_doctor.report.page_parts import about, arranged
from attn_doctor.report.trial_outline import outline
from attn_doctor.trials.long_trial import Study

VOID = {"meta", "line", "rect", "circle", "br"}


class Tree(HTMLParser):
    """Collects elements with their attributes and checks that each is closed by its own end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.found)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: page(report) for name, report in reports().items()}


def body(text: str) -> str:
    return text[text.index("</head>") :]


def test_a_page_says_the_verdict_then_the_command_then_the_map_then_the_numbers_then_details(pages):
    order = [
        "<h1>One thing stands in the way of flash-attn here.",
        'class="problem bad"',
        'class="command"',
        "<h2>Map of the machine</h2>",
        "<h2>Details</h2>",
    ]
    shown = body(pages["errors"])
    assert [shown.index(text) for text in order] == sorted(shown.index(text) for text in order)
    healthy = body(pages["healthy"])
    order = [
        "<h1>",
        "<h2>Recommendation</h2>",
        "<h2>Map of the machine</h2>",
        "<h2>What was measured</h2>",
        'class="data"',
        "<h2>Details</h2>",
    ]
    assert [healthy.index(text) for text in order] == sorted(healthy.index(text) for text in order)


def test_a_page_is_well_formed_and_has_landmarks_and_headings_in_order(pages):
    for text in pages.values():
        tree = Tree(text)
        assert (tree.count("header"), tree.count("main"), tree.count("h1")) == (1, 1, 1)
        levels = [int(tag[1]) for tag, _ in tree.found if re.fullmatch(r"h[1-6]", tag)]
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert all(
            attributes.get("scope") in ("col", "row", "rowgroup") for tag, attributes in tree.found if tag == "th"
        )


def test_the_page_of_each_finding_that_is_shown_travels_in_the_report(pages):
    seen = 0
    for name, report in reports().items():
        outside = re.sub(r"<details.*?</details>", "", pages[name], flags=re.DOTALL)
        for finding in report.findings:
            (first, *_) = about(finding.code)
            travels = first.text.partition("'")[0] in pages[name].replace("&#39;", "'")
            assert travels == bool(re.search(rf"\b{finding.code}\b", outside)), (name, finding.code)
            seen += travels
    assert seen > 8


def test_a_page_asks_for_nothing(pages):
    allowed = {
        "class",
        "lang",
        "charset",
        "name",
        "content",
        "http-equiv",
        "aria-hidden",
        "focusable",
        "role",
        "scope",
        "colspan",
        "open",
        "href",
    }
    drawn = {
        "x",
        "y",
        "x1",
        "x2",
        "y1",
        "y2",
        "cx",
        "cy",
        "r",
        "rx",
        "width",
        "height",
        "dy",
        "text-anchor",
        "stroke-dasharray",
    }
    for text in pages.values():
        tree = Tree(text)
        assert {name for _, attributes in tree.found for name in attributes} <= allowed | drawn
        assert {attributes["href"] for tag, attributes in tree.found if "href" in attributes} <= {
            a["href"] for t, a in tree.found if t == "a" and a["href"].endswith(".md")
        }
        assert not re.search(r"url\(|@import|@font-face", text)


def test_only_our_own_script_may_run(pages):
    for text in pages.values():
        (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'" in text


def test_foreign_text_makes_no_element_and_no_attribute(pages):
    tree = Tree(pages["foreign-text"])
    assert not {"img", "link", "iframe"} & {tag for tag, _ in tree.found}
    assert not any("evil.example" in (value or "") for _, attributes in tree.found for value in attributes.values())
    assert "&lt;img src=http://evil.example/x" in pages["foreign-text"]
    assert EVIL not in pages["foreign-text"]


def test_a_page_is_small(pages):
    sizes = {name: len(text.encode()) for name, text in pages.items()}
    assert max(sizes.values()) < 250_000, sizes


def test_a_cell_of_a_notebook_has_no_script_and_styles_of_its_own_only():
    made = html.cell([Heading("attn-doctor"), Verdict("Good.", "good")])
    assert "<script" not in made
    assert "<main" not in made
    style = re.search(r"<style>(.*?)</style>", made, re.DOTALL)[1]
    selectors = [one.strip() for rule in re.findall(r"([^{}]+)\{", style) for one in rule.split(",")]
    rules = [s for s in selectors if not s.startswith("@") and "prefers-color-scheme" not in s]
    assert len(rules) > 100
    themes = (
        r"(?:body\[data-jp-theme-light=\"(?:true|false)\"\] |body\.vscode-(?:light|dark) |html\[theme=\"dark\"\] )?"
    )
    assert [s for s in rules if not re.match(themes + r"\.attn-doctor(?![\w-])", s)] == []


def test_an_answer_without_a_verdict_keeps_its_order():
    blocks = [Heading("attn-doctor 1"), Notes("a", ("b",)), Table("t", ("c",), ()), Heading("More"), Notes("d", ("e",))]
    made = arranged(blocks)
    assert made.verdict is None
    assert made.sections == (("", (blocks[1],)), ("", (blocks[2],)), ("More", (blocks[4],)))


def test_the_machine_and_the_folded_parts_come_last():
    folded = Details("All", (Listing(("line",)), Details("Inner", (Notes("n", ("x",)),))))
    made = html.render(
        [
            Heading("attn-doctor"),
            Fields((Field("GPU", "none"),)),
            Verdict("Bad.", "bad"),
            folded,
            Notes("Later", ("y",)),
        ],
        "t",
    )
    shown = body(made)
    places = [shown.index(text) for text in ("<h1>Bad.", "Later", "The machine", "<summary>All", "<summary>Inner")]
    assert places == sorted(places)


def test_a_trial_of_several_sizes_has_its_answer_first_and_then_curves():
    study = Study(trials=rows(sizes=(320, 640), dtypes=("float16",)), best="sdpa-flash", best_why="faster")
    answer = Answer(None, lambda: outline(study), title="attn-doctor trial", pictures=lambda: charts(study.trials))
    made = body(Html().render(answer))
    order = [
        "<h1>Use sdpa-flash.",
        "<h2>What was measured</h2>",
        "Time of a training step at 640 pixels",
        "Time of a training step and the image size",
        "image size 320, batch 2",
    ]
    assert [made.index(text) for text in order] == sorted(made.index(text) for text in order)


def test_that_a_report_is_saved_and_an_error_that_is_not_known_stand_in_front():
    blocks = [
        Heading("attn-doctor"),
        Fields((Field("saved report", "x.json; all that follows is what this file says"), Field("GPU", "none"))),
        Verdict("Not recognised.", "warn"),
        Problem("!", "warn", "AD311", "numpy-abi", "", "A message", (), (), (), ""),
        Notes("Not recognised", ("build.log:3: boom",)),
    ]
    made = body(html.render(blocks, "t"))
    order = [
        "saved report: x.json; all that follows is what this file says",
        "<h1>Not recognised.",
        "build.log:3: boom",
        "A message",
        '<th scope="row">GPU',
    ]
    assert [made.index(text) for text in order] == sorted(made.index(text) for text in order)
    assert made.count("x.json") == 1


def test_a_code_of_another_version_has_no_page():
    assert about("AD999") == ()


def test_a_table_drops_columns_that_are_empty_in_every_row():
    rows = ((Cell("a"), Cell(""), Cell("b")), (Cell("c"), Cell(""), Cell("")))
    made = html.render([Table("t", ("one", "two", "three"), rows)], "t")
    assert re.findall(r'<th scope="col"[^>]*>(.*?)</th>', made) == ["one", "three"]
