"""Restore an environment from the backup that was made before a plan was applied. Standard library, Python 3.8 grammar.

The backup contains a copy of this file, `undo.py`. It is needed if attn-doctor is installed in the environment that a plan broke:
any other Python can run the copy. It renames, links and creates files, and does nothing else. It can be stopped at any moment and
run again. docs/fixes.md explains how undoing works.

Because this file runs without attn-doctor, it has its own code for locks, process groups and owners; all other packages use
`attn_doctor.system`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

JOURNAL, MANIFEST, AFTER, LOCK = "journal.jsonl", "manifest.json", "after.json", "lock"
_PATIENCE = 15.0  # seconds to wait until an ended installer is gone
Entry = Any  # [kind: d, l or f; mode; size; mtime in nanoseconds; link target]


class Busy(Exception):
    """Report that another process still changes the environment. The text is one sentence for the user."""


def events(folder: str) -> list[dict[str, Any]]:
    """Return the events of the journal. An incomplete last line, from a kill, is left out: its action had not begun."""
    found: list[dict[str, Any]] = []
    with contextlib.suppress(FileNotFoundError), open(os.path.join(folder, JOURNAL), encoding="utf-8") as file:
        for line in file:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
    return found


def has(journal: list[dict[str, Any]], at: str) -> bool:
    """Return whether the journal has an event of this kind, such as "kept" or "undone"."""
    return any(event["at"] == at for event in journal)


def write_event(folder: str, **event: Any) -> None:
    """Append one event to the journal, and flush it to the disk before the announced action begins."""
    line = json.dumps(event, sort_keys=True) + "\n"
    descriptor = os.open(os.path.join(folder, JOURNAL), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def manifest(path: str, skip: list[str] | tuple[str, ...] = ()) -> dict[str, Entry]:
    """Return all entries below a root by relative path ("." is the root itself). Links are not followed.

    `skip`: names directly below the root that are left out. Empty if the root does not exist.
    """
    found: dict[str, Entry] = {}
    if os.path.lexists(path):
        _list(path, ".", found, skip)
    return found


def _list(path: str, name: str, found: dict[str, Entry], skip: list[str] | tuple[str, ...]) -> None:
    status = os.lstat(path)
    kind = "d" if stat.S_ISDIR(status.st_mode) else "l" if stat.S_ISLNK(status.st_mode) else "f"
    size = status.st_size if kind == "f" else 0
    link = os.readlink(path) if kind == "l" else None
    found[name] = [kind, stat.S_IMODE(status.st_mode), size, status.st_mtime_ns, link]
    if kind == "d":
        for entry in sorted(os.listdir(path)):
            if entry not in skip:
                _list(os.path.join(path, entry), entry if name == "." else name + "/" + entry, found, ())


def differences(before: dict[str, Entry], now: dict[str, Entry], bytecode: bool = False) -> list[str]:
    """Return the relative paths that differ.

    Of directories only the existence is compared. Bytecode caches are left out, unless `bytecode` is set.
    """
    names = sorted(set(before) | set(now))
    return [
        n for n in names if (bytecode or "__pycache__" not in n.split("/")) and not _alike(before.get(n), now.get(n))
    ]


def _alike(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None or one[0] != other[0]:
        return False
    parts = {"d": slice(0, 1), "l": slice(4, 5), "f": slice(1, 4)}[one[0]]
    return bool(one[parts] == other[parts])


def take_lock(home: str) -> int:
    """Take the lock of an environment; return a descriptor that an installer inherits.

    `home`: the folder .attn-doctor of the environment. The lock is free when attn-doctor and its installers have ended. Raises Busy
    if another process has the lock, and on Windows.
    """
    if sys.platform == "win32":
        raise Busy(
            "this system has no lock for an environment: attn-doctor applies and undoes plans on Linux and macOS only"
        )
    import fcntl

    descriptor = os.open(os.path.join(home, LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Busy("another attn-doctor, or an installer that it started, still works on this environment") from None
    return descriptor


def started(pid: int) -> str | None:
    """Return the start time of a process, to distinguish it from a later process with the same number; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
            return None if fields[0] in "ZX" else fields[19]
    except OSError:
        if os.path.isdir("/proc/self"):
            return None
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], stdout=subprocess.PIPE, check=False)
    return shown.stdout.decode().strip() or None


