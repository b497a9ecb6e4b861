"""dyld's rules on written files, and the verdict on extensions and wheels for macOS in its words."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from macho_files import FLAT as ANY
from macho_files import dylib, fat, thin

from attn_doctor.knowledge import macos_libraries
from attn_doctor.model.facts import Interpreter, Unknown
from attn_doctor.probes.binaries import macos, read, wheel
from attn_doctor.probes.binaries.inspection import Place, inspect
from attn_doctor.probes.binaries.macos_files import Disk, before
from attn_doctor.probes.binaries.macos_loader import Mac, Missing, NoSymbol, OtherMachine, Process

SYSTEM = "/usr/lib/libSystem.B.dylib"


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
