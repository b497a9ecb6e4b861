"""What `import torch` maps: the installed torch against its own process, and a little CUDA torch in every arrangement."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from extensions import SUFFIX, build, library, linked, module
from little_torches import (
    FROM_2_10,
    INTERPRETER,
    JIT,
    SPEC,
    STYLES,
    UP_TO_2_5,
    agree,
    extension,
    little_torch,
    predicted,
)

from attn_doctor.model.facts import Interpreter, Unknown
from attn_doctor.probes.binaries import libstdcxx, naming, read, torch_static
from attn_doctor.probes.binaries.files import Files
from attn_doctor.probes.binaries.installed import installed
from attn_doctor.probes.binaries.target import Target
from attn_doctor.probes.root import Root


@pytest.mark.parametrize(("style", "folder"), [*((style, None) for style in STYLES), ("from 2.10", "cu12")])
def test_extensions_find_what_torch_has_mapped(style, folder, tmp_path):
    site = little_torch(tmp_path / "site", STYLES[style], folder=folder)
    asks = {
        "good": (["_ZN3c104cuda9SetDeviceEi", "cudaMalloc"], ["libc10_cuda.so", "libcudart.so.12"]),
        "sparse": (["cusparseCreate"], ["libcusparse.so.12"]),
        "later": (["_ZN3c104cuda9SetDeviceEa"], ["libc10_cuda.so"]),
        "strings": (
            ["_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"],
            ["libc10.so"],
        ),
    }
    made = {name: extension(tmp_path / "ext", name, site, a, *libs) for name, (a, libs) in asks.items()}
    causes = [cause for cause, _ in agree(site, made)]
    assert causes == [None, None, None, "torch-version", "cxx11-abi"]
    later = predicted(site, made)[3]
    assert later.built_for_torch == "torch 2.3 to 2.7"
    asks_for = "it asks for c10::cuda::SetDevice(signed char), which nothing here exports"
    assert later.because == (f"{asks_for}: it was compiled for torch 2.3 to 2.7, and this is torch 2.2",)


def test_what_torch_loads_for_everybody_serves_those_who_do_not_name_it(tmp_path):
    """libtorch_global_deps.so is opened with RTLD_GLOBAL: its libcudart is in everybody's reach, libcusparse is not."""
    site = little_torch(tmp_path / "site", UP_TO_2_5)
    made = {
        "reached": extension(tmp_path / "ext", "reached", site, ["cudaMalloc"]),
        "unreached": extension(tmp_path / "ext", "unreached", site, ["cusparseCreate"]),
    }
    assert [cause for cause, _ in agree(site, made)] == [None, None, "not-linked"]


@pytest.mark.parametrize("style", STYLES)
def test_a_wheel_for_another_cuda_misses_its_runtime(style, tmp_path):
    site = little_torch(tmp_path / "site", STYLES[style])
    library(tmp_path / "elsewhere" / "libcudart.so.11.0", "cudaMalloc")
    other = build(
        tmp_path / "ext" / f"other{SUFFIX}",
        module("other", ["cudaMalloc"]),
        *linked(tmp_path / "elsewhere" / "libcudart.so.11.0"),
    )
    (_, _), (cause, said) = agree(site, {"other": other})
    assert cause == "library"
    assert "libcudart.so.11.0" in said
    need = next(n for n in predicted(site, {"other": other})[1].needs if n.name == "libcudart.so.11.0")
    assert need.package == "nvidia-cuda-runtime-cu11"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("rpath", ["--disable-new-dtags", "--enable-new-dtags", None])
def test_an_older_library_on_the_library_path(style, rpath, tmp_path):
    """An nvJitLink of an earlier CUDA 12 in LD_LIBRARY_PATH: only torch's RPATH, or its preloading, keeps it out.

    https://github.com/pytorch/pytorch/issues/134929
    """
    site = little_torch(tmp_path / "site", STYLES[style], rpath=rpath)
    library(tmp_path / "old" / "libnvJitLink.so.12", "__nvJitLinkVersion", versions=JIT)
    (cause, said), *_ = agree(site, {}, {"LD_LIBRARY_PATH": str(tmp_path / "old")})
    # Before 2.6 nothing is preloaded where the first library loads by itself.
    assert cause == ("library-version" if rpath == "--enable-new-dtags" and style == "up to 2.5" else None), said


def test_what_torch_says_of_a_symbol_in_the_wrong_library_is_predicted(tmp_path):
    site = little_torch(tmp_path / "site", UP_TO_2_5, rpath="--enable-new-dtags")
    library(tmp_path / "old" / "libnvJitLink.so.12", "__nvJitLinkVersion", versions=JIT)
    torch, *_ = predicted(site, {}, {"LD_LIBRARY_PATH": str(tmp_path / "old")})
    assert torch.because[0] == (
        "libcusparse.so.12 asks for __nvJitLinkComplete_12_4 of libnvJitLink.so.12, which nothing here exports"
    )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("gone", ["cuda_runtime", "cusparse", "nvjitlink"])
