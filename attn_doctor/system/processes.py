"""Start children in a process group of their own, end such groups, and replace this process by another program."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

if sys.platform == "win32":
    import _thread
else:
    import resource

# For `subprocess.Popen(start_new_session=NEW_SESSION, creationflags=CREATION_FLAGS)`: the child gets a process group of its own,
# which `end_group` can end, and which Ctrl-C at the terminal does not reach.
NEW_SESSION: bool = sys.platform != "win32"
# STOPS: the signals that ask a program to end: Ctrl-C, `kill`, and the end of the terminal or of an ssh connection (Windows: Ctrl-Break).
if sys.platform == "win32":
    CREATION_FLAGS: int = subprocess.CREATE_NEW_PROCESS_GROUP
    STOPS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    CREATION_FLAGS = 0
    STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Process(Protocol):
    """Describe a child: `subprocess.Popen`, or `apart.Apart`."""

    pid: int

    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def kill(self) -> None: ...


def end_group(process: Process) -> None:
    """Kill a child that was started in a group of its own, and all that it started. Does not wait for them.

    Linux and macOS: SIGKILL to the group. Windows has no such groups: `taskkill /T` ends the child and its descendants, as long as each
    one's parent still runs (https://learn.microsoft.com/windows-server/administration/windows-commands/taskkill). A process that has
    ended, or that belongs to another user, is skipped.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            _end_tree(process.pid)
            process.kill()


def _end_tree(number: int) -> None:
    """End a process of Windows and its descendants. Does nothing if taskkill is missing or does not answer."""
    program = os.path.join(os.environ.get("SYSTEMROOT") or "C:\\Windows", "System32", "taskkill.exe")  # noqa: PTH118
    argv = [program, "/T", "/F", "/PID", str(number)]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_PATIENCE, check=False)


_PATIENCE = 10.0  # seconds


def has_ended(process: Process) -> bool:
    """Return whether a child has ended. Linux: the child is not reaped, so its number, and that of its group, still belong to it.

    macOS and Windows: the child is reaped, because Python has no waitid(2) on macOS before 3.13, and Windows has none.
    """
    if process.returncode is not None:
        return True
    if sys.platform != "linux" or not isinstance(process, subprocess.Popen):
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # reaped by other code of this process, for example a notebook's
        return True


def limit_file_size(process: Process, most: int) -> None:
    """Limit the size of each file that a child writes, in bytes; what the child starts later inherits the limit.

    Linux: prlimit(2); a lower limit that is already set is kept. macOS and Windows: nothing is done.
    """
    if sys.platform == "linux":
        _limit(process.pid, most)


def _limit(number: int, most: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):  # it has ended, or a container forbids the call
            lowest, highest = resource.prlimit(number, resource.RLIMIT_FSIZE)
            if lowest == resource.RLIM_INFINITY or lowest > most:
                resource.prlimit(number, resource.RLIMIT_FSIZE, (most, highest))
            # On a busy machine the process may have started another one before it had the limit. The file is missing in some kernels.
            with open(f"/proc/{number}/task/{number}/children", encoding="ascii") as file:  # noqa: PTH123
                started = file.read().split()
            for child in started:
                _limit(int(child), most)


def end_marked(variable: str, value: str) -> int:
    """Kill all processes that have a variable with this value, but not this process. Returns how many were killed.

    The variable may hold several values with ":" between them, and a value may have a part after a ".": "a1.7" matches "a1".
    Linux: reads /proc/<pid>/environ, so that a process which left its group is found too. macOS and Windows do not show the
    environment of other processes: nothing is ended there, and 0 is returned.
    """
    if sys.platform != "linux":
        return 0
    name, wanted = os.fsencode(variable) + b"=", os.fsencode(value)
    found = 0
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a thousand names, and pathlib would slow down the start of the guard
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):  # it has ended, or belongs to another user
                found += _end_if_marked(int(entry), name, wanted)
    return found


def _end_if_marked(number: int, name: bytes, wanted: bytes) -> bool:
    """Kill a process if it has the mark. Returns whether it was killed.

    A descriptor holds the process, so that its number cannot pass to another process in between.
    """
    if sys.platform != "linux":
        return False
    held = _held(number)
    try:
        with open(f"/proc/{number}/environ", "rb") as file:  # noqa: PTH123 - pathlib would slow down the start of the guard
            variables = file.read().split(b"\0")
        values = [line[len(name) :] for line in variables if line.startswith(name)]
        if not any(_has(text, wanted) for text in values):
            return False
        if held is None:
            os.kill(number, signal.SIGKILL)
        else:
            signal.pidfd_send_signal(held, signal.SIGKILL)
        return True
    finally:
        if held is not None:
            os.close(held)


def _held(number: int) -> int | None:
    """Return a descriptor of a process (pidfd). Raises OSError if the process has ended.

    None: there are no such descriptors here (before Linux 5.3, in some containers, in some builds of Python).
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(number)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            return None
        raise


def _has(text: bytes, wanted: bytes) -> bool:
    return text == wanted or any(one == wanted or one.startswith(wanted + b".") for one in text.split(b":"))


def interrupt(number: signal.Signals) -> None:
    """Send a signal to the main thread of this process, so that a system call which waits there ends.

    Windows: only the handler is called, between two lines of Python.
    """
    if sys.platform != "win32":
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)


def keep_to_cores(cores: Sequence[int]) -> bool:
    """Keep this process, and all that it starts later, to these cores. Returns whether the system did so.

    Linux: sched_setaffinity(2). macOS and Windows: nothing is done, and False is returned.
    """
    if sys.platform != "linux":
        return False
    try:
        os.sched_setaffinity(0, cores)
    except (OSError, ValueError):
        return False
    return True


def become(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Replace this process by a program, which then receives all signals itself. Raises OSError if it cannot be started.

    Linux and macOS: never returns. Windows has no such call: the program runs as a child, and its exit code is returned.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":
        return subprocess.call(argv, env=environ)
    # Python ignores these two signals, and the program would inherit that: `yolo ... | head` would not end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    return os.execvpe(argv[0], list(argv), dict(environ))  # noqa: S606 - no shell is what is wanted


def die_of(number: int, *, whole_group: bool = False) -> int:
    """End this process by a signal, because a program that it ran was ended by that signal.

    Returns 128 + the number if the signal does not end this process. `whole_group`: the signal is also sent to all other processes of
    this process group, as the terminal does with Ctrl-C, so that a loop in the script that runs this process ends.

    Linux and macOS: no second core file is written. Windows has no such signals: 128 + the number is returned.
    """
    if sys.platform != "win32":
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        if whole_group:
            os.killpg(os.getpgrp(), number)
        os.kill(os.getpid(), number)
    return 128 + number


def oom_kills() -> int | None:
    """Return how many processes the kernel has ended since its start because memory ran out. None if it is not known.

    Linux: the counter of /proc/vmstat, since 4.13; it counts those of containers too. macOS and Windows: None.
    """
    if sys.platform != "linux":
        return None
    try:
        with open("/proc/vmstat", encoding="ascii") as file:  # noqa: PTH123 - pathlib would slow down the start of `run`
            words = file.read().split()
        return int(words[words.index("oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return None
