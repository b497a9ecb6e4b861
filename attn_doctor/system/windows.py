"""Ask Windows: read the registry, and call functions of its libraries. The caller first checks `platforms.WINDOWS`.

On another system each function raises `NotWindows`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple


class NotWindows(RuntimeError):
    """Report that a function for Windows was called on another system: a fault of the caller."""

    def __init__(self) -> None:
        super().__init__(f"asked of Windows, and this is {sys.platform}")


class MemoryStatus(NamedTuple):
    """Hold sizes of memory in bytes, as GlobalMemoryStatusEx gives them."""

    total: int
    available: int
    total_page_file: int  # memory and page files together


def registry(path: str, name: str) -> str | int | bytes | list[str] | None:
    """Read a value below HKEY_LOCAL_MACHINE, for example the 1 of "LongPathsEnabled".

    Raises OSError if there is no such key or value, and NotWindows on Linux and macOS.
    """
    if sys.platform != "win32":
        raise NotWindows
    import winreg

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
        found: str | int | bytes | list[str] | None = winreg.QueryValueEx(key, name)[0]
    return found


def has_processor_feature(number: int) -> bool:
    """Return whether the processor has a feature of IsProcessorFeaturePresent (processthreadsapi.h): 40 is AVX2.

    Raises NotWindows on Linux and macOS.
    """
    if sys.platform != "win32":
        raise NotWindows
    import ctypes

    return bool(ctypes.WinDLL("kernel32").IsProcessorFeaturePresent(number))


def memory() -> MemoryStatus | None:
    """Return the memory by GlobalMemoryStatusEx (sysinfoapi.h); None if the call fails.

    Raises NotWindows on Linux and macOS.
    """
    if sys.platform != "win32":
        raise NotWindows
    import ctypes

    class _MemoryStatusEx(ctypes.Structure):
        """MEMORYSTATUSEX of sysinfoapi.h."""

        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            ("available", ctypes.c_uint64),
            ("total_page_file", ctypes.c_uint64),
            ("available_page_file", ctypes.c_uint64),
            ("total_virtual", ctypes.c_uint64),
            ("available_virtual", ctypes.c_uint64),
            ("available_extended_virtual", ctypes.c_uint64),
        )

    status = _MemoryStatusEx()
    status.length = ctypes.sizeof(_MemoryStatusEx)
    if not ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return MemoryStatus(status.total, status.available, status.total_page_file)


def display_devices() -> Iterator[str]:
    r"""Yield the identifier of each display adapter, "PCI\VEN_10DE&DEV_2684&...", by EnumDisplayDevicesW of winuser.h.

    A card with several outputs is yielded several times. Raises NotWindows on Linux and macOS.
    """
    if sys.platform != "win32":
        raise NotWindows
    import ctypes

    class _DisplayDevice(ctypes.Structure):
        """DISPLAY_DEVICEW of wingdi.h."""

        _fields_ = (
            ("size", ctypes.c_uint32),
            ("name", ctypes.c_wchar * 32),
            ("text", ctypes.c_wchar * 128),
            ("flags", ctypes.c_uint32),
            ("id", ctypes.c_wchar * 128),
            ("key", ctypes.c_wchar * 128),
        )

    ask = ctypes.WinDLL("user32").EnumDisplayDevicesW
    for number in range(64):
        device = _DisplayDevice()
        device.size = ctypes.sizeof(_DisplayDevice)
        if not ask(None, number, ctypes.byref(device), 0):
            return
        yield device.id
