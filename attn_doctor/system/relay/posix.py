"""Run a program on Linux or macOS: choose the outputs to copy, and copy them until the program has ended.

See the docstring of the package.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import stat
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from attn_doctor.system.relay import CannotKeep, Ended, copying, passing, started, terminals
from attn_doctor.system.relay.kept import HEAD, TAIL, Kept

assert sys.platform != "win32"

_SECOND = 1.0  # in the background: how often it is looked whether the shell gave us the terminal
_TYPED = 1 << 12  # bytes that are read from the keyboard at once
# A program that `kill -STOP` stopped is continued by `kill -CONT`, which this process would not notice: it does not stop with it.
_STOPS = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
_COUNTED = 256 << 20  # bytes of a file whose lines are counted


def run(argv: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Run a program to its end. Raises as `relay.run` does."""
    numbers, mask = passing.block()
    try:
        running = _Run(numbers)
        try:
            running.start(started.Program(argv, environ, mask))
            return running.to_the_end()
        finally:
            running.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _File(NamedTuple):
    """Hold a file into which the program itself writes: a descriptor to read it, and the offset at which the program's output begins."""

    descriptor: int
    start: int


class _Run:
    def __init__(self, numbers: set[int]) -> None:
        self._kept = Kept()
        self._copies: list[copying.Copy] = []
        self._files: list[_File] = []
        self._given: list[int] = []  # the program's ends, which this process closes when the program has them
        self._master: int | None = None  # our end of the pseudo-terminal with the program's session
        self._leader: int | None = None
        self._usual: terminals.Modes | None = None  # the modes of the real terminal, while it has others
        self._to_type = bytearray()  # typed, and not yet taken by the program
        self._typed_stop = False  # whether Ctrl-C or Ctrl-\ was typed
        self._keyboard = False  # whether standard input is passed on at all
        self._status: int | None = None
        self._sizes: list[int] = []  # pseudo-terminals that get the size of the real terminal
        self._program = 0
        self._changes, self._tell = os.pipe()  # of the program: from a thread, or from the leader
        self._signals, signalled = os.pipe()  # that concern this process itself
        self._own = [self._changes, self._signals, signalled]
        os.set_blocking(self._changes, False)
        os.set_blocking(self._signals, False)
        self._passing = passing.Passing(numbers, signalled, self._resize, same_group=not _is_interactive())

    def start(self, program: started.Program) -> None:
        """Start the program. Raises OSError if it cannot be started, CannotKeep if its output cannot be kept."""
        outputs = self._outputs()
        if len(self._copies) > 1:
            self._kept.several()
        try:
            if self._master is None:
                started.in_this_session(program, outputs, self._tell)
            else:
                streams = (outputs[1], outputs.get(2, 2))
                self._leader = started.in_its_own_session(program, self._master, streams, 0, self._tell)
                os.close(self._tell)  # if the leader is killed, the pipe ends
        except BlockingIOError as error:  # `ulimit -u`
            raise CannotKeep(str(error)) from error
        for end in self._given:
            os.close(end)
        select.select([self._changes], [], [])
        kind, value = started.NEWS.unpack(_news(self._changes) or started.NEWS.pack(started.REFUSED, errno.EIO))
        if kind == started.REFUSED:
            raise OSError(value, os.strerror(value))
        self._program = value
        self._passing.start(value)
        self._keyboard = self._master is not None

    def _outputs(self) -> dict[int, int]:
        """Return {1: descriptor, 2: descriptor}: the standard output and error that the program gets.

        An output is left out if the program gets ours unchanged.
        """
        outputs: dict[int, int] = {}
        made: dict[tuple[int, int, int], int] = {}
        for number in (1, 2):
            with contextlib.suppress(OSError):  # closed
                found = os.fstat(number)
                if stat.S_ISREG(found.st_mode) and (file := _readable(number, found)) is not None:
                    if not (self._files and os.path.samestat(os.fstat(self._files[0].descriptor), found)):
                        self._files.append(file)
                elif not stat.S_ISCHR(found.st_mode) or os.isatty(number):
                    which = (found.st_dev, found.st_ino, found.st_rdev)
                    if which not in made:
                        made[which] = self._copied(number)
                    outputs[number] = made[which]
        return outputs

    def _copied(self, number: int) -> int:
        """Return a descriptor for the program in place of one of ours: a pipe, or a pseudo-terminal for a terminal.

        Its data is copied to ours.
        """
        if os.isatty(number):
            try:
                ours, given = terminals.pair()
            except OSError as error:
                raise CannotKeep(f"there is no pseudo-terminal: {error.strerror}") from error
            usual = terminals.modes(number)
            if number == 1 and _is_interactive():
                self._master = ours
                terminals.set_modes(given, usual)
            else:
                terminals.set_modes(given, terminals.unprocessed(usual))
            self._sizes.append(ours)
            terminals.copy_size(number, ours)
        else:
            ours, given = os.pipe()
            terminals.widen_pipe(ours)
        self._given.append(given)
        self._copies.append(copying.Copy(ours, number, self._kept))
        return given

    def to_the_end(self) -> Ended:
        """Copy until the program has ended and its output is copied, and return how it ended."""
        self._take_terminal()
        while self._status is None:
            self._turn()
        if self._leader is not None:
            os.waitpid(self._leader, 0)
        for copy in self._copies:
            copy.rest()
        self._give_terminal_back()
        self._passing.end()
        copying.leave_behind(self._copies)
        code = os.waitstatus_to_exitcode(self._status)
        printed = (self._kept.text(), *(_content(file) for file in self._files)) if code else ()
        passed = frozenset(self._passing.passed)
        return Ended(
            code if code >= 0 else None,
            -code if code < 0 else None,
            passed,
            tuple(filter(None, printed)),
            self._typed_stop,
        )

    def close(self) -> None:
        """Give the terminal its usual modes back, end the passing of signals, and close all descriptors, also after a failure."""
        self._give_terminal_back()
        self._passing.end()
        for copy in self._copies:
            copy.close()
        for file in self._files:
            os.close(file.descriptor)
        for end in self._own:
            os.close(end)

    def _turn(self) -> None:
        """Wait until there are data to copy, or news of the program; then copy, and act on the news."""
        reads = [self._changes, self._signals, *(copy.source for copy in self._copies if copy.open)]
        writes = []
        typing = self._keyboard and self._usual is not None
        if typing and len(self._to_type) < _TYPED:
            reads.append(0)
        if self._to_type and self._master is not None:
            writes.append(self._master)
        waiting = _SECOND if self._keyboard and self._usual is None else None
        ready, writable, _ = select.select(reads, writes, [], waiting)
        if writable:
            self._type()
        if 0 in ready:
            self._read_keyboard()
        for copy in self._copies:
            if copy.source in ready and copy.open:
                copy.rest(copying.AT_ONCE)
                if not copy.open and copy.source == self._master:
                    self._keyboard, self._master = False, None
        if self._signals in ready or self._changes in ready:
            self._hear()
        if self._keyboard and self._usual is None:
            self._take_terminal()

    def _hear(self) -> None:
        """Read all news of the program. If it is stopped afterwards, stop this process too."""
        continued, stopped = False, 0
        while _news(self._signals):
            continued = True
        while (news := _news(self._changes)) is not None:
            status = started.NEWS.unpack(news)[1] if news else signal.SIGKILL  # nothing: the leader was killed
            if not news or os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self._status = status
                return
            stopped = os.WSTOPSIG(status) if os.WIFSTOPPED(status) else 0
        if stopped in _STOPS:
            self._stop()
        elif continued:
            self._go_on()

    def _stop(self) -> None:
        """Stop this process as the program was stopped, so that the shell shows it; go on when the shell continues this process."""
        for copy in self._copies:
            copy.rest()
        self._give_terminal_back()
        passing.stop(whole_group=self._leader is not None)
        if self._leader is not None:  # else the program is in our group, and continued with it
            self._go_on()

    def _go_on(self) -> None:
        """Continue the program after this process was continued, in the foreground or in the background."""
        if self._usual is not None and terminals.in_foreground(0):
            terminals.set_modes(0, terminals.raw(self._usual))  # a shell may have changed them meanwhile
        elif self._usual is not None:
            self._usual = None
        self._take_terminal()
        self._resize()
        with contextlib.suppress(OSError):  # it has ended
            os.kill(self._program, signal.SIGCONT)
        if self._master is not None:
            with contextlib.suppress(OSError):
                os.killpg(os.tcgetpgrp(self._master), signal.SIGCONT)

    def _take_terminal(self) -> None:
        """Let the terminal pass every key to the program, if we are in the foreground."""
        if self._keyboard and self._usual is None and terminals.in_foreground(0):
            with contextlib.suppress(OSError):
                usual = terminals.modes(0)
                self._usual = usual
                terminals.set_modes(0, terminals.raw(usual))
                self._resize()

    def _give_terminal_back(self) -> None:
        if self._usual is not None:
            terminals.set_modes(0, self._usual, after_output=True)
            self._usual = None

    def _resize(self) -> None:
        real = next((number for number in (1, 2, 0) if os.isatty(number)), 0)
        for ours in self._sizes:
            terminals.copy_size(real, ours)

    def _read_keyboard(self) -> None:
        try:
            typed = os.read(0, _TYPED)
        except OSError:
            typed = b""
        if not typed:  # the terminal is gone
            self._keyboard = False
        elif self._usual is not None:
            characters = self._usual[-1]
            self._typed_stop |= any(characters[which] in typed for which in terminals.STOPPING)
        self._to_type += typed
        self._type()

    def _type(self) -> None:
        if self._master is not None:
            with contextlib.suppress(OSError):
                del self._to_type[: os.write(self._master, self._to_type)]


