"""Names: demangled as c++filt does it, and dated by the table that was made from real torch wheels."""

from __future__ import annotations

import importlib.util
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_doctor.knowledge.cxx_names import torch_symbols
from attn_doctor.knowledge.cxx_names.parser import demangle
from attn_doctor.probes.binaries.elf import Elf
from attn_doctor.probes.binaries.symbol_table import SymbolTable

NAMES = {
    "_ZN3c104cuda9SetDeviceEi": "c10::cuda::SetDevice(int)",
    "_ZN3c104cuda9SetDeviceEa": "c10::cuda::SetDevice(signed char)",
    "_ZNK3c105Error4whatEv": "c10::Error::what() const",
    "_ZTVN3c105ErrorE": "vtable for c10::Error",
    "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs": (
        "c10::detail::torchCheckFail(char const*, char const*, unsigned int, std::string const&)"
    ),
    "_ZN3c105ErrorC2ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE": (
        "c10::Error::Error(c10::SourceLocation, "
        "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >)"
    ),
    "_ZN3c104cuda29c10_cuda_check_implementationEiPKcS2_jb": (
        "c10::cuda::c10_cuda_check_implementation(int, char const*, char const*, unsigned int, bool)"
    ),
    "_ZN2at4_ops5empty4callEN3c108ArrayRefINS2_6SymIntEEESt8optionalINS2_10ScalarTypeEES6_INS2_6LayoutEE": (
        "at::_ops::empty::call(c10::ArrayRef<c10::SymInt>, std::optional<c10::ScalarType>, std::optional<c10::Layout>)"
    ),
    "_Z1fIiJdPKcEEvDpOT0_": "void f<int, double, char const*>(double&&, char const*&&)",
    "_Z1gPFviRA3_cE": "g(void (*)(int, char (&) [3]))",
    "_ZZN1a1bIiEEvvENKUlT_E_clIdEEDaS1_": "auto a::b<int>()::{lambda(auto:1)#1}::operator()<double>(double) const",
    "_Z1fIRiEvOT_": "void f<int&>(int&)",
    "_Z1fIOiEvOT_": "void f<int&&>(int&&)",
    "_ZN1aD0Ev": "a::~a()",
    "_ZN1acvbEv": "a::operator bool()",
    "_ZlsRSoRK1a": "operator<<(std::ostream&, a const&)",
    "_ZThn16_N1a1bEv": "non-virtual thunk to a::b()",
    "_Z1fM1aKFivE": "f(int (a::*)() const)",
    "_ZN12_GLOBAL__N_11fEv.isra.0": "(anonymous namespace)::f() [clone .isra.0]",
    "PyInit_flash_attn_2_cuda": "PyInit_flash_attn_2_cuda",
    "_ZQQ": "_ZQQ",
    "_Z": "_Z",
    "_ZN1aIS0_S_EE": "_ZN1aIS0_S_EE",
}


@pytest.mark.parametrize("mangled", NAMES)
def test_names_are_written_as_cxxfilt_writes_them(mangled):
    assert demangle(mangled) == NAMES[mangled]


def samples() -> list[Path]:
    """Libraries with many C++ names: the installed torch's, and the C++ library of this process."""
    spec = importlib.util.find_spec("torch")
    here = [Path(spec.origin).parent / "lib" / "libtorch_cpu.so"] if spec and spec.origin else []
    done = subprocess.run(["gcc", "-print-file-name=libstdc++.so.6"], capture_output=True, text=True, check=False)
    return [path for path in (*here, Path(done.stdout.strip())) if path.is_file()]


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="no c++filt to compare with")
def test_real_names_come_out_as_from_cxxfilt():
    names: set[str] = set()
    for path in samples():
        exported = {name.decode() for name in SymbolTable(Elf.open(path)).exported() if name.startswith(b"_Z")}
        names.update(random.Random(7).sample(sorted(exported), min(4000, len(exported))))
    ordered = sorted(names)
    done = subprocess.run(["c++filt", "-i"], input="\n".join(ordered), capture_output=True, text=True, check=True)
    theirs = dict(zip(ordered, done.stdout.split("\n"), strict=True))
    # c++filt itself writes ">>" for "> >" where a pack is empty, and gives up on what nests deeply.
    differ = [n for n in ordered if squeezed(demangle(n)) != squeezed(theirs[n]) and theirs[n] != n]
    assert len(ordered) > 1000
    assert len(differ) <= len(ordered) // 200, differ[:10]


def squeezed(text: str) -> str:
    return text.replace(" ", "")


@given(st.text(alphabet="NKSTEIJLXPRODdpvijlm_0123456789caZZst", max_size=60))
def test_nonsense_comes_back_as_it_is_or_readable_and_never_raises(rest):
    assert isinstance(demangle("_Z" + rest), str)


def test_a_name_that_never_ends_is_given_back():
    endless = "_Z" + "P" * 5000 + "i"
    assert demangle(endless) == endless


def test_both_kinds_of_string_have_one_signature():
    old = "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs"
    new = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
    assert torch_symbols.signature(old) == torch_symbols.signature(new)
    assert (torch_symbols.flavour(old), torch_symbols.flavour(new)) == (False, True)
    assert torch_symbols.flavour("_ZN3c104cuda9SetDeviceEi") is None
    assert torch_symbols.flavour("_ZN3c105ClassEv") is None, "Ss inside a word is no string"
    assert torch_symbols.flavours([old, "_ZN3c104cuda9SetDeviceEi"]) is False
    assert torch_symbols.flavours([old, new]) is None


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("_ZN3c104cuda9SetDeviceEi", "2.1", "2.2"),
        ("_ZN3c104cuda9SetDeviceEa", "2.3", "2.7"),
        ("_ZN3c104cuda9SetDeviceEab", "2.8", "2.15"),
        ("_ZNK3c105Error4whatEv", "2.4", "2.15"),
        ("_ZN3c104cuda29c10_cuda_check_implementationEiPKcS2_jb", "2.10", "2.13"),
    ],
)
def test_symbols_that_people_report_are_dated(name, first, last):
    minors = torch_symbols.fitting([name])
    assert (minors[0], minors[-1]) == (first, last)


def test_several_names_narrow_each_other_down():
    early, late = "_ZN3c104cuda9SetDeviceEa", "_ZN3c104cuda9SetDeviceEab"
    assert torch_symbols.fitting([early, late]) == ()
    assert torch_symbols.fitting(["nobody", "_ZN3c10nobodyEv"]) is None
    assert torch_symbols.exporting("nobody") is None


def test_the_table_knows_each_minor_without_a_gap_and_where_it_was_read():
    known = torch_symbols.minors()
    numbers = [tuple(map(int, m.split("."))) for m in known]
    assert numbers == [(2, minor) for minor in range(numbers[-1][1] + 1)]
    assert all(
        w.wheel.startswith(f"torch-{w.torch}.") and len(w.sha256 or "") == 64 for w in torch_symbols._load().wheels
    )


def test_names_of_torch_are_told_from_others():
    yes = ["_ZN2at4_ops5zeros4callEv", "_ZTVN3c105ErrorE", "_ZNK3c105Error4whatEv", "aoti_torch_get_dim"]
    no = ["_ZNSt6vectorIiE4pushEv", "cudaMalloc", "PyList_New", "_ZN4attn3fooEv"]
    assert [torch_symbols.is_torch(name) for name in yes] == [True] * 4
    assert [torch_symbols.is_torch(name) for name in no] == [False] * 4
