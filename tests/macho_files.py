"""Write small Mach-O files: what they need, take, export, and for which macOS and processor they are. Only the loader's tables are in them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

CODES = {"x86_64": (0x01000007, 3), "arm64": (0x0100000C, 0), "arm64e": (0x0100000C, 2), "i386": (7, 3)}
KINDS = {"needed": 0xC, "weak": 0x80000018, "reexported": 0x8000001F, "lazy": 0x20, "upward": 0x80000023}
FLAT, PROGRAM = 0xFE, 0xFF


def _command(kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 8)
    return struct.pack("<II", kind, 8 + len(body)) + body


def _number(value: int) -> bytes:
    out = b""
    while True:
        value, low = value >> 7, value & 0x7F
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def _tree(names: Mapping[str, bytes]) -> dict:
    """Share the beginnings of names: {letters: (data, branches)}."""
    groups: dict[str, dict[str, bytes]] = {}
    for name, data in names.items():
        groups.setdefault(name[:1], {})[name] = data
    made = {}
    for group in groups.values():
        least, most = min(group), max(group)
        length = next((i for i, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least))
        shared = least[:length]
        made[shared] = (group.get(shared), _tree({n[length:]: d for n, d in group.items() if n != shared}))
    return made


def trie(names: Mapping[str, tuple[int, str] | None]) -> bytes:
    """Write the tree of exports. A value is None, or the number of a library and the name there (exported again)."""
    entries = {
        n: b"\0\x10" if to is None else b"\x08" + _number(to[0]) + to[1].encode() + b"\0" for n, to in names.items()
    }
    nodes: list[tuple[bytes | None, list[tuple[str, int]]]] = []

    def add(data: bytes | None, branches: dict) -> int:
        number = len(nodes)
        nodes.append((data, []))
        for letters, (inner, below) in branches.items():
            nodes[number][1].append((letters, add(inner, below)))
        return number

    add(None, _tree(entries))
    at, places = 0, [0] * len(nodes)
    for _ in range(8):  # places have numbers of one or two bytes, which move the places: repeated until they stay
        written = [_node(data, branches, places) for data, branches in nodes]
        at, new = 0, []
        for one in written:
            new.append(at)
            at += len(one)
        if new == places:
            break
        places = new
    return b"".join(written)


def _node(data: bytes | None, branches: Sequence[tuple[str, int]], places: Sequence[int]) -> bytes:
    out = _number(len(data)) + data if data else b"\0"
    out += bytes([len(branches)])
    for letters, number in branches:
        out += letters.encode() + b"\0" + _number(places[number])
    return out


def thin(
    *,
    name: str | None = None,
    loads: Sequence[tuple[str, str]] = (),
    exports: Mapping[str, tuple[int, str] | None] | Sequence[str] = (),
    undefined: Sequence[tuple[str, int] | tuple[str, int, int]] = (),
    rpaths: Sequence[str] = (),
    machine: str = "arm64",
    oldest: str | None = "11.0",
    with_trie: bool = True,
    bound: str | None = "instructions",
    flags: int = 0x80,
    signed: str = "ad hoc",
) -> bytes:
    """Return a library. `loads`: name and kind; `undefined`: name, number of the library, and flags (0x40 may be missing, 0x80 shared).

    `bound`: how dyld is told of undefined names: by "instructions", by "imports", or by the symbol table alone (None).
    `signed`: "ad hoc", "of a certificate" or "none".
    """
    exported = dict(exports) if isinstance(exports, Mapping) else dict.fromkeys(exports)
    commands = [_command(0x19, struct.pack("<16sQQQQIIII", b"__LINKEDIT", 0, 0, 0, 0, 1, 1, 0, 0))]
    if name:
        commands.append(_command(0xD, struct.pack("<IIII", 24, 2, 0, 0) + name.encode() + b"\0"))
    commands += [
        _command(KINDS[kind], struct.pack("<IIII", 24, 2, 0, 0) + load.encode() + b"\0") for load, kind in loads
    ]
    commands += [_command(0x8000001C, struct.pack("<I", 12) + rpath.encode() + b"\0") for rpath in rpaths]
    if oldest:
        major, minor = map(int, oldest.split("."))
        commands.append(_command(0x32, struct.pack("<IIII", 1, major << 16 | minor << 8, 14 << 16, 0)))
    texts, rows = b"\0", b""
    for one in exported:
        rows += struct.pack("<IBBHQ", len(texts), 0x0F, 1, 0, 0x1000)
        texts += one.encode() + b"\0"
    for one, library, *extra in undefined:
        rows += struct.pack("<IBBHQ", len(texts), 0x01, 0, library << 8 | (extra[0] if extra else 0), 0)
        texts += one.encode() + b"\0"
    tree = trie(exported) if with_trie and exported else b""
    wanted = [(one, library, extra[0] if extra else 0) for one, library, *extra in undefined]
    told = imports(wanted) if bound == "imports" else instructions(wanted) if bound else b""
    name_of_signer = b"" if signed == "none" else signature(with_certificate=signed != "ad hoc")
    held = (
        sum(map(len, commands))
        + 24
        + 80
        + 16
        + 16 * bool(name_of_signer)
        + {"imports": 16, "instructions": 48, None: 0}[bound]
    )
    at = 32 + held
    commands.append(_command(0x2, struct.pack("<IIII", at, len(exported) + len(undefined), at + len(rows), len(texts))))
    places = (0, 0, 0, len(exported), len(exported), len(undefined))
    commands.append(_command(0xB, struct.pack("<18I", *places, *[0] * 12)))
    tree_at = at + len(rows) + len(texts)
    told_at = tree_at + len(tree)
    commands.append(_command(0x80000033, struct.pack("<II", tree_at, len(tree))))
    if bound == "imports":
        commands.append(_command(0x80000034, struct.pack("<II", told_at, len(told))))
    elif bound:
        commands.append(_command(0x80000022, struct.pack("<10I", 0, 0, told_at, len(told), 0, 0, 0, 0, 0, 0)))
    signed_at = told_at + len(told)
    if name_of_signer:
        commands.append(_command(0x1D, struct.pack("<II", signed_at, len(name_of_signer))))
    assert sum(map(len, commands)) == held
    size = signed_at + len(name_of_signer)
    commands[0] = _command(0x19, struct.pack("<16sQQQQIIII", b"__LINKEDIT", 0, size, 0, size, 1, 1, 0, 0))
    head = struct.pack("<IiiIIIII", 0xFEEDFACF, *CODES[machine], 6, len(commands), held, flags, 0)
    return head + b"".join(commands) + rows + texts + tree + told + name_of_signer


def signature(*, with_certificate: bool) -> bytes:
    """Write a code signature as `codesign` lays it out: a list, the directory of pages, and the certificates."""
    directory = struct.pack(">IIII", 0xFADE0C02, 44, 0x20400, 0 if with_certificate else 0x20002) + b"\0" * 28
    certificates = struct.pack(">II", 0xFADE0B01, 8 + 4 * with_certificate) + b"cert" * with_certificate
    at = 12 + 2 * 8
    places = struct.pack(">IIII", 0, at, 0x10000, at + len(directory))
    blob = places + directory + certificates
    return struct.pack(">III", 0xFADE0CC0, 12 + len(blob), 2) + blob


def instructions(wanted: Sequence[tuple[str, int, int]]) -> bytes:
    """Write the program by which dyld binds names."""
    out = b""
    for name, library, flags in wanted:
        if flags & 0x80:
            out += b"\x3d"  # shared: -3
        elif library in (FLAT, PROGRAM):
            out += bytes([0x30 | (library - 0x100 & 0x0F)])
        else:
            out += b"\x20" + _number(library) if library > 15 else bytes([0x10 | library])
        out += bytes([0x40 | bool(flags & 0x40)]) + name.encode() + b"\0" + b"\x51\x72\x80\x01\x90"
    return out + b"\0"


def imports(wanted: Sequence[tuple[str, int, int]]) -> bytes:
    """Write the table of imports of newer files."""
    rows, names = b"", b"\0"
    for name, library, flags in wanted:
        number = 0xFD if flags & 0x80 else library
        rows += struct.pack("<I", number | bool(flags & 0x40) << 8 | len(names) << 9)
        names += name.encode() + b"\0"
    return struct.pack("<7I", 0, 28, 28, 28 + len(rows), len(wanted), 1, 0) + rows + names


def fat(*slices: tuple[str, bytes], wide: bool = False) -> bytes:
    """Put the code for several processors into one file."""
    shape = ">iiQQII" if wide else ">iiIII"
    table, body, at = b"", b"", 4096
    for machine, code in slices:
        table += struct.pack(shape, *CODES[machine], at, len(code), 12, *([0] if wide else []))
        padded = code + b"\0" * (-len(code) % 4096)
        body, at = body + padded, at + len(padded)
    return (struct.pack(">II", 0xCAFEBABF if wide else 0xCAFEBABE, len(slices)) + table).ljust(4096, b"\0") + body


def dylib(path: Path, **what: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(thin(**what))
    return path
