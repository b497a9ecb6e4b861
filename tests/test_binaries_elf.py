"""The ELF reader: against pyelftools on real files, and against files that are broken in every way."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from elftools.elf.sections import SymbolTableSection
from extensions import build, exports, library, linked, module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attn_doctor.probes.binaries.elf import Elf, identify
from attn_doctor.probes.binaries.fatbin import gpu_code
from attn_doctor.probes.binaries.mapped import DamagedFile, Mapped
from attn_doctor.probes.binaries.symbol_table import SymbolTable, gnu_hash

VERSIONS = "OLD_1 { global: one; local: *; }; NEW_2 { global: two; } OLD_1;"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("elf")


@pytest.fixture(scope="module")
def samples(folder) -> dict[str, Path]:
    """Files of each shape that matters: both hash tables, one, none that holds anything, versions, both kinds of path."""
    versioned = library(folder / "libversioned.so.1", "one", "two", versions=VERSIONS)
    return {
        "program": Path(os.path.realpath(sys.executable)),
        "versioned": versioned,
        "user": build(
            folder / "user.so",
            module("user", ["one", "two"], ["nobody"]),
            *linked(versioned),
            "-Wl,--disable-new-dtags,-rpath,$ORIGIN/deep",
        ),
        "runpath": build(folder / "runpath.so", exports("a", "b"), "-Wl,--enable-new-dtags,-rpath,$ORIGIN/a:/b"),
        "old hash": build(folder / "sysv.so", module("sysv", ["malloc"]), "-Wl,--hash-style=sysv"),
        "both hashes": build(folder / "both.so", module("both", ["malloc"]), "-Wl,--hash-style=both"),
        "no export": build(
            folder / "none.so",
            'extern void f(void) __asm__("wanted"); static __attribute__((used)) void g(void) { f(); }',
            "-nostdlib",
            versions="{ local: *; };",
        ),
        "C library": real_library("libc.so.6"),
    }


def real_library(soname: str) -> Path:
    """Where this very process has a library from."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split()[-1]
        if Path(path).name.startswith(soname.partition(".so")[0] + ".") or Path(path).name == soname:
            return Path(path)
    pytest.skip(f"this Python has mapped no {soname}")


SHAPES = ["program", "versioned", "user", "runpath", "old hash", "both hashes", "C library"]


@pytest.mark.parametrize("shape", SHAPES)
def test_it_reads_what_pyelftools_reads(shape, samples):
    with samples[shape].open("rb") as file:
        oracle = ELFFile(file)
        dynamic = next(s for s in oracle.iter_sections() if isinstance(s, DynamicSection))
        tags = {}
        for tag in dynamic.iter_tags():
            tags.setdefault(tag.entry.d_tag, []).append(tag)
        elf = Elf.open(samples[shape])
        assert elf.needed == tuple(t.needed for t in tags.get("DT_NEEDED", ()))
        assert elf.soname == next((t.soname for t in tags.get("DT_SONAME", ())), None)
        assert elf.runpath == next((t.runpath for t in tags.get("DT_RUNPATH", ())), None)
        assert elf.rpath == next((t.rpath for t in tags.get("DT_RPATH", ())), None)
        assert set(elf.sections) == {s.name for s in oracle.iter_sections()}
        assert [(n.library, n.version) for n in elf.needs] == versions_needed(oracle)
        assert sorted(elf.defines.values()) == versions_defined(oracle)
        table = next(s for s in oracle.iter_sections() if isinstance(s, SymbolTableSection) and s.name == ".dynsym")
        symbols = SymbolTable(elf)
        assert {(u.name.decode(), u.weak) for u in symbols.undefined} == undefined(table)
        assert sorted({n.decode() for n in symbols.exported()}) == exported(table)


def versions_needed(oracle):
    found = [s for s in oracle.iter_sections() if isinstance(s, GNUVerNeedSection)]
    return [(need.name, aux.name) for section in found for need, each in section.iter_versions() for aux in each]


def versions_defined(oracle):
    found = [s for s in oracle.iter_sections() if isinstance(s, GNUVerDefSection)]
    return sorted(
        next(each).name for section in found for entry, each in section.iter_versions() if not entry["vd_flags"] & 1
    )


def undefined(table):
    return {
        (s.name, s["st_info"]["bind"] == "STB_WEAK")
        for s in table.iter_symbols()
        if s["st_shndx"] == "SHN_UNDEF" and s.name and s["st_info"]["bind"] in ("STB_GLOBAL", "STB_WEAK")
    }


