"""Files of macOS: the reader on written files, damaged files, dyld's rules, and the verdict in its words."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from macho_files import FLAT as ANY
from macho_files import dylib, fat, thin

from attn_doctor.knowledge import macos_libraries
from attn_doctor.model.facts import Interpreter, Unknown
from attn_doctor.probes.binaries import macos, read, wheel
from attn_doctor.probes.binaries.exports_trie import Exported, ExportsTrie
from attn_doctor.probes.binaries.inspection import Place, inspect
from attn_doctor.probes.binaries.macho import Dylib, MachFile
from attn_doctor.probes.binaries.macho_bindings import FLAT, PROGRAM, SHARED, Undefined, from_imports, from_instructions
from attn_doctor.probes.binaries.macos_files import Disk, before
from attn_doctor.probes.binaries.macos_loader import Mac, Missing, NoSymbol, OtherMachine, Process
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


# --- dyld


def loaded(tmp_path: Path, *folders: str, machine: str = "arm64", elsewhere: bool = True, environ=None):
    """Load own/m.so after the libraries of some folders, and return the process and its troubles."""
    disk = Disk()
    ready = list(before([str(tmp_path / folder) for folder in folders], disk))
    process = Process(disk, machine, ready, mac=None if elsewhere else Mac(machine, None, environ or {}, None))
    return process, process.load(disk.get(str(tmp_path / "own" / "m.so")))


def test_a_library_is_found_by_its_rpath_and_by_the_folder_of_the_file(tmp_path):
    dylib(tmp_path / "own/m.so", loads=[("@rpath/a.dylib", "needed"), ("@loader_path/b.dylib", "needed")], rpaths=["@loader_path/lib"], undefined=[("_a", 1), ("_b", 2)])  # fmt: skip
    dylib(tmp_path / "own/lib/a.dylib", loads=[("@rpath/c.dylib", "needed")], exports=["_a"], undefined=[("_c", 1)])
    dylib(tmp_path / "own/b.dylib", exports=["_b"])
    dylib(tmp_path / "own/lib/c.dylib", exports=["_c"])  # by the rpath of m.so, which loaded a.dylib
    process, troubles = loaded(tmp_path)
    assert troubles == []
    assert [Path(path).name for path in process.loaded] == ["m.so", "a.dylib", "c.dylib", "b.dylib"]
    (tmp_path / "own/lib/c.dylib").unlink()
    assert loaded(tmp_path)[1] == [Missing("@rpath/c.dylib", "a.dylib")]


def test_a_library_that_is_loaded_already_is_found_by_its_install_name(tmp_path):
    dylib(tmp_path / "own/m.so", loads=[("@rpath/libtorch.dylib", "needed")], undefined=[("_t", 1), ("_gone", 1)])
    dylib(tmp_path / "torch/lib/other-name.dylib", name="@rpath/libtorch.dylib", exports=["_t"])
    assert loaded(tmp_path, "torch/lib")[1] == [NoSymbol("_gone", "other-name.dylib", "m.so")]
    assert loaded(tmp_path)[1] == [Missing("@rpath/libtorch.dylib", "m.so")]


def test_a_library_that_may_be_missing_is_not_reported_nor_its_names(tmp_path):
    dylib(tmp_path / "own/m.so", loads=[("@rpath/a.dylib", "weak"), ("@rpath/b.dylib", "lazy")], undefined=[("_a", 1), ("_b", 1, 0x40)])  # fmt: skip
    assert loaded(tmp_path)[1] == []
    dylib(tmp_path / "own/m.so", loads=[("@loader_path/a.dylib", "weak")], undefined=[("_a", 1), ("_b", 1, 0x40)])
    dylib(tmp_path / "own/a.dylib", exports=["_other"])
    assert loaded(tmp_path)[1] == [NoSymbol("_a", "a.dylib", "m.so")]


def test_names_are_found_in_libraries_that_are_exported_again(tmp_path):
    dylib(tmp_path / "own/m.so", loads=[("@loader_path/a.dylib", "needed")], undefined=[("_deep", 1), ("_renamed", 1), ("_gone", 1), ("_system", 1)])  # fmt: skip
    dylib(tmp_path / "own/a.dylib", loads=[("@loader_path/b.dylib", "reexported"), ("@loader_path/c.dylib", "needed")], exports={"_renamed": (2, "_real"), "_system": (2, "_lost")})  # fmt: skip
    dylib(tmp_path / "own/b.dylib", exports=["_deep", "_lost"])
    dylib(tmp_path / "own/c.dylib", exports=["_real"])
    assert [trouble.symbol for trouble in loaded(tmp_path)[1]] == ["_gone", "_system"]


def test_a_name_belongs_to_one_library_unless_it_is_shared(tmp_path):
    what = {"loads": [("@loader_path/a.dylib", "needed"), ("@loader_path/b.dylib", "needed")]}
    dylib(tmp_path / "own/a.dylib", exports=["_x"])
    dylib(tmp_path / "own/b.dylib", exports=["_inline"])
    dylib(tmp_path / "own/m.so", undefined=[("_inline", 1)], **what)
    assert loaded(tmp_path)[1] == [NoSymbol("_inline", "a.dylib", "m.so")]
    dylib(tmp_path / "own/m.so", undefined=[("_inline", 1, 0x80)], **what)
    assert loaded(tmp_path)[1] == []


def test_a_library_that_its_package_loads_before_is_found_by_its_install_name(tmp_path):
    module = thin(loads=[("@rpath/libtorchaudio.so", "needed")], undefined=[("_a", 1), ("_gone", 1)])
    own = thin(name="@rpath/libtorchaudio.so", exports=["_a"])
    path = packed(tmp_path / "p-1-cp311-cp311-macosx_11_0_arm64.whl", {"p/_C.so": module, "p/lib/libtorchaudio.so": own})  # fmt: skip
    found = {one.module: one.because for one in inspect([str(path)], PLACE, {}, [str(tmp_path)])}
    assert found == {
        "p._C": (
            "_C.so takes gone from libtorchaudio.so, which does not have it (macOS says: Symbol not found: _gone)",
        ),
        "p.lib.libtorchaudio": (),
    }


def test_a_name_without_an_owner_may_be_of_python_or_of_any_library(tmp_path):
    dylib(
        tmp_path / "own/m.so",
        undefined=[("_PyList_New", ANY), ("__Py_Dealloc", ANY), ("_objc_msgSend", ANY), ("_t", ANY)],
    )
    dylib(tmp_path / "torch/lib/t.dylib", exports=["_t"])
    assert loaded(tmp_path, "torch/lib")[0].doubts == []
    process, troubles = loaded(tmp_path)
    assert (troubles, process.doubts) == ([], ["m.so takes _t from any library of the process, and none here has it"])


def test_the_processor_has_to_be_that_of_the_process(tmp_path):
    dylib(tmp_path / "own/m.so", loads=[("@loader_path/a.dylib", "needed"), ("@loader_path/b.dylib", "needed")])
    dylib(tmp_path / "own/a.dylib", machine="x86_64")
    (tmp_path / "own/b.dylib").write_bytes(fat(("x86_64", thin(machine="x86_64")), ("arm64", thin())))
    assert loaded(tmp_path)[1] == [OtherMachine("a.dylib", ("x86_64",), "arm64")]
    assert loaded(tmp_path, machine="x86_64")[1] == [OtherMachine("m.so", ("arm64",), "x86_64")]


def test_code_for_another_processor_is_passed_over_where_a_later_folder_has_a_fitting_one(tmp_path):
    dylib(tmp_path / "own/m.so", loads=[("@rpath/a.dylib", "needed")], rpaths=["@loader_path/1", "@loader_path/2"])
    dylib(tmp_path / "own/1/a.dylib", machine="x86_64")
    dylib(tmp_path / "own/2/a.dylib")
    assert loaded(tmp_path)[1] == []


def test_libraries_of_macos_are_not_looked_for(tmp_path):
    metal = "/System/Library/Frameworks/Metal.framework/Versions/A/Metal"
    dylib(tmp_path / "own/m.so", loads=[(SYSTEM, "needed"), (metal, "needed"), ("/usr/lib/libnew.dylib", "needed")], undefined=[("_any", 1)])  # fmt: skip
    process, troubles = loaded(tmp_path)
    assert (troubles, process.doubts) == ([], ["/usr/lib/libnew.dylib would be a part of macOS: whether this macOS has it was not seen"])  # fmt: skip


def test_on_the_mac_itself_absolute_paths_and_variables_count(tmp_path):
    dylib(tmp_path / "own/m.so", loads=[("/opt/homebrew/lib/libomp.dylib", "needed")])
    process, troubles = loaded(tmp_path)
    assert (troubles, process.doubts) == ([], ["/opt/homebrew/lib/libomp.dylib is outside of the folders that were named: whether it is there was not seen"])  # fmt: skip
    assert loaded(tmp_path, elsewhere=False)[1] == [Missing("/opt/homebrew/lib/libomp.dylib", "m.so")]
    dylib(tmp_path / "first/libomp.dylib")
    assert loaded(tmp_path, elsewhere=False, environ={"DYLD_LIBRARY_PATH": str(tmp_path / "first")})[1] == []


def test_libraries_that_need_each_other_end(tmp_path):
    dylib(tmp_path / "own/m.so", loads=[("@loader_path/a.dylib", "needed")], undefined=[("_g", 1)])
    dylib(tmp_path / "own/a.dylib", loads=[("@loader_path/b.dylib", "reexported")])
    dylib(tmp_path / "own/b.dylib", loads=[("@loader_path/a.dylib", "reexported")])
    assert loaded(tmp_path)[1] == [NoSymbol("_g", "a.dylib", "m.so")]


@pytest.mark.parametrize(
    ("path", "whose", "since"),
    [
        (SYSTEM, "macOS", "10.9"),
        ("/System/Library/Frameworks/Accelerate.framework/Versions/A/Accelerate", "macOS", "10.9"),
        ("/System/Library/Frameworks/Accelerate.framework/Versions/A/Frameworks/vecLib.framework/Versions/A/libBLAS.dylib", None, None),
        ("/System/Library/Frameworks/MetalPerformanceShadersGraph.framework/Versions/A/MetalPerformanceShadersGraph", "macOS", "11.0"),
        ("/System/Library/Frameworks/Metal.framework/Versions/A/Other", None, None),
        ("/Library/Frameworks/Python.framework/Versions/3.11/Python", "Python", None),
        ("@rpath/libpython3.13t.dylib", "Python", None),
        ("@rpath/libc++.1.dylib", None, None),
        ("@rpath/libpython.dylib", None, None),
    ],
)  # fmt: skip
def test_whose_a_library_is(path, whose, since):
    assert (macos_libraries.owner(path), macos_libraries.since(path)) == (whose, since)


# --- verdicts

MAC = macos.Target(
    Mac("arm64", "10.15.7", {}, None), Interpreter(tag="cp311", extension_suffix=".cpython-311-darwin.so")
)


def test_the_verdict_says_it_in_the_words_of_dyld(tmp_path):
    path = dylib(
        tmp_path / "own/_C.so",
        loads=[("@rpath/libc10.dylib", "needed"), ("@rpath/libtorch.dylib", "needed"), ("@rpath/libpng16.dylib", "needed")],
        undefined=[("__ZN3c104goneEv", 1)],
        oldest="12.0",
    )  # fmt: skip
    dylib(tmp_path / "torch/lib/libc10.dylib", name="@rpath/libc10.dylib", exports=["_other"])
    found = macos.library(str(path), [str(tmp_path / "torch/lib")])
    assert (found.module, found.verdict, found.cause, found.macos) == ("_C", "fails", "torch-missing", "12.0")
    assert found.because == (
        (
            "@rpath/libtorch.dylib, which _C.so needs, is in none of the folders that macOS searches; torch has it "
            "(macOS says: Library not loaded: @rpath/libtorch.dylib)"
        ),
        "@rpath/libpng16.dylib, which _C.so needs, is in none of the folders that macOS searches (macOS says: Library not loaded: @rpath/libpng16.dylib)",
        "_C.so takes c10::gone() from libc10.dylib, which does not have it (macOS says: Symbol not found: __ZN3c104goneEv)",
    )
    assert found.undefined == ("_ZN3c104goneEv",)
    assert [(need.name, need.found, need.package) for need in found.needs] == [
        ("@rpath/libc10.dylib", str(tmp_path / "torch/lib/libc10.dylib"), None),
        ("@rpath/libtorch.dylib", None, "torch"),
        ("@rpath/libpng16.dylib", None, None),
    ]


def test_rosetta_is_named_where_the_two_processors_meet(tmp_path):
    path = dylib(tmp_path / "own/_C.so", loads=[("@rpath/libc10.dylib", "needed")], machine="x86_64")
    dylib(tmp_path / "torch/lib/libc10.dylib", name="@rpath/libc10.dylib")
    found = macos.library(str(path), [str(tmp_path / "torch/lib")])
    assert found.cause == "machine"
    assert found.because == (
        (
            "libc10.dylib is for arm64, and the process of Python for x86_64; on Apple silicon an x86_64 Python runs under Rosetta, and needs x86_64 "
            "libraries only (macOS says: incompatible architecture (have 'arm64', need 'x86_64'))"
        ),
    )
    (tmp_path / "own/_C.so").write_bytes(fat(("x86_64", thin(machine="x86_64")), ("arm64", thin())))
    assert macos.library(str(path), [str(tmp_path / "torch/lib")]).verdict == "loads"


def test_an_older_macos_than_the_file_was_built_for(tmp_path):
    graph = "/System/Library/Frameworks/MetalPerformanceShadersGraph.framework/Versions/A/MetalPerformanceShadersGraph"
    new = dylib(tmp_path / "new.so", oldest="14.0")
    assert macos.library(str(new), (), MAC).verdict == Unknown(
        "new.so was built for macOS 14.0 and newer, and this is macOS 10.15.7: it may need functions that are not there"
    )
    assert macos.library(str(new), (), MAC._replace(mac=MAC.mac._replace(macos="14.0"))).verdict == "loads"
    found = macos.library(str(dylib(tmp_path / "graph.so", loads=[(graph, "needed")])), (), MAC)
    assert (found.verdict, found.cause) == ("fails", "macos")
    assert found.because[0].startswith(f"{graph} is a part of macOS since 11.0, and this is macOS 10.15.7")


def test_a_module_for_another_python_and_one_that_is_none(tmp_path):
    other = dylib(tmp_path / "m.cpython-312-darwin.so", exports=["_PyInit_m"], oldest="10.13")
    assert macos.library(str(other), (), MAC).cause == "python-abi"
    none = dylib(tmp_path / "n.cpython-311-darwin.so", exports=["_PyInit_m"], oldest="10.13")
    assert macos.library(str(none), (), MAC).because == ("it exports no PyInit_n, so Python cannot import it as n",)
    right = dylib(tmp_path / "m.cpython-311-darwin.so", exports=["_PyInit_m"], oldest="10.13")
    assert macos.library(str(right), (), MAC).verdict == "loads"


def test_a_damaged_file_fails_and_one_that_is_not_there_is_unknown(tmp_path):
    torn = tmp_path / "torn.dylib"
    torn.write_bytes(thin()[:60])
    found = macos.library(str(torn))
    assert (found.verdict, found.cause) == ("fails", "damaged")
    gone = macos.library(str(tmp_path / "gone.dylib"))
    assert gone.verdict == Unknown(f"{tmp_path / 'gone.dylib'} cannot be read (No such file or directory)")


def test_the_extensions_of_a_mac_are_judged_by_its_rules(tmp_path):
    path = dylib(tmp_path / "site/torchvision/_C.so", loads=[("@rpath/libtorch.dylib", "needed")], machine="x86_64")
    dylib(tmp_path / "site/torch/lib/libtorch.dylib", name="@rpath/libtorch.dylib", machine="x86_64")
    here = Interpreter(python=str(tmp_path / "python3"), platform="macosx-10.9-x86_64", tag="cp311", extension_suffix=".cpython-311-darwin.so")  # fmt: skip
    (found,) = read(here, str(tmp_path / "site/torch"), [], {"torchvision._C": str(path)}, {})
    assert (found.module, found.verdict) == ("torchvision._C", "loads")
    (found,) = read(here, None, [], {"torchvision._C": str(path)}, {})
    assert (found.verdict, found.cause) == ("fails", "torch-missing")


# --- wheels

PLACE = Place(Interpreter(python="/usr/bin/python3", tag="cp311", platform="linux-x86_64", extension_suffix=".so"), None, ())  # fmt: skip


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return path


@pytest.fixture
def torch(tmp_path):
    dylib(tmp_path / "torch/lib/libc10.dylib", name="@rpath/libc10.dylib", exports=["_g"])
    return str(tmp_path / "torch/lib")


def test_a_wheel_finds_its_own_libraries_and_those_beside(tmp_path, torch):
    module = thin(loads=[("@loader_path/.dylibs/libpng.dylib", "needed"), ("@rpath/libc10.dylib", "needed")], undefined=[("_p", 1), ("_g", 2)])  # fmt: skip
    path = packed(tmp_path / "p-1-cp311-cp311-macosx_11_0_arm64.whl", {"p/_C.so": module, "p/.dylibs/libpng.dylib": thin(exports=["_p"])})  # fmt: skip
    (found,) = inspect([str(path)], PLACE, {}, [torch])
    assert (found.module, found.verdict, found.path) == ("p._C", "loads", f"{path}/p/_C.so")
    (found,) = inspect([str(path)], PLACE, {}, [str(tmp_path)])
    assert (found.verdict, found.cause) == ("fails", "torch-missing")
    (found,) = inspect([str(path)], PLACE, {})
    assert (found.verdict, found.cause) == ("fails", "wheel-tag")


def test_a_wheel_without_modules_is_judged_by_the_libraries_that_nothing_else_loads(tmp_path, torch):
    tool = thin(loads=[("@loader_path/own.dylib", "needed")])
    path = packed(tmp_path / "b-1-py3-none-macosx_11_0_arm64.whl", {"b/tool.dylib": tool, "b/own.dylib": thin()})
    assert [(one.module, one.verdict) for one in inspect([str(path)], PLACE, {}, [torch])] == [("b.tool", "loads")]


def test_a_library_without_the_folders_of_its_libraries_is_not_judged(tmp_path, torch):
    path = dylib(tmp_path / "_C.so", loads=[("@rpath/libc10.dylib", "needed")])
    (found,) = inspect([str(path)], PLACE, {})
    assert found.verdict == Unknown("it is a file of macOS, and the folders of its libraries were not named (--beside FOLDER)")  # fmt: skip
    (found,) = inspect([str(path)], PLACE, {}, [torch])
    assert found.verdict == "loads"


@pytest.mark.parametrize(
    ("name", "tag", "machine", "version", "refused"),
    [
        ("p-1-cp311-cp311-macosx_11_0_arm64.whl", "cp311", "arm64", "14.5", False),
        ("p-1-cp311-cp311-macosx_11_0_universal2.whl", "cp311", "x86_64", "12.0", False),
        ("p-1-cp311-cp311-macosx_14_0_arm64.whl", "cp311", "arm64", "13.6", True),
        ("p-1-cp311-cp311-macosx_11_0_arm64.whl", "cp311", "x86_64", "14.5", True),
        ("p-1-cp310-cp310-macosx_11_0_arm64.whl", "cp311", "arm64", "14.5", True),
        ("p-1-cp39-abi3-macosx_10_9_x86_64.whl", "cp311", "x86_64", "10.15.7", False),
        ("p-1-py3-none-any.whl", "cp311", "arm64", "14.5", False),
        ("p-1-cp311-cp311-manylinux_2_28_x86_64.whl", "cp311", "x86_64", "14.5", True),
        ("p-1-cp311-cp311-macosx_14_0_arm64.whl", "cp311", "arm64", None, False),
    ],
)
def test_which_wheels_an_installer_on_a_mac_takes(name, tag, machine, version, refused):
    assert (wheel.refused_on_macos(name, Interpreter(tag=tag), machine, version) is not None) is refused


def test_the_command(tmp_path, torch):
    path = dylib(tmp_path / "_C.so", loads=[("@rpath/libc10.dylib", "needed")], undefined=[("_gone", 1)])
    argv = [sys.executable, "-m", "attn_doctor", "inspect", "--beside", torch, str(path), "--json", str(tmp_path / "o.json")]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    (entry,) = json.loads((tmp_path / "o.json").read_text())["files"]
    assert (entry["verdict"], entry["cause"], entry["macos"]) == ("fails", "torch-version", "11.0")
    assert entry["undefined"] == [{"symbol": "gone", "name": "gone"}]


def test_a_class_of_java_is_no_file_of_macos_and_a_short_table_is_refused():
    with pytest.raises(DamagedFile):
        MachFile(Mapped(struct.pack(">II", 0xCAFEBABE, 2) + b"\0" * 8))
