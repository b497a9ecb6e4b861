"""Links lead to the address in the metadata of the package, and nowhere if it has none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from published_address import DOCS, ISSUES, metadata

ROOT = Path(__file__).parent.parent

SHOW = """
import sys, json
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from attn_doctor.examination import with_pages
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.report import decode_facts
from attn_doctor.report import html, markdown
from attn_doctor.report.blocks import Problem
from attn_doctor.model.findings import Goal
from attn_doctor.system import failure
facts = decode_facts(open(sys.argv[3], "rb").read(), "facts")
found = with_pages(diagnose(facts, Goal.TRAIN)).findings[0]
block = Problem("x", "bad", found.code, found.slug, "error", found.message, (), (), (), found.docs)
print(json.dumps({"docs": found.docs, "code": found.code, "slug": found.slug, "markdown": markdown.render([block]),
                  "html": html.render([block], "t"), "failure": failure.sentence(ValueError("x"))}))
"""


def shown(folder: Path) -> dict[str, str]:
    facts = ROOT / "fixtures" / "machines" / "a10g-driver-525-cu130" / "facts.json"
    argv = [sys.executable, "-c", SHOW, str(folder), str(ROOT), str(facts)]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def test_an_address_is_linked_after_the_command(tmp_path):
    made = shown(metadata(tmp_path, f"Documentation, {DOCS}", f"Issues, {ISSUES}"))
    page = f"{DOCS}/failure-modes/{made['slug']}.md"
    assert made["docs"] == page
    command = f"attn-doctor explain {made['code']}"
    assert f"`{command}` · [its page]({page})" in made["markdown"]
    assert 0 < made["html"].index(command) < made["html"].index(f'href="{page}"')
    assert f"Please send this line to {ISSUES};" in made["failure"]


@pytest.mark.parametrize(
    "lines", [(), ("Homepage, https://code.example/o/attn-doctor",)], ids=["no address", "no page"]
)
def test_without_an_address_there_is_no_link(tmp_path, lines):
    made = shown(metadata(tmp_path, *lines))
    assert made["docs"] == ""
    assert f"attn-doctor explain {made['code']}" in made["markdown"]
    assert f"attn-doctor explain {made['code']}" in made["html"]
    assert "http" not in made["markdown"] + made["failure"]
    assert "href=" not in made["html"]


def test_the_address_stands_in_no_other_place():
    """An address of a repository of attn-doctor is in the metadata alone; old reports keep the one that they were written with."""
    for folder in ("attn_doctor", "docs", "scripts", ".github"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".j2", ".yml", ".json", ".1"):
                assert "github.com/attn-doctor" not in path.read_text("utf-8"), path
    for path in ROOT.glob("*.md"):
        assert "github.com/attn-doctor" not in path.read_text("utf-8"), path
