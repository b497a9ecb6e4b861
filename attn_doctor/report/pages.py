"""Build the pages of failure modes: one page, the list of all pages, and the index by symptom. As blocks and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attn_doctor.failure_modes.areas import AREAS
from attn_doctor.failure_modes.mode import Module
from attn_doctor.failure_modes.page import ORDER, Page, page, predictable, usual_fixes
from attn_doctor.model.findings import Fix
from attn_doctor.report.blocks import Block, Cell, Heading, Notes, Paragraph, Table
from attn_doctor.report.markdown import escape, fence
from attn_doctor.report.outline import cure


def blocks(module: Module) -> list[Block]:
    """Return the page of a failure mode as blocks, with commands for bash."""
    shown = page(module)
    mode = shown.mode
    made: list[Block] = [
        Heading(f"{mode.slug}  {mode.code}"),
        Paragraph(shown.summary, "strong"),
        Paragraph(_severity(shown), "dim"),
    ]
    for heading in ORDER:
        if heading in shown.sections:
            made.append(Heading(heading))
            paragraphs = shown.sections[heading]
            made += [Paragraph(text) for text in (["\n".join(paragraphs)] if heading == "References" else paragraphs)]
        if heading == "What to do":
            made += [cure(fix, "bash") for fix in usual_fixes(module)]
    return made


def _severity(shown: Page) -> str:
    mode = shown.mode
    text = f"{mode.train.value} if you want to train, {mode.flash_attn.value} if you want flash-attn (--goal)"
    return text if mode.train is not mode.flash_attn else mode.train.value


def markdown(module: Module) -> str:
    """Return the page of a failure mode as Markdown, for docs/failure-modes/."""
    shown = page(module)
    mode = shown.mode
    lines = [f"# {mode.slug} ({mode.code})", "", shown.summary, "", f"_{escape(_severity(shown))}._", ""]
    for heading in ORDER:
        paragraphs = shown.sections.get(heading, ())
        if not paragraphs:
            continue
        lines += [f"## {heading}", ""]
        if heading == "References":
            lines += [
                f"- <{text}>" if text.startswith("http") and " " not in text else f"- {text}" for text in paragraphs
            ]
            lines.append("")
        else:
            lines += [line for text in paragraphs for line in (text, "")]
        if heading == "What to do":
            lines += [line for fix in usual_fixes(module) for line in _fix(fix)]
        if heading == "How it shows" and mode.signs:
            lines += [
                "Signs in a log:",
                "",
                "```text",
                *dict.fromkeys(s.sample for s in mode.signs if s.strength != "context"),
                "```",
                "",
            ]
    return "\n".join(lines).rstrip() + "\n"


def _fix(fix: Fix) -> list[str]:
    return [f"{escape(fix.title)}:", "", fence(cure(fix, "bash").commands), ""]


def listing(modules: Iterable[Module]) -> list[Block]:
    """Return the table of `attn-doctor list`, in the order of the codes; a note if there is no failure mode."""
    rows = tuple(
        (
            Cell(m.MODE.code),
            Cell(m.MODE.slug, "strong"),
            Cell(m.MODE.title),
            Cell(m.MODE.train.value),
            Cell(m.MODE.flash_attn.value),
        )
        for m in sorted(modules, key=lambda m: m.MODE.code)
    )
    if not rows:
        return [Notes("None", ("no failure mode matches",))]
    return [Table(f"{len(rows)} failure modes", ("code", "slug", "what it is", "to train", "for flash-attn"), rows)]


def found(modules: Sequence[Module]) -> list[Block]:
    """Return the table of a search's results, in the given order (the best first). Needs at least one failure mode."""
    rows = tuple((Cell(m.MODE.code), Cell(m.MODE.slug, "strong"), Cell(m.MODE.title)) for m in modules)
    note = f"`attn-doctor explain {modules[0].MODE.code}` explains the first. For a whole log: `attn-doctor diagnose FILE`."
    return [Table(f"{len(rows)} failure modes, the best match first", ("code", "slug", "what it is"), rows, (note,))]


def table(modules: Iterable[Module]) -> list[dict[str, Any]]:
    """Return the table of `listing` as plain data."""
    return [
        {
            "code": m.MODE.code,
            "slug": m.MODE.slug,
            "title": m.MODE.title,
            "area": page(m).area,
            "severity": {"train": m.MODE.train.value, "flash-attn": m.MODE.flash_attn.value},
            "predictable": predictable(m),
        }
        for m in sorted(modules, key=lambda m: m.MODE.code)
    ]


def index(modules: Iterable[Module]) -> str:
    """Return docs/failure-modes/README.md: the failure modes by area, and by symptom."""
    ordered = sorted(modules, key=lambda m: m.MODE.code)
    lines = [
        "# Failure modes",
        "",
        "Generated from the docstrings in `attn_doctor/failure_modes/` by `scripts/refresh_docs.py`.",
        "On a terminal: `attn-doctor list`, `attn-doctor explain CODE`.",
        "",
    ]
    for area in AREAS:
        lines += [f"## {area.title}", "", "| code | | what it is |", "|---|---|---|"]
        lines += [
            f"| {m.MODE.code} | [{m.MODE.slug}]({m.MODE.slug}.md) | {escape(m.MODE.title)} |"
            for m in ordered
            if m.MODE.code.startswith(area.prefix)
        ]
        lines.append("")
    lines += ["## I see …", "", "| in the log or on the screen | it is |", "|---|---|"]
    signs = sorted(
        ((s.sample, m.MODE) for m in ordered for s in m.MODE.signs if s.strength != "context"),
        key=lambda pair: (pair[0], pair[1].slug),
    )
    lines += [f"| {escape(sample)} | [{mode.slug}]({mode.slug}.md) |" for sample, mode in signs]
    return "\n".join(lines) + "\n"