def exported(table):
    binds = ("STB_GLOBAL", "STB_WEAK", "STB_LOOS")
    return sorted(
        {
            s.name
            for s in table.iter_symbols()
            if s["st_shndx"] != "SHN_UNDEF"
            and s["st_info"]["bind"] in binds
            and s["st_other"]["visibility"] in ("STV_DEFAULT", "STV_PROTECTED")
            and (s["st_value"] or s["st_shndx"] == "SHN_ABS" or s["st_info"]["type"] == "STT_TLS")
        }
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_every_export_is_found_by_name_and_nothing_else(shape, samples):
    symbols = SymbolTable(Elf.open(samples[shape]))
    names = set(symbols.exported())
    # A name with versions that are not its default answers only to who asks for one of them.
    hidden = {name for name in names if not symbols.exports(name)}
    elf_versions = set(Elf.open(samples[shape]).defines.values())
    assert all(any(symbols.exports(name, version) for version in elf_versions) for name in hidden)
    if shape != "C library":
        assert not hidden
    assert not any(symbols.exports(name + b"!") for name in names)
    assert not symbols.exports(b"")


def test_a_version_that_is_asked_for_must_be_the_one_that_is_there(samples):
    symbols = SymbolTable(Elf.open(samples["versioned"]))
    assert symbols.exports(b"one", "OLD_1")
    assert not symbols.exports(b"one", "NEW_2")
    assert symbols.exports(b"two")
    plain = SymbolTable(Elf.open(samples["runpath"]))
    assert plain.exports(b"a", "ANY_3"), "a library without versions answers to every wish"


def test_the_versions_of_undefined_symbols_are_told(samples):
    asked = {u.name: (u.library, u.version, u.weak) for u in SymbolTable(Elf.open(samples["user"])).undefined}
    assert asked[b"one"] == ("libversioned.so.1", "OLD_1", False)
    assert asked[b"two"] == ("libversioned.so.1", "NEW_2", False)
    assert asked[b"nobody"] == (None, None, True)


def test_without_any_export_the_undefined_symbols_are_found_by_what_refers_to_them(samples):
    assert [u.name for u in SymbolTable(Elf.open(samples["no export"])).undefined] == [b"wanted"]


def test_symbols_come_in_the_order_in_which_the_loader_meets_them(folder):
    names = [f"zz_{letter}_missing" for letter in "dbca"]
    symbols = SymbolTable(Elf.open(build(folder / "ordered.so", module("ordered", names))))
    by_number = {u.number: u.name.decode() for u in symbols.undefined}
    wanted = {number for number, name in by_number.items() if name.startswith("zz_")}
    order = [by_number[n] for n in symbols.in_order_of_relocation(wanted)]
    assert sorted(order) == sorted(names)


def test_exports_can_be_found_by_their_beginning(samples):
    symbols = SymbolTable(Elf.open(samples["user"]))
    assert list(symbols.exported_like(b"PyInit_")) == [b"PyInit_user"]
    assert list(symbols.exported_like(b"PyInit_other")) == []


@pytest.mark.parametrize(
    ("name", "value"), [(b"", 0x1505), (b"printf", 0x156B2BB8), (b"exit", 0x7C967E3F), (b"syscall", 0xBAC212A0)]
)
def test_the_hash_is_the_published_one(name, value):
    assert gnu_hash(name) == value  # https://flapenguin.me/elf-dt-gnu-hash


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "is empty"),
        (b"MZ\x90\x00", "is no ELF file but a Windows file"),
        (b"\xcf\xfa\xed\xfe\x0c", "is no ELF file but a macOS file"),
        (b"<!DOCTYPE html><html>", "is no ELF file but a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is no ELF file but a Git LFS pointer"),
        (b"\x7fELF", "has a broken ELF header"),
        (b"garbage", "is no ELF file but something else"),
    ],
)
def test_what_is_no_library_is_said_to_be_what_it_is(head, words):
    with pytest.raises(DamagedFile, match=words):
        identify(head)
    with pytest.raises(DamagedFile, match=words):
        Elf(Mapped(head))


def test_a_file_for_another_machine_is_told_by_its_first_bytes(samples):
    data = bytearray(samples["user"].read_bytes())
    struct.pack_into("<H", data, 18, 183)
    assert str(identify(bytes(data[:20]))) == "64-bit aarch64"


def test_a_file_that_was_cut_short_says_how_short(samples):
    data = samples["user"].read_bytes()
    with pytest.raises(DamagedFile, match="is cut short: 3000 of at least"):
        Elf(Mapped(data[:3000]))


def everything(data: bytes) -> None:
    """Ask all that can be asked of a file."""
    elf = Elf(Mapped(data))
    _ = elf.interpreter, elf.needed, elf.soname, elf.rpath, elf.runpath, elf.needs, elf.defines
    symbols = SymbolTable(elf)
    for symbol in symbols.undefined:
        symbols.exports(symbol.name, symbol.version)
    names = list(symbols.exported())
    for name in names[:50]:
        symbols.exports(name)
    list(symbols.exported_like(b"PyInit_"))
    symbols.in_order_of_relocation(set(range(50)))
    gpu_code(elf)


def survives(data: bytes) -> None:
    with contextlib.suppress(DamagedFile):
        everything(data)


@pytest.mark.parametrize("shape", ["user", "versioned", "old hash", "no export"])
def test_a_file_cut_anywhere_raises_nothing_but_damage(shape, samples):
    data = samples[shape].read_bytes()
    for size in [*range(0, 512, 7), *range(512, len(data), 97)]:
        survives(data[:size])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), min_size=1, max_size=8), at=st.integers(0, 3)
)
def test_flipped_bits_raise_nothing_but_damage(flips, at, samples):
    shapes = ["user", "versioned", "old hash", "no export"]
    data = bytearray(samples[shapes[at]].read_bytes())
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    survives(bytes(data))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2**20), value=st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]))
def test_absurd_numbers_in_the_tables_raise_nothing_but_damage(place, value, samples):
    """Numbers of eight bytes at places where the tables are: headers, dynamic section, hash tables, versions."""
    path = samples["user"]
    data = bytearray(path.read_bytes())
    elf = Elf.open(path)
    tables = [elf.sections[n] for n in (".dynamic", ".gnu.hash", ".gnu.version_r", ".dynsym", ".rela.dyn")]
    spots = [*range(0, 64 + 56 * 10, 4), *(t.offset + o for t in tables for o in range(0, t.size, 4))]
    struct.pack_into("<Q", data, spots[place % len(spots)], value)
    survives(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_behind_an_elf_header_raise_nothing_but_damage(rest):
    survives(b"\x7fELF\x02\x01\x01" + bytes(9) + rest)
