"""Store the events of a study in its folder, one line for each event. A kill at any moment loses at most the line that was being written."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

import msgspec

from attn_doctor.errors import Refused
from attn_doctor.model.study import Design, Event
from attn_doctor.system import locks, platforms

NAME = "journal.jsonl"
_LOCK = "lock"
# Fields of a design that may differ between two commands for one study.
_FREE = ("command",)
_WORDS = {"versions": "version", "hashes": "content"}


class Journal:
    """Hold the journal of a study's folder open for writing.

    Linux and macOS: no other process can open it so at the same time. Windows: this is not checked.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder if it does not exist, lock it, and read its journal. Raises Refused if that is not possible."""
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = locks.hold(folder / _LOCK)
        except OSError as error:
            raise Refused(f"the folder {folder} cannot be used: {error.strerror or error}") from error
        if self._lock is None and not platforms.WINDOWS:
            raise Refused(f"another study runs in {folder}: wait for its end, or give another folder by --folder")
        self.events = read(folder)
        self._writing = threading.Lock()
        self._file: IO[bytes] | None = None

    def append(self, event: Event) -> Event:
        """Write one event to the disk, with the time of now, and return it. Raises Refused if it cannot be written (the disk is full)."""
        timed = msgspec.structs.replace(event, when=datetime.now(timezone.utc).isoformat(timespec="seconds"))
        with self._writing:
            try:
                if self._file is None:
                    self._file = _without_a_half_line(self.path)
                self._file.write(msgspec.json.encode(timed) + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise Refused(f"{self.path} cannot be written: {error.strerror or error}") from error
            self.events = (*self.events, timed)
        return timed

    def close(self) -> None:
        """Release the lock of the folder."""
        for file in (self._file, self._lock):
            if file is not None:
                file.close()
        self._file = self._lock = None


def _without_a_half_line(path: Path) -> IO[bytes]:
    """Open a journal to write at its end, after the last complete line."""
    file = path.open("a+b")
    file.seek(0)
    whole = file.read().rfind(b"\n") + 1
    file.truncate(whole)
    return file


def read(folder: Path) -> tuple[Event, ...]:
    """Return the events in a study's folder; none if it has no journal. Raises Refused for a file that is no journal.

    An incomplete last line was cut by a kill. It is left out.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from error
    *lines, _ = content.split(b"\n")
    events = []
    for number, line in enumerate(lines, 1):
        try:
            events.append(msgspec.json.decode(line, type=Event))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(f"line {number} of {path} is damaged ({error}): the study cannot go on from it") from error
    if events and events[0].design is None:
        raise Refused(f"{path} does not begin with the design of a study")
    return tuple(events)


def is_held(folder: Path) -> bool:
    """Return whether a process runs the study of this folder now. False also if it is not known: on Windows, or in another user's folder."""
    if platforms.WINDOWS or not (folder / _LOCK).exists():
        return False
    try:
        held = locks.hold(folder / _LOCK)
    except OSError:  # the folder of another user: nothing says that its study runs
        return False
    if held is None:
        return True
    held.close()
    return False


def differences(stored: Design, asked: Design) -> list[str]:
    """Return, in words, the differences between the stored design and the requested one. Empty: it is the same study, or the same study with more seeds."""
    found = []
    for name in Design.__struct_fields__:
        before, now = getattr(stored, name), getattr(asked, name)
        if name in _FREE or before == now or (name == "seeds" and asked.seeds[: len(before)] == before):
            continue
        if isinstance(before, dict):
            for key in sorted({*before, *now}):
                if before.get(key) != now.get(key):
                    values = f"{before.get(key)} there, {now.get(key)} now" if name == "versions" else "it was changed"
                    found.append(f"{_WORDS[name]} of {key} ({values})")
        else:
            found.append(f"{name} ({_shown(before)} there, {_shown(now)} now)")
    return found


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
