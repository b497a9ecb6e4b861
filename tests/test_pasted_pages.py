"""A page that is pasted into an issue: its first screen, its length, and that nothing in it breaks the page around it."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import full_report
import msgspec
import pytest
from markdown_it import MarkdownIt

from attn_doctor.cli import fix
from attn_doctor.cli.options import add_form
from attn_doctor.fixes.apply import Applied
from attn_doctor.fixes.plan import Plan, Way
from attn_doctor.fixes.workflow import FixRequest, suggest
from attn_doctor.logs.reader import Log
from attn_doctor.model.facts import Binary, ChosenPython, Distribution, Facts, Variable
from attn_doctor.model.findings import Diagnosis, Evidence
from attn_doctor.model.project_file import ProjectFile
from attn_doctor.model.report import encode
from attn_doctor.report import markdown
from attn_doctor.report.blocks import Details, Heading, Listing, Notes, Paragraph, Verdict
from attn_doctor.report.folded_facts import folded
from attn_doctor.report.forms import FORMS, filled
from attn_doctor.report.gate import Gate
from attn_doctor.report.issue_outline import for_an_issue
from attn_doctor.report.outline import outline
from attn_doctor.report.redact import Own
from attn_doctor.report.shortening import shortened
from attn_doctor.trials.long_trial import Study
from attn_doctor.wheels.proof import Proof

GITHUB = 65_536  # characters of an issue
ROOT = Path(__file__).parent.parent


def doctor(*argv):
    return subprocess.run(
        [sys.executable, "-m", "attn_doctor", *map(str, argv)], cwd=ROOT, capture_output=True, encoding="utf-8"
    )


def page(report, form=None):
    arranged = for_an_issue(outline(report))
    return markdown.render(filled(FORMS[form], report, arranged) if form else [*arranged, *folded(report)])


def first_screen(text):
    return text.partition("<details>")[0]


def large(packages=4000, variables=200, flags=400):
    """A report with more facts than an issue may have characters."""
    facts = full_report.facts()
    many = tuple(
        Distribution(name=f"package-number-{n}", version=f"{n}.0.1", installer="pip", direct_url=None)
        for n in range(packages)
    )
    variable = tuple(Variable(name=f"CUDA_VARIABLE_{n}", value="x" * 300) for n in range(variables))
    facts = msgspec.structs.replace(
        facts,
        packages=msgspec.structs.replace(facts.packages, distributions=many),
        environment=variable,
        cpu=msgspec.structs.replace(facts.cpu, flags=tuple(f"flag{n}" for n in range(flags))),
    )
    return full_report.report(facts=facts)


@pytest.mark.parametrize("form", [None, *FORMS])
def test_the_page_of_a_large_environment_is_shorter_than_an_issue_may_be(form):
    whole = first_screen(page(large(10, 1, 1), form))
    made = page(large(), form)
    assert len(made) < 60_000 < GITHUB
    assert "Left out, because an issue has a greatest length" in made
    assert "Installed distributions (4000)" in made
    if form in (None, "flash-attn"):  # nothing that is open was cut
        assert first_screen(made) == whole


def test_the_longest_parts_are_cut_first_and_the_short_ones_stay_whole():
    made = page(large(variables=2))
    assert "CUDA_VARIABLE_1=" + "x" * 300 in made
    assert "GPU 0 - GPU 1: NV12" in made
    assert "a part of “Installed distributions (4000)”" in made
    assert "package-number-1==1.0.1" in made
    assert "package-number-3999==" not in made


def test_a_page_that_is_long_before_its_first_folded_part_is_cut_too():
    finding = full_report.finding(
        evidence=tuple(Evidence(kind="log", file="x.log", line=n, text="y" * 2000) for n in range(400)),
        message="z" * 90_000,
    )
    made = page(full_report.report(findings=(finding, full_report.finding(2))))
    assert len(made) < 60_000
    assert "things stand in the way" in made
    assert made.count("```") % 2 == 0


def test_what_fits_is_left_as_it_is():
    blocks = [Verdict("all is well", ""), Details("more", (Listing(("a", "b")),))]
    assert shortened(blocks, 1000, lambda _: 100) == blocks


def test_parts_that_have_no_room_at_all_are_named():
    parts = [Details(f"part {n}", (Listing(("x" * 400,)),)) for n in range(60)]
    made = markdown.render([Verdict("sick", "bad"), *parts], most=5_000)
    assert len(made) <= 5_000
    assert "Left out, because an issue has a greatest length: part 0; part 1" in made


EVIL = "```\n</details>\n| a | b |\n~~~\n<!--\n````\n<script>x</script> @octocat #12 ![p](http://d) [a](javascript:b)"
OURS = re.compile(r"</?(?:details|summary|code)>")


def evil_report():
    """A report with a text in its findings, logs, packages and variables that tries to break the page."""
    facts = full_report.facts()
    facts = msgspec.structs.replace(
        facts,
        environment=(Variable(name="CUDA_X", value=EVIL),),
        packages=msgspec.structs.replace(
            facts.packages, distributions=(Distribution(name=EVIL, version=EVIL, installer=EVIL, direct_url=EVIL),)
        ),
        torch=msgspec.structs.replace(facts.torch, loaded=(f"/x/{EVIL}/libcudnn.so.9",), cudnn=EVIL),
        graphics=msgspec.structs.replace(facts.graphics, topology=(EVIL,), driver=EVIL),
    )
    finding = full_report.finding(message=EVIL, evidence=(Evidence(kind="log", file=EVIL, line=1, text=EVIL),))
    return full_report.report(
        findings=(finding, full_report.finding(2, slug="another", message=EVIL)),
        facts=facts,
        command=("attn-doctor", "check", EVIL),
        log_ends=(full_report.LogExcerpt(file=EVIL, lines=tuple(EVIL.splitlines())),),
    )


@pytest.mark.parametrize("form", [None, *FORMS])
def test_foreign_text_breaks_no_fence_no_table_and_no_folded_part(form):
    """Read as GitHub reads it: by a parser of CommonMark with tables."""
    made = page(evil_report(), form)
    calm = page(full_report.report(findings=(full_report.finding(), full_report.finding(2))), form)
    parsed, expected = (MarkdownIt("commonmark", {"html": True}).enable("table").parse(text) for text in (made, calm))
    tags = [tag for token in parsed if token.type == "html_block" for tag in re.findall(r"<[^>]*>?", token.content)]
    assert tags
    assert all(OURS.fullmatch(tag) for tag in tags)
    assert tags.count("<details>") == tags.count("</details>") == made.count("\n<details>\n")
    inline = [child for token in parsed for child in token.children or ()]
    assert not [child.type for child in inline if child.type in ("html_inline", "image")]
    assert not [
        child.attrs["href"]
        for child in inline
        if child.type == "link_open" and not child.attrs["href"].startswith("https://github.com/")
    ]
    assert not [child.content for child in inline if child.type == "text" and "@octocat" in child.content]
    for kind in ("table_open", "fence"):
        assert (
            abs([t.type for t in parsed].count(kind) - [t.type for t in expected].count(kind)) <= 2
        )  # the ends of logs differ
    for token in parsed:
        if token.type == "html_block":
            assert not re.search(r"(?<!<code>)@octocat", token.content)


def test_the_first_screen_has_the_verdict_the_cause_the_command_and_the_trials():
    made = first_screen(page(full_report.report()))
    lines = made.splitlines()[:40]
    text = "\n".join(lines)
    places = [
        text.find("One thing stands in the way"),
        text.find("flash-attn 2.7.4 was built for another torch"),
        text.find("-m pip install flash-attn==2.7.4.post1 --no-build-isolation"),
        text.find("| backend | dtype |"),
    ]
    assert -1 not in places
    assert places == sorted(places)


def test_the_first_finding_with_a_command_is_open_and_all_behind_it_are_folded():
    findings = (full_report.finding(1, fixes=()), *(full_report.finding(n) for n in range(2, 6)))
    made = page(full_report.report(findings=findings))
    assert [n for n in range(1, 6) if f"(AD30{n})" in first_screen(made)] == [1, 2]
    for number in (3, 4, 5):
        assert f"<summary>× flash-attn-undefined-symbol (AD30{number})</summary>" in made


def test_other_ways_and_notes_are_folded():
    one = full_report.finding()
    cures = tuple(msgspec.structs.replace(one.fixes[0], title=f"way {n}") for n in range(3))
    blocks = for_an_issue(outline(full_report.report(findings=(full_report.finding(fixes=cures),))))
    open_ones = [b for b in blocks if not isinstance(b, Details)]
    assert "way 0" in str(open_ones)
    assert "way 1" not in str(open_ones)
    assert any("2 other ways" in b.title for b in blocks if isinstance(b, Details))


def test_a_heading_without_content_is_left_out():
    blocks = for_an_issue(
        [Verdict("well", "good"), Heading("Recommendation"), Notes("Because", ("x",)), Paragraph("last")]
    )
    assert not any(isinstance(b, Heading) for b in blocks)


def test_the_title_of_a_folded_part_does_nothing():
    made = markdown.render([Details("<script>x</script> @octocat o/r#12", ())])
    assert "<script>" not in made
    assert "<code>@octocat</code>" in made
    assert "<code>o/r#12</code>" in made


def test_diagnose_writes_a_reply(tmp_path):
    log = tmp_path / "build.log"
    log.write_text(
        "Collecting flash-attn\n  Preparing metadata (setup.py) ... error\n  Traceback (most recent call last):\n"
        "    File \"<string>\", line 22, in <module>\n  ModuleNotFoundError: No module named 'torch'\n"
        "error: metadata-generation-failed\n"
    )
    made = doctor("diagnose", log, "--markdown", "-").stdout
    first = first_screen(made)
    assert first.startswith("❌ **The cause: ")
    assert "The lines that show it:" in first
    assert "No module named 'torch'" in first
    assert re.search(r"```sh\n.*--no-build-isolation", first, re.DOTALL)
    assert "attn-doctor check --markdown report.md" in made


def test_diagnose_of_an_unknown_error_quotes_it(tmp_path):
    log = tmp_path / "x.log"
    log.write_text(
        'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nZorkError: the frobnicator is @octocat\'s\n'
    )
    made = doctor("diagnose", log, "--markdown", "-").stdout
    assert "ZorkError: the frobnicator" in made
    assert "Errors that attn-doctor does not know" in made


def test_show_fills_in_a_form(tmp_path):
    saved = tmp_path / "r.json"
    saved.write_bytes(encode(full_report.report()))
    done = doctor("show", saved, "--markdown", "-", "--for", "ultralytics")
    assert done.returncode == 0, done.stderr
    assert "r.json; all that follows is what this file says" in done.stdout.partition("##")[0]
    for section in FORMS["ultralytics"].sections:
        assert f"## {section.label}\n" in done.stdout


def test_the_option_has_every_form():
    parser = argparse.ArgumentParser()
    add_form(parser)
    assert all(parser.parse_args(["--for", name]).form == name for name in FORMS)
    with pytest.raises(SystemExit):
        parser.parse_args(["--for", "tensorflow"])


@pytest.mark.parametrize(
    "kind",
    [
        Diagnosis,
        Facts,
        tuple[Log, ...],
        tuple[ProjectFile, ...],
        Plan,
        Way | None,
        Applied | None,
        Proof,
        Study,
        Facts | None,
        ChosenPython,
        tuple[tuple[str, tuple[Binary, ...]], ...],
    ],
    ids=str,
)
def test_records_whose_outline_is_written_can_be_made_anew_from_clean_data(kind):
    msgspec.json.Decoder(kind)  # raises TypeError if not


def test_blocks_are_cleaned_as_a_whole():
    gate = Gate(Own(home="/home/zquser", user="zquser", host="zqhost"))
    made = gate.blocks(
        [Details("of zqhost", (Listing(("/home/zquser/x",)), Notes("", ("token=hf_" + "a1B2c3D4e5" * 4,))))]
    )
    assert "zq" not in str(made)
    assert "hf_" not in str(made)
    assert "<home>/x" in str(made)


def test_a_form_without_markdown_is_refused_before_any_work():
    done = doctor("check", "--for", "pytorch")
    assert done.returncode == 2
    assert "--markdown FILE" in done.stderr


@pytest.fixture(scope="module")
def suggested():
    facts = ROOT / "fixtures" / "machines" / "rtx-3090-torch-upgraded" / "facts.json"
    return suggest(FixRequest({}, facts=str(facts), offline=True), lambda _: None)


def written(tmp_path, suggested, way=None, result=None):
    outputs = {"markdown": str(tmp_path / "p.md"), "json": str(tmp_path / "p.json")}
    fix._write(argparse.Namespace(**outputs), suggested, way, result)
    return (tmp_path / "p.md").read_text(encoding="utf-8"), json.loads(
        (tmp_path / "p.json").read_text(encoding="utf-8")
    )


def test_fix_writes_its_plan_with_causes_first_and_one_way_open(tmp_path, suggested):
    page, data = written(tmp_path, suggested)
    first = first_screen(page)
    assert first.find("**Root causes**") < first.find("### A Install the flash-attn wheel that fits")
    assert "-m pip install https://github.com/Dao-AILab/flash-attention/releases" in first
    assert "<summary>B Do without flash-attn" in page
    assert set(data) == {"plan"}


def test_fix_writes_what_became_of_applying(tmp_path, suggested):
    result = Applied(outcome="applied", summary="flash-attn imports", undo=("attn-doctor", "fix", "--undo"))
    page, data = written(tmp_path, suggested, suggested.plan.ways[0], result)
    assert "flash-attn imports" in first_screen(page)
    assert "attn-doctor fix --undo" in page
    assert data["applied"]["outcome"] == "applied"


def test_that_a_page_is_of_a_saved_report_is_said_before_all_else():
    made = markdown.render(for_an_issue(outline(full_report.report(), "r.json")))
    assert made.find("r.json; all that follows is what this file says") < made.find("stands in the way")
    assert made.count("saved report") == 1
    assert "| target |" in made
