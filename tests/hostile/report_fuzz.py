"""Saved reports of strangers: one leaf is replaced by a value that nobody expects, and a command reads the report."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attn_doctor.cli import run

Path_ = tuple[str | int, ...]
TEXTS = ("", "²", "9" * 5000, "\x1b[2J\u202e\x00", " ", "-1", "٣.1", "\ud800", "a b")
NUMBERS = (0, -1, 10**12, 1e300, 0.0, 2**63, 1e-300)
OTHERS = (None, True, [], {}, "")
_FIRST = 3  # items of a list: the others are like them


def leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield the path and the value of each leaf; an empty list and an empty dict are leaves."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value[:_FIRST]):
            yield from leaves(item, (*path, number))
    else:
        yield path, value


def strange(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return (*TEXTS, None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return OTHERS
    return (*NUMBERS, None)


def replaced(report: Any, path: Path_, value: Any) -> Any:
    made = copy.deepcopy(report)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return made


def cases(report: Any, seed: int, most: int | None = None) -> list[tuple[Path_, Any]]:
    """Return (path, value) for all leaves in an order by chance, `most` of them at the most."""
    made = [(path, new) for path, value in leaves(report) if path for new in strange(value)]
    random.Random(seed).shuffle(made)
    return made[:most]


def said_of(argv: list[str]) -> tuple[object, str]:
    """Run a command in this process; returns its exit code, or the exception that ended it, and its standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: object = run(argv)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - that nothing is raised is what the tests ask
            code = repr(error)
    return code, err.getvalue()


def faults(
    report: Any, file: Path, chosen: list[tuple[Path_, Any]], commands: Callable[[int], list[list[str]]]
) -> list[str]:
    """Return a line for each command that ended otherwise than with 0 to 3. `commands`: those for the case of this number."""
    found = []
    for number, (path, value) in enumerate(chosen):
        file.write_text(json.dumps(replaced(report, path, value)), "utf-8")
        for argv in commands(number):
            code, err = said_of(argv)
            if code not in (0, 1, 2, 3) or "itself failed" in err:
                found.append(f"{argv[0]}: {path} = {str(value)[:20]!r}: {code} {err[-300:]}")
    return found
