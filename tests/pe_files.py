"""Write small 64-bit files of Windows: what they import, import late, export and forward. Only the loader's tables are in them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

_BASE, _FILE_AT = 0x1000, 0x400  # address of the only section, and where it lies in the file


class _Section:
    """A section that grows: `put` returns the address of what was put there."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0" * 16)

    def put(self, content: bytes) -> int:
        self.data += b"\0" * (-len(self.data) % 8)
        at = len(self.data)
        self.data += content
        return _BASE + at

    def text(self, text: str) -> int:
        return self.put(text.encode() + b"\0")


def dll(
    path: Path,
    imports: Mapping[str, Sequence[str]] | None = None,
    exports: Mapping[str, str | None] | None = None,
    *,
    delayed: Mapping[str, Sequence[str]] | None = None,
    machine: int = 0x8664,
    numbers_from: int = 1,
    sections: Mapping[str, bytes] | None = None,
    signed: bool = False,
) -> Path:
    """Write a library. `imports`: names, or "#17" for a number. `exports`: name -> None, or "OTHER.name" for a forwarded one."""
    section = _Section()
    imported = _imports(section, imports or {})
    late = _delayed(section, delayed or {})
    exported = _exports(section, path.name, exports or {}, numbers_from)
    directories = [(0, 0)] * 16
    directories[0], directories[1], directories[13] = exported, imported, late
    directories[4] = (0x10000, 8) if signed else (0, 0)
    extra = dict(sections or {})
    size = -(-len(section.data) // 0x200) * 0x200
    head = b"MZ" + b"\0" * 58 + struct.pack("<I", 64) + b"PE\0\0"
    count = 1 + len(extra)
    head += struct.pack("<HHIIIHH", machine, count, 0, 0, 0, 240, 0x2022)
    head += struct.pack("<HBBIIIII", 0x20B, 14, 0, 0, size, 0, 0, _BASE)
    head += struct.pack("<QIIHHHHHHIIIIHHQQQQII", 0x180000000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x10000, _FILE_AT, 0, 3, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16)  # fmt: skip
    head += b"".join(struct.pack("<II", *one) for one in directories)
    rows, tail, address, offset = b"", b"", _BASE + 0x100000, _FILE_AT + size
    rows += struct.pack("<8sIIIIIIHHI", b".rdata", len(section.data), _BASE, size, _FILE_AT, 0, 0, 0, 0, 0x40000040)
    for name, content in extra.items():
        rows += struct.pack("<8sIIIIIIHHI", name.encode()[:8], len(content), address, len(content), offset, 0, 0, 0, 0, 0x40000040)  # fmt: skip
        tail, address, offset = tail + content, address + 0x100000, offset + len(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((head + rows).ljust(_FILE_AT, b"\0") + bytes(section.data).ljust(size, b"\0") + tail)
    return path


def _thunks(section: _Section, names: Sequence[str]) -> int:
    values = [
        1 << 63 | int(name[1:]) if name.startswith("#") else section.put(struct.pack("<H", 0) + name.encode() + b"\0")
        for name in names
    ]
    return section.put(struct.pack(f"<{len(values) + 1}Q", *values, 0))


def _imports(section: _Section, wanted: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    if not wanted:
        return 0, 0
    rows = b""
    for library, names in wanted.items():
        at = _thunks(section, names)
        rows += struct.pack("<IIIII", at, 0, 0, section.text(library), at)
    return section.put(rows + b"\0" * 20), len(rows) + 20


def _delayed(section: _Section, wanted: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    if not wanted:
        return 0, 0
    rows = b""
    for library, names in wanted.items():
        rows += struct.pack("<IIIIIIII", 1, section.text(library), section.put(b"\0" * 8), 0, _thunks(section, names), 0, 0, 0)  # fmt: skip
    return section.put(rows + b"\0" * 32), len(rows) + 32


def _exports(section: _Section, name: str, wanted: Mapping[str, str | None], first: int) -> tuple[int, int]:
    if not wanted:
        return 0, 0
    # Names of forwarded functions have to lie within the directory: so all of it is one piece.
    start = section.put(b"")
    ordered = sorted(wanted)
    count = len(ordered)
    at = start + 40
    functions_at, names_at, numbers_at = at, at + 4 * count, at + 8 * count
    text_at = numbers_at + 2 * count
    texts, functions, names = b"", [], []

    def text(content: str) -> int:
        nonlocal texts
        place = text_at + len(texts)
        texts += content.encode() + b"\0"
        return place

    own = text(name)
    for one in ordered:
        target = wanted[one]
        functions.append(_BASE if target is None else text(target))
        names.append(text(one))
    row = struct.pack("<IIHHIIIIIII", 0, 0, 0, 0, own, first, count, count, functions_at, names_at, numbers_at)
    body = row + struct.pack(f"<{count}I", *functions) + struct.pack(f"<{count}I", *names) + struct.pack(f"<{count}H", *range(count)) + texts  # fmt: skip
    assert section.put(body) == start
    return start, len(body)
