"""Read Python's answers to expressions that a person typed: at a prompt, in a cell, or after `python -c`. Pure.

An answer does not name its facts: after `>>> print(torch.__version__, torch.cuda.is_available())` comes only "2.6.0 True". So the
expressions are read from the typed line, and the values of the next line are assigned to them in order.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attn_doctor.logs.stated_facts.sign import VERSION
from attn_doctor.model.stated_facts import Place

Line = tuple[int, str]  # its number, and its text

_PROMPT = re.compile(r"^(?:\([^()\s]{1,60}\) ?){0,2}(?:>>> ?|In \[\d*\]: ?)(?P<code>\S.*)$")
_ECHO = re.compile(r"^Out\[\d*\]: ?")
_GIVEN = re.compile(
    r"\b(?:python|py|ipython)[\d.]*(?:\.exe)?[\"']? (?:-(?:[WX] ?[\w:.=]{1,30}|[\w.]{1,8}) ){0,3}?-c (?P<quote>[\"'])(?P<code>.+)(?P=quote)"
)
_CELL = re.compile(r"^\s{0,8}(?P<code>print\(.*\)(?:\s*[;#].*)?)$")
_NEAR = 6  # at most so many lines are between an expression and its answer: they may be warnings
_LONGEST = 500
_LITERALS = ("__version__", "torch.", "platform.", "sys.version")

# The expression as `ast.unparse` writes it -> (the fact, a pattern of its value).
_FACTS = {
    "torch.__version__": ("torch", VERSION),
    "torch.version.__version__": ("torch", VERSION),
    "torch.version.cuda": ("torch_cuda", r"\d+\.\d+|None"),
    "torch.version.hip": ("torch_hip", r"\d+\.\d+(?:\.\d+(?:-\w+)?)?|None"),
    "torch.cuda.is_available()": ("available", r"True|False"),
    "torch.cuda.device_count()": ("", r"\d{1,2}"),
    "torch.backends.cudnn.version()": ("", r"\d{3,6}|None"),
    "torch._C._GLIBCXX_USE_CXX11_ABI": ("", r"True|False"),
    "torch.compiled_with_cxx11_abi()": ("", r"True|False"),
    "platform.python_version()": ("python", r"3\.\d+\.\d+"),
    "platform.machine()": ("machine", r"x86_64|aarch64|arm64|AMD64|ARM64"),
}
_CALLS = {
    "torch.cuda.get_device_name": ("gpu", r"[A-Z][\w .()/-]{3,60}"),
    "torch.cuda.get_device_capability": ("capability", r"\(\d{1,2}, \d\)"),
}
_MODULE = re.compile(r"(?P<module>[A-Za-z]\w*)\.__version__")


class Answer(NamedTuple):
    """Hold one fact that an answer states. If `package` is given, the value is the version of this package."""

    fact: str
    value: str
    place: Place
    package: str | None = None


class _Asked(NamedTuple):
    """Hold the pattern of the line that one statement prints."""

    pattern: re.Pattern[str]
    # For each group of the pattern: (fact, package whose version it is, or None)
    facts: tuple[tuple[str, str | None], ...]
    line: int  # the number of the line with the statement


def answers(lines: Sequence[Line], file: str) -> Iterator[Answer]:
    """Yield each fact that Python printed as the answer to a typed expression.

    `lines`: (number, text). `file`: the name of the log.
    """
    waiting: list[_Asked] = []
    for number, text in lines:
        code, prompt = _code(text)
        if code is not None:
            if prompt:
                waiting.clear()  # answers to an earlier prompt would be above this line
            asked, told = _statements(code, number, echoes=prompt and _GIVEN.search(text) is None)
            if told:
                yield from _of_line(asked[-1:], told, number, file)
            else:
                waiting.extend(asked)
            continue
        waiting = [asked for asked in waiting if number - asked.line <= _NEAR + len(waiting)]
        if waiting and text.strip():
            found = list(_of_line(waiting[:1], _ECHO.sub("", text.strip()), number, file))
            if found or waiting[0].pattern.fullmatch(_ECHO.sub("", text.strip())):
                waiting.pop(0)
            yield from found


def _code(text: str) -> tuple[str | None, bool]:
    """Return the Python code in a line, and whether it was typed at a prompt; None if the line has no code."""
    if len(text) > _LONGEST or not any(word in text for word in _LITERALS):
        return None, False
    for pattern, prompt in ((_GIVEN, True), (_PROMPT, True), (_CELL, False)):
        if found := pattern.search(text):
            return found["code"], prompt
    return None, False


def _statements(code: str, line: int, *, echoes: bool) -> tuple[list[_Asked], str]:
    """Return a pattern for each line that these statements print, and the text of the comment after them ("2.6.0+cu124").

    `echoes`: the value of an expression is printed without print(), as at a prompt. No pattern if the code is no Python.
    """
    code, _, comment = code.partition("  #") if "  #" in code else code.partition(" # ")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(code.strip().replace('\\"', '"')).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], ""
    asked = []
    for statement in body:
        value = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print":
            asked.append(_asked(value.args, line))
        elif value is not None and echoes:
            asked.append(_asked([value], line))
    return asked, comment.strip()


def _asked(arguments: Sequence[ast.expr], line: int) -> _Asked:
    """Return a pattern for the line that `print` writes for these arguments, with a group for each fact in it."""
    facts: list[tuple[str, str | None]] = []
    parts = ["".join(_parts(argument, facts)) for argument in arguments]
    return _Asked(re.compile(r"\s+".join(parts)), tuple(facts), line)


def _parts(node: ast.expr, facts: list[tuple[str, str | None]]) -> Iterator[str]:
    """Yield the parts of a pattern for the output of an expression, and add the fact of each group to `facts`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield r"\s*".join(re.escape(word) for word in node.value.split()) + (
            r"\s*" if node.value[-1:].isspace() else ""
        )
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _parts(value.value if isinstance(value, ast.FormattedValue) else value, facts)
    elif isinstance(node, ast.Tuple):
        yield r"\(" + r",\s*".join("".join(_parts(value, facts)) for value in node.elts) + r"\)"
    else:
        known = _fact_of(ast.unparse(node))
        if known is None:
            yield r".*?"
        else:
            facts.append(known[:2])
            yield rf"['\"]?({known[2]})['\"]?"


def _fact_of(text: str) -> tuple[str, str | None, str] | None:
    """Return three things about an expression: the fact, the package if the value is its version, and a pattern of the value.

    None if the expression states no fact.
    """
    if text in _FACTS:
        fact, form = _FACTS[text]
        return fact, None, form
    called = _CALLS.get(text.partition("(")[0])
    if called:
        return called[0], None, called[1]
    module = _MODULE.fullmatch(text)
    return ("", module["module"], VERSION) if module else None


def _of_line(asked: Sequence[_Asked], text: str, number: int, file: str) -> Iterator[Answer]:
    """Yield the facts in a line that is the output of one of the statements."""
    for each in asked:
        found = each.pattern.fullmatch(text)
        for (fact, package), value in zip(each.facts, found.groups() if found else (), strict=False):
            place = Place(file=file, line=number, text=text[:200])
            if package is not None or fact:
                yield Answer(fact, value, place, package)