def end_leftovers(home: str, journal: list[dict[str, Any]]) -> int:
    """End an installer that still runs although its attn-doctor has ended; then take the lock. Return its descriptor.

    Raises Busy if that attn-doctor still runs, or if another process does not release the lock in time.
    """
    doctor = next((event["doctor"] for event in journal if event["at"] == "begin"), None)
    if doctor and doctor[0] != os.getpid() and started(doctor[0]) == doctor[1]:
        raise Busy(f"attn-doctor is still at work on this environment (process {doctor[0]}): wait for it, or end it")
    running = [event for event in journal if event["at"] in ("running", "ended")][-1:]
    if running and running[0]["at"] == "running":
        pid, since = running[0]["pid"], running[0]["started"]
        if started(pid) in (since, None):  # the first process may have ended while others of its group still run
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if sys.platform != "win32":
                    os.killpg(pid, signal.SIGKILL)
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return take_lock(home)
        except Busy:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def changed_since(folder: str, journal: list[dict[str, Any]]) -> list[str]:
    """Return the paths that were changed after the plan was applied. An undo reverts them too.

    Empty if the plan was not applied to its end, or an undo has begun already.
    """
    if not has(journal, "applied") or has(journal, "undoing"):  # half undone: the user has seen the list and agreed
        return []
    with open(os.path.join(folder, AFTER), encoding="utf-8") as file:
        after = json.load(file)
    found = []
    for root in roots(journal):
        path = root["path"]
        listed = differences(after[path], manifest(path, root["skip"]))
        found += [path if name == "." else path + "/" + name for name in listed]
    return found


