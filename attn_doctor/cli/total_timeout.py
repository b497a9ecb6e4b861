"""Limit the time of a whole command, for the option --total-timeout."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from attn_doctor.cli.options import positive
from attn_doctor.errors import NOT_EXAMINED
from attn_doctor.system import leftovers, processes, threads

_MORE = 5.0  # seconds in which a command that was told to stop writes what it has, and undoes what it changed


def add_total_timeout(parser: argparse.ArgumentParser) -> None:
    """Add --total-timeout."""
    parser.add_argument(
        "--total-timeout",
        type=positive,
        metavar="S",
        help="seconds for the whole command; then it ends with exit code 3, and writes what it has found",
    )


class TotalTimeout:
    """Interrupt the main thread when the time of the command is over. `passed` is True from then on.

    If the command has not ended a few seconds later, the process is ended, unless the command `undoes`.
    """

    def __init__(self, seconds: float, *, undoes: bool = False) -> None:
        """Start the clock.

        `undoes`: the command restores an environment after the interruption, and that must not be interrupted again.
        """
        self.seconds = seconds
        self._undoes = undoes
        self.passed = False
        self._ended = threading.Event()
        threads.start(self._watch)

    def end(self) -> None:
        """Stop the clock: the command is over."""
        self._ended.set()

    @property
    def sentence(self) -> str:
        """Return the line for a user whose command took too long."""
        return f"attn-doctor: could not examine: it took longer than {self.seconds:g} s (--total-timeout)\n"

    def _watch(self) -> None:
        if self._ended.wait(self.seconds):
            return
        self.passed = True
        processes.interrupt(signal.SIGTERM)
        if not self._undoes and not self._ended.wait(
            _MORE
        ):  # the main thread waits for something that nothing can interrupt
            sys.stderr.write(self.sentence)
            leftovers.sweep()
            os._exit(NOT_EXAMINED)
