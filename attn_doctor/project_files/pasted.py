"""Take a project file and the output below it apart: people paste both into one text. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

# The line that a person typed: "$ uv sync", "(env) me@host:~/app$ pip install -r ...", "PS C:\app> uv sync", "C:\app>pip ...", "❯ uv lock".
_TYPED = re.compile(
    r"^\s{0,4}(?:\([^()\s]{1,60}\) ?)*(?:[\w.-]{1,60}@[\w.-]{1,60}[ :][^$#%]{0,120}[$#%] |PS [A-Za-z]:\\[^>]{0,200}> ?|[A-Za-z]:\\[^<>|?*]{0,200}>|[$%>❯➜] ?(?:~ )?)"
    r"(?:sudo )?(?:\w+=\S+ )*(?P<program>pip3?|uv|uvx|conda|mamba|micromamba|pixi|poetry|pdm|pipx|python[\d.]*(?:\.exe)?|py|docker|make|yolo|bash|sh) \S"
)
_FENCE = re.compile(r"^\s*(?:```|~~~)\w*\s*$")
_MOST = 1 << 20  # characters of a text that may be both


class Parts(NamedTuple):
    """Hold the text of the project file, and the text below it. Lines of the other part are empty, so that the numbers of the lines stay."""

    file: str
    log: str


def apart(text: str) -> Parts | None:
    """Return the two parts of a text, divided at the first typed command below its first line.

    None if there is no such command, or if the text has more than a million characters.
    """
    if len(text) > _MOST:
        return None
    lines = text.splitlines()
    at = next((number for number, line in enumerate(lines) if number and _TYPED.match(line)), None)
    if at is None:
        return None
    above = ["" if _FENCE.match(line) else line for line in lines[:at]]
    return Parts("\n".join(above) + "\n", "\n" * at + "\n".join(lines[at:]) + "\n")
