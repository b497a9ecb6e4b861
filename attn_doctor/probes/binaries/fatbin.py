"""Read which GPU code a library contains: the architectures with machine code (cubins) and with PTX. Reads headers only.

nvcc packs the code of each source file into a container ("fatbin") in the section .nv_fatbin, or __nv_relfatbin with
-rdc. NVIDIA does not document the layout; the layout below gives the same counts as cuobjdump on every file that was tried
(docs/binaries.md). Compressed entries have readable headers, so nothing is decompressed.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

from attn_doctor.probes.binaries.elf import Section
from attn_doctor.probes.binaries.mapped import Mapped

# Code that runs is in the first section. With -rdc the code from which it was linked is in the second section.
# The third is the name of the first in a PE file, where a name has 8 characters.
SECTIONS = (".nv_fatbin", "__nv_relfatbin", ".nv_fatb")

_MAGIC = 0xBA55ED50
_MAGIC_BYTES = struct.pack("<I", _MAGIC)
_REGION = struct.Struct("<IHHQ")  # magic, version, size of this header, size of the data after it
# kind, version, size of this header, size of the payload, compressed size, a string's place, minor, major, SM, string
_ENTRY = struct.Struct("<HHIQIIHHI")
_FLAGS = struct.Struct("<Q")
_FLAGS_AT = 40
_PTX, _CUBIN = 1, 2
_ARCHITECTURE_SPECIFIC, _FAMILY_SPECIFIC = 0x100000, 0x200000  # sm_90a, sm_100f
_NOBITS = 8


class HasSections(Protocol):
    """Describe a library of any operating system: its file, and its sections by name."""

    file: Mapped

    @property
    def sections(self) -> Mapping[str, Section]: ...


CodeKind = Literal["sm", "ptx"]  # "sm": machine code


class Code(NamedTuple):
    """Describe one piece of GPU code: machine code or PTX, and the compute capability ("8.0", "9.0a", "10.0f") that it was compiled for."""

    kind: CodeKind
    capability: str

    @property
    def arch(self) -> str:
        """Return the architecture as nvcc and torch name it: "sm_80", "sm_90a", "compute_90"."""
        return f"{'sm' if self.kind == 'sm' else 'compute'}_{self.capability.replace('.', '')}"


def gpu_code(elf: HasSections) -> Counter[Code]:
    """Count the pieces of GPU code of each kind in a library; empty for a library without GPU code.

    Raises DamagedFile if the file has lost its section table.
    """
    for name in SECTIONS:
        section = elf.sections.get(name)
        found = Counter(_codes(elf, section)) if section is not None and section.kind != _NOBITS else Counter()
        if found:
            return found
    return Counter()


def ordered(codes: Counter[Code], kind: str) -> tuple[str, ...]:
    """Return the compute capabilities ("8.0") of the code of one kind, lowest first."""
    return tuple(sorted((c.capability for c in codes if c.kind == kind), key=_rank))


def baseline(codes: Counter[Code]) -> tuple[str, ...]:
    """Return the architectures for which most of a library was compiled, in the words of torch.cuda.get_arch_list().

    Some kernels are compiled for more architectures (sm_90a for some matrix products), but the library as a whole does not run on
    these.
    """
    most = max(codes.values(), default=0)
    chosen = [code for code, count in codes.items() if 2 * count > most]
    chosen.sort(key=lambda code: (code.kind == "ptx", _rank(code.capability)))
    return tuple(code.arch for code in chosen)


def _codes(elf: HasSections, section: Section) -> Iterator[Code]:
    for start, end in _regions(elf, section.offset, section.offset + section.size):
        place = start
        while place + _FLAGS_AT + _FLAGS.size <= end:
            kind, _, header, payload, _, _, _, _, number = elf.file.unpack(_ENTRY, place)
            if header < _FLAGS_AT:
                break  # no known magic number
            if kind in (_PTX, _CUBIN):
                flags = elf.file.unpack(_FLAGS, place + _FLAGS_AT)[0]
                suffix = "a" if flags & _ARCHITECTURE_SPECIFIC else "f" if flags & _FAMILY_SPECIFIC else ""
                yield Code("sm" if kind == _CUBIN else "ptx", f"{number // 10}.{number % 10}{suffix}")
            place += header + payload


def _regions(elf: HasSections, place: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the offsets where the entries of each container begin and end. Containers are padded to 8 bytes, sometimes to more."""
    end = min(end, elf.file.size)
    while place + _REGION.size <= end:
        magic, _, header, size = elf.file.unpack(_REGION, place)
        if magic != _MAGIC or header < _REGION.size:
            place = elf.file.find(_MAGIC_BYTES, place + 1, end)
            if place < 0:
                return
            continue
        stop = min(place + header + size, end)
        yield place + header, stop
        place = (stop + 7) & ~7


def _rank(capability: str) -> tuple[int, int, str]:
    major, _, rest = capability.partition(".")
    return int(major), int(rest.rstrip("af")), rest.lstrip("0123456789")
