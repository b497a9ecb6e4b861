"""Read and change terminals: their size, their modes, their foreground process.

Linux and macOS; imported by `posix` only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import termios
from typing import Any

assert sys.platform != "win32"

Modes = list[Any]  # what termios.tcgetattr returns
STOPPING = (termios.VINTR, termios.VQUIT)  # the places of Ctrl-C and Ctrl-\ in the last part of the modes
_SIZE = bytes(8)  # struct winsize: rows, columns, and the same in pixels


def pair() -> tuple[int, int]:
    """Make a pseudo-terminal, and return the descriptors of its two ends, ours and the program's.

    Raises OSError if there is none.
    """
    return os.openpty()


def copy_size(source: int, target: int) -> None:
    """Give a terminal the size of another one. The kernel tells the programs in its foreground (SIGWINCH)."""
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(source, termios.TIOCGWINSZ, _SIZE)
        if fcntl.ioctl(target, termios.TIOCGWINSZ, _SIZE) != size:
            fcntl.ioctl(target, termios.TIOCSWINSZ, size)


def modes(terminal: int) -> Modes:
    """Return the modes of a terminal. Raises OSError if the descriptor is no terminal."""
    try:
        return termios.tcgetattr(terminal)
    except termios.error as error:
        raise OSError(*error.args) from error


def set_modes(terminal: int, wanted: Modes, *, after_output: bool = False) -> None:
    """Set the modes of a terminal, at once or after its output has been shown. A terminal that is gone is left alone."""
    with contextlib.suppress(termios.error, OSError):
        termios.tcsetattr(terminal, termios.TCSADRAIN if after_output else termios.TCSANOW, wanted)


def raw(usual: Modes) -> Modes:
    """Return the modes in which a terminal passes every byte unchanged, in both directions: cfmakeraw(3)."""
    incoming, outgoing, control, local, *speeds, characters = usual
    incoming &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    local &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    control = control & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0  # numbers, as `tcgetattr` returns them for such modes
    return [incoming, outgoing & ~termios.OPOST, control, local, *speeds, characters]


def unprocessed(usual: Modes) -> Modes:
    """Return the modes in which output passes unchanged, because another terminal behind this one adds the carriage returns."""
    return [usual[0], usual[1] & ~termios.OPOST, *usual[2:]]


def in_foreground(terminal: int) -> bool:
    """Return whether the shell gave the terminal to this process.

    True too if the terminal has no foreground group, as in some containers.
    """
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError as error:
        return error.errno == errno.ENOTTY and os.isatty(terminal)


def make_controlling(terminal: int) -> None:
    """Make a terminal the controlling one of this process, which leads a new session.

    Raises OSError if the kernel refuses it.
    """
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def widen_pipe(end: int) -> None:
    """Make the buffer of a pipe a megabyte large, so that its writer waits seldom. macOS: nothing is done."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 1 << 20)


def path_of(descriptor: int) -> str:
    """Return a path by which an open file can be opened again. Raises OSError if there is no such path."""
    if sys.platform == "linux":
        return f"/proc/self/fd/{descriptor}"
    f_getpath = 50  # sys/fcntl.h of macOS; in Python's fcntl as of 3.9
    return os.fsdecode(fcntl.fcntl(descriptor, f_getpath, bytes(1024)).rstrip(b"\0"))


def appends(descriptor: int) -> bool:
    """Return whether every write to a descriptor goes to the end of its file.

    Raises OSError if the descriptor is closed.
    """
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)
