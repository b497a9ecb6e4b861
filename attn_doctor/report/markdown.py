"""Render a report as Markdown, to be pasted into an issue."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.report.blocks import Block, Cure, Fields, Heading, Paragraph, Problem, Table, Verdict

_SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#"})
_MARKS = {"good": "✅ ", "bad": "❌ ", "warn": "⚠️ "}


def escape(text: str) -> str:
    """Return text so that Markdown shows it unchanged; line breaks become spaces."""
    return " ".join(text.split()).translate(_SPECIAL)


def render(blocks: Iterable[Block]) -> str:
    return "\n".join(line for block in blocks for line in _lines(block)) + "\n"


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
        return [f"{escape(block.title)}:", "", fence(block.commands), ""]
    if isinstance(block, Table):
        return _table(block)
    return [f"**{escape(block.title)}**", "", *[f"- {escape(item)}" for item in block.items], ""]


def _problem(block: Problem) -> list[str]:
    lines = [f"### {block.mark} {escape(block.slug)} ({block.code})", "", escape(block.message), ""]
    lines += [f"_{escape(block.qualifiers)}_ · [what this is]({block.docs})", ""]
    lines += [f"- because: {escape(text)}" for text in block.evidence]
    lines += [f"- with it: {escape(text)}" for text in block.consequences]
    lines.append("")
    for index, cure in enumerate(block.cures):
        lines += [f"{'Do' if index == 0 else 'Or'}: {escape(cure.title)}", "", fence(cure.commands), ""]
    return lines


def fence(commands: Iterable[object]) -> str:
    """Return commands in a code block; the fence is longer than any run of backticks inside."""
    body = []
    for command in commands:
        note, line = getattr(command, "note", ""), getattr(command, "line", None)
        who = "you: " if getattr(command, "by_hand", False) else ""
        body.append(f"# {who}{' '.join(note.split())}")
        if line is not None:
            body.append(line)
    text = "\n".join(body)
    marks = "```"
    while marks in text:
        marks += "`"
    return f"{marks}sh\n{text}\n{marks}"


def _table(block: Table) -> list[str]:
    lines = [f"### {escape(block.caption)}", ""]
    if block.rows:
        lines.append("| " + " | ".join(escape(c) for c in block.columns) + " |")
        lines.append("|" + "---|" * len(block.columns))
        lines += ["| " + " | ".join(escape(cell.text) for cell in row) + " |" for row in block.rows]
        lines.append("")
    lines += [f"- {escape(note)}" for note in block.notes]
    return [*lines, ""]
