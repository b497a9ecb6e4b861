"""Files of Windows: the reader against pefile on real and on written files, damaged files, and what its loader would say."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import pefile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pe_files import dll

from attn_doctor.knowledge import windows_dlls
from attn_doctor.model.facts import Interpreter, Unknown
from attn_doctor.probes.binaries import read, windows
from attn_doctor.probes.binaries.mapped import DamagedFile, ForeignFile, Mapped
from attn_doctor.probes.binaries.pe import Pe
from attn_doctor.probes.binaries.windows_loader import Folder, Library, Missing, NoFunction, Process, Unreadable

# setuptools and pip bring real programs of Windows: for x86-64, ARM64 and 32 bits.
LAUNCHERS = sorted(
    path
    for package in ("setuptools", "pip")
    if (spec := importlib.util.find_spec(package)) and spec.origin
    for path in Path(spec.origin).parent.rglob("*.exe")
)


def independent(path: Path) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """What pefile reads: library -> names, and exported names."""
    pe = pefile.PE(str(path))
    imports = {
        entry.dll.decode(): tuple(one.name.decode() if one.name else f"#{one.ordinal}" for one in entry.imports)
        for entry in getattr(pe, "DIRECTORY_ENTRY_IMPORT", ())
    }
    directory = getattr(pe, "DIRECTORY_ENTRY_EXPORT", None)
    exports = {one.name.decode() for one in directory.symbols if one.name} if directory else set()
    return imports, exports


def ours(path: Path) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    pe = Pe.open(path)
    return {one.library: one.names for one in pe.imports}, {name for name in pe.exports if not name.startswith("#")}


def test_there_are_real_programs_to_read():
    assert len(LAUNCHERS) >= 6


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_real_programs_are_read_as_pefile_reads_them(path):
    if pefile.PE(str(path), fast_load=True).OPTIONAL_HEADER.Magic != 0x20B:
        with pytest.raises(ForeignFile, match="is a 32-bit file"):
            Pe.open(path)
        return
    assert ours(path) == independent(path)
    assert Pe.open(path).machine == ("arm64" if "arm" in path.name else "x86-64")


def test_a_written_library_is_read_as_pefile_reads_it(tmp_path):
    exports = {"one": None, "two": None, "three": "OTHER.three"}
    path = dll(
        tmp_path / "a.dll", {"KERNEL32.dll": ["Sleep", "#17"], "c10.dll": ["x"]}, exports, delayed={"late.dll": ["y"]}
    )
    assert ours(path) == independent(path) == ({"KERNEL32.dll": ("Sleep", "#17"), "c10.dll": ("x",)}, set(exports))
    pe = Pe.open(path)
    assert pe.exports["three"] == "OTHER.three"
    assert {name: target for name, target in pe.exports.items() if name.startswith("#")} == {
        "#1": None,
        "#2": "OTHER.three",
        "#3": None,
    }
    assert [(one.library, one.names) for one in pe.delayed] == [("late.dll", ("y",))]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x7fELF" + b"\0" * 100, "is no file of Windows"),
        (b"MZ" + b"\0" * 100, "is no file of Windows"),
        (b"MZ", "refers to bytes after its end"),
    ],
)
def test_what_is_no_file_of_windows(tmp_path, content, words):
    path = tmp_path / "x.dll"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=words):
        Pe.open(path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_ends_in_one_exception(tmp_path_factory, data):
    whole = bytearray(dll(tmp_path_factory.mktemp("pe") / "a.dll", {"b.dll": ["f", "#3"]}, {"g": None, "h": "b.h"}, delayed={"c.dll": ["k"]}).read_bytes())  # fmt: skip
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for content in (bytes(whole), bytes(whole[:cut])):
        try:
            pe = Pe(Mapped(content))
            assert isinstance((pe.imports, pe.delayed, pe.exports, pe.sections), tuple)
        except DamagedFile:
            continue


def test_a_table_of_exports_without_an_end_is_refused(tmp_path):
    path = dll(tmp_path / "a.dll", exports={"f": None}, numbers_from=5)
    content = bytearray(path.read_bytes())
    place = content.find(struct.pack("<II", 1, 1))  # the numbers of functions and of names
    content[place : place + 4] = struct.pack("<I", 0x7FFFFFFF)
    with pytest.raises(DamagedFile, match="more than a file can hold"):
        Pe(Mapped(bytes(content))).exports  # noqa: B018


# --- the loader


def loaded(tmp_path: Path, *folders: str, has_system: bool = False):
    """Load own/module.pyd, and return the process and its troubles."""
    own = Folder.of(tmp_path / "own")
    process = Process([Folder.of(tmp_path / folder) for folder in folders], has_system=has_system)
    return process, process.load(own.get("module.pyd"), own)


def test_a_library_is_found_beside_the_file_and_then_in_each_folder(tmp_path):
    dll(tmp_path / "own" / "module.pyd", {"Beside.dll": ["f"], "c10.dll": ["g"], "KERNEL32.dll": ["Sleep"]})
    dll(tmp_path / "own" / "beside.DLL", exports={"f": None})
    dll(tmp_path / "torch" / "c10.dll", {"deeper.dll": ["h"]}, {"g": None})
    dll(tmp_path / "torch" / "deeper.dll", exports={"h": None})
    process, troubles = loaded(tmp_path, "torch")
    assert troubles == []
    assert set(process.loaded) == {"module.pyd", "beside.dll", "c10.dll", "deeper.dll"}


def test_what_is_missing_is_named_with_the_library_that_needs_it(tmp_path):
    dll(tmp_path / "own" / "module.pyd", {"c10.dll": ["g"]})
    dll(tmp_path / "torch" / "c10.dll", {"deeper.dll": ["h"]}, {"g": None})
    assert loaded(tmp_path, "torch")[1] == [Missing("deeper.dll", "c10.dll")]
    assert loaded(tmp_path)[1] == [Missing("c10.dll", "module.pyd")]


def test_a_function_that_the_library_lacks(tmp_path):
    dll(tmp_path / "own" / "module.pyd", {"c10.dll": ["there", "gone", "#2", "#9"]})
    dll(tmp_path / "torch" / "c10.dll", exports={"there": None, "other": None})
    assert loaded(tmp_path, "torch")[1] == [
        NoFunction("gone", "c10.dll", "module.pyd"),
        NoFunction("#9", "c10.dll", "module.pyd"),
    ]


def test_a_forwarded_function_is_looked_for_where_it_leads(tmp_path):
    dll(tmp_path / "own" / "module.pyd", {"a.dll": ["f", "g", "h", "k"]})
    dll(tmp_path / "own" / "a.dll", exports={"f": "b.real", "g": "b.gone", "h": "KERNEL32.Sleep", "k": "nowhere.k"})
    dll(tmp_path / "own" / "b.dll", exports={"real": None})
    troubles = loaded(tmp_path)[1]
    assert [t.function for t in troubles] == ["g", "k"]


def test_libraries_that_need_each_other_end(tmp_path):
    dll(tmp_path / "own" / "module.pyd", {"a.dll": ["f"]})
    dll(tmp_path / "own" / "a.dll", {"b.dll": ["g"]}, {"f": "b.f", "g": None})
    dll(tmp_path / "own" / "b.dll", {"a.dll": ["g"]}, {"g": None, "f": "a.f"})
    assert loaded(tmp_path)[1] == []


def test_a_library_that_is_loaded_late_may_be_missing(tmp_path):
    dll(tmp_path / "own" / "module.pyd", delayed={"nowhere.dll": ["f"]})
    assert loaded(tmp_path)[1] == []


def test_another_processor_and_damage(tmp_path):
    dll(tmp_path / "own" / "module.pyd", {"a.dll": ["f"], "b.dll": ["f"]})
    dll(tmp_path / "own" / "a.dll", exports={"f": None}, machine=0xAA64)
    (tmp_path / "own" / "b.dll").write_bytes(b"MZ torn")
    first, second = loaded(tmp_path)[1]
    assert first == Unreadable("a.dll", "is for arm64, and the target is x86-64", foreign=True)
    assert (second.name, second.foreign) == ("b.dll", False)


def test_a_library_of_windows_is_taken_to_be_there_unless_system32_was_read(tmp_path):
    dll(
        tmp_path / "own" / "module.pyd",
        {"USER32.dll": ["f"], "api-ms-win-crt-heap-l1-1-0.dll": ["malloc"], "python312.dll": ["PyInit"]},
    )
    assert loaded(tmp_path)[1] == []
    (tmp_path / "System32").mkdir()
    # An API set is in no folder of a real machine either.
    assert [t.name for t in loaded(tmp_path, "System32", has_system=True)[1]] == ["USER32.dll", "python312.dll"]


def test_what_the_libraries_of_windows_need_themselves_is_not_looked_for(tmp_path):
    dll(tmp_path / "own" / "module.pyd", {"USER32.dll": ["f", "gone"]})
    dll(tmp_path / "System32" / "USER32.dll", {"nowhere.dll": ["g"]}, {"f": None})
    assert loaded(tmp_path, "System32", has_system=True)[1] == [NoFunction("gone", "USER32.dll", "module.pyd")]
    assert Missing("nowhere.dll", "USER32.dll") in loaded(tmp_path, "System32")[1]


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("KERNEL32.dll", "windows"),
        ("ext-ms-win-ntuser-window-l1-1-0.dll", "windows"),
        ("python3.dll", "python"),
        ("python313t.dll", "python"),
        ("VCRUNTIME140_1.dll", "python"),
        ("MSVCP140.dll", "Microsoft Visual C++ Redistributable"),
        ("nvcuda.dll", "the NVIDIA driver"),
        ("c10.dll", None),
        ("pythoncom.dll", None),
        ("xapi-ms-win-crt.dll", None),
    ],
)
def test_whose_a_library_is(name, whose):
    assert windows_dlls.owner(name) == whose


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cudart64_12.dll", "a torch for CUDA 12, or its CUDA toolkit"),
        ("cublasLt64_13.dll", "a torch for CUDA 13, or its CUDA toolkit"),
        ("cudart64_110.dll", "a torch for CUDA 11, or its CUDA toolkit"),
        ("cudnn64_9.dll", "a CUDA build of torch, or NVIDIA's cuDNN"),
        ("vcomp140.dll", "Microsoft Visual C++ Redistributable"),
        ("torch_cuda.dll", "a CUDA build of torch"),
        ("KERNEL32.dll", None),
        ("mine.dll", None),
    ],
)
def test_what_would_bring_it(name, words):
    assert windows_dlls.package_of(name) == words


# --- verdicts


def test_the_verdict_of_a_file_says_it_in_the_words_of_windows(tmp_path):
    path = dll(
        tmp_path / "flash_attn_2_cuda.cp311-win_amd64.pyd",
        {"c10.dll": ["?gone@c10@@YAXXZ"], "c10_cuda.dll": ["f"], "mine.dll": ["g"]},
    )
    dll(tmp_path / "torch" / "c10.dll", exports={"other": None})
    found = windows.library(str(path), [str(tmp_path / "torch")])
    assert (found.module, found.verdict, found.cause) == ("flash_attn_2_cuda", "fails", "torch-version")
    assert found.because == (
        (
            "flash_attn_2_cuda.cp311-win_amd64.pyd takes ?gone@c10@@YAXXZ from c10.dll, which does not have it (Windows says: The specified "
            "procedure could not be found)"
        ),
        (
            "c10_cuda.dll, which flash_attn_2_cuda.cp311-win_amd64.pyd needs, is in none of the folders that Windows searches; a CUDA build of torch has it "
            "(Windows says: The specified module could not be found)"
        ),
        (
            "mine.dll, which flash_attn_2_cuda.cp311-win_amd64.pyd needs, is in none of the folders that Windows searches (Windows says: The specified "
            "module could not be found)"
        ),
    )
    assert found.undefined == ("?gone@c10@@YAXXZ",)
    assert [(need.name, need.found, need.package) for need in found.needs] == [
        ("c10.dll", str(tmp_path / "torch" / "c10.dll"), None),
        ("c10_cuda.dll", None, "a CUDA build of torch"),
        ("mine.dll", None, None),
    ]


def test_a_library_that_an_installer_of_microsoft_brings_leaves_it_open(tmp_path):
    path = dll(tmp_path / "a.pyd", {"MSVCP140.dll": ["f"], "KERNEL32.dll": ["Sleep"]})
    found = windows.library(str(path))
    assert found.verdict == Unknown(
        "MSVCP140.dll comes with Microsoft Visual C++ Redistributable: whether it is there was not seen"
    )
    (tmp_path / "System32").mkdir()
    there = [str(tmp_path / "System32")]
    assert windows.library(str(path), there, has_system=True).verdict == "fails"
    for name in ("MSVCP140.dll", "KERNEL32.dll"):
        dll(tmp_path / "System32" / name, exports={"f": None, "Sleep": None})
    assert windows.library(str(path), there, has_system=True).verdict == "loads"


def test_more_than_six_reasons_are_counted(tmp_path):
    path = dll(tmp_path / "a.pyd", {f"m{number}.dll": ["f"] for number in range(9)})
    found = windows.library(str(path))
    assert (len(found.because), found.because[-1]) == (7, "and 3 more like these")


def test_gpu_code_is_read_from_the_section_with_eight_letters(tmp_path):
    entry = struct.pack("<HHIQIIHHI", 2, 0x101, 64, 0, 0, 0, 0, 0, 89).ljust(64, b"\0")
    region = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entry)) + entry
    found = windows.library(str(dll(tmp_path / "a.pyd", sections={".nv_fatbin": region})))
    assert (found.sm, found.ptx) == (("8.9",), ())


def test_a_damaged_file_fails_and_one_that_is_not_there_is_unknown(tmp_path):
    torn = tmp_path / "torn.pyd"
    torn.write_bytes(b"MZ torn")
    found = windows.library(str(torn))
    assert (found.verdict, found.cause) == ("fails", "damaged")
    assert isinstance(found.needs, Unknown)
    gone = windows.library(str(tmp_path / "gone.pyd"))
    assert gone.verdict == Unknown(f"{tmp_path / 'gone.pyd'} cannot be read (No such file or directory)")


def test_the_extensions_of_a_windows_machine_are_judged_by_its_rules(tmp_path):
    site = tmp_path / "site-packages"
    path = dll(site / "flash_attn_2_cuda.cp311-win_amd64.pyd", {"c10.dll": ["g"], "KERNEL32.dll": ["Sleep"]})
    dll(tmp_path / "System32" / "KERNEL32.dll", exports={"Sleep": None})
    here = Interpreter(python=str(tmp_path / "python.exe"), platform="win-amd64", base_prefix=None, tag="cp311")
    environ = {"SYSTEMROOT": str(tmp_path)}
    (found,) = read(here, None, [], {"flash_attn_2_cuda": str(path)}, environ)
    assert (found.module, found.verdict, found.cause) == ("flash_attn_2_cuda", "fails", "torch-missing")


def test_a_library_is_opened_only_when_it_is_read(tmp_path):
    assert Library(str(tmp_path / "a" / "b.dll"), lambda: pytest.fail("opened")).name == "b.dll"
