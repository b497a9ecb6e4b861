"""Read the first answer of the target: whether it is a Python that can be examined.

Every command uses the same words.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attn_doctor import child
from attn_doctor.errors import NotExamined
from attn_doctor.model.foreign_text import text
from attn_doctor.probes.choose import NoTarget
from attn_doctor.probes.torch import describe


class NoAnswer(NotExamined):
    """The target did not answer. The text is for the user."""


def check(python: str, outcome: child.Outcome) -> None:
    """Check the output of target/channel.py.

    Raises NoTarget for a program that is no usable Python, NoAnswer for no output.
    """
    shown = text(python)
    old = next((m.data for m in outcome.messages if m.at == "too-old"), None)
    if old is not None:
        oldest = ".".join(map(str, child.OLDEST_TARGET))
        raise NoTarget(f"{shown} is Python {old}; attn-doctor examines Python {oldest} and newer")
    if any(m.at == "hello" for m in outcome.messages):
        return
    if "python" not in Path(python).name.lower() and "Fatal Python error" not in outcome.chatter:
        raise NoTarget(f"{shown} is no Python interpreter")
    died = describe(outcome.fault) if outcome.fault else "it printed nothing"
    said = _last_words(outcome.chatter)
    raise NoAnswer(f"{shown} did not answer: {died}" + (f" ({said})" if said else ""))


def _last_words(chatter: str) -> str:
    """Return the last line that a Python printed before it ended at its start.

    Adds the file in which it ended, if PYTHONPATH put that file in front.
    """
    said = (chatter.strip().splitlines() or [""])[-1][:400]
    file = (re.findall(r'^ *File "([^"<>]+)", line \d+', chatter, re.MULTILINE) or [""])[-1]
    folders = [os.path.abspath(p) + os.sep for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]  # noqa: PTH100
    if file.startswith(tuple(folders)):
        return f"{said}, in {text(file)}, which PYTHONPATH puts in front: unset PYTHONPATH, and look again"
    return said


def told(argv: Sequence[str], config: dict[str, Any], before: Sequence[str] = (), **how: Any) -> dict[str, Any]:
    """Return the records of target/inventory.py by name, with the seconds that it took. Raises NoTarget, NoAnswer.

    `argv`: the Python and its options. `before`: scripts to run before that one. `how`: keyword arguments of
    `child.run`.
    """
    python = argv[0]
    try:
        outcome = child.run(argv, ["target/channel.py", *before, "target/inventory.py"], config=config, **how)
    except OSError as error:
        raise NoTarget(f"{text(python)} cannot be started: {error.strerror or error}") from error
    check(python, outcome)
    said: dict[str, Any] = {m.section: m.data for m in outcome.messages if m.at == "fact"}
    if not isinstance(said.get("interpreter"), dict):
        raise NoAnswer(f"{text(python)} started, but could not say what it is: {_last_words(outcome.chatter)}")
    said["modules"] = [m for m in _list(said.get("modules")) if isinstance(m, dict) and isinstance(m.get("name"), str)]
    said["path"] = [p for p in _list(said.get("path")) if isinstance(p, str)]
    said["seconds"] = outcome.seconds
    return said


def introduce(python: str, timeout: float) -> None:
    """Ask a Python for its version only, after it failed to answer another question. Raises NoTarget, NoAnswer."""
    try:
        outcome = child.run([python], ["target/channel.py"], deadline=timeout)
    except OSError as error:
        raise NoTarget(f"{text(python)} cannot be started: {error.strerror or error}") from error
    check(python, outcome)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
