"""Pass the signals that this process gets on to the user's program. Linux and macOS; imported by `posix` only.

A thread waits for the signals, which are blocked in all threads, so that a signal is passed on also while the main thread writes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable

from attn_doctor.system import threads
from attn_doctor.system.relay import started, terminals

assert sys.platform != "win32"

# Signals that are not passed on: two that nobody can catch, the end of children, the faults of this process itself, what the terminal
# does with a process in the background, and SIGPIPE and SIGXFSZ, which Python ignores.
_OWN = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGCHLD,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGSYS,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGXCPU,
}
_TYPED = {signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP}  # Ctrl-C, Ctrl-\ and Ctrl-Z


def block() -> tuple[set[int], set[int | signal.Signals]]:
    """Block the signals that will be passed on.

    Returns these signals, and the earlier mask, for `signal.pthread_sigmask`.
    """
    numbers = {
        int(number) for number in signal.valid_signals() - _OWN if signal.getsignal(number) != signal.SIG_IGN
    } | {int(signal.SIGWINCH), int(signal.SIGCONT)}
    return numbers, signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


class Passing:
    """Pass the signals that this process gets on to a program, from `start` until `end`."""

    def __init__(self, numbers: set[int], news: int, resize: Callable[[], None], *, same_group: bool) -> None:
        """Prepare. `numbers`: the signals, as `block` returns them. `resize`: called when the window changes its size.

        `news`: the pipe to which `started.CONTINUED` is reported when this process is continued.

        `same_group`: the program is in the process group of this process, so the terminal sends its signals to the program
        itself.
        """
        self._numbers, self._news, self._resize, self._same_group = numbers, news, resize, same_group
        self._over = False
        self.passed: set[int] = set()
        self._thread: threads.Task[None] | None = None

    def start(self, program: int) -> None:
        """Begin to pass signals on. `program`: the number of its process."""
        self._program = program
        self._thread = threads.start(self._listen)

    def end(self) -> None:
        """End the thread. Signals that come later are not passed on."""
        self._over = True
        if self._thread is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pthread_kill(self._thread.number, signal.SIGCONT)
            self._thread.join()

    def _listen(self) -> None:
        while not self._over:
            number, sender = self._next()
            if not self._over:
                self._got(number, sender)

    def _next(self) -> tuple[int, int | None]:
        """Wait for a signal; return it and its sender (None: the kernel, for a terminal).

        macOS does not name the sender. There a signal of the keyboard counts as typed if this process is in the foreground.
        """
        if sys.platform == "linux":
            while True:
                found = signal.sigwaitinfo(self._numbers)
                return found.si_signo, None if found.si_code > 0 else found.si_pid
        number = signal.sigwait(self._numbers)
        typed = number in _TYPED and os.isatty(0) and terminals.in_foreground(0)
        return number, None if typed else 0

    def _got(self, number: int, sender: int | None) -> None:
        if number == signal.SIGTSTP and sender == os.getpid():  # by `stop`, for the others of the group
            return
        if number == signal.SIGWINCH:
            self._resize()
        elif number == signal.SIGCONT:
            started.report(self._news, started.CONTINUED)
            return
        else:
            self.passed.add(number)
        if number == signal.SIGWINCH and not self._same_group:
            return  # the kernel told the program when its terminal was resized
        # In the same group the program has got this from the terminal already; only the new size came too early for it.
        if number == signal.SIGWINCH or not (self._same_group and sender is None):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._program, number)


def stop(*, whole_group: bool) -> None:
    """Stop this process, as Ctrl-Z does, and return when it is continued. SIGTSTP must be blocked in this process.

    `whole_group`: also stop the other processes of its group: the script that started it, and the other programs of its pipeline. If
    nobody could continue this process, the kernel does not stop it (an orphaned process group), and the function returns at once.
    """
    # SIGTSTP is still blocked here, so the signals below wait, perhaps beside one from the terminal. This process stops only once: SIGCONT
    # discards the signals that still wait. The signal to this process comes before the signal to the group: a shell continues the group
    # as soon as the script has stopped, and this process may not have stopped yet.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTSTP)
    if whole_group:
        os.killpg(os.getpgrp(), signal.SIGTSTP)
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
