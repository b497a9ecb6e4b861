"""Read the limits of this process: cores, memory and swap, and the limits of its control groups."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from attn_doctor import child
from attn_doctor.model.facts import NOT_ASKED, Number, Real, Unknown
from attn_doctor.probes.root import Root
from attn_doctor.system import platforms, windows

_PAGE_ROUNDED_MAXIMUM = 0x7FFF_FFFF_FFFF_0000  # cgroup v1 writes "no limit" as the largest number of whole pages
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)  # str.isdigit also accepts other scripts, and int() refuses 5,000 digits


class Memory(NamedTuple):
    """Hold the memory and the swap of a machine."""

    total: Number  # bytes, as the other two
    available: Number
    swap: Number


def memory(root: Root, *, ask: bool = True) -> Memory:
    """Return three sizes in bytes: memory of the machine, memory that a new program can use without swapping, swap.

    If `ask` is False, no program is started: on macOS all three are unknown then.
    """
    if root.real and platforms.MACOS:
        why = Unknown(NOT_ASKED)
        return _memory_of_macos() if ask else Memory(why, why, why)
    if root.real and platforms.WINDOWS:
        return _memory_of_windows()
    text = root.text("/proc/meminfo")
    if text is None:
        why = Unknown("/proc/meminfo cannot be read")
        return Memory(why, why, why)
    kilobytes = {m[1]: int(m[2]) * 1024 for m in re.finditer(r"^(\w+):\s+(\d{1,15}) kB", text, re.MULTILINE)}

    def value(name: str) -> Number:
        return kilobytes.get(name, Unknown(f"/proc/meminfo has no {name}"))

    return Memory(value("MemTotal"), value("MemAvailable"), value("SwapTotal"))


def cores(root: Root) -> Number:
    """Return the number of active logical processors."""
    if root.real:
        return os.cpu_count() or Unknown("the operating system does not report it")
    found = len(re.findall(r"^processor\s*:", root.text("/proc/cpuinfo") or "", re.MULTILINE))
    return found or Unknown("/proc/cpuinfo lists no processors")


def cores_allowed(root: Root) -> Number:
    """Return the number of logical processors in the affinity mask of this process."""
    listed = re.search(r"^Cpus_allowed_list:\s*(\S+)", root.text("/proc/self/status") or "", re.MULTILINE)
    if listed is None:
        return Unknown("there is no affinity mask to read (/proc/self/status)")
    ranges = [re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part, re.ASCII) for part in listed[1].split(",")]
    if not all(ranges):
        return Unknown("the affinity mask cannot be read (/proc/self/status)")
    return sum(int(r[2] or r[1]) - int(r[1]) + 1 for r in ranges if r)


class Quota(NamedTuple):
    """Hold the limits of control groups: cores and bytes. None: no limit."""

    cpus: Real
    memory: Number


class _Hierarchy(NamedTuple):
    """Describe one mounted control group hierarchy, with the groups of this process, the innermost first."""

    version: int
    folders: tuple[str, ...]


def quota(root: Root) -> Quota:
    """Return the lowest limits of the control groups around this process, all parent groups included."""
    groups = root.text("/proc/self/cgroup")
    mounts = root.text("/proc/self/mountinfo")
    if groups is None or mounts is None:
        if root.real and not platforms.LINUX:
            return Quota(None, None)
        why = Unknown("/proc/self/cgroup or /proc/self/mountinfo cannot be read")
        return Quota(why, why)
    cpus = [limit for h in _hierarchies(groups, mounts, "cpu") for limit in _each(root, h, _cpus)]
    sizes = [limit for h in _hierarchies(groups, mounts, "memory") for limit in _each(root, h, _bytes)]
    return Quota(min(cpus, default=None), int(min(sizes)) if sizes else None)


def _hierarchies(groups: str, mounts: str, controller: str) -> Iterator[_Hierarchy]:
    """Yield the cgroup hierarchies of a controller ("cpu", "memory"), with the groups of this process in each.

    Format of the mount lines: proc_pid_mountinfo(5); of the group lines: cgroups(7).
    """
    inside = {}
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for name in names.split(",") if number != "0" else [""]:
            inside[name] = path
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2" and "" in inside:
            version, path = 2, inside[""]
        elif kind[0] == "cgroup" and controller in kind[2].split(",") and controller in inside:
            version, path = 1, inside[controller]
        else:
            continue
        mounted, at = fields[3], fields[4]
        if mounted != "/" and (path == mounted or path.startswith(mounted + "/")):
            # A container sees only a part of the tree, but the name of its group starts at the root.
            path = path[len(mounted) :]
        parts = [p for p in path.split("/") if p and p != ".."]
        yield _Hierarchy(version, tuple("/".join([at.rstrip("/"), *parts[:n]]) for n in range(len(parts), -1, -1)))


def _each(root: Root, hierarchy: _Hierarchy, limit: Callable[[Root, str, int], float | None]) -> Iterator[float]:
    found = (limit(root, folder, hierarchy.version) for folder in hierarchy.folders)
    return (value for value in found if value is not None)


def _cpus(root: Root, folder: str, version: int) -> float | None:
    if version == 2:
        numbers = (root.text(f"{folder}/cpu.max") or "").split()
    else:
        numbers = [root.text(f"{folder}/cpu.cfs_{what}_us") or "" for what in ("quota", "period")]
    if len(numbers) != 2 or not all(_NUMBER.fullmatch(n) for n in numbers) or int(numbers[1]) == 0:
        return None  # "max", or -1
    return int(numbers[0]) / int(numbers[1])


def _bytes(root: Root, folder: str, version: int) -> float | None:
    text = root.text(f"{folder}/memory.max" if version == 2 else f"{folder}/memory.limit_in_bytes") or ""
    if not _NUMBER.fullmatch(text) or int(text) >= _PAGE_ROUNDED_MAXIMUM:
        return None
    return int(text)


def _memory_of_macos() -> Memory:
    answer = child.command(["sysctl", "-n", "hw.memsize", "vm.swapusage"], deadline=5.0)
    total, _, swap = answer.stdout.partition("\n")
    used = re.search(r"total = ([\d.]+)M", swap)
    return Memory(
        int(total) if total.strip().isdigit() else Unknown("sysctl does not answer"),
        Unknown("macOS keeps no such figure"),
        int(float(used[1]) * 1024**2) if used else Unknown("sysctl does not answer"),
    )


def _memory_of_windows() -> Memory:
    status = windows.memory()
    if status is None:
        why = Unknown("GlobalMemoryStatusEx failed")
        return Memory(why, why, why)
    return Memory(status.total, status.available, max(0, status.total_page_file - status.total))
