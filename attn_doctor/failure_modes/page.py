"""Read the documentation page of a failure mode from its docstring. Used by `explain`, by docs/ and by reports."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.failure_modes.areas import area_of
from attn_doctor.failure_modes.mode import FailureMode, FromFacts, Hit, Module, Unsure, Usual
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

# In the order in which a user with a problem needs them.
ORDER = ("What it is", "Why it happens", "What to do", "How it shows", "How to reproduce", "References")


class Page(NamedTuple):
    """Hold the documentation page of a failure mode."""

    mode: FailureMode
    summary: str  # the first paragraph of the docstring
    sections: dict[str, tuple[str, ...]]  # heading -> paragraphs

    @property
    def area(self) -> str:
        """Return the name of its area: "build", "run"."""
        found = area_of(self.mode.code)
        assert found, f"{self.mode.code} is of no area"
        return found.name


def page(module: Module) -> Page:
    """Return the page of a failure mode. The headings are the lines of the docstring without indentation, after the first paragraph."""
    text = inspect.cleandoc(module.__doc__ or "")
    summary, _, rest = text.partition("\n\n")
    sections: dict[str, tuple[str, ...]] = {}
    heading = ""
    lines: list[str] = []
    for line in [*rest.splitlines(), "END"]:
        if line and not line[0].isspace():
            if heading:
                sections[heading] = _paragraphs(lines, whole_lines=heading == "References")
            heading = line.strip()
            lines = []
        else:
            lines.append(line)
    return Page(module.MODE, " ".join(summary.split()), sections)


def _paragraphs(lines: list[str], *, whole_lines: bool) -> tuple[str, ...]:
    text = inspect.cleandoc("\n".join(lines))
    if whole_lines:
        return tuple(line for line in text.splitlines() if line)
    return tuple(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def predictable(module: Module) -> bool:
    """Return whether facts can show the failure before it happens."""
    return isinstance(module, FromFacts)


def usual_fixes(module: Module) -> tuple[Fix, ...]:
    """Return the fixes of a failure mode for an unknown machine. In their commands, `python` stands for the target's interpreter."""
    facts = Facts()
    try:
        made = module.fixes(facts, Hit(message="", evidence=()))
    except Unsure:
        made = ()
    if not made and isinstance(module, Usual):
        made = module.usual(facts)
    return tuple(commands.prepared(facts, fix) for fix in made)