def test_a_library_of_nvidias_that_is_gone(style, gone, tmp_path):
    site = little_torch(tmp_path / "site", STYLES[style])
    good = extension(tmp_path / "ext", "good", site, ["_ZN3c104cuda9SetDeviceEi"], "libc10_cuda.so")
    shutil.rmtree(site / "nvidia" / gone)
    (torch, started), (cause, _) = agree(site, {"good": good})
    assert torch == "library"
    assert started
    assert cause == "torch"


def test_a_missing_library_is_named_with_its_package(tmp_path):
    site = little_torch(tmp_path / "site", FROM_2_10)
    shutil.rmtree(site / "nvidia" / "cusparse")
    (torch,) = predicted(site, {})
    assert torch.because == (
        "libcusparse.so.12, which libtorch_cuda.so needs, is in none of the folders that the loader searches; nvidia-cusparse-cu12 has it",
    )


def test_the_flavour_of_torch_is_read_from_its_files(tmp_path):
    site = little_torch(tmp_path / "site", FROM_2_10)
    assert torch_static(str(site / "torch")) == {"cxx11_abi": False, "archs": ()}
    (site / "torch" / "lib" / "libtorch_cuda.so").write_bytes(b"short")
    assert "libtorch_cuda.so is no ELF file" in torch_static(str(site / "torch"))["archs"].why
    (site / "torch" / "lib" / "libtorch_cuda.so").unlink()
    (site / "torch" / "lib" / "libtorch_hip.so").touch()
    (site / "torch" / "lib" / "libc10.so").unlink()
    told = torch_static(str(site / "torch"))
    assert isinstance(told["archs"], Unknown)
    assert isinstance(told["cxx11_abi"], Unknown)


@pytest.mark.skipif(SPEC is None, reason="no torch beside the tests")
def test_the_installed_torch_maps_exactly_what_is_predicted():
    torch = Path(SPEC.origin).parent
    target = Target(Files(), INTERPRETER, str(torch), [p for p in sys.path if p], os.environ)
    ours = {library.real for library in target.process.libraries}
    assert target.torch_troubles == []
    code = "import torch; print(open('/proc/self/maps').read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mapped = {line.split()[-1] for line in done.stdout.splitlines() if ".so" in line}
    assert ours - mapped == {os.path.realpath(sys.executable)} - mapped
    torchs = {path for path in mapped if str(torch.parent) in path and re.search(r"/(torch|nvidia)/", path)}
    assert torchs <= ours


@pytest.mark.skipif(SPEC is None, reason="no torch beside the tests")
def test_the_installed_torch_says_the_same_of_itself_as_its_files():
    code = (
        "import torch; print(torch._C._GLIBCXX_USE_CXX11_ABI, torch.cuda._is_compiled(), *torch.cuda.get_arch_list())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    strings, compiled, *archs = done.stdout.split()
    told = torch_static(str(Path(SPEC.origin).parent))
    assert str(told["cxx11_abi"]) == strings
    if compiled == "True":  # without a GPU get_arch_list() is empty
        assert not archs or list(told["archs"]) == archs
    else:
        assert told["archs"] == ()


def test_the_loaders_cache_is_read_as_ldconfig_prints_it():
    ldconfig = shutil.which("ldconfig") or shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if ldconfig is None or not Path("/etc/ld.so.cache").exists():
        pytest.skip("no ldconfig, or no cache")
    done = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True)
    machine, word = {"x86_64": ("x86-64", "x86-64"), "aarch64": ("aarch64", "AArch64")}[os.uname().machine]
    printed: dict[str, str] = {}
    for line in done.stdout.splitlines():
        match = re.match(r"\s*(\S+) \(([^)]*)\) => (\S+)", line)
        if match and word in match[2] and "hwcap" not in match[2]:
            printed.setdefault(match[1], match[3])
    assert printed
    assert Files().cached_libraries(machine) == printed


def cache(*entries: tuple[str, int, str]) -> bytes:
    """An ld.so.cache in the format of glibc 2.32 and later: names, kinds, paths."""
    texts, offset = b"", 48 + 24 * len(entries)
    rows = b""
    for name, kind, path in entries:
        at = offset + len(texts)
        texts += name.encode() + b"\0"
        rows += struct.pack("<iIIIQ", kind, at, offset + len(texts), 0, 0)
        texts += path.encode() + b"\0"
    head = b"glibc-ld.so.cache1.1" + struct.pack("<II", len(entries), len(texts))
    return head.ljust(48, b"\0") + rows + texts


def test_of_several_entries_in_the_cache_the_first_of_this_machine_counts(tmp_path):
    (tmp_path / "etc").mkdir()
    content = cache(
        ("libz.so.1", 0x0003, "/lib/i386/libz.so.1"),
        ("libz.so.1", 0x0303, "/lib/first/libz.so.1"),
        ("libz.so.1", 0x0303, "/lib/second/libz.so.1"),
        ("libz.so.1", 0x0A03, "/lib/arm/libz.so.1"),
    )
    (tmp_path / "etc" / "ld.so.cache").write_bytes(content)
    files = Files(Root(tmp_path))
    assert files.cached_libraries("x86-64") == {"libz.so.1": "/lib/first/libz.so.1"}
    assert files.cached_libraries("aarch64") == {"libz.so.1": "/lib/arm/libz.so.1"}
    assert files.cached_libraries("riscv") == {}
    (tmp_path / "etc" / "ld.so.cache").unlink()
    assert Files(Root(tmp_path)).cached_libraries("x86-64") == {}


