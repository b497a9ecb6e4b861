"""Recognise from its first bytes that a file is not a log, before it is read as one.

The error names the command for such a file, if there is one.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

import msgspec

from attn_doctor.errors import NotExamined
from attn_doctor.logs.decode import BLOCK, as_text, is_wide

_WHOLE = 32 << 20  # bytes: a JSON document larger than this is read as a log
_MOST = 1 << 16  # bytes at the beginning from which the kind of a text is recognised


class NoLog(NotExamined):
    """Report that the file is not a log. The text is one sentence for the user."""


class _Begun:
    """Return bytes that were already read from a stream a second time, and then the rest of the stream."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int) -> bytes:
        if not self._head:
            return self._stream.read(size)
        if size < 0:
            size = len(self._head)
        taken, self._head = self._head[:size], self._head[size:]
        return taken


def begun(head: bytes, stream: BinaryIO) -> BinaryIO:
    """Return a stream that begins with `head`, the bytes that were already read from `stream`."""
    return cast(BinaryIO, _Begun(head, stream))


def checked(stream: BinaryIO, name: str) -> BinaryIO:
    """Return a stream with all bytes of `stream`, if they may be a log. `name`: of the file, for the error.

    Raises NoLog if it is not a log, OSError if it cannot be read.
    """
    head = stream.read(BLOCK)
    if not head.strip():
        rest = stream.read(1)
        if not rest:
            raise NoLog(f"{name} is empty")
        head += rest
    what = _binary(head, name)
    if what is None and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        while len(head) < _WHOLE and (more := stream.read(BLOCK)):
            head += more
            if head.count(b"\n", 0, BLOCK) and _is_json(head[: head.index(b"\n")]):
                break  # one JSON object in each line: a log
        what = _json(head, name)
    if what is None and not is_wide(head):
        what = _text(head, name)
    if what is not None:
        raise NoLog(f"{name} is {what}")
    return begun(head, stream)


_UNPACK = "compressed: unpack it first, or run: {0} | attn-doctor diagnose -"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "a program or library (ELF), not a log: `attn-doctor inspect {name}` checks whether it would load"),
    (b"MZ", "a program or library of Windows, not a log"),
    (b"\xcf\xfa\xed\xfe", "a program or library of macOS, not a log"),
    (b"\xca\xfe\xba\xbe", "a program or library of macOS, not a log"),
    (b"\x89PNG", "an image, not a log: copy the text of the log into a file"),
    (b"\xff\xd8\xff", "an image, not a log: copy the text of the log into a file"),
    (b"GIF8", "an image, not a log: copy the text of the log into a file"),
    (b"BM", "an image, not a log: copy the text of the log into a file"),
    (b"%PDF", "a PDF document, not a log: copy the text of the log into a file"),
    (b"\x1f\x8b", _UNPACK.format("zcat {name}")),
    (b"\xfd7zXZ", _UNPACK.format("xzcat {name}")),
    (b"BZh", _UNPACK.format("bzcat {name}")),
    (b"\x28\xb5\x2f\xfd", _UNPACK.format("zstdcat {name}")),
    (b"SQLite format 3", "a database, not a log"),
)


def _binary(head: bytes, name: str) -> str | None:
    """Return what a binary file with these first bytes is, and what to do with it; None if it may be text."""
    for magic, what in _MAGIC:
        if head.startswith(magic) and (len(magic) > 2 or b"\0" in head[:64] or magic == b"\x1f\x8b"):
            return what.replace("{name}", name)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "an image, not a log: copy the text of the log into a file"
    if head[:4] == b"PK\x03\x04":
        if name.endswith(".whl") or b".dist-info/" in head:
            return f"a wheel, not a log: `attn-doctor inspect {name}` checks whether it would load"
        return "an archive or a saved model (zip), not a log: if it contains a log, unpack it first"
    if head[257:262] == b"ustar":
        return "an archive (tar), not a log: if it contains a log, unpack it first"
    sample = head[:4096]
    if is_wide(head) and sample.count(0) < len(sample) * 2 // 3:  # UTF-16 of a Latin text: every second byte is 0
        return None
    if sample.count(0) > len(sample) // 20:
        return "a binary file, not a log"
    return None


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


# A JSON document with one of these keys is a record of events, and is read as a log.
_RECORD = {
    "message",
    "msg",
    "log",
    "severity",
    "level",
    "error",
    "errors",
    "stderr",
    "stdout",
    "exception",
    "traceback",
}


