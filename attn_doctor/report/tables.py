"""Show a table on a terminal without cutting it: as columns if they fit, else each row as several lines.

If the terminal is narrow, texts that all rows share are printed once, above the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from attn_doctor.report.blocks import Cell, Table

_BETWEEN = 2  # spaces between two columns
_INDENT = 2
_FEWEST = 24  # cells of text that a line holds, however narrow the terminal says it is
_LONGEST = 40  # a column is never made so narrow that its texts break into more lines than this many characters would
_MOST_LINES = 3  # a cell that takes more lines is better read as a line of its own

Row = tuple[Cell, ...]


def show(block: Table, console: Console, styles: Mapping[str, str]) -> None:
    """Print the columns and rows of a table. The caller prints the caption and the notes. `styles`: tone -> style of Rich, "bold red"."""
    if not block.rows:
        return
    used = [i for i in range(len(block.columns)) if any(row[i].text for row in block.rows)]
    columns = [block.columns[i] for i in used]
    rows = [tuple(row[i] for i in used) for row in block.rows]
    width = max(_FEWEST, console.width - _INDENT)
    widths = _fitting(columns, rows, width)
    if widths is None:
        columns, rows, common = _without_common(columns, rows)
        if common:
            _line(console, [Text(f"the same in all rows: {', '.join(common)}", style="dim")], width, _INDENT)
        widths = _fitting(columns, rows, width)
    if widths is None:
        _stacked(columns, rows, console, styles, width)
        return
    table = RichTable(box=None, padding=(0, _BETWEEN, 0, 0), header_style=styles["dim"])
    for column, broad in zip(columns, widths, strict=True):
        table.add_column(Text(column), width=broad, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.text, style=styles[cell.tone]) for cell in row))
    console.print(Padding(table, (0, 0, 0, _INDENT)))


def _fitting(columns: Sequence[str], rows: Sequence[Row], width: int) -> list[int] | None:
    """Return the widths of the columns; None if the table does not fit.

    It fits if no word is divided and few cells need several lines.
    """
    texts = [[column, *(row[i].text for row in rows)] for i, column in enumerate(columns)]
    widths = [max(_broadest(text) for text in column) for column in texts]
    least = [max(_longest_word(text) for text in column) for column in texts]
    least = [min(whole, max(words, min(_LONGEST, whole) // 2)) for whole, words in zip(widths, least, strict=True)]
    room = width - _BETWEEN * len(columns)  # rich leaves it after the last column too
    if not columns or sum(least) > room:
        return None
    while sum(widths) > room:  # the broadest column that can still be narrower gives way
        place = max((i for i in range(len(widths)) if widths[i] > least[i]), key=lambda i: widths[i])
        widths[place] -= 1
    lines = max(_lines(row[i].text, widths[i]) for row in rows for i in range(len(columns)))
    return widths if lines <= _MOST_LINES else None


def _broadest(text: str) -> int:
    return max((cell_len(line) for line in text.splitlines()), default=0)


def _longest_word(text: str) -> int:
    return max((cell_len(word) for word in text.split()), default=0)


def _lines(text: str, width: int) -> int:
    """Return the number of lines of a text that is wrapped at its spaces."""
    count, used = 1, 0
    for word in text.split():
        size = cell_len(word)
        if used and used + 1 + size > width:
            count, used = count + 1, size
        else:
            used += size + (1 if used else 0)
    return count


def _without_common(columns: Sequence[str], rows: Sequence[Row]) -> tuple[list[str], list[Row], list[str]]:
    """Return (columns, rows, texts): the columns with one text in all rows are left out, and `texts` has them. The first column stays."""
    common = [
        i for i in range(1, len(columns)) if columns[i] and len(rows) > 1 and len({row[i].text for row in rows}) == 1
    ]
    kept = [i for i in range(len(columns)) if i not in common]
    said = [f"{columns[i]}: {rows[0][i].text}" for i in common]
    return [columns[i] for i in kept], [tuple(row[i] for i in kept) for row in rows], said


def _stacked(
    columns: Sequence[str], rows: Iterable[Row], console: Console, styles: Mapping[str, str], width: int
) -> None:
    """Print the names of each row on a line, and below it the other cells with the names of their columns.

    The names are the cells up to the first strong one, such as the code and the slug of a failure mode.
    """
    for row in rows:
        names = next((i + 1 for i, cell in enumerate(row) if cell.tone == "strong"), 1)
        named = [Text(cell.text, style=styles[cell.tone or "strong"]) for cell in row[:names]]
        _line(console, named, width, _INDENT)
        parts = [
            Text.assemble((f"{column}: ", styles["dim"]) if column else "", (cell.text, styles[cell.tone]))
            for column, cell in list(zip(columns, row, strict=True))[names:]
            if cell.text
        ]
        _line(console, parts, width - 2, _INDENT + 2)


def _line(console: Console, parts: Iterable[Text], width: int, indent: int) -> None:
    """Print texts one after the other. A line ends between two texts if possible, else at a space."""
    line = Text()
    lines = []
    for part in parts:
        if line and line.cell_len + _BETWEEN + part.cell_len > width:
            lines.append(line)
            line = Text()
        line = Text.assemble(line, " " * _BETWEEN if line else "", part)
    for whole in [*lines, line] if line else lines:
        for broken in whole.wrap(console, max(_FEWEST, width), overflow="fold"):
            broken.rstrip()
            console.print(Text.assemble(" " * indent, broken), soft_wrap=True)
