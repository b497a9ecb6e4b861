"""Render an answer as one HTML file that needs no other file: it can be read without a script, and loads nothing from a network.

The page has another order than the terminal: the verdict, the commands, the pictures, and then the details. `page_parts` decides
it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from attn_doctor.report.blocks import Block, Details, Table, neutral
from attn_doctor.report.page_parts import Page, arranged
from attn_doctor.report.pictures import Chain, Heat, Picture
from attn_doctor.report.pictures import neutral as neutral_picture
from attn_doctor.system.printable import one_line

if TYPE_CHECKING:
    import jinja2

_MARKS = {"good": "✓", "bad": "×", "warn": "!"}
_DASHES = (
    "",
    "7 3",
    "2 3",
    "9 3 2 3",
    "5 2",
    "1 3",
    "12 3",
    "6 2 2 2",
)  # a curve is told by its dashes too, not by its colour alone

# (class, sign, meaning): a sign in each cell, because a colour alone is not enough
_HEAT = (
    ("explains", "×", "differs, and explains a finding"),
    ("beside", "≠", "differs, in the same section as such a fact"),
    ("other", "~", "differs"),
    ("unknown", "?", "no report"),
    ("same", "", "as most nodes"),
)


def render(blocks: Iterable[Block], title: str, pictures: Iterable[Picture] = ()) -> str:
    """Return the whole page as HTML. `title`: of the browser's tab."""
    environment = _environment()
    script = _source(environment, "copy.js")
    return environment.get_template("page.html.j2").render(
        title=one_line(title),
        page=_named(blocks, pictures),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        notebook=False,
    )


def cell(blocks: Iterable[Block], pictures: Iterable[Picture] = ()) -> str:
    """Return the answer for a cell of a notebook: without a script, and with styles that change nothing else in the notebook."""
    page = _named(blocks, pictures)
    return _environment().get_template("cell.html.j2").render(page=page, notebook=True)


def _environment() -> jinja2.Environment:
    import jinja2  # imported here: it takes a tenth of a second, and few runs write HTML

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attn_doctor", "report/templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(
        filled=_filled,
        dashes=_DASHES,
        heat_signs=_HEAT,
        heat_marks={one[0]: one[1] for one in _HEAT},
        marks={**dict.fromkeys(("", "dim", "strong"), ""), **_MARKS},
    )
    return environment


def _source(environment: jinja2.Environment, name: str) -> Any:
    """Return one of our own files unchanged, marked as safe for the template."""
    import markupsafe

    assert environment.loader
    return markupsafe.Markup(environment.loader.get_source(environment, name)[0])  # noqa: S704 - our own file


def _filled(table: Table) -> list[int]:
    """Return the columns in which any row has a text."""
    return [i for i in range(len(table.columns)) if any(row[i].text for row in table.rows)]


def _named(blocks: Iterable[Block], pictures: Iterable[Picture]) -> dict[str, Any]:
    """Return the parts of the page for the template, which chooses by the name of a block's kind."""
    page: Page = arranged(tuple(neutral(blocks)))
    drawn = [neutral_picture(picture) for picture in pictures]
    return {
        **page._asdict(),
        "problems": [(problem, _kinds(neutral(page.about(problem.code)))) for problem in page.problems],
        "front": _kinds(page.front),
        "advice": [(title, _kinds(parts)) for title, parts in page.advice],
        "sections": [(title, _kinds(parts)) for title, parts in page.sections],
        "folded": _kinds(page.folded),
        "maps": [picture for picture in drawn if isinstance(picture, Chain)],
        "heats": [picture for picture in drawn if isinstance(picture, Heat)],
        "charts": [(type(picture).__name__, picture) for picture in drawn if not isinstance(picture, Chain | Heat)],
    }


def _kinds(blocks: Iterable[Block]) -> list[tuple[str, Any]]:
    """Return each block with the name of its kind. The blocks in folded parts are among them."""
    return [
        (
            type(block).__name__,
            {**block._asdict(), "blocks": _kinds(block.blocks)} if isinstance(block, Details) else block,
        )
        for block in blocks
    ]
