"""A package is written for a newer Python than the one that imports it.

What it is
    The source of an installed package uses syntax (new f-strings, `match`, `:=`, `type` statements) or names of the
    standard library that this Python does not have yet.

How it shows
    "SyntaxError: invalid syntax" with a file in site-packages; "ImportError: cannot import name 'TypeGuard' from 'typing'".

Why it happens
    The package was installed without pip's check of Requires-Python: it was copied, comes from PYTHONPATH, or was
    installed for another Python.

What to do
    Use a Python that the package supports, or the newest release of the package that supports this Python.

How to reproduce
    `attn-doctor reproduce python-version-syntax` imports a package that is written in a newer Python. It downloads nothing.

References
    https://github.com/triton-lang/triton/issues/568
    https://packaging.python.org/en/latest/specifications/core-metadata/#requires-python
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, known
from attn_doctor.failure_modes.recipe import File, Recipe
from attn_doctor.failure_modes.shared.fact_queries import message, text_of
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts, Fault
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity, fact
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD206",
    slug="python-version-syntax",
    title="A package written for a newer Python",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(
        "torch-install-broken",
        "yolo12-flash-not-used",
        "ultralytics-broken",
    ),
    signs=(
        Sign(
            pattern=r"SyntaxError: (?:invalid syntax|f-string: |expected ':'|unmatched |positional|invalid decimal literal)",
            literal="SyntaxError: ",
            sample="SyntaxError: invalid syntax",
            strength="hint",
        ),
        # The frame of a SyntaxError names no function: its line ends with the line number.
        Sign(
            pattern=r'File "(?P<file>[^"]{1,300}(?:site|dist)-packages[^"]{1,300})", line \d+\s*$',
            literal="-packages",
            sample='  File "/venv/lib/python3.8/site-packages/ultralytics/utils/x.py", line 12',
            strength="context",
        ),
        Sign(
            pattern=r"[Pp]ython(?P<old>3\.?[5-9])(?!\d)[^\"]{0,300}\", line \d+",
            literal="ython3",
            sample='  File "/venv/lib/python3.8/site-packages/ultralytics/utils/x.py", line 12, in <module>',
            strength="context",
        ),
        Sign(
            pattern=r"ImportError: cannot import name '\w+' from '(?:typing|importlib\.metadata|functools)'",
            literal="ImportError: cannot import name",
            sample="ImportError: cannot import name 'TypeGuard' from 'typing' (/usr/lib/python3.8/typing.py)",
        ),
        Sign(
            pattern=r"unsupported operand type\(s\) for \|: '(?:type|NoneType|_GenericAlias|ABCMeta|EnumMeta|_SpecialForm)'",
            literal="unsupported operand type(s) for |: ",
            sample="TypeError: unsupported operand type(s) for |: 'type' and 'NoneType'",
        ),
        Sign(
            pattern=r"'(?:type|ABCMeta)' object is not subscriptable",
            literal="object is not subscriptable",
            sample="TypeError: 'type' object is not subscriptable",
        ),
        Sign(
            pattern=r"No module named '(?:tomllib|zoneinfo|graphlib|importlib\.(?:metadata|resources))'",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'tomllib'",
        ),
    ),
    recipe=Recipe(
        does="imports a package that is written in a newer Python",
        of=(File(path="{site}/newer/__init__.py", text=('type Names = list[str]\nshown = t"{Names}"\n')),),
        run=(("{python}", "-c", "import newer"),),
        shows="SyntaxError: invalid syntax",
        seconds=2,
    ),
)

_NEWER = re.compile(r"cannot import name '\w+' from '(?:typing|importlib\.metadata|functools)'")
_FILE = re.compile(r'File "([^"]*(?:site-packages|dist-packages)[^"]*)"')


def detect(facts: Facts) -> Hit | None:
    faults: list[tuple[str, str, Fault]] = []
    if facts.torch.importable is False and facts.torch.fault:
        faults.append(("torch.importable", "torch", facts.torch.fault))
    for index, attempt in enumerate(known(facts.imports)):
        if attempt.fault:
            faults.append((f"imports.{index}.ok", attempt.module, attempt.fault))
    for path, module, fault in faults:
        have = known(facts.interpreter.version)
        if _NEWER.search(text_of(fault)) or (fault.type == "SyntaxError" and _is_newer_syntax(fault, have)):
            place = _FILE.findall(text_of(fault))
            where = f" ({place[-1]})" if place else ""
            return Hit(
                message=f"{module} is written for a newer Python than {have}{where}.",
                evidence=(
                    fact(facts, path, f"importing {module}: {message(fault)}"),
                    fact(facts, "interpreter.version"),
                ),
                certainty=Certainty.OBSERVED,
            )
    return None


# Syntax that came after Python 3.9: match statements, except*, type aliases, nested quotes in f-strings.
_AFTER_3_9 = re.compile(r"^\s*(?:match |case |except\*|type \w+ ?=)|f-string", re.MULTILINE)


def _is_newer_syntax(fault: Fault, python: str | None) -> bool:
    """Return whether a SyntaxError is raised because the Python is old.

    A damaged file also raises a SyntaxError. So with Python 3.10 or newer, only syntax that is known to be newer counts.
    """
    version = pair(python or "")
    return (version is not None and version < (3, 10)) or bool(_AFTER_3_9.search(fault.traceback or ""))


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    sure = [m for m in seen.matches if m.strength == "proof"]
    inside = [m for m in seen.matches if m.strength == "hint" and _in_a_package(seen, m)]
    told = [*sure, *inside] or [m for m in seen.matches if m.strength == "hint"]
    if not told:
        return None
    return Hit(
        message="The imported module is written for a newer Python than the Python in the log.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in told[:4]),
        # In a file of the user, the same error may be a simple mistake.
        confidence=_confidence(seen, told)
        if told[0].strength == "proof"
        else Confidence.HIGH
        if inside
        else Confidence.LOW,
    )


def _confidence(seen: Seen, told: list[Match]) -> Confidence:
    """Return the confidence that an old Python is the cause. With a current Python, "type is not subscriptable" is a mistake in the code."""
    if all("subscriptable" in m.text or "operand" in m.text for m in told) and not seen.group("old"):
        return Confidence.MEDIUM
    return Confidence.HIGH


def _in_a_package(seen: Seen, match: Match) -> bool:
    """Return whether the frame directly above a line is in a file of an installed package."""
    return any(
        "file" in m.groups and m.file == match.file and 0 < match.line - m.line <= _FRAME_LINES for m in seen.matches
    )


_FRAME_LINES = 6  # lines at most: the frame, the line of code, the ^ marks below it


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.by_hand(
        (),
        "create a virtual environment with a newer Python, and install your packages into it",
        "a new environment; the old one stays",
    )
    return (Fix(title="Use a newer Python", steps=(step,), verify=commands.check(facts)),)
