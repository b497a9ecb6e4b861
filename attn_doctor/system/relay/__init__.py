"""Run a program of the user. Its output passes unchanged; the beginning and the end of the output are kept.

Linux and macOS: `posix`. If standard input and output are the terminal, the program gets a pseudo-terminal of its own: everything
that a person types, and the size of the window, is passed to it. Otherwise it stays in this session. Then an output that is a
file is given to the program itself, and read again at its end; any other output is copied. Windows: only standard error is copied
(`windows`).

Nothing that the program starts is ended here. Signals are passed on, and nothing else is done with them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class CannotKeep(Exception):
    """Report that the output cannot be kept here: there is no pseudo-terminal, or no further process can be started."""


class Ended(NamedTuple):
    """Describe the end of a program: how it ended, and its output.

    Linux and macOS: `printed` is empty if the program ended with exit code 0.
    """

    code: int | None  # its exit code; None: it died of a signal
    signal: int | None
    passed: frozenset[int] = frozenset()  # the signals that it was sent through this process, or by the terminal
    printed: tuple[bytes, ...] = ()  # in order, as far as that can be known; a text for each file that it wrote to
    typed: bool = (
        False  # Ctrl-C or Ctrl-\ was typed on its own terminal; the other processes of our group did not get that
    )

    @property
    def well(self) -> bool:
        """Return whether the program ended with exit code 0."""
        return self.code == 0


def run(argv: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Run a program to its end, and return how it ended.

    Raises OSError if it cannot be started, CannotKeep if its output cannot be kept; then it was not started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        from attn_doctor.system.relay import windows

        return windows.run(argv, environ)
    from attn_doctor.system.relay import posix

    return posix.run(argv, environ)
