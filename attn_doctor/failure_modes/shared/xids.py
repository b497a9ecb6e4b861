"""Explain the errors that the NVIDIA driver reports by numbers (Xid). Pure.

From NVIDIA's catalogue: https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["program", "memory", "gpu"]


class Meaning(NamedTuple):
    """Hold the cause and the meaning of an error."""

    kind: Kind  # the cause: a program, the GPU's memory, or "gpu" (the chip, its firmware or its link)
    text: str  # "the GPU has fallen off the PCI bus"


# From NVIDIA's catalogue. A number that is not here is told without a meaning, as a notice.
MEANINGS: dict[int, Meaning] = {
    13: Meaning("program", "an exception in a kernel of a program"),
    31: Meaning("program", "a program used an address of the GPU memory that it does not have"),
    43: Meaning("program", "a program was stopped after an error of its own"),
    45: Meaning("program", "the work of a program was cleared away after it ended"),
    48: Meaning("memory", "an uncorrectable error of the GPU memory"),
    62: Meaning("gpu", "the controller in the GPU stopped"),
    63: Meaning("memory", "a bad place of the GPU memory was recorded for repair"),
    64: Meaning("memory", "recording a bad place of the GPU memory failed"),
    74: Meaning("gpu", "an error of the NVLink connection"),
    79: Meaning("gpu", "the GPU has fallen off the PCI bus"),
    92: Meaning("memory", "many correctable errors of the GPU memory"),
    94: Meaning("memory", "a memory error that ended one program alone"),
    95: Meaning("memory", "a memory error that was not contained: other programs may be affected"),
    119: Meaning("gpu", "the firmware of the GPU (GSP) did not answer the driver"),
    120: Meaning("gpu", "the firmware of the GPU (GSP) failed"),
    140: Meaning("memory", "an ECC error from which the GPU did not recover"),
    143: Meaning("gpu", "the GPU did not start"),
}


def kind(number: int) -> Kind:
    """Return the cause of an error; "program" for a number that is not in the table, which is reported as a note only."""
    return MEANINGS[number].kind if number in MEANINGS else "program"
