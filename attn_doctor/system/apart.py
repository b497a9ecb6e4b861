"""Start a program below a parent process of its own, so that a program that ends its parent does not end attn-doctor.

The parent is `system/parent.py`, run by attn-doctor's own Python; it takes 14 ms of processor time (measured on a busy machine). A
program that looks for attn-doctor among all processes of the user can still end it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from attn_doctor.system import processes

POSSIBLE: bool = sys.platform != "win32"  # Windows has no fork, and no way to end a parent by its number alone
_PARENT = Path(__file__).with_name("parent.py")
_KILL = 9  # SIGKILL has no name on Windows, where none of this is called
_PATIENCE = 20.0  # seconds until the parent must have started, on a busy machine


class Apart:
    """Hold a program that was started below a parent of its own. It has those parts of `subprocess.Popen` that `child` uses.

    The program has a session and a process group of its own. `orphaned`: its parent was ended, by the program or by the system.
    """

    def __init__(self, parent: subprocess.Popen[bytes], link: socket.socket, number: int) -> None:
        self.pid = number
        self.returncode: int | None = None
        self.orphaned = False
        self.stdin, self.stdout, self.stderr = parent.stdin, parent.stdout, parent.stderr
        self._parent = parent
        self._link = link
        self._told = b""

    def poll(self) -> int | None:
        """Return the exit code, or the negative number of the signal that ended the program; None while it runs.

        -9 too if its parent was ended (`orphaned`); the program itself may still run then.
        """
        return self._heard(0.0)

    def wait(self, timeout: float) -> int:
        """Wait until the program ends, and return what `poll` returns. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        code = self._heard(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def terminate(self) -> None:
        """Ask the program to end (SIGTERM)."""
        self._send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the program."""
        self._send_signal(_KILL)

    def _send_signal(self, number: int) -> None:
        if not self.orphaned:  # else its number can be another process's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)

    def forget(self) -> None:
        """End the parent. From now on another process can get the number of the program, so it must not be used any more."""
        self._link.close()
        try:
            self._parent.wait(0.5)
        except subprocess.TimeoutExpired:  # it was stopped
            self._parent.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._parent.wait(2.0)

    def _heard(self, seconds: float) -> int | None:
        if self.returncode is None and _readable(self._link, seconds):
            word, number = _line(self._link)
            self.orphaned = word not in ("exit", "signal")
            self.returncode = number if word == "exit" else -number if word == "signal" else -_KILL
        return self.returncode


def start(
    argv: Sequence[str | bytes], env: Mapping[str, str], *, cwd: str | None, stdin: int, marks: Mapping[str, str]
) -> Apart | None:
    """Start a program below a parent, with pipes for its output. Raises OSError if it cannot be started, as subprocess.Popen does.

    `marks`: variables of the parent, by which `leftovers` finds it. Return None if the parent ended, or did not answer within 20
    seconds, before it started the program: then the caller must start the program without a parent.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            parent = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PARENT), str(theirs.fileno())],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **marks},
                cwd=cwd,
                pass_fds=(theirs.fileno(),),
                start_new_session=processes.NEW_SESSION,
            )
        except OSError:
            ours.close()
            raise
    try:
        _send(ours, argv, env)
        _, number = _line(ours) if _readable(ours, _PATIENCE) else ("", 0)
    except OSError:
        number = 0
    made = Apart(parent, ours, number)
    word, error = _line(ours) if number else ("", 0)
    if number and word != "failed":
        if word != "running":  # the program runs, and has ended its parent already
            made.orphaned, made.returncode = True, -_KILL
        return made
    for stream in (parent.stdin, parent.stdout, parent.stderr):
        _close(stream)
    if word != "failed":
        parent.kill()
    made.forget()
    if word == "failed":
        raise OSError(error, os.strerror(error), os.fsdecode(argv[0]))
    return None


def _send(link: socket.socket, argv: Sequence[str | bytes], env: Mapping[str, str]) -> None:
    words = [os.fsencode(word) for word in argv]
    variables = [os.fsencode(f"{name}={value}") for name, value in env.items()]
    first = words[0]
    folders = [os.fsencode(folder) for folder in os.get_exec_path(dict(env))]
    programs = [first] if b"/" in first else [folder + b"/" + first for folder in folders]
    texts = [*programs, *words, *variables]
    if any(b"\0" in text for text in texts):
        raise ValueError("embedded null byte")
    head = b"%d %d %d" % (len(programs), len(words), len(variables))
    link.sendall(b"\0".join([head, *texts, b""]))
    link.shutdown(socket.SHUT_WR)


def _readable(link: socket.socket, seconds: float) -> bool:
    """Return whether an answer, or the end of the parent, is there. `poll` takes descriptors beyond 1,023, and `select` does not."""
    if sys.platform == "win32":
        return False
    waiting = select.poll()
    waiting.register(link, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _line(link: socket.socket) -> tuple[str, int]:
    """Return one line of the parent, as its word and its number; ("", 0) if the parent has ended."""
    told = b""
    with contextlib.suppress(OSError):
        while not told.endswith(b"\n") and (one := link.recv(1)):
            told += one
    word, _, number = told.decode("ascii").partition(" ")
    return (word, int(number)) if told.endswith(b"\n") else ("", 0)


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.close()
