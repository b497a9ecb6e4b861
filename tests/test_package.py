"""The texts around the package: READMEs, the issue form, and the metadata."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from attn_doctor.cli import parser

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "README.es.md"])
def test_readmes_read_right_anywhere(name):
    """The commands exist in the parser, and no link depends on the place where the page is shown."""
    text = (ROOT / name).read_text("utf-8")
    commands = re.findall(r"^    attn-doctor (.+?)(?:  .*)?$", text, re.MULTILINE) + re.findall(
        r"`attn-doctor ([^`]+)`", text
    )
    assert len(commands) > 10
    for command in commands:
        words = command.replace("…", "").split()
        assert parser().parse_args(words).command, command
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert link.startswith("https://"), link


def test_the_issue_form_asks_for_the_report():
    form = YAML(typ="safe").load((ROOT / ".github" / "ISSUE_TEMPLATE" / "report.yml").read_text("utf-8"))
    assert {"name", "description", "body"} <= set(form)
    fields = {part["id"]: part for part in form["body"] if part["type"] != "markdown"}
    assert len(fields) == len([part for part in form["body"] if part["type"] != "markdown"])
    assert fields["report"]["validations"]["required"] is True
    told = form["body"][0]["attributes"]["value"]
    for line in re.findall(r"^ +attn-doctor (.+)$", told, re.MULTILINE):
        assert "--json" in line
        assert parser().parse_args(line.split()).command


def test_the_metadata_promise_what_was_run():
    kinds = PROJECT["project"]["classifiers"]
    assert [kind for kind in kinds if kind.startswith("Operating System")] == ["Operating System :: POSIX :: Linux"]
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {oldest}" in kinds
    for address in PROJECT["project"].get("urls", {}).values():
        assert address.startswith("https://")


def test_the_source_archive_has_what_its_tests_read():
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for name in ("tests", "fixtures", "docs", "scripts", "benchmarks", ".ci", ".github", "*.md"):
        assert name in included


def test_no_test_file_imports_another():
    """What two of them need stands in a file of its own: an imported test would run twice, or take its fixtures along."""
    files = sorted(ROOT.glob("tests/**/*.py"))
    importing = [f.name for f in files if re.search(r"^\s*(?:from|import) test_", f.read_text(), re.MULTILINE)]
    assert len(files) > 100
    assert importing == []
