"""Files of macOS: the reader on written files, and damaged files."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from macho_files import FLAT as ANY
from macho_files import fat, thin

from attn_doctor.probes.binaries.exports_trie import Exported, ExportsTrie
from attn_doctor.probes.binaries.macho import Dylib, MachFile
from attn_doctor.probes.binaries.macho_bindings import FLAT, PROGRAM, SHARED, Undefined, from_imports, from_instructions
from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile, Mapped

SYSTEM = "/usr/lib/libSystem.B.dylib"


def code(content: bytes, machine: str = "arm64"):
    return MachFile(Mapped(content)).slices[machine]


@pytest.mark.parametrize("bound", ["instructions", "imports", None])
def test_a_written_library_is_read_back(bound):
    exports = {"_a": None, "_ab": None, "_abc": None, "__ZN3c103fooEv": None, "_again": (2, ""), "_other": (2, "_real")}
    read_back = code(
        thin(
            name="@rpath/liba.dylib",
            loads=[(SYSTEM, "needed"), ("@rpath/libb.dylib", "reexported"), ("@rpath/libc.dylib", "weak")],
            exports=exports,
            undefined=[("_malloc", 1), ("_maybe", 3, 0x40), ("__Znwm", 1, 0x80), ("_PyList_New", ANY)],
            rpaths=["@loader_path", "/opt/lib"],
            oldest="13.3",
            bound=bound,
        )
    )
    assert (read_back.machine, read_back.install_name, read_back.oldest_macos) == ("arm64", "@rpath/liba.dylib", "13.3")
    assert read_back.rpaths == ("@loader_path", "/opt/lib")
    assert read_back.dylibs == (Dylib(SYSTEM, "needed"), Dylib("@rpath/libb.dylib", "reexported"), Dylib("@rpath/libc.dylib", "weak"))  # fmt: skip
    assert read_back.undefined == (
        Undefined("_malloc", 1, weak=False),
        Undefined("_maybe", 3, weak=True),
        Undefined("__Znwm", SHARED, weak=False),
        Undefined("_PyList_New", FLAT, weak=False),
    )
    assert sorted(read_back.exports()) == sorted(exports)
    assert read_back.exported("_abc") == Exported()
    assert (read_back.exported("_again"), read_back.exported("_other")) == (Exported(2, ""), Exported(2, "_real"))
    assert [name for name in ("_", "_abcd", "_b", "", "__ZN3c103fooE") if read_back.exported(name)] == []


def test_without_a_tree_of_exports_the_symbol_table_counts():
    old = code(thin(exports=["_f", "_g"], undefined=[("_h", ANY)], with_trie=False, bound=None))
    assert (sorted(old.exports()), old.exported("_f"), old.exported("_h")) == (["_f", "_g"], Exported(), None)


@pytest.mark.parametrize("wide", [False, True])
def test_a_universal_file_holds_a_library_for_each_processor(wide):
    both = MachFile(Mapped(fat(("x86_64", thin(machine="x86_64", exports=["_i"])), ("arm64", thin(exports=["_a"])), wide=wide)))  # fmt: skip
    assert {machine: list(one.exports()) for machine, one in both.slices.items()} == {"x86_64": ["_i"], "arm64": ["_a"]}


def test_in_a_flat_namespace_each_name_may_come_from_any_library():
    assert code(thin(undefined=[("_f", 1)], flags=0, bound=None)).undefined == (Undefined("_f", FLAT, weak=False),)


@pytest.mark.parametrize(
    ("content", "words", "foreign"),
    [
        (b"", "is empty", False),
        (b"\x7fELF" + b"\0" * 100, "is a file of Linux, not of macOS", True),
        (b"MZ" + b"\0" * 100, "is a file of Windows, not of macOS", True),
        (b"<html>" + b"\0" * 100, "is no file of macOS", False),
        (b"\xce\xfa\xed\xfe" + b"\0" * 100, "is a 32-bit file", True),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x41" + b"\0" * 100, "is no file of macOS", False),  # a class of Java
        (thin()[:40], "has load commands after its end", False),
        (thin(exports=["_f"])[:-1], "is cut short", False),
        (fat(("arm64", thin()))[:4200], "refers to bytes after its end", False),
    ],
)
def test_a_file_that_is_none_or_damaged(tmp_path, content, words, foreign):
    path = tmp_path / "x.dylib"
    path.write_bytes(content)
    with pytest.raises(ForeignFile if foreign else DamagedFile, match=words):
        MachFile.open(path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_ends_in_one_exception(data):
    whole = bytearray(thin(name="n", loads=[(SYSTEM, "needed")], exports={"_f": None, "_fg": None, "_r": (1, "")}, undefined=[("_u", 1)], rpaths=["@loader_path"]))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for content in (bytes(whole), bytes(whole[:cut]), fat(("arm64", bytes(whole)))):
        try:
            for one in MachFile(Mapped(content)).slices.values():
                assert isinstance((one.dylibs, one.rpaths, one.undefined, one.install_name, one.oldest_macos), tuple)
                assert len(list(one.exports())) < 1000
                one.exported("_fg")
        except DamagedFile:
            continue


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (b"\0\x01a\0\0", "without an end"),  # a branch back to the root
        (b"\0\x01a\0\x20", "leads out of it"),
        (b"\0\x01" + b"a" * 20, "a name without an end"),
        (b"\xff" * 11, "a number without an end"),
    ],
)
def test_a_tree_of_exports_that_does_not_end(tree, words):
    with pytest.raises(DamagedFile, match=words):
        list(ExportsTrie(tree).names())


def test_the_last_branch_of_a_name_may_have_no_letters():
    # "_f" and "_f_sub": the node of "_f" has a branch without letters to the node where it ends, as in libgfortran.5.dylib.
    tree = b"\0\x01_f\0\x07\0" + b"\0\x02_sub\0\x11\0\x15" + b"\x02\0\x10\0" + b"\x02\0\x20\0"
    names = ExportsTrie(tree)
    assert sorted(names.names()) == [b"_f", b"_f_sub"]
    assert [names.find(name) for name in (b"_f", b"_f_sub", b"_f_", b"_")] == [Exported(), Exported(), None, None]


def test_a_branch_without_letters_ends():
    with pytest.raises(DamagedFile, match="without an end"):
        ExportsTrie(b"\0\x01\0\0").find(b"_f")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x20", "a number without an end"),
        (b"\x40_f", "a name without an end"),
        (b"\xc0\x01", "a number without an end"),
        (b"\xd0", "a number without an end"),
    ],
)
def test_instructions_that_are_cut_off(content, words):
    with pytest.raises(DamagedFile, match=words):
        list(from_instructions(content))


def test_each_instruction_is_read():
    """By hand: a library beyond 15, addends and places that are skipped, one name bound twice, special libraries."""
    content = (
        b"\x20\x81\x01\x40_a\0\x51\x60\x7f\x72\x00\x90\x80\x08\xb2\xa0\x10"
        b"\x3f\x41_b\0\xc0\x02\x08"
        b"\x00\x30\x40_c\0\xd0\x05\xd1\x90"
    )
    assert list(from_instructions(content)) == [
        Undefined("_a", 129, weak=False),  # at three places
        Undefined("_b", PROGRAM, weak=True),
        Undefined("_c", 0, weak=False),
    ]


@pytest.mark.parametrize(
    ("kind", "row", "expected"),
    [
        (1, struct.pack("<I", 0xFE | 1 << 8 | 1 << 9), Undefined("_f", FLAT, weak=True)),
        (2, struct.pack("<Ii", 240 | 1 << 9, -8), Undefined("_f", 240, weak=False)),
        (3, struct.pack("<QQ", 0xFFFD | 1 << 32, 0), Undefined("_f", SHARED, weak=False)),
        (3, struct.pack("<QQ", 300 | 1 << 16 | 1 << 32, 0), Undefined("_f", 300, weak=True)),
    ],
)
def test_the_three_tables_of_imports(kind, row, expected):
    data = struct.pack("<7I", 0, 0, 28, 28 + len(row), 1, kind, 0) + row + b"\0_f\0"
    assert list(from_imports(data)) == [expected]
    for damaged in (
        data[:20],
        data[: 28 + len(row)],
        data.replace(b"_f\0", b"_f"),
        data[:20] + struct.pack("<II", 9, 0),
    ):
        with pytest.raises(DamagedFile):
            list(from_imports(damaged))


def test_names_that_overlap_are_limited():
    """A small file whose names are all the end of one long name would fill the memory."""
    long = b"a" * 60_000
    rows = b"".join(struct.pack("<I", 1 | place << 9) for place in range(2000))
    data = struct.pack("<7I", 0, 0, 28, 28 + len(rows), 2000, 1, 0) + rows + long + b"\0"
    with pytest.raises(DamagedFile, match="names that are too long"):
        list(from_imports(data))
    whole = thin(undefined=[("_" + "a" * 60_000, 1)] + [("_f", 1)] * 3000, bound=None)
    first = struct.pack("<IBBHQ", 1, 1, 0, 1 << 8, 0)
    at = whole.index(first) + len(first)
    with pytest.raises(DamagedFile, match="names that are too long"):
        code(whole[:at] + first * 3000 + whole[at + len(first) * 3000 :]).undefined  # noqa: B018


def test_a_class_of_java_is_no_file_of_macos_and_a_short_table_is_refused():
    with pytest.raises(DamagedFile):
        MachFile(Mapped(struct.pack(">II", 0xCAFEBABE, 2) + b"\0" * 8))
