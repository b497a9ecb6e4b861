"""Start the user's program, in this session or in one of its own with a pseudo-terminal. Linux and macOS; imported by `posix` only.

In this session the program is a child of this process, in the same process group: the terminal and the shell treat the two as one.

In a session of its own, a second process stands between the two, the *leader*, because the kernel lets Ctrl-Z stop a program only if its
parent is in the same session and in another process group (setpgid(2), "orphaned process group"); sudo does the same with `use_pty`. The
leader waits for the program and reports its changes. If this process is killed, the leader notices that the pseudo-terminal is gone, gives the
real terminal its modes back, and dies of SIGHUP; the program gets SIGHUP too, as if its terminal had been closed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from attn_doctor.system import threads
from attn_doctor.system.relay import terminals

assert sys.platform != "win32"

# What is reported through a pipe: a kind, and its value.
NEWS = struct.Struct("=ii")
STARTED, REFUSED, CHANGED, CONTINUED = range(4)  # values: number of the process, errno, wait status, 0


class Program(NamedTuple):
    """Hold the program to start: its arguments, its environment, and the signals that it inherits as blocked."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    mask: set[int | signal.Signals]  # the signals that were blocked when this process started


def report(pipe: int, kind: int, value: int = 0) -> None:
    """Write a piece of news to a pipe. `kind`: STARTED, REFUSED, CHANGED or CONTINUED; `value`: what belongs to it.

    No error if nobody reads the pipe any more, as at the end.
    """
    with contextlib.suppress(OSError):
        os.write(pipe, NEWS.pack(kind, value))


def in_this_session(program: Program, outputs: Mapping[int, int], news: int) -> None:
    """Start the program as a child of this process.

    `outputs`: number of an output of the program (1, 2) -> the descriptor to use for it. `news`: a pipe; a thread writes every
    change of the program (stopped, continued, ended) to it. Raises OSError if the program cannot be started.
    """
    process = _start(program, {1: outputs.get(1), 2: outputs.get(2)}, lambda: None)
    report(news, STARTED, process.pid)
    threads.start(lambda: _watch(process, news))


def in_its_own_session(program: Program, master: int, streams: tuple[int, int], real: int, news: int) -> int:
    """Start the program on a pseudo-terminal, below a second process, the leader; return the process number of the leader.

    `master`: our end of the pseudo-terminal. `streams`: the program's end of it, and its standard error, which may be the same.
    `real`: a descriptor of the real terminal. `news`: a pipe; the leader writes to it whether the program started (STARTED, REFUSED),
    and every change of it. Raises OSError if no further process can be started.
    """
    leader = os.fork()
    if leader == 0:
        try:
            os.close(master)
            _lead(program, streams[0], streams[1], real, news)
        except OSError as failed:
            report(news, REFUSED, failed.errno or errno.EIO)
        finally:
            os._exit(0)
    return leader


def _start(program: Program, streams: Mapping[int, int | None], begin: Callable[[], None]) -> subprocess.Popen[bytes]:
    def before() -> None:
        begin()
        signal.pthread_sigmask(signal.SIG_SETMASK, program.mask)

    # Descriptors that this process inherited are the program's too, as with exec: those of `make -j`, of Slurm, of `3> file`.
    return subprocess.Popen(
        program.argv,
        env=dict(program.environ),
        stdin=streams.get(0),
        stdout=streams.get(1),
        stderr=streams.get(2),
        close_fds=False,
        preexec_fn=before,  # noqa: PLW1509 - no thread runs yet
    )


def _watch(process: subprocess.Popen[bytes], news: int) -> None:
    """Report every change of a child, until it has ended."""
    while True:
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED | os.WCONTINUED)
        except ChildProcessError:  # reaped by other code; there is none
            status = 0
        ended = os.WIFEXITED(status) or os.WIFSIGNALED(status)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)  # so that subprocess does not wait for it again
        report(news, CHANGED, status)
        if ended:
            return


def _lead(program: Program, terminal: int, error: int, real: int, news: int) -> None:
    """Act as the leader: start the program in the foreground of the pseudo-terminal, wait for its end, and report."""
    relay, usual = os.getppid(), terminals.modes(real)
    os.setsid()
    terminals.make_controlling(terminal)
    # Not SIG_IGN, which the program would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGTSTP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    signal.signal(signal.SIGHUP, lambda *_: _hung_up(relay, real, usual))

    def begin() -> None:
        if ignored:  # by nohup
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.setpgid(0, 0)
        signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGTTOU}
        )  # it would stop the program, which is not in the foreground yet
        os.tcsetpgrp(terminal, os.getpgrp())

    process = _start(program, {0: terminal, 1: terminal, 2: None if error == 2 else error}, begin)
    report(news, STARTED, process.pid)
    if error not in (2, terminal):
        os.close(error)
    signal.pthread_sigmask(signal.SIG_SETMASK, program.mask)
    _watch(process, news)
    # At the end of a leader the kernel sends SIGHUP to the foreground group, which may have processes that the program left running.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.tcsetpgrp(terminal, os.getpgrp())


_PATIENCE = 1.0  # seconds until a process that was killed is seen to be gone


def _hung_up(relay: int, real: int, usual: terminals.Modes) -> None:
    """End the leader after a hang-up.

    If its parent was killed, first give the real terminal its modes back; else the parent does that.
    """
    until = time.monotonic() + _PATIENCE
    while os.getppid() == relay:
        if time.monotonic() > until:
            return
        time.sleep(0.01)
    with contextlib.suppress(OSError):
        if terminals.modes(real) == terminals.raw(usual):
            terminals.set_modes(real, usual)
    _die_of_sighup()


def _die_of_sighup() -> NoReturn:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGHUP)
    os._exit(1)