def _json(data: bytes, name: str) -> str | None:
    """Return what a JSON document is, and what to do with it; None if it may be a log, or is no JSON."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return None
    first = document[0] if isinstance(document, list) and document else document
    if not isinstance(first, (dict, list)) and not isinstance(document, dict):
        # A short list such as "[1]" may be the output of a program.
        return None if isinstance(document, list) and len(data) < 256 else "a JSON document, not a log"
    keys = set(first) if isinstance(first, dict) else set()
    if {"tool", "facts", "findings"} <= keys:
        return f"a report of attn-doctor, not a log: `attn-doctor show {name}` shows it"
    if {"findings", "undetermined"} <= keys:
        return "the output of `attn-doctor diagnose --json`, not a log: give the log itself"
    if {"interpreter", "torch"} <= keys or {"system", "graphics"} & keys:
        return f"a file of facts of a machine, not a log: `attn-doctor check --facts {name}` examines them"
    if {"cells", "nbformat"} <= keys:
        return "a notebook, not a log: copy the output of the cell that failed into a file"
    return None if keys & _RECORD else "a JSON document, not a log"


class _Lines(NamedTuple):
    """Hold the beginning of a text. `all`: its lines without blank lines and comments. `text`: the unchanged text."""

    all: list[str]
    text: str


def _text(head: bytes, name: str) -> str | None:
    """Return what a text file with these first lines is, and what to do with it; None if it may be a log."""
    part = head[:_MOST]
    if len(head) > _MOST:
        part = part[: part.rfind(b"\n") + 1]
    text = as_text(part).replace("\r\n", "\n").lstrip("\ufeff")
    lines = _Lines([line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")], text)
    if not lines.all:
        return None
    return next((what.format(name=name) for test, what in _SHAPES if test(lines)), None)


_YAML = re.compile(r"^\s*(?:- ?.*|[\w./\"'${}-]+\s*:(?:\s.*)?|---|\.\.\.|[\]}].*)$|^\s{2,}\S")
_YAML_FIRST = re.compile(
    r"^(?:name|channels|dependencies|services|version|path|train|nc|names|task|on|jobs|repos|prefix)\s*:"
)
# A line that a program printed: "OMP: Error #15", "ValueError: ...", "train: Scanning /data/labels..." of YOLO. No YAML file of settings has one.
_PRINTED = re.compile(
    r"\b(?:[A-Z]\w{0,40})?(?:Error|Exception|Warning)\b(?::| #\d)|^(?:train|val|test): (?:Scanning|Caching|New cache)\b|: (?:ERROR|WARNING)\b"
)
_TOML = re.compile(
    r"^\[\[?(?:project|build-system|tool|dependency-groups|package|metadata|options|tox|testenv)(?:[.:][\w.\"-]+)*\]\]?\s*$"
)


def _toml(lines: _Lines) -> bool:
    return bool(_TOML.match(lines.all[0])) and any(re.match(r"^\s*[\w\".-]+\s*=", line) for line in lines.all[1:])


def _yaml(lines: _Lines) -> bool:
    first = lines.all[1 if lines.all[0].startswith("---") and len(lines.all) > 1 else 0]
    keys = [line for line in lines.all if re.match(r"^[\w-]+\s*:", line)]
    if any(map(_PRINTED.search, lines.all)):
        return False
    return bool(_YAML_FIRST.match(first)) and len(keys) > 1 and all(_YAML.match(line) for line in lines.all)


def _html(lines: _Lines) -> bool:
    return bool(re.match(r"(?i)\s*<(?:!doctype html|html|head)\b", lines.text))


def _xml(lines: _Lines) -> bool:
    return lines.text.lstrip().startswith("<?xml")


def _script(lines: _Lines) -> bool:
    return bool(re.match(r"#!\s*/\S*(?:/|env\s+(?:-S\s+)?)(?:ba|z|da|k)?sh\b", lines.text))


def _python(lines: _Lines) -> bool:
    if re.match(r"#!.*python", lines.text):
        return True
    if not re.search(r"(?m)^(?:import|from|def|class|async def|if|@)\b", lines.text):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in (lines.text, lines.text[: _last_statement(lines.text)]):
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            made = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
            return any(isinstance(node, made) for node in tree.body)
    return False


def _last_statement(text: str) -> int:
    """Return the position of the last line without indentation.

    If the text is cut after it, only the part before it can be parsed.
    """
    places = [match.start() for match in re.finditer(r"(?m)^\S", text)]
    return places[-1] if len(text) > _MOST - 8192 and places else 0


def _c_source(lines: _Lines) -> bool:
    return bool(
        re.match(
            r"(?s)\s*(?://[^\n]*\n\s*|/\*.*?\*/\s*)*#\s*(?:include\s*[<\"]|pragma once|ifndef \w+\s*\n\s*#\s*define)",
            lines.text,
        )
    )


_SHAPES: tuple[tuple[Callable[[_Lines], bool], str], ...] = (
    (_html, "an HTML page, not a log: save the text of the log itself (most sites have a link to the raw log)"),
    (_xml, "an XML document, not a log"),
    (_script, "a shell script, not a log: run it with `2>&1 | tee run.log`, and give run.log"),
    (_toml, "a settings file (TOML or INI), not a log: `attn-doctor check` examines the environment itself"),
    (_yaml, "a YAML document, not a log: `attn-doctor check` examines the environment itself"),
    (_c_source, "source code, not a log: give the output of the compiler"),
    (_python, "Python source, not a log: run it with `2>&1 | tee run.log`, and give run.log"),
)  # fmt: skip
