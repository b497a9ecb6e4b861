# ruff: noqa: INP001, PTH102, PTH103, PTH115, PTH123, PTH208, PTH211, S606 - a program
"""Enter new namespaces, set up the conditions of a recipe, and become its command. A program, not a module.

    python -I namespace_launcher.py CONDITIONS COMMAND...        CONDITIONS is JSON, see `become`

Needs no root: inside a user namespace every user is allowed to mount. If a condition cannot be set up, the reason is
written to the file `refusal`, and the exit code is 125. Linux only, standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import fnmatch
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from typing import Any, NoReturn

assert sys.platform == "linux"  # mypy checks the rest of this file for Linux only

NEW_MOUNTS, NEW_USER, NEW_NETWORK = 0x20000, 0x10000000, 0x40000000  # linux/sched.h
READ_ONLY, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 8, 32, 4096, 16384, 1 << 18  # linux/mount.h
# nosuid, nodev, noexec, noatime, nodiratime: a remount in a user namespace must repeat them
KEPT = 2 | 4 | 8 | 1024 | 2048
RELATIME_SEEN, RELATIME = 4096, 1 << 21  # its value in statvfs, and its value for mount
PARENT_DEATH_SIGNAL = 1  # linux/prctl.h
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 1  # linux/sockios.h, linux/if.h
MOST_ENTRIES = 2000  # entries of a folder that is rebuilt without the hidden ones
REFUSED = 125

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> None:
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def mount(what: str, where: str, kind: str | None, flags: int, options: str = "") -> None:
    encoded = (what.encode(), os.fsencode(where), kind.encode() if kind else None)
    call("mount", *encoded, ctypes.c_ulong(flags), options.encode())


def enter(*, network: bool) -> None:
    """Enter new namespaces as the same user, with the right to mount."""
    user, group = os.getuid(), os.getgid()
    call("unshare", NEW_USER | NEW_MOUNTS | (NEW_NETWORK if network else 0))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    mount("none", "/", None, PRIVATE | RECURSIVE)


def hide(folder: str, pattern: str, spare: str) -> None:
    """Replace a folder by one in memory with the same entries, without those that match this pattern.

    `spare`: a folder in which a mount point can be made. Raises OSError if the folder has too many entries.
    """
    names = os.listdir(folder)
    if not fnmatch.filter(names, pattern):
        return
    if len(names) > MOST_ENTRIES:
        raise OSError(0, f"{folder} has {len(names)} entries")
    held = tempfile.mkdtemp(dir=spare)
    mount(folder, held, None, BIND | RECURSIVE)
    mount("none", folder, "tmpfs", 0, "mode=0755")
    for entry in os.scandir(held):
        if fnmatch.fnmatch(entry.name, pattern):
            continue
        place = f"{folder}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
            continue
        if entry.is_dir():
            os.mkdir(place)
        else:
            os.close(os.open(place, os.O_CREAT))
        mount(entry.path, place, None, BIND | RECURSIVE)


def read_only(folder: str) -> None:
    """Mount a folder over itself, so that nothing can be written there."""
    mount(folder, folder, None, BIND)
    seen = os.statvfs(folder).f_flag
    flags = (seen & KEPT) | (RELATIME if seen & RELATIME_SEEN else 0)
    mount("none", folder, None, flags | BIND | REMOUNT | READ_ONLY)


def loopback() -> None:
    """Bring up 127.0.0.1, which is down in a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(plain, GET_FLAGS, request))[1]
        fcntl.ioctl(plain, SET_FLAGS, struct.pack("16sh22x", b"lo", flags | UP))


def serve(argv: list[str]) -> None:
    """Start the server, and wait until it reports that it listens."""
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = server.stdout.readline() if server.stdout else b""
    if said.strip() != b"listening":
        raise OSError(0, f"the stand-in server did not start: {said.decode(errors='replace').strip()}")


def become(conditions: dict[str, Any], argv: list[str]) -> NoReturn:
    """Set up the conditions and become the command. Raises OSError if a condition cannot be set up.

    The keys of `conditions`: "hidden" [[folder, pattern]], "disks" [[path, megabytes, without programs]], "read_only" [folder],
    "files" [[file, path that it covers]], "network" (true: none), "server" (an argv), "first" [argv], "memory" (bytes), "spare" (a
    folder for this program's own use), "refusal" (a file for the reason).
    """
    libc.prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    network = conditions.get("network")
    mounts = [conditions.get(key) for key in ("hidden", "disks", "read_only", "files")]
    if network or any(mounts):
        enter(network=bool(network))
    for folder, pattern in conditions.get("hidden", ()):
        hide(folder, pattern, conditions["spare"])
    for path, megabytes, no_exec in conditions.get("disks", ()):
        os.makedirs(path, exist_ok=True)
        mount("none", path, "tmpfs", NO_EXEC if no_exec else 0, f"mode=0755,size={megabytes}m")
    for path in conditions.get("read_only", ()):
        read_only(path)
    for path, over in conditions.get("files", ()):
        mount(path, over, None, BIND)
    if network:
        loopback()
        if conditions.get("server"):
            serve(conditions["server"])
    for command in conditions.get("first", ()):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    if conditions.get("memory"):
        resource.setrlimit(resource.RLIMIT_AS, (conditions["memory"],) * 2)
    try:
        os.execvp(argv[0], argv)
    except FileNotFoundError:
        sys.stderr.write(f"{argv[0]}: command not found\n")
        sys.exit(127)


def main() -> None:
    conditions = json.loads(sys.argv[1])
    try:
        become(conditions, sys.argv[2:])
    except OSError as error:
        with open(conditions["refusal"], "w") as file:
            file.write(error.strerror or str(error))
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
