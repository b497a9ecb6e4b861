"""Ask the running system for memory, load and C library of this machine. `probes/` reads the facts that are in files."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

from attn_doctor.system import windows


def memory_bytes() -> int | None:
    """Return the bytes of memory in this machine. None if the system does not report it.

    Linux and macOS: sysconf(3). Windows: GlobalMemoryStatusEx.
    """
    if sys.platform == "win32":
        status = windows.memory()
        return status.total if status else None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def load_average() -> float | None:
    """Return the load average of the last minute. None if the system has none, such as Windows."""
    if sys.platform == "win32":
        return None
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def processor_time() -> tuple[int, int] | None:
    """Return the busy time and the whole time of all cores together since the start of the machine, in ticks.

    Linux: /proc/stat, https://man7.org/linux/man-pages/man5/proc_stat.5.html. macOS and Windows: None, because they have no such file.
    """
    try:
        first = Path("/proc/stat").read_text("ascii").partition("\n")[0].split()
        user, nice, system, idle, waiting, *interrupts = (int(field) for field in first[1:9])
    except (OSError, ValueError):
        return None
    busy = user + nice + system + sum(interrupts)
    return busy, busy + idle + waiting


def processor() -> str:
    """Return the name of the processor and a hash of its features (the flags): "AMD EPYC 7763 64-Core Processor, 1f0c9a37".

    Two machines of the same kind give the same result. Linux: /proc/cpuinfo. macOS and Windows: the name that `platform` returns,
    without a hash.
    """
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as stream:
            lines = stream.read(20_000).splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    first: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        first.setdefault(name.strip(), value.strip())
    able = first.get("flags") or first.get("Features") or ""
    model = first.get("model name") or first.get("CPU part") or platform.machine()
    return f"{model}, {hashlib.sha256(able.encode()).hexdigest()[:8]}"


def c_library() -> str | None:
    """Return name and version of the C library of this process, "glibc 2.36". None: not glibc (musl, macOS, Windows)."""
    if sys.platform != "linux":
        return None
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):  # musl does not have this name
        return None
