"""Run a program on Windows, and copy and keep its standard error.

It has the same standard input and output as this process.
"""

from __future__ import annotations

import codecs
import contextlib
import locale
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from attn_doctor.system import threads
from attn_doctor.system.relay import Ended
from attn_doctor.system.relay.kept import Kept

_BLOCK = 1 << 16
_PATIENCE = 1.0  # seconds for the rest of the output, if a process that the program left running holds the pipe


def run(argv: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Run a program to its end. Raises OSError if it cannot be started.

    The console sends Ctrl-C and Ctrl-Break to every process that is attached to it, so the program gets them itself; this process
    ignores them and waits. A handler is not inherited, so the program is not affected
    (https://learn.microsoft.com/windows/console/setconsolectrlhandler).
    """
    kept = Kept()
    before = {number: signal.getsignal(number) for number in _typed()}
    try:
        process = subprocess.Popen(argv, env=dict(environ), stderr=subprocess.PIPE)
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        assert process.stderr is not None
        pipe, show = process.stderr, _shown()
        over = threading.Event()
        copying = threads.start(lambda: _copy(pipe, show, kept, over))
        code = process.wait()
        copying.join(_PATIENCE)
        over.set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return Ended(code, None, printed=(kept.text(),))


def _typed() -> tuple[signal.Signals, ...]:
    if sys.platform == "win32":
        return (signal.SIGINT, signal.SIGBREAK)
    return (signal.SIGINT,)


def _copy(pipe: IO[bytes], show: Callable[[bytes], None], kept: Kept, over: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError):
        while block := os.read(pipe.fileno(), _BLOCK):
            if not over.is_set():
                kept.add(block)
            show(block)


def _shown() -> Callable[[bytes], None]:
    """Return the function that shows a block of output.

    Programs that write into a pipe use the system's encoding; a console uses another.
    """
    if not sys.stderr.isatty():
        return _written
    decoder = codecs.getincrementaldecoder(locale.getpreferredencoding(do_setlocale=False))("replace")

    def show(block: bytes) -> None:
        sys.stderr.write(decoder.decode(block))
        sys.stderr.flush()

    return show


def _written(block: bytes) -> None:
    while block:
        block = block[os.write(2, block) :]
