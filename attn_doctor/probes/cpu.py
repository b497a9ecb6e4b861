"""Read the processor and its instruction sets. PyTorch chooses its CPU kernels by the instruction sets.

Linux: from files, in about a millisecond. macOS: by sysctl. Windows: from the registry, and by calls of its libraries.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from attn_doctor import child
from attn_doctor.model.facts import NOT_ASKED, Cpu, Text, Unknown, all_unknown
from attn_doctor.probes.root import Root
from attn_doctor.system import platforms, windows

# The instruction sets that PyTorch requires for its AVX-512 kernels (aten/src/ATen/native/DispatchStub.cpp).
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
# The names of Linux and of py-cpuinfo; Arm's is "bf16".
_BF16 = frozenset({"avx512_bf16", "amx_bf16", "avx512bf16", "amxbf16", "bf16"})


def cpu(root: Path = Path("/"), *, ask: bool = True) -> tuple[Cpu, dict[str, str]]:
    """Return the facts of the processor, and the source of each field (see `probes`).

    If `ask` is False, no program is started.
    """
    tree = Root(root)
    text = tree.text("/proc/cpuinfo")
    if text is None:
        if tree.real and platforms.MACOS:
            return (_of_macos(), {"": "sysctl"}) if ask else (all_unknown(Cpu, NOT_ASKED), {})
        if tree.real and platforms.WINDOWS:
            return _of_windows(), {"": "the registry and IsProcessorFeaturePresent"}
        return all_unknown(Cpu, "/proc/cpuinfo cannot be read"), {}
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    # Where Arm kernels name no processor in /proc/cpuinfo, they name the board here.
    board = tree.text("/sys/firmware/devicetree/base/model")
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    model: Text = named[1].strip() if named else board or Unknown("/proc/cpuinfo does not name the processor")
    more = {**_cores(text), "caches": _caches(tree), "numa": _numa(tree), "vulnerabilities": _vulnerabilities(tree)}
    sources = {"": "/proc/cpuinfo", "caches": "/sys/devices/system/cpu", "numa": "/sys/devices/system/node"}
    if flags is None:
        return all_unknown(Cpu, "/proc/cpuinfo lists no features", model=model, **more), sources
    listed = flags[1].split()
    return msgspec.structs.replace(_cpu(model, listed), flags=tuple(listed), **more), sources


_NO_TOPOLOGY = "/proc/cpuinfo does not list the cores of each processor"


def _cores(text: str) -> dict[str, Any]:
    """Return the fields about the maker, the sockets and the cores. Arm kernels list neither sockets nor cores."""
    first = text.partition("\n\n")[0]
    told = {m[1].strip(): m[2].strip() for m in re.finditer(r"^([^:\n]+):[ \t]*(.*)$", first, re.MULTILINE)}
    numbers = [told.get(name) for name in ("cpu family", "model", "stepping")]
    sockets = re.findall(r"^physical id\s*:\s*(\d+)$", text, re.MULTILINE)
    cores = re.findall(r"^core id\s*:\s*(\d+)$", text, re.MULTILINE)
    threads = len(re.findall(r"^processor\s*:", text, re.MULTILINE))
    physical = len(set(zip(sockets, cores, strict=False))) if len(sockets) == len(cores) else 0
    return {
        "vendor": told.get("vendor_id") or told.get("CPU implementer") or Unknown("/proc/cpuinfo does not name it"),
        "family": ", ".join(n for n in numbers if n) or Unknown("/proc/cpuinfo does not name it"),
        "sockets": len(set(sockets)) or Unknown(_NO_TOPOLOGY),
        "physical_cores": physical or Unknown(_NO_TOPOLOGY),
        "threads_per_core": max(1, threads // physical) if physical else Unknown(_NO_TOPOLOGY),
    }


def _caches(tree: Root) -> tuple[str, ...] | Unknown:
    """Return the caches of the first core: "L1d 48K", "L3 36608K"."""
    found = []
    for folder in tree.matching("/sys/devices/system/cpu/cpu0/cache", "index"):
        level, kind, size = (tree.text(f"{folder}/{name}") for name in ("level", "type", "size"))
        if level and size:
            letter = {"Data": "d", "Instruction": "i"}.get(kind or "", "")
            found.append(f"L{level}{letter} {size}")
    return tuple(found) or Unknown("/sys does not list the caches")


def _numa(tree: Root) -> tuple[str, ...] | Unknown:
    """Return the processors of each NUMA node: "node 0: 0-31,64-95"."""
    base = "/sys/devices/system/node"
    numbers = sorted(int(name[4:]) for name in tree.entries(base) if re.fullmatch(r"node\d+", name))
    nodes = [(n, tree.text(f"{base}/node{n}/cpulist")) for n in numbers]
    return tuple(f"node {n}: {cpus or 'no CPU'}" for n, cpus in nodes) or Unknown("/sys does not list NUMA nodes")


def _vulnerabilities(tree: Root) -> tuple[str, ...] | Unknown:
    """Return the kernel's protections against faults of the processor: "meltdown: Mitigation; PTI".

    lscpu lists the same. Each protection costs time in every system call.
    """
    base = "/sys/devices/system/cpu/vulnerabilities"
    found = [(name, tree.text(f"{base}/{name}")) for name in sorted(tree.entries(base))]
    return tuple(f"{name}: {said.strip()}" for name, said in found if said) or Unknown("/sys does not list them")


def _cpu(model: Text, flags: Collection[str]) -> Cpu:
    return Cpu(
        model=model,
        avx2="avx2" in flags,
        avx512=_AVX512.issubset(flags),
        amx=bool({"amx_tile", "amxtile"}.intersection(flags)),
        bf16=bool(_BF16.intersection(flags)),
    )


def _of_macos() -> Cpu:
    """Read the processor by sysctl. Names: https://developer.apple.com/documentation/kernel/1387446-sysctlbyname."""
    names = {
        "avx2": "hw.optional.avx2_0",
        "avx512f": "hw.optional.avx512f",
        "avx512bw": "hw.optional.avx512bw",
        "avx512dq": "hw.optional.avx512dq",
        "avx512vl": "hw.optional.avx512vl",
        "bf16": "hw.optional.arm.FEAT_BF16",
    }
    numbers = {"sockets": "hw.packages", "physical_cores": "hw.physicalcpu", "threads": "hw.logicalcpu"}
    argv = ["sysctl", "machdep.cpu.brand_string", "machdep.cpu.vendor", *names.values(), *numbers.values()]
    answer = child.command(argv, deadline=5.0)
    told = dict(line.split(": ", 1) for line in answer.stdout.splitlines() if ": " in line)
    if not told:
        return all_unknown(Cpu, "sysctl does not answer")
    model = told.get("machdep.cpu.brand_string") or Unknown("sysctl does not name it")
    flags = [flag for flag, name in names.items() if told.get(name) == "1"]
    counted = {field: int(told[name]) for field, name in numbers.items() if told.get(name, "").isdigit()}
    threads = counted.pop("threads", 0)
    if counted.get("physical_cores") and threads:
        counted["threads_per_core"] = max(1, threads // counted["physical_cores"])
    vendor = told.get("machdep.cpu.vendor") or (
        "Apple" if str(model).startswith("Apple") else Unknown("sysctl does not name it")
    )
    return msgspec.structs.replace(_cpu(model, flags), vendor=vendor, flags=tuple(flags), numa=(), **counted)


def _of_windows() -> Cpu:
    """Read the processor of Windows.

    Feature numbers: IsProcessorFeaturePresent of processthreadsapi.h. It does not report AMX and bf16.
    """
    path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    try:
        model: Text = str(windows.registry(path, "ProcessorNameString")).strip()
    except OSError:
        model = platform.processor() or Unknown("the registry does not name it")
    has, why = windows.has_processor_feature, Unknown("Windows does not tell")
    return Cpu(model=model, avx2=has(40), avx512=has(41), amx=why, bf16=why)
