"""Read the NVIDIA driver's files: kernel module, libraries that the loader finds, device nodes.

Nothing is loaded or run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import NamedTuple

from attn_doctor.model.facts import PciDevice, Text, Unknown
from attn_doctor.model.machine import NVIDIA
from attn_doctor.probes import pci
from attn_doctor.probes.library_search import LibrarySearch
from attn_doctor.probes.root import Root
from attn_doctor.probes.system import wsl
from attn_doctor.system import platforms

# The driver's version in a file name, "libcuda.so.580.65.06"; WSL's "libcuda.so.1.1" has none.
_VERSION = re.compile(r"\.so\.(\d{3,}\.\d+(?:\.\d+)*)$")


class DriverFiles(NamedTuple):
    """Hold the files of the NVIDIA driver that were found. None: the file was not found."""

    kernel_module: Text  # its version, "580.65.06"; None: not loaded
    libcuda: str | None  # path of the file that the loader would load
    libnvml: str | None
    nvidia_smi: str | None
    nodes: tuple[str, ...]  # "/dev/nvidia0"
    card: bool | None  # True: the machine has an NVIDIA GPU; None: it may have one, which cannot be seen from here
    wsl: bool

    @property
    def signs(self) -> bool:
        """Return whether there is any file or device of NVIDIA, or may be one that cannot be seen. If not, no driver is asked."""
        files = self.libcuda or self.libnvml or self.nvidia_smi or self.nodes
        return bool(files) or self.kernel_module is not None or self.card is not False


def driver_files(
    tree: Root, environ: Mapping[str, str], loader: LibrarySearch, bus: tuple[PciDevice, ...] | Unknown
) -> DriverFiles:
    """Find the files of the NVIDIA driver. `bus`: the devices on the PCI bus."""
    within_wsl = wsl(tree, environ) is not None
    windows = f"{environ.get('SYSTEMROOT', 'C:/Windows')}/System32" if tree.real and platforms.WINDOWS else None
    module = _kernel_module(tree)
    card = _card(tree, bus)
    nodes = tuple(sorted(tree.matching("/dev", "nvidia")))
    return DriverFiles(
        kernel_module=module,
        libcuda=_file(tree, f"{windows}/nvcuda.dll") if windows else loader.find("libcuda.so.1"),
        libnvml=_file(tree, f"{windows}/nvml.dll") if windows else loader.find("libnvidia-ml.so.1"),
        nvidia_smi=tree.program("nvidia-smi", environ.get("PATH", ""))
        or _file(
            tree,
            *([f"{windows}/nvidia-smi.exe"] if windows else ["/usr/lib/wsl/lib/nvidia-smi", "/usr/bin/nvidia-smi"]),
        ),
        nodes=nodes,
        # Under WSL the GPU is behind /dev/dxg and on no bus; a sandbox may hide the bus and pass the driver through.
        card=None if card is False and (within_wsl or nodes or isinstance(module, str)) else card,
        wsl=within_wsl,
    )


def _card(tree: Root, bus: tuple[PciDevice, ...] | Unknown) -> bool | None:
    if pci.tegra(tree):
        return True
    return None if isinstance(bus, Unknown) else any(d.vendor == NVIDIA for d in bus)


def _file(tree: Root, *paths: str) -> str | None:
    return next((path for path in paths if tree.is_file(path)), None)


def version_in_name(tree: Root, path: str) -> Text:
    """Return the driver's version, "580.65.06", from the name of the file that a library's links point to; Unknown if it has none."""
    real = tree.resolve(path)
    written = _VERSION.search(real)
    return written[1] if written else Unknown(f"the name {PurePath(real).name} holds no version")


def _kernel_module(tree: Root) -> Text:
    """Return the version of the loaded module; None if none is loaded."""
    version = tree.text("/sys/module/nvidia/version")
    if version:
        return version
    banner = tree.text("/proc/driver/nvidia/version")
    written = re.search(r"^NVRM version:.*?\s(\d{3,}\.\d+(?:\.\d+)*)\s", banner or "", re.MULTILINE)
    if written:
        return written[1]
    if banner is not None or tree.is_dir("/sys/module/nvidia"):
        return Unknown("the nvidia module is loaded and does not say its version")
    if tree.is_dir("/sys/module") or (tree.real and not platforms.LINUX):
        return None
    return Unknown("/sys/module cannot be read")
