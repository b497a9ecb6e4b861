"""Start children in a process group of their own, end such groups, and replace this process by another program."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# For `subprocess.Popen(start_new_session=NEW_SESSION, creationflags=CREATION_FLAGS)`: the child gets a process group of its own,
# which `end_group` can end, and which Ctrl-C at the terminal does not reach.
NEW_SESSION: bool = sys.platform != "win32"
if sys.platform == "win32":
    CREATION_FLAGS: int = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    CREATION_FLAGS = 0


def end_group(process: subprocess.Popen[bytes]) -> None:
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


def end_marked(variable: str, value: str) -> int:
    """Kill all processes that have a variable with this value, but not this process. Returns the number of processes found.

    Linux: reads /proc/<pid>/environ, so that a process which left its group is found too. macOS and Windows do not show the
    environment of other processes: nothing is ended there, and 0 is returned.
    """
    if sys.platform != "linux":
        return 0
    found = list(_marked(f"{variable}={value}"))
    for number in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGKILL)
    return len(found)


def _marked(wanted: str) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            variables = (entry / "environ").read_bytes().split(b"\0")
            if os.fsencode(wanted) in variables and int(entry.name) != os.getpid():
                yield int(entry.name)


def keep_to_cores(cores: Sequence[int]) -> bool:
    """Keep this process, and all that it starts later, to these cores. Returns whether that was done.

    Linux: sched_setaffinity(2). macOS and Windows: nothing is done, False is returned.
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
