"""Make the throw-away folder of one reproduction and run its child processes.

At the end the processes are ended, and the folder is removed unless it is to be kept.

Each child has a variable with the name of the folder, and the child's own children inherit it. So on Linux even a
process that has left the process group is found and ended. If attn-doctor itself was killed, the next reproduction
removes the old folder on Linux and macOS; on Windows it stays.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from attn_doctor import child
from attn_doctor.system import files, leftovers, locks, processes

PREFIX = "attn-doctor-reproduce-"
MARK = "ATTN_DOCTOR_REPRODUCTION"  # the variable of every child that names the folder
_LOCK = ".running"  # locked while the doctor that made the folder runs
_MOST_OUTPUT = 32 << 20  # at most so many bytes of the output of one command are kept
_LOOK = 0.05  # seconds between two checks of a child


class Ended(NamedTuple):
    """Hold how a command ended, and its output.

    `returncode` is None if the command was stopped: at its deadline, or because it printed too much.
    """

    returncode: int | None
    output: bytes


class Throwaway:
    """Open a context with a temporary folder. `kept`: the folder is not deleted."""

    def __init__(self, *, kept: bool = False) -> None:
        self.kept = kept

    def __enter__(self) -> Throwaway:
        sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self._lock = locks.hold(self.folder / _LOCK)
        self._alive: subprocess.Popen[bytes] | None = None
        (self.folder / "tmp").mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alive:
            child.kill(self._alive)
        end_all_of(self.folder)
        if self.kept:
            (self.folder / _LOCK).unlink(missing_ok=True)
        else:
            remove(self.folder)
        if self._lock:
            self._lock.close()

    def program(self, name: str, as_name: str | None = None) -> Path:
        """Write a program of this package (programs/<name>) into the folder and return its path.

        `as_name`: the name that it gets there; None: its own.
        """
        place = self.folder / "programs" / (as_name or name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((resources.files("attn_doctor.reproduction") / "programs" / name).read_bytes())
        return place

    def run(self, argv: Sequence[str], environ: Mapping[str, str], deadline: float, cwd: Path | None = None) -> Ended:
        """Run a command to its end or its deadline (in seconds). Returns both output streams, interleaved.

        `cwd`: None: the throw-away folder. Raises OSError if it cannot be started.
        """
        with tempfile.TemporaryFile(dir=self.folder) as output:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=leftovers.marked({**environ, MARK: str(self.folder)}, leftovers.token()),
                cwd=cwd or self.folder,
                start_new_session=processes.NEW_SESSION,
                creationflags=processes.CREATION_FLAGS,
            )
            self._alive = process
            ended = self._wait(process, output, deadline)
            self._alive = None
            end_all_of(self.folder)
            output.seek(0)
            return Ended(process.returncode if ended else None, output.read(_MOST_OUTPUT))

    @staticmethod
    def _wait(process: subprocess.Popen[bytes], output: IO[bytes], deadline: float) -> bool:
        until = time.monotonic() + deadline
        while process.poll() is None:
            if time.monotonic() > until or os.fstat(output.fileno()).st_size > _MOST_OUTPUT:
                child.kill(process)
                return False
            time.sleep(_LOOK)
        return True


def sweep(folder: Path | None = None) -> list[Path]:
    """Remove the folders of earlier runs that were killed (those whose lock is free), and return their paths.

    `folder`: where they are searched for; None: the folder for temporary files.
    """
    removed = []
    for left in (folder or Path(tempfile.gettempdir())).glob(f"{PREFIX}*"):
        lock = left / _LOCK
        with contextlib.suppress(OSError):
            if not files.is_own(left.stat()) or not lock.exists():
                continue
            held = locks.hold(lock)
            if held:
                end_all_of(left.resolve())
                remove(left)
                held.close()
                removed.append(left)
    return removed


def end_all_of(folder: Path) -> None:
    """End every process that was started by the reproduction with this folder, also outside its process group.

    Linux only.
    """
    for _ in range(3):  # a process that is being started may escape the first search
        if not processes.end_marked(MARK, str(folder)):
            return
        time.sleep(_LOOK)


def remove(folder: Path) -> None:
    """Remove a folder, read-only parts included. Links are removed, their targets are not."""
    for root, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(root, name)
            with contextlib.suppress(OSError):
                if not inner.is_symlink():
                    inner.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
