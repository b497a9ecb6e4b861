"""Read the files that the user names: logs, project files, reports and facts.

Reports, facts and project files have a size limit. A log has none: it is read in blocks. Each opening has a time limit.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar, cast

from attn_doctor import project_files
from attn_doctor.errors import NotExamined
from attn_doctor.failure_modes import patterns
from attn_doctor.judging import goals
from attn_doctor.logs.decode import BLOCK, as_text
from attn_doctor.logs.not_a_log import NoLog, begun, checked
from attn_doctor.logs.reader import Log, Reader
from attn_doctor.model import foreign_text
from attn_doctor.model.project_file import ProjectFile
from attn_doctor.model.report import Unreadable
from attn_doctor.system import streams, threads

T = TypeVar("T")
_LARGEST = 8 << 20  # bytes of a report; one of an environment with 1,000 packages has 0.4 million
_OPENING = 30.0  # seconds: opening a pipe waits until another program writes to it


class Texts(NamedTuple):
    """Hold the files that the user named: logs, descriptions of an environment, and project files."""

    logs: tuple[Log, ...] = ()
    files: tuple[ProjectFile, ...] = ()


def read_logs(paths: Iterable[str]) -> tuple[Log, ...]:
    """Search each log for the signs of every failure mode and for errors.

    Raises Unreadable if a file cannot be read, NoLog if it is not a log, NotExamined for a project file with wrong syntax.
    """
    paths = tuple(paths)
    if not paths:
        return ()
    found = read_texts(paths)
    if found.files:
        name = found.files[0].file
        raise NoLog(f"{name} is a project file, not a log: `attn-doctor diagnose {name}` judges it")
    return found.logs


def read_texts(paths: Iterable[str], *, follow: bool = False) -> Texts:
    """Read files: each is a log, a project file, or both (a project file with output pasted below it). "-" is standard input.

    `follow`: copy standard input to standard error while it is read. Raises as `read_logs` does.
    """
    paths = tuple(paths)
    for path in paths:
        if path != "-":
            check_there(path)
    reader = log_reader()

    def read(stream: BinaryIO, name: str) -> tuple[Log | ProjectFile, ...]:
        if follow and stream is sys.stdin.buffer:
            stream = cast(BinaryIO, _Followed(stream))
        return _logs_or_files(reader, stream, name)

    found = [one for path in paths for one in _read(path, read)]
    return Texts(
        tuple(one for one in found if isinstance(one, Log)), tuple(one for one in found if not isinstance(one, Log))
    )


class _Followed:
    """Wrap a stream: the bytes that are read from it are copied to standard error at once."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer at the end of the stream."""
        parts: list[bytes] = []
        while size > 0 and (part := os.read(self._stream.fileno(), size)):
            sys.stderr.buffer.write(part)
            sys.stderr.buffer.flush()
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _logs_or_files(reader: Reader, stream: BinaryIO, name: str) -> tuple[Log | ProjectFile, ...]:
    """Read a stream: a log, a project file, or a project file with output pasted below it, which makes both."""
    head = stream.read(BLOCK)
    text = as_text(head)
    both = project_files.apart(text)
    if both is not None and project_files.might_be_one(both.file, name):
        head += stream.read(project_files.MOST)
        both = project_files.apart(as_text(head))
        if both is not None and (file := _file_above(both.file, name)) is not None:
            return file, reader.read(io.BytesIO(both.log.encode("utf-8", "replace")), name)
    elif project_files.might_be_one(text, name):
        head += stream.read(project_files.MOST)
        if (found := project_files.read(as_text(head), name)) is not None:
            return (found,)
    return (reader.read(checked(begun(head, stream), name), name),)


def _file_above(text: str, name: str) -> ProjectFile | None:
    """Return the record of the project file that stands above output; None if the text is none. A Dockerfile above its build is a part of the log."""
    try:
        found = project_files.read(text, name)
    except NotExamined:
        return None
    return found if found is not None and found.kind != "dockerfile" and found.wishes else None


def log_reader() -> Reader:
    """Return a reader that searches a log for everything: signs, facts about the machine, the goal, and the end."""
    from attn_doctor.logs import error_marks, stated_facts  # compiles hundreds of patterns: only if there is a log

    return Reader([*patterns(), *stated_facts.PATTERNS, *goals.PATTERNS, *error_marks.PATTERNS], keeps_end=True)


def as_log(text: str, name: str) -> Log:
    """Read a text as a log. `name`: stands for the name of the file where a line of the text is shown."""
    return log_reader().read(io.BytesIO(text.encode("utf-8", "replace")), name)


def _read(path: str, reading: Callable[[BinaryIO, str], T]) -> T:
    """Open a file, or standard input for "-", and return the result of `reading`.

    `reading` gets the stream and its name for messages. Raises Unreadable if the file cannot be read.
    """
    try:
        if path == "-":
            return reading(_standard_input(), "standard input")
        with _opened(path) as stream:
            return reading(stream, foreign_text.text(path))
    except OSError as error:
        raise Unreadable(f"{_name(path)} cannot be read: {error.strerror or error}") from error


def check_there(path: str) -> None:
    """Raise Unreadable if the file does not exist.

    The file is read later, after a second of other work: this check reports the error without that wait.
    """
    try:
        Path(path).stat()
    except (OSError, ValueError) as error:
        raise Unreadable(f"{_name(path)} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_file(path: str) -> bytes:
    """Return a whole file of at most 8 MB, or standard input for "-".

    Raises Unreadable if it is larger, or cannot be read.
    """
    found = _read(path, lambda stream, _: stream.read(_LARGEST + 1))
    if len(found) > _LARGEST:
        raise Unreadable(f"{_name(path)} is larger than {_LARGEST >> 20} MB: it is no report and holds no facts")
    return found


def _opened(path: str) -> BinaryIO:
    """Open a file or a pipe.

    Raises OSError if it cannot be opened, and Unreadable for a pipe into which nothing is written in 30 s, and for a device: a device
    may have no end. A terminal is allowed.
    """
    try:
        stream: BinaryIO = threads.within(_OPENING, lambda: Path(path).open("rb"))  # noqa: SIM115 - closed by the caller
    except TimeoutError as error:
        raise Unreadable(f"{_name(path)} cannot be read: nothing was written to it in {_OPENING:.0f} s") from error
    if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode) and not stream.isatty() and path != os.devnull:
        stream.close()
        raise Unreadable(f"{_name(path)} is a device: name a file, or - for standard input")
    return stream


def _name(path: str) -> str:
    return "standard input" if path == "-" else foreign_text.text(path)


def _standard_input() -> BinaryIO:
    if streams.was_closed("stdin"):
        raise Unreadable("standard input is closed: name a file")
    return sys.stdin.buffer
