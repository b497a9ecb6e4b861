"""Find out from PCI device ids, which can be read without a driver, whether NVIDIA cards are older than Turing or Ampere. Pure.

A newer architecture has higher device ids: GV100 (Volta) is 1db1, TU102 (Turing) 1e02, GA100 (Ampere) 20b0, GA102 (Ampere) 2204.
Exception: the GeForce GTX 16 (TU116: 2182) is Turing, although its id is higher than that of GA100.
https://pci-ids.ucw.cz/read/PC/10de
"""

from __future__ import annotations

import re

from attn_doctor.model.facts import Facts, PciDevice
from attn_doctor.model.machine import NVIDIA

_TURING, _TURING_16 = 0x1E00, range(0x2180, 0x2200)  # the second: GeForce GTX 16
_AMPERE = 0x2080


def is_card(device: PciDevice) -> bool:
    """Return whether a device on the PCI bus is an NVIDIA display device, and not the audio device of a card."""
    return device.vendor == NVIDIA and device.pci_class.startswith("03")


def ids(facts: Facts) -> tuple[int, ...]:
    """Return the device ids of the NVIDIA display devices on the PCI bus; empty if the bus is not known."""
    bus = facts.graphics.pci if isinstance(facts.graphics.pci, tuple) else ()
    cards = [device for device in bus if is_card(device)]
    return tuple(int(card.device, 16) for card in cards if re.fullmatch("[0-9a-fA-F]{4}", card.device))


def before_turing(facts: Facts) -> bool:
    """Return whether a card is known to be older than Turing. False also if the PCI bus is not known.

    NVIDIA's open kernel modules and driver 590 do not support such a card.
    """
    return any(number < _TURING for number in ids(facts))


def too_old_for_flash_attn(facts: Facts) -> str | None:
    """Return the first card in words, "the card (PCI id 10de:1e07)", if all cards are known to be older than Ampere; else None."""
    cards = ids(facts)
    if not cards or any(number >= _AMPERE and number not in _TURING_16 for number in cards):
        return None
    return f"the card (PCI id 10de:{cards[0]:04x})"
