"""Read the processor and its instruction sets from files, in about a millisecond. PyTorch chooses its CPU kernels by the instruction sets."""

from __future__ import annotations

import platform
import re
from collections.abc import Collection
from pathlib import Path

from attn_doctor import child
from attn_doctor.model.facts import NOT_ASKED, Cpu, Text, Unknown, all_unknown
from attn_doctor.probes.root import Root
from attn_doctor.system import platforms, windows

# The instruction sets that PyTorch requires for its AVX-512 kernels (aten/src/ATen/native/DispatchStub.cpp).
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
# The names of Linux and of py-cpuinfo; Arm's is "bf16".
_BF16 = frozenset({"avx512_bf16", "amx_bf16", "avx512bf16", "amxbf16", "bf16"})


def cpu(root: Path = Path("/"), *, ask: bool = True) -> tuple[Cpu, dict[str, str]]:
    """Return the section and its sources. Without `ask` no program is started."""
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
    if flags is None:
        return all_unknown(Cpu, "/proc/cpuinfo lists no features", model=model), {"": "/proc/cpuinfo"}
    return _cpu(model, flags[1].split()), {"": "/proc/cpuinfo"}


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
    answer = child.command(["sysctl", "machdep.cpu.brand_string", *names.values()], deadline=5.0)
    told = dict(line.split(": ", 1) for line in answer.stdout.splitlines() if ": " in line)
    if not told:
        return all_unknown(Cpu, "sysctl does not answer")
    model = told.get("machdep.cpu.brand_string") or Unknown("sysctl does not name it")
    return _cpu(model, [flag for flag, name in names.items() if told.get(name) == "1"])


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
