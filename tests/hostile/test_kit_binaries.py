"""Damaged libraries, wheels and weights: 100 mutations of each of 7 files. None ends `inspect` or `check`, hangs it, or takes its memory."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import struct
import zipfile
from pathlib import Path

import msgspec
import pytest
from attacked import attack
from extensions import build
from macho_files import fat, thin
from pe_files import dll

pytestmark = pytest.mark.heavy

LIMIT = 240.0
COUNT = 100
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)


def elf(folder: Path) -> Path:
    return Path(shutil.copy(msgspec._core.__file__, folder / "elf.so"))


def with_gpu_code(folder: Path) -> Path:
    code = struct.pack("<HHIQIIHHI", 2, 0x101, 64, 16, 16, 0, 0, 8, 90).ljust(64, b"\0") + b"code" * 4
    numbers = ",".join(map(str, struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(code) * 40) + code * 40))
    source = f'__attribute__((section(".nv_fatbin"), used)) static const unsigned char code[] = {{{numbers}}};'
    return build(folder / "gpu.so", source)


def windows(folder: Path) -> Path:
    names = [f"?f{number}@c10@@YAXXZ" for number in range(300)]
    return dll(
        folder / "windows.pyd",
        {"c10.dll": names, "KERNEL32.dll": ["Sleep", "#17"]},
        dict.fromkeys(names),
        delayed={"torch.dll": names},
    )


def mac(folder: Path) -> Path:
    names = [f"__ZN3c10{number}fEv" for number in range(300)]
    code = thin(
        loads=[("@rpath/libc10.dylib", "needed")],
        exports=names,
        undefined=[(name, 1) for name in names],
        rpaths=["@loader_path/x"],
    )
    path = folder / "mac.dylib"
    path.write_bytes(fat(("arm64", code), ("x86_64", code)))
    return path


def wheel(folder: Path) -> Path:
    path = folder / "one-1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(msgspec._core.__file__, "one/_core.so")
        archive.writestr("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
        archive.writestr("one-1.0.dist-info/RECORD", "one/_core.so,,\n" * 300)
    return path


def weights(folder: Path) -> Path:
    path = folder / "best.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "best/data.pkl",
            pickle.dumps({"model": [{"n": number, "name": f"layer{number}"} for number in range(400)]}, protocol=2),
        )
        archive.writestr("best/version", "3\n")
    return path


def old_weights(folder: Path) -> Path:
    path = folder / "best.pt"
    parts = (
        0x1950A86A20F9469CFC6C,
        1001,
        {"little_endian": True},
        {"epoch": 3, "names": [f"class{n}" for n in range(400)]},
    )
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    return path


SEEDS = {make.__name__: make for make in (elf, with_gpu_code, windows, mac, wheel, weights, old_weights)}


def mutated(data: bytes, number: int, chance: random.Random) -> bytes:
    """Return one of six kinds of damage: most of it near the head, where the counts and offsets of a format stand."""
    made = bytearray(data)
    kind = number % 6
    place = chance.randrange(min(len(made) - 8, 4096 if kind < 4 else len(made)))
    if kind == 0:
        made[place] ^= 1 << chance.randrange(8)
    elif kind in (1, 2):
        made[place : place + 4] = struct.pack("<I" if kind == 1 else ">I", chance.choice(EXTREMES))
    elif kind == 3:
        for _ in range(20):
            made[chance.randrange(min(len(made), 4096))] = chance.randrange(256)
    elif kind == 4:
        del made[place:]
    else:
        made[place:place] = chance.randbytes(chance.randrange(1, 5000))
    return bytes(made)


@pytest.mark.parametrize("name", SEEDS)
def test_no_damaged_file_ends_or_hangs_a_command(name, healthy, tmp_path):
    chance = random.Random(name)
    (tmp_path / "seed").mkdir()
    seed = SEEDS[name](tmp_path / "seed")
    data = seed.read_bytes()
    paths = []
    for number in range(COUNT):
        folder = tmp_path / f"m{number:03}"
        folder.mkdir()
        paths.append(folder / seed.name)
        paths[-1].write_bytes(mutated(data, number, chance))
    target = ["--target", str(healthy / "bin/python")]
    if name.endswith("weights"):
        shown = {}
        for path in paths:
            argv = ["check", "--no-trial", "--static", "--model", str(path), *target]
            faults = attack(argv, tmp_path / f"t-{path.parent.name}", limit=60.0).faults(limit=60.0, codes=(0, 1, 2, 3))
            if faults:
                shown[path.parent.name] = faults
        assert shown == {}
        return
    argv = ["inspect", *map(str, paths), "--beside", str(tmp_path / "seed"), "--json", "-", *target]
    made = attack(argv, tmp_path / "t", limit=LIMIT)
    assert made.faults(limit=LIMIT) == []
    assert len({record["path"].partition("/m")[2][:3] for record in json.loads(made.out)["files"]}) == COUNT