def roots(journal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the folders and files of the backup: {"path": ..., "skip": [names that are left out]}."""
    listed: list[dict[str, Any]] = next((event["roots"] for event in journal if event["at"] == "begin"), [])
    return listed


def undo(home: str, folder: str, keep: bool = False, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Restore the backup. Return the paths that could not be restored; if there are none, the backup is deleted.

    `home`: the folder .attn-doctor of the environment. `folder`: that of the backup. `keep`: the replaced files stay in its folder
    `taken`. Raises Busy if another process works on this environment.
    """
    lock = end_leftovers(home, events(folder))
    try:
        journal = events(folder)
        wrong: list[str] = []
        if has(journal, "kept") and not has(journal, "undone"):  # without "kept" nothing had been run
            keep = keep or any(event["at"] == "undoing" and event["keep"] for event in journal)
            write_event(folder, at="undoing", keep=keep)
            say("putting back what was kept in " + folder)
            with open(os.path.join(folder, MANIFEST), encoding="utf-8") as file:
                before = json.load(file)
            for number, root in enumerate(roots(journal)):
                taken = os.path.join(folder, "taken", str(number))
                put_back(os.path.join(folder, "kept", str(number)), root["path"], taken, root["skip"])
                wrong += _settle(root, before[root["path"]])
        if not wrong:
            write_event(folder, at="undone", keep=keep)
            _forget(home, folder, keep)
        return wrong
    finally:
        os.close(lock)


def put_back(kept: str, live: str, taken: str, skip: list[str] | tuple[str, ...] = ()) -> None:
    """Make `live` equal to `kept`; if `kept` does not exist, remove `live`.

    Files that are in the way are moved to `taken`. `skip`: names directly below `live` that are left as they are.
    """
    if not os.path.lexists(kept):
        if os.path.lexists(live):
            _take(live, taken)
        return
    if not _is_folder(kept):
        if not _same(kept, live):
            if os.path.lexists(live):
                _take(live, taken)
            _bring(kept, live)
        return
    if not _is_folder(live):
        if os.path.lexists(live):
            _take(live, taken)
        os.makedirs(live)
        _own(kept, live)
    for name in sorted({*os.listdir(live), *os.listdir(kept)} - set(skip)):
        put_back(os.path.join(kept, name), os.path.join(live, name), os.path.join(taken, name))


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _same(kept: str, live: str) -> bool:
    """Return whether `live` is the file of the backup itself (a hard link), or has the same content as the copy in the backup."""
    try:
        one, other = os.lstat(kept), os.lstat(live)
    except OSError:
        return False
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(other.st_mode):
        return False
    if stat.S_ISLNK(one.st_mode):
        return os.readlink(kept) == os.readlink(live)
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
        return True
    if (one.st_size, one.st_mtime_ns, one.st_mode) != (other.st_size, other.st_mtime_ns, other.st_mode):
        return False
    with open(kept, "rb") as first, open(live, "rb") as second:
        while True:
            block = first.read(1 << 20)
            if block != second.read(1 << 20):
                return False
            if not block:
                return True


def _bring(kept: str, live: str) -> None:
    if os.path.islink(kept):
        os.symlink(os.readlink(kept), live)
        return
    try:
        os.link(kept, live)
    except OSError:  # another file system, or one without hard links
        temporary = f"{live}.attn-doctor-{os.getpid()}"
        shutil.copy2(kept, temporary)
        _own(kept, temporary)
        os.replace(temporary, live)


def _take(live: str, taken: str) -> None:
    os.makedirs(os.path.dirname(taken), exist_ok=True)
    number = 0
    while os.path.lexists(taken + (f".{number}" if number else "")):  # from an undo that was ended half-way
        number += 1
    taken += f".{number}" if number else ""
    try:
        os.rename(live, taken)
    except OSError:
        # Another file system, or a folder from a lower layer of a container's image: those cannot be renamed.
        if _is_folder(live):
            os.makedirs(taken)
            for name in os.listdir(live):
                _take(os.path.join(live, name), os.path.join(taken, name))
            os.rmdir(live)
        else:
            shutil.copy2(live, taken, follow_symlinks=False)
            os.unlink(live)


def _own(kept: str, live: str) -> None:
    """Set the owner of a restored file, if this process is allowed to."""
    status = os.lstat(kept)
    if sys.platform != "win32" and os.geteuid() == 0:
        os.chown(live, status.st_uid, status.st_gid, follow_symlinks=False)


def _settle(root: dict[str, Any], before: dict[str, Entry]) -> list[str]:
    """Restore the modes of files and folders, and the times of folders. Return the paths that still differ from the backup.

    `before`: the state in the backup, by path below the root.
    """
    path = root["path"]
    now = manifest(path, root["skip"])
    wrong = []
    for name in sorted(set(before) | set(now), key=lambda n: (-n.count("/"), n == ".", n)):
        place = path if name == "." else path + "/" + name
        was, found = before.get(name), now.get(name)
        if was is None or found is None or was[0] != found[0]:
            wrong.append(place)
            continue
        if was[0] != "l" and was[1] != found[1]:
            os.chmod(place, was[1])
        if was[0] == "d":
            os.utime(place, ns=(was[3], was[3]))
        elif was[0] == "f" and (was[2], was[3]) != (found[2], found[3]):
            wrong.append(place)
    return wrong


def _forget(home: str, folder: str, keep: bool) -> None:
    """Remove the backup, and its parent folder if nothing else is in it."""
    shutil.rmtree(os.path.join(folder, "kept"), ignore_errors=True)
    if keep and os.path.isdir(os.path.join(folder, "taken")):
        return
    shutil.rmtree(folder, ignore_errors=True)
    for name in os.listdir(os.path.dirname(folder)):  # backups that a kill interrupted while they were made or deleted
        other = os.path.join(os.path.dirname(folder), name)
        journal = events(other)
        if not has(journal, "begin") or any(event["at"] == "undone" and not event["keep"] for event in journal):
            shutil.rmtree(other, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(folder))
        os.unlink(os.path.join(home, LOCK))
        os.rmdir(home)


def main() -> int:
    folder = os.path.dirname(os.path.abspath(__file__))
    home = os.path.dirname(os.path.dirname(folder))
    try:
        wrong = undo(home, folder, say=lambda text: print(text, file=sys.stderr))
    except Busy as busy:
        print(f"not undone: {busy}", file=sys.stderr)
        return 1
    for path in wrong:
        print("was changed in place, and is not as it was: " + path, file=sys.stderr)
    print("not everything is as it was" if wrong else "the environment is as it was")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
