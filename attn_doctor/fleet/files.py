"""Find the reports of a fleet in files, folders and streams of JSON lines, and read them one after the other."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple

import msgspec

from attn_doctor.errors import NotExamined
from attn_doctor.fleet.names import natural
from attn_doctor.fleet.reading import LARGEST
from attn_doctor.model import foreign_text
from attn_doctor.model.fleet import Node, NodeAnswer, NodeEnd
from attn_doctor.model.report import Unreadable
from attn_doctor.system import files

_MOST = 100_000  # files of all folders, and lines of a stream
_DEEPEST = 12  # folders inside of folders
_STREAMS = (".jsonl", ".ndjson")
_ENDINGS = (".json", *_STREAMS)


class Place(NamedTuple):
    """Name a file that may contain a report, and the node of the report."""

    path: str
    name: str


class _Line(msgspec.Struct):
    """Describe a line with a report and the name of its node: {"node": "gpu-17", "report": {...}}.

    The answer of an engine has this form too.
    """

    node: Node | str
    report: msgspec.Raw = msgspec.Raw()
    end: NodeEnd = "answered"
    said: str = ""


def places(paths: Sequence[str]) -> list[Place]:
    """Return the files below these paths, each once, with the names of their nodes. "-" is standard input.

    In a folder, files are found whose names end in .json, .jsonl or .ndjson; links to folders are not followed. A node gets the
    name of its file. If that is "report", or several files have one name ("gpu-17/report.json"), it gets the name of the folder; if
    folders have one name too, the path. Raises Unreadable for a path that does not exist and for more than 100,000 files, and
    NotExamined for a folder without such a file.
    """
    found: dict[str, str] = {}  # path -> path from the folder that was named
    for path in paths:
        try:
            is_folder = path != "-" and stat.S_ISDIR(Path(path).stat().st_mode)
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            raise Unreadable(f"{foreign_text.text(path)} cannot be read: {said}") from error
        if not is_folder:
            found.setdefault(path, path)
            continue
        inside = sorted(_below(path), key=natural)
        if not inside:
            raise NotExamined(f"{foreign_text.text(path)} has no file whose name ends in {', '.join(_ENDINGS)}")
        for one in inside:
            found.setdefault(one, str(PurePath(PurePath(path).name, os.path.relpath(one, path))))
    return [Place(path, name) for path, name in zip(found, _names(list(found.values())), strict=True)]


def _below(folder: str) -> Iterator[str]:
    count = 0
    deepest = folder.rstrip(os.sep).count(os.sep) + _DEEPEST
    for here, below, names in os.walk(folder):
        if here.count(os.sep) >= deepest:
            below.clear()
        for file in names:
            if file.lower().endswith(_ENDINGS):
                count += 1
                if count > _MOST:
                    raise Unreadable(
                        f"{foreign_text.text(folder)} has more than {_MOST:,} files: name a smaller folder"
                    )
                yield str(PurePath(here, file))


def _names(paths: Sequence[str]) -> list[str]:
    stems = [_stem(path) for path in paths]
    times = Counter(stems)
    folders = [PurePath(path).parent.name for path in paths]
    by_folder = Counter(
        folder for folder, stem in zip(folders, stems, strict=True) if times[stem] > 1 or stem == "report"
    )
    made = []
    for path, stem, folder in zip(paths, stems, folders, strict=True):
        if times[stem] == 1 and (stem != "report" or not folder):
            made.append(stem)
        else:
            made.append(folder if folder and by_folder[folder] == 1 else str(PurePath(path).with_suffix("")))
    return [foreign_text.text(name) for name in made]


def _stem(path: str) -> str:
    name = PurePath(path).name
    return next((name[: -len(end)] for end in _ENDINGS if name.lower().endswith(end)), name) or name


def answers(found: Iterable[Place], standard_input: BinaryIO | None = None) -> Iterator[NodeAnswer]:
    """Yield an answer for each report.

    A file that cannot be read, is too large, or is no regular file gives an answer "unreadable", with the reason.
    `standard_input`: the stream to read for "-".
    """
    for place in found:
        if place.path == "-":
            if standard_input is not None:
                yield from lines(standard_input, "line")
            continue
        try:
            with files.opened(place.path) as stream:
                if place.path.lower().endswith(_STREAMS):
                    yield from lines(stream, place.name)
                else:
                    yield NodeAnswer(node=Node(name=place.name), end="answered", report=stream.read(LARGEST + 1))
        except OSError as error:
            said = f"it cannot be read: {error.strerror or error}"
            yield NodeAnswer(node=Node(name=place.name), end="unreadable", said=said)


def lines(stream: BinaryIO, name: str) -> Iterator[NodeAnswer]:
    """Yield an answer for each line of a stream.

    A line is a report, or {"node": "gpu-17", "report": {...}}. A report of several lines (`attn-doctor check --json -`) is one
    answer too: its first line is "{" and its last line "}". `name`: the name for nodes of lines without a node's name: "line"
    becomes "line-3".
    """
    for number, (place, text) in enumerate(_values(stream), 1):
        if number > _MOST:
            said = f"more than {_MOST:,} lines: the rest was not read"
            yield NodeAnswer(node=Node(name=f"{name}-{place}"), end="unreadable", said=said)
            return
        yield _of_line(text, f"{name}-{place}")


def _values(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield (number of its first line, text) for each value that is not empty. A value that is too long is cut, so it cannot be read."""
    parts: list[bytes] = []
    size = first = number = 0
    while line := stream.readline(LARGEST + 2):
        number += 1
        bare = line.rstrip(b"\r\n")
        if not line.endswith(b"\n"):
            while len(line) == LARGEST + 2 and (more := stream.readline(LARGEST + 2)):
                line = more  # the end of a line that is too long
                if more.endswith(b"\n"):
                    break
        if parts:
            size += len(bare)
            if size <= LARGEST:
                parts.append(bare)
            if bare == b"}":
                yield first, b"\n".join(parts) if size <= LARGEST else b" " * (LARGEST + 1)
                parts, size = [], 0
        elif bare == b"{":
            parts, size, first = [bare], 1, number
        elif bare.strip():
            yield number, bare
    if parts:
        yield first, b"\n".join(parts)


def _of_line(text: bytes, name: str) -> NodeAnswer:
    try:
        line: Any = msgspec.json.decode(text, type=_Line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return NodeAnswer(node=Node(name=name), end="answered", report=text)
    node = line.node if isinstance(line.node, Node) else Node(name=line.node)
    report = bytes(line.report)
    return NodeAnswer(node=node, end=line.end, report=report if report not in (b"", b"null") else None, said=line.said)
