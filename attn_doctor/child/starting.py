"""Start children, and end them with all processes that they started.

Each child has its own process group, its own mark in the environment, and its own folder for temporary files.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence

from attn_doctor.model.foreign_text import raw
from attn_doctor.system import apart, current_folder, leftovers, processes

GRACE = 2.0  # seconds to wait for a killed process, and for pipes that grandchildren keep open
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
_numbers = itertools.count(1)
_running: set[Started] = set()
_stopping = threading.Event()


class Started:
    """Hold a child that was started: its process, the mark in its environment, and its folder for temporary files.

    `temporary` None: no such folder could be made.
    """

    def __init__(self, process: subprocess.Popen[bytes] | apart.Apart, mark: str, temporary: str | None) -> None:
        self.process = process
        self.mark = mark
        self.temporary = temporary

    def ended(self) -> bool:
        """Return whether the program has ended. Always False if it ended its parent, because then only its output shows its end."""
        return processes.has_ended(self.process) and not self.orphaned

    @property
    def orphaned(self) -> bool:
        """Return whether the program ended its parent process, which attn-doctor put between itself and the program."""
        return isinstance(self.process, apart.Apart) and self.process.orphaned

    def ends_within(self, seconds: float) -> bool:
        """Wait until the child ends, for at most `seconds`, and never more than two seconds. Returns whether it has ended."""
        until, pause = time.monotonic() + max(0.05, min(seconds, GRACE)), 0.001
        while not self.ended():
            if self.orphaned or time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
        return True

    def end(self) -> None:
        """End the child and its process group. Gives up after two seconds, because a process that waits in the kernel does not end."""
        end_group(self)
        reaped(self.process, GRACE)

    def end_the_rest(self) -> None:
        """End the processes that left the process group; the mark in their environment shows them."""
        processes.end_marked(leftovers.MARK, self.mark)

    def forget(self) -> None:
        """Remove the folder for temporary files, and end the parent process that `apart` put above the program, if there is one."""
        _running.discard(self)
        if isinstance(self.process, apart.Apart):
            self.process.forget()
        if self.temporary:
            shutil.rmtree(self.temporary, ignore_errors=True)


def start(
    argv: Sequence[str],
    environ: Mapping[str, str] | None,
    changes: Mapping[str, str | None] | None,
    *,
    stdin: int = subprocess.PIPE,
    cwd: str | None = None,
    largest_file: int | None = None,
    below: bool = False,
) -> Started:
    """Start a program with pipes for its output. Raises OSError if it cannot be started, or if `stop` was called before.

    `environ`: its variables; None: those of attn-doctor. `changes`: made to `environ`; None removes a variable. The program gets a
    TMPDIR of its own. `cwd`: the folder that it starts in; None: an empty folder. `largest_file`: the most bytes that the program can
    write into one file. `below`: put another process between attn-doctor and the program (Linux and macOS only): a program that ends
    its parent then does not end attn-doctor.
    """
    if _stopping.is_set():
        raise OSError(errno.ECANCELED, "attn-doctor was interrupted")
    whole = {**(os.environ if environ is None else environ), **(changes or {})}
    given = {name: value for name, value in whole.items() if value is not None}
    mark = f"{leftovers.token()}.{next(_numbers)}"
    env = leftovers.marked(current_folder.cleaned(given), mark)
    env.pop("PYTHONINSPECT", None)  # it would keep `python -` waiting for input
    cwd = cwd or current_folder.empty()
    temporary = _temporary(given)
    if temporary:
        env |= dict.fromkeys(_TEMPORARY, temporary)
    words = [raw(word) for word in current_folder.program(argv)]
    process: subprocess.Popen[bytes] | apart.Apart | None = None
    try:
        if below and apart.POSSIBLE and sys.executable:
            marks = {leftovers.MARK: env[leftovers.MARK]}
            process = apart.start(words, env, cwd=cwd, stdin=stdin, marks=marks)
        if process is None:
            process = subprocess.Popen(
                words,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                start_new_session=processes.NEW_SESSION,
                creationflags=processes.CREATION_FLAGS,
            )
    except BaseException:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    if largest_file is not None:
        processes.limit_file_size(process, largest_file)
    made = Started(process, mark, temporary)
    _running.add(made)
    if _stopping.is_set():  # set by a signal while the program was being started
        made.end()
    return made


def _temporary(environ: Mapping[str, str]) -> str | None:
    """Return a new folder for a child's temporary files; None if none can be made.

    If the child's TMPDIR differs from attn-doctor's, the folder is made in the child's TMPDIR.
    """
    place = environ.get("TMPDIR")
    if not place or place == os.environ.get("TMPDIR"):
        return leftovers.new_folder()
    try:
        return tempfile.mkdtemp(prefix=leftovers.PREFIX, dir=place)
    except OSError:  # a full disk is perhaps what is being reproduced: the child meets it too
        return None


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group. Gives up after two seconds, because a process that waits in the kernel does not end."""
    processes.end_group(process)
    reaped(process, GRACE)


def stop() -> None:
    """End every child that still runs, and start no more children; does not wait for their end.

    Called after Ctrl-C, a signal or an internal error: children have sessions of their own (Windows: process groups), so Ctrl-C does not
    reach them.
    """
    _stopping.set()
    end_all()


def end_all() -> None:
    """End every child that still runs."""
    for started in list(_running):
        end_group(started)


def end_group(started: Started) -> None:
    """Kill a child and its group.

    If the child ended its parent, its process number may belong to another process by now. Then all processes that have the child's
    mark in their environment are killed instead.
    """
    if started.orphaned:
        started.end_the_rest()
    else:
        processes.end_group(started.process)


def reaped(process: subprocess.Popen[bytes] | apart.Apart, seconds: float) -> bool:
    """Wait until a process ends, for at most `seconds`, and never more than two seconds. Returns whether it has ended."""
    try:
        process.wait(max(0.05, min(seconds, GRACE)))
    except subprocess.TimeoutExpired:
        return False
    return True
