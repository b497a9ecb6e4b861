"""Render a report as Markdown, to be pasted into an issue."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from attn_doctor.report.blocks import (
    Block,
    Cure,
    Details,
    Fields,
    Heading,
    Listing,
    Paragraph,
    Problem,
    Table,
    Verdict,
    neutral,
)
from attn_doctor.report.shortening import shortened

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#&~$"})
# GitHub and GitLab write to a person, and link an issue, wherever a page has such a word: https://docs.github.com/get-started/writing-on-github.
# An escape does not stop that; inside of code they do not look.
_PING = re.compile(r"(?<!\w)@[A-Za-z0-9][\w/-]*|(?<![\w&])(?:[\w.-]+/[\w.-]+)?#\d+\b|\bGH-\d+\b")
_LIST = re.compile(r"(?=[-+=])|\d{1,9}(?=[.)](?:\s|$))")  # at the beginning of a line: a list, a rule, a heading
_MARKS = {"good": "✅ ", "bad": "❌ ", "warn": "⚠️ "}


def escape(text: str) -> str:
    """Return text that Markdown shows unchanged. No name in it notifies a user; line breaks become spaces."""
    line = " ".join(text.split())
    made, at = [], 0
    for match in _PING.finditer(line):
        made += [line[at : match.start()].translate(_SPECIAL), f"`{match[0]}`"]
        at = match.end()
    made.append(line[at:].translate(_SPECIAL))
    text, listed = "".join(made), _LIST.match(line)
    return text if listed is None else f"{text[: listed.end()]}\\{text[listed.end() :]}"


# GitHub refuses a text of more than 65,536 characters. What the gate replaces in the finished page may be longer than it was.
LONGEST = 58_000


def render(blocks: Iterable[Block], most: int = LONGEST) -> str:
    """Return the page in at most `most` characters. If it is longer, folded parts are cut, and the last line names them."""
    short = shortened(list(neutral(blocks)), most, lambda block: len(_text(block)))
    return "".join(map(_text, short))[:most]


def _text(block: Block) -> str:
    return "".join(f"{line}\n" for line in _lines(block))


def _lines(block: Block) -> list[str]:
    if isinstance(block, Heading):
        return [f"## {escape(block.text)}", ""]
    if isinstance(block, Fields):
        rows = [f"| {escape(f.label)} | {escape(f.text)} |" for f in block.items]
        return ["| | |", "|---|---|", *rows, ""]
    if isinstance(block, Verdict):
        return [f"{_MARKS.get(block.tone, '')}**{escape(block.text)}**", ""]
    if isinstance(block, Paragraph):
        return [escape(block.text), ""]
    if isinstance(block, Problem):
        return _problem(block)
    if isinstance(block, Cure):
        return [f"{'The report says: ' if block.said else ''}{escape(block.title)}:", "", fence(block.commands), ""]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Listing):
        return [_fenced("\n".join(block.lines), "text"), ""]
    if isinstance(block, Details):
        return _details(block)
    title = [f"**{escape(block.title)}**", ""] if block.title else []
    return [*title, *[f"- {escape(item)}" for item in block.items], ""]


def _details(block: Details) -> list[str]:
    """Return the lines of a folded part.

    Empty lines are needed between the tags, so that GitHub reads Markdown there:
    https://gist.github.com/seanh/13a93686bf4c2cb16e658b3cf96807f2.
    """
    title = html.escape(" ".join(block.title.split()))
    title = _PING.sub(lambda match: f"<code>{match[0]}</code>", title)
    inner = [line for part in block.blocks for line in _lines(part)]
    return [f"<details{' open' if block.open else ''}>", f"<summary>{title}</summary>", "", *inner, "</details>", ""]


def _problem(block: Problem) -> list[str]:
    lines = [f"### {escape(block.mark)} {escape(block.slug)} ({escape(block.code)})", "", escape(block.message), ""]
    more = f" · `{block.explained}`" if block.explained else ""
    more += f" · [its page]({block.docs})" if block.docs else ""
    lines += [f"_{escape(block.qualifiers)}_{more}", ""]
    if block.evidence:
        lines += ["Because:", "", _fenced("\n".join(" ".join(text.split()) for text in block.evidence), "text"), ""]
    if block.consequences:
        lines += [*(f"- with it: {escape(text)}" for text in block.consequences), ""]
    for index, cure in enumerate(block.cures):
        word = "The report says" if cure.said else "Do" if index == 0 else "Or"
        lines += [f"{word}: {escape(cure.title)}", "", fence(cure.commands), ""]
    return lines


def fence(commands: Iterable[object]) -> str:
    """Return commands in a code block; the fence is longer than any run of backticks inside."""
    body = []
    for command in commands:
        note, line = getattr(command, "note", ""), getattr(command, "line", None)
        who = "you: " if getattr(command, "by_hand", False) else ""
        body += [f"# {line}" for line in _statements(f"{who}{' '.join(note.split())}")]
        doubt = getattr(command, "doubt", "")
        if doubt:
            body += [f"# ! {doubt}", *(f"# {one}" for one in (line or "").splitlines())]
        elif line is not None:
            body.append(line)
    return _fenced("\n".join(body), "sh")


# A part of a note without its "; ". A semicolon in backticks, quotation marks or parentheses belongs to the part.
_STATEMENT = re.compile(r"(?:`[^`]*`|\"[^\"]*\"|\([^()]*\)|[^;]|;(?! ))+")


def _statements(note: str) -> list[str]:
    """Return the statements of a note that "; " joins, one for each line of a comment; one empty line for an empty note."""
    return [part.strip() for part in _STATEMENT.findall(note)] or [""]


def _fenced(text: str, language: str) -> str:
    marks = "```"
    while marks in text:
        marks += "`"
    return f"{marks}{language}\n{text}\n{marks}"


def _table(block: Table) -> list[str]:
    lines = [f"### {escape(block.caption)}", ""] if block.caption else []
    if block.rows:
        lines.append("| " + " | ".join(escape(c) for c in block.columns) + " |")
        lines.append("|" + "---|" * len(block.columns))
        lines += ["| " + " | ".join(escape(cell.text) for cell in row) + " |" for row in block.rows]
        lines.append("")
    lines += [f"- {escape(note)}" for note in block.notes]
    return [*lines, ""]