@pytest.mark.parametrize(
    ("name", "suffix", "free_threaded", "words"),
    [
        ("a.cpython-311-x86_64-linux-gnu.so", ".cpython-311-x86_64-linux-gnu.so", False, None),
        ("a.so", ".cpython-311-x86_64-linux-gnu.so", False, None),
        ("a.abi3.so", ".cpython-311-x86_64-linux-gnu.so", False, None),
        ("a.abi3.so", ".cpython-313t-x86_64-linux-gnu.so", True, "free-threaded"),
        ("a.cpython-310-x86_64-linux-gnu.so", ".cpython-311-x86_64-linux-gnu.so", False, "says Python 3.10, and"),
        ("a.cpython-313-x86_64-linux-gnu.so", ".cpython-313t-x86_64-linux-gnu.so", True, "Python 3.13 free-threaded"),
        ("a.cpython-311-aarch64-linux-gnu.so", ".cpython-311-x86_64-linux-gnu.so", False, "this Python looks for"),
        ("a.pypy310-pp73-x86_64-linux-gnu.so", ".cpython-311-x86_64-linux-gnu.so", False, "pypy310"),
        ("a.cpython-310-x86_64-linux-gnu.so", Unknown("not asked"), False, None),
    ],
)
def test_names_are_held_against_the_suffix_of_this_python(name, suffix, free_threaded, words):
    said = naming.refused(name, Interpreter(extension_suffix=suffix, free_threaded=free_threaded))
    assert (said is None) if words is None else (words in said)


def test_the_versions_of_a_cxx_library_are_its_newest(tmp_path):
    versions = "GLIBCXX_3.4.9 {}; GLIBCXX_3.4.30 {}; GLIBCXX_LDBL_3.4 {}; CXXABI_1.3.13 {}; CXXABI_1.3.9 {};"
    path = library(tmp_path / "libstdc++.so.6", "f", versions=versions)
    assert libstdcxx(path) == {"glibcxx": "3.4.30", "cxxabi": "1.3.13"}
    assert isinstance(libstdcxx(tmp_path / "gone")["glibcxx"], Unknown)


def test_installed_extensions_are_found_as_python_would_find_them(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (
        first / "flash_attn_2_cuda.cpython-27-x86_64-linux-gnu.so",
        second / f"flash_attn_2_cuda{SUFFIX}",
        first / "torchvision" / "_C.so",
        first / "torchvision" / "_C_stable.so",
        first / "flash_attn_3" / "_C.abi3.so",
        first / "xformers" / "_C.cpython-36m-x86_64-linux-gnu.so",
        first / "triton" / "_C" / "libtriton.so",
        first / "torch" / f"_C{SUFFIX}",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = installed([str(first), str(second)], SUFFIX)
    assert found == {
        "torch._C": str(first / "torch" / f"_C{SUFFIX}"),
        "flash_attn_2_cuda": str(second / f"flash_attn_2_cuda{SUFFIX}"),
        "flash_attn_3._C": str(first / "flash_attn_3" / "_C.abi3.so"),
        "torchvision._C": str(first / "torchvision" / "_C.so"),
        "torchvision._C_stable": str(first / "torchvision" / "_C_stable.so"),
        "xformers._C": str(first / "xformers" / "_C.cpython-36m-x86_64-linux-gnu.so"),
        "triton._C.libtriton": str(first / "triton" / "_C" / "libtriton.so"),
    }


def test_neighbours_tell_for_which_torch_a_package_was_compiled(tmp_path):
    """One file finds all it asks for in torch 2.2; another of its package asks for what came with 2.3."""
    site = little_torch(tmp_path / "site", FROM_2_10)
    more = library(site / "more" / "libmore.so", "aoti_torch_delete_tensor_object")
    late = extension(tmp_path / "pkg", "late", site, ["_ZN3c104cuda9SetDeviceEa"], "libc10_cuda.so")
    little = extension(tmp_path / "pkg", "little", site, ["_ZN3c104WarnEv"], "libc10.so")
    there = f"-Wl,-rpath,{more.parent}"
    stable = extension(tmp_path / "pkg", "stable", site, ["aoti_torch_delete_tensor_object"], more.name, flags=(there,))
    alone = {"one.little": str(little), "two.late": str(late)}
    together = {"pkg.little": str(little), "pkg.late": str(late), "pkg.stable": str(stable)}
    given = (INTERPRETER, str(site / "torch"), [str(site)])
    assert [r.verdict for r in read(*given, alone, os.environ)] == ["loads", "fails"]
    a, b, c = read(*given, together, os.environ)
    assert isinstance(a.verdict, Unknown)
    assert "compiled for torch 2.3 to 2.7 and this is torch 2.2" in a.verdict.why
    assert a.built_for_torch == "torch 2.3 to 2.7"
    assert b.verdict == "fails"
    assert c.verdict == "loads", "the stable C interface promises to stay"
