"""Read the devices on the buses of the machine, with or without a driver. No driver is asked, no program is run."""

from __future__ import annotations

import re
from pathlib import Path

from attn_doctor.model.facts import AmdGpu, PciDevice, Text, Unknown
from attn_doctor.model.machine import AMD, NVIDIA
from attn_doctor.probes.root import Root
from attn_doctor.system import platforms, windows

# VGA, 3D and other display controllers, and processing accelerators: https://pci-ids.ucw.cz/read/PD/
_GRAPHICS = ("0300", "0302", "0380", "1200")
_BRIDGE = "0680"  # the class under which NVSwitches appear, with NVIDIA as their vendor
_DEVICES = "/sys/bus/pci/devices"


def devices(tree: Root) -> tuple[PciDevice, ...] | Unknown:
    """Return the GPUs of the PCI bus, of every maker: its devices of the classes "display" and "accelerator".

    Unknown if /sys cannot be read.
    """
    if tree.real and platforms.WINDOWS:
        return _of_windows()
    if tree.real and platforms.MACOS:
        return ()  # macOS: NVIDIA cards have had no driver since 10.13, and Apple's GPUs are not on a PCI bus
    if not tree.is_dir(_DEVICES):
        # A virtual machine may have no PCI at all (WSL, some microVMs): /sys/bus then has no pci folder.
        return () if tree.is_dir("/sys/bus") else Unknown("/sys cannot be read")
    return tuple(found for slot in tree.entries(_DEVICES) if (found := _device(tree, slot)).pci_class in _GRAPHICS)


def nvswitches(tree: Root) -> bool:
    """Return whether the GPUs of this machine are connected by NVSwitches, which the fabric manager has to set up."""
    found = (_device(tree, slot) for slot in tree.entries(_DEVICES))
    on_bus = any(d.vendor == NVIDIA and d.pci_class == _BRIDGE for d in found)
    return on_bus or bool(tree.entries("/proc/driver/nvidia-nvswitch/devices"))


def tegra(tree: Root) -> bool:
    """Return whether this is a Jetson: its GPU is a part of the processor and on no PCI bus."""
    compatible = tree.text("/proc/device-tree/compatible") or tree.text("/sys/firmware/devicetree/base/compatible")
    return "nvidia,tegra" in (compatible or "") or tree.exists("/etc/nv_tegra_release")


def amd_gpus(tree: Root, found: tuple[PciDevice, ...] | Unknown) -> tuple[AmdGpu, ...] | Unknown:
    """Return the AMD GPUs: those that the driver amdkfd uses for computing, else those on the PCI bus."""
    nodes = "/sys/class/kfd/kfd/topology/nodes"
    computing = [_kfd_node(tree, f"{nodes}/{n}") for n in sorted(tree.entries(nodes), key=lambda n: n.zfill(4))]
    gpus = tuple(gpu for gpu in computing if gpu is not None)
    if gpus:
        return gpus
    if isinstance(found, Unknown):
        return found
    why = Unknown("the amdgpu driver does not use it for computing (/sys/class/kfd)")
    return tuple(AmdGpu(name=why, gfx=why) for device in found if device.vendor == AMD)


def _kfd_node(tree: Root, node: str) -> AmdGpu | None:
    """Return a GPU of the amdkfd topology; None for a processor.

    Its number 90402 means gfx942, 90010 means gfx90a (the 10 is hexadecimal a).
    """
    number = re.search(r"^gfx_target_version (\d{1,9})$", tree.text(f"{node}/properties") or "", re.MULTILINE)
    if number is None or int(number[1]) == 0:
        return None
    major, rest = divmod(int(number[1]), 10000)
    minor, stepping = divmod(rest, 100)
    name = tree.text(f"{node}/name")
    return AmdGpu(name=name or Unknown("the driver gives it no name"), gfx=f"gfx{major}{minor:x}{stepping:x}")


def _device(tree: Root, slot: str) -> PciDevice:
    folder = f"{_DEVICES}/{slot}"

    def number(name: str) -> str:
        return (tree.text(f"{folder}/{name}") or "").removeprefix("0x").lower()

    link = tree.at(folder) / "driver"
    driver: Text = None
    try:
        driver = Path(link.readlink()).name
    except FileNotFoundError:
        pass  # no driver is bound to it
    except OSError as error:
        driver = Unknown(f"{link}: {error.strerror or error}")
    return PciDevice(vendor=number("vendor"), device=number("device"), pci_class=number("class")[:4], driver=driver)


def _of_windows() -> tuple[PciDevice, ...] | Unknown:
    """Return the adapters that Windows lists, by EnumDisplayDevicesW of winuser.h."""
    why = Unknown("attn-doctor does not ask Windows for it")
    found: dict[tuple[str, str], PciDevice] = {}
    for name in windows.display_devices():
        ids = re.search(r"VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})", name.upper())
        if ids:  # each output of a card is listed
            key = (ids[1].lower(), ids[2].lower())
            found[key] = PciDevice(vendor=key[0], device=key[1], pci_class="0300", driver=why)
    return tuple(found.values())