def _is_interactive() -> bool:
    """Return whether standard input and output are the same terminal."""
    try:
        return os.isatty(0) and os.isatty(1) and os.fstat(0).st_rdev == os.fstat(1).st_rdev
    except OSError:
        return False


def _news(pipe: int) -> bytes | None:
    """Return one piece of news; None if there is none now; empty bytes at the end of the pipe."""
    try:
        return os.read(pipe, started.NEWS.size)
    except BlockingIOError:
        return None


def _readable(number: int, found: os.stat_result) -> _File | None:
    """Open the file behind a descriptor again, to read it. None: reading is not allowed, so the output must be copied."""
    try:
        start = found.st_size if terminals.appends(number) else os.lseek(number, 0, os.SEEK_CUR)
        return _File(os.open(terminals.path_of(number), os.O_RDONLY | os.O_NOCTTY), start)
    except OSError:
        return None


def _content(file: _File) -> bytes:
    """Return the beginning and the end of the output that a program wrote to a file.

    After 256 MB the lines are no longer counted.
    """
    kept = Kept()
    size = os.fstat(file.descriptor).st_size
    at = file.start if file.start <= size else 0
    while block := os.pread(file.descriptor, HEAD, at):
        kept.add(block)
        at += len(block)
        if at - file.start > _COUNTED and size - at > TAIL:
            at = size - TAIL
    return kept.text()
