"""Leave nothing behind: mark every process that a command starts, and put its temporary files into one folder.

At the end of a command, processes that left their group (setsid, a daemon) are found by the mark in their environment and ended
(Linux only), and the folder is removed. If this process is killed, a helper process, the guard, does both. The guard waits on a pipe
that only this process has open. Two kinds of process are not found: those that clear their environment, and those of another user.
Standard library only.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from attn_doctor.system import processes

MARK = "ATTN_DOCTOR_MARK"  # marks of all attn-doctor processes above a process, separated by ":"
PREFIX = "attn-doctor-"
_GUARD = Path(__file__).with_name("guard.py")
_lock = threading.Lock()


class _Own:
    """Hold the state of this process: its mark, its folder, its guard, and the number of open blocks of `scope` (`users`)."""

    pid = 0
    token = ""
    folder = ""
    guard: subprocess.Popen[bytes] | None = None
    users = 0


def token() -> str:
    """Return the mark of this process, the same at every call."""
    if not _Own.token:
        _Own.token = secrets.token_hex(8)
    return _Own.token


def marked(environ: Mapping[str, str], mark: str) -> dict[str, str]:
    """Return a copy of an environment with one more mark in its variable `MARK`. The marks of an attn-doctor that started this one stay."""
    return {**environ, MARK: ":".join([*filter(None, environ.get(MARK, "").split(":")), mark])}


def folder() -> str | None:
    """Return the folder for the temporary files of this process, the same at every call.

    None: no place for it is writable.
    """
    with _lock:
        if not _Own.folder or not os.path.isdir(_Own.folder):
            try:
                _Own.folder = tempfile.mkdtemp(prefix=PREFIX)
            except OSError:
                return None
            _watch(_Own.folder)
        return _Own.folder


def new_folder(name: str = "") -> str | None:
    """Make a new folder below `folder()`, and return its path; None if that is not possible, for example on a full disk.

    `name`: the beginning of its name; tempfile adds the rest.
    """
    place = folder()
    try:
        return tempfile.mkdtemp(prefix=name, dir=place) if place else None
    except OSError:
        return None


def watch(place: str) -> None:
    """Add a folder that the guard removes if this process dies before it has removed the folder itself."""
    with _lock:
        _watch(place)


def unwatch(place: str) -> None:
    """Undo `watch`, because the folder was removed, or must not be removed."""
    with _lock:
        _tell("unwatch", place)


def _watch(place: str) -> None:
    if _Own.guard is None:
        _start_guard()
    _tell("watch", place)


def _start_guard() -> None:
    atexit.register(sweep)
    _Own.pid = os.getpid()
    try:
        _Own.guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), MARK, token()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=os.path.abspath(os.sep),  # noqa: PTH100 - a folder that nobody wants to remove
            start_new_session=processes.NEW_SESSION,  # a closed terminal must not end it too
            creationflags=processes.CREATION_FLAGS,
        )
    except OSError:  # `ulimit -u`, or no memory: nothing is cleaned up after SIGKILL, and everything else works
        _Own.guard = None


def _tell(word: str, place: str = "") -> None:
    if _Own.guard is not None and _Own.guard.stdin is not None:
        with contextlib.suppress(OSError, ValueError):
            _Own.guard.stdin.write(os.fsencode(f"{word} {place}\0"))
            _Own.guard.stdin.flush()


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """Run `sweep` at the end of a block. If blocks in other threads are open, the last block runs it.

    For programs that use attn-doctor as a library.
    """
    with _lock:
        _Own.users += 1
    try:
        yield
    finally:
        with _lock:
            _Own.users -= 1
            last = _Own.users == 0
        if last:
            sweep()


def sweep() -> int:
    """End the marked processes that still run, remove the folder and end the guard.

    Returns the number of processes ended.
    """
    with _lock:
        if _Own.pid != os.getpid():  # a process that a program which uses attn-doctor forked: nothing here is its own
            return 0
        ended = processes.end_marked(MARK, token()) if _Own.guard is not None or _Own.folder else 0
        if _Own.folder:
            shutil.rmtree(_Own.folder, ignore_errors=True)
        if _Own.guard is not None:
            _tell("bye")
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                if _Own.guard.stdin is not None:
                    _Own.guard.stdin.close()
                _Own.guard.wait(2.0)
        _Own.folder, _Own.guard = "", None
        return ended
