"""What is predicted from files alone agrees with what really happens: each extension is judged, then loaded in a child.

The torch is the one that is installed beside the tests, whatever its version and flavour.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from extensions import MODULE, SUFFIX, build, exports, library, linked, module, really, references

from attn_doctor.facts import Binary, Interpreter, Unknown
from attn_doctor.probes.binaries import read
from attn_doctor.probes.binaries.elf import Elf
from attn_doctor.probes.binaries.symbol_table import SymbolTable

SPEC = importlib.util.find_spec("torch")
pytestmark = pytest.mark.skipif(SPEC is None, reason="no torch beside the tests")

TORCH = Path(SPEC.origin).parent if SPEC and SPEC.origin else Path()
C10 = TORCH / "lib" / "libc10.so"
TORCH_CPU = TORCH / "lib" / "libtorch_cpu.so"
INTERPRETER = Interpreter(python=sys.executable, extension_suffix=SUFFIX, free_threaded=False)

CHECK_OLD = "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs"
CHECK_NEW = "_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"


class Pair(NamedTuple):
    """An extension and what is expected of it. `first`: what the loader's own message must name."""

    make: Callable[[Path], Path]
    cause: str | None = None  # None: it loads
    first: str = ""
    how: str = "import"
    environ: Callable[[Path], Mapping[str, str]] | None = None
    name: str = "probe"


def plain(folder: Path, *flags: str, asks=(), weak=(), name: str = "probe", file: str | None = None) -> Path:
    return build(folder / (file or name + SUFFIX), module(name, asks, weak), *flags)


def with_libraries(*, runpath: bool, inherited: bool) -> Callable[[Path], Path]:
    """probe -> liba (beside it) -> libb (in `deep`, which only probe names)."""

    def make(folder: Path) -> Path:
        b = library(folder / "deep" / "libprobe_b.so", "from_b")
        a = library(folder / "libprobe_a.so", "from_a", flags=linked(b) if inherited else ())
        paths = "$ORIGIN:$ORIGIN/deep"
        tags = "--enable-new-dtags" if runpath else "--disable-new-dtags"
        wanted = [a] if inherited else [a, b]
        asks = ["from_a"] if inherited else ["from_a", "from_b"]
        return plain(folder, *linked(*wanted), f"-Wl,{tags},-rpath,{paths}", asks=asks)

    return make


def two_of_a_name(*, runpath: bool) -> Callable[[Path], Path]:
    """The library on the module's own path lacks the symbol; the one in LD_LIBRARY_PATH has it."""

    def make(folder: Path) -> Path:
        full = library(folder / "env" / "libprobe_two.so", "asked_for")
        library(folder / "own" / "libprobe_two.so", "something_else")
        tags = "--enable-new-dtags" if runpath else "--disable-new-dtags"
        return plain(folder, *linked(full), f"-Wl,{tags},-rpath,$ORIGIN/own", asks=["asked_for"])

    return make


def library_path(folder: Path) -> Mapping[str, str]:
    return {"LD_LIBRARY_PATH": str(folder / "env")}


def newer_than_here(soname: str, version: str, symbol: str) -> Callable[[Path], Path]:
    """Compiled against a C or C++ library of another day, with one more version."""

    def make(folder: Path) -> Path:
        versions = f"{version} {{ global: {symbol}; local: *; }};"
        stub = library(folder / "build" / soname, symbol, flags=["-nostdlib"], versions=versions)
        return plain(folder, *linked(stub), asks=[symbol])

    return make


def library_grew_older(*, keeps_version: bool) -> Callable[[Path], Path]:
    """Linked against a library with one symbol more than the one that is there at run time."""

    def make(folder: Path) -> Path:
        new = library(
            folder / "new" / "libprobe_old.so", "first", "second", versions="ONE_1 { global: first; second; };"
        )
        versions = "ONE_1 { global: first; local: *; };" if keeps_version else None
        library(folder / "libprobe_old.so", "first", *([] if keeps_version else ["second"]), versions=versions)
        return plain(folder, *linked(new), "-Wl,-rpath,$ORIGIN", asks=["first", "second"])

    return make


def patched(place: int, shape: str, value: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = plain(folder)
        data = bytearray(path.read_bytes())
        struct.pack_into(shape, data, place, value)
        path.write_bytes(data)
        return path

    return make


def cut(keep: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = plain(folder)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])
        return path

    return make


def without_section_table(folder: Path) -> Path:
    """Cut off behind the last byte that is mapped: the loader never misses the rest."""
    path = plain(folder)
    elf = Elf.open(path)
    end = max(s.offset + s.file_size for s in elf._segments if s.kind == 1)
    path.write_bytes(path.read_bytes()[:end])
    return path


def written(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / ("probe" + SUFFIX)
        path.write_bytes(content)
        return path

    return make


def another_machine_passed_over(folder: Path) -> Path:
    """A library of that name for another machine comes first; the loader goes on to the right one."""
    right = library(folder / "own" / "libprobe_arm.so", "from_right")
    wrong = folder / "env" / "libprobe_arm.so"
    wrong.parent.mkdir()
    data = bytearray(right.read_bytes())
    struct.pack_into("<H", data, 18, 183)
    wrong.write_bytes(data)
    return plain(folder, *linked(right), "-Wl,--enable-new-dtags,-rpath,$ORIGIN/own", asks=["from_right"])


def damaged_library(folder: Path) -> Path:
    right = library(folder / "build" / "libprobe_bad.so", "from_bad")
    (folder / "libprobe_bad.so").write_text("GROUP ( libprobe_bad.so.1 )")
    return plain(folder, *linked(right), "-Wl,-rpath,$ORIGIN", asks=["from_bad"])


def cycle(folder: Path) -> Path:
    first = library(folder / "build" / "libprobe_x.so", "from_x")
    second = library(folder / "libprobe_y.so", "from_y", flags=linked(first))
    x = build(
        folder / "libprobe_x.so",
        exports("from_x") + references(["from_y"]),
        "-Wl,-soname,libprobe_x.so",
        *linked(second),
    )
    return plain(folder, *linked(x), "-Wl,--disable-new-dtags,-rpath,$ORIGIN", asks=["from_x", "from_y"])


def hidden_default(folder: Path) -> Path:
    """Asks for foo of version ONE; the library that is there now gives that one only to those who ask for it."""
    old = library(folder / "build" / "libprobe_v.so", "foo", versions="ONE { global: foo; };")
    source = 'void a(void){} void b(void){} __asm__(".symver a,foo@ONE"); __asm__(".symver b,foo@@TWO");'
    build(
        folder / "libprobe_v.so",
        source,
        "-Wl,-soname,libprobe_v.so",
        versions="ONE { global: foo; local: *; }; TWO { global: foo; } ONE;",
    )
    return plain(folder, *linked(old), "-Wl,-rpath,$ORIGIN", asks=["foo"])


def runpath_forgets_the_askers_rpath(folder: Path) -> Path:
    """probe (RPATH to both folders) -> liba (a RUNPATH of its own) -> libb, which only probe's RPATH would find."""
    b = library(folder / "deep" / "libprobe_b.so", "from_b")
    a = library(folder / "libprobe_a.so", "from_a", flags=[*linked(b), "-Wl,--enable-new-dtags,-rpath,/nowhere"])
    return plain(folder, *linked(a), "-Wl,--disable-new-dtags,-rpath,$ORIGIN:$ORIGIN/deep", asks=["from_a"])


def without_a_wish(*versions: str) -> Callable[[Path], Path]:
    """Linked when the library had no versions; now it gives foo only to those who ask for the last of these."""

    def make(folder: Path) -> Path:
        old = library(folder / "build" / "libprobe_w.so", "foo")
        source = f'void a(void){{}} void other(void){{}} __asm__(".symver a,foo@{versions[-1]}");'
        script = "".join(f"{v} {{ global: {'other' if v == versions[0] else 'foo'}; }};" for v in versions)
        build(folder / "libprobe_w.so", source, "-Wl,-soname,libprobe_w.so", versions=script)
        return plain(folder, *linked(old), "-Wl,-rpath,$ORIGIN", asks=["foo"])

    return make


def torchs_own_wins(folder: Path) -> Path:
    """A libc10.so on its own path that has nothing: the one that torch has mapped is taken by its name."""
    library(folder / "own" / "libc10.so", "nothing_at_all")
    return plain(folder, *linked(C10), "-Wl,-rpath,$ORIGIN/own", asks=[of_c10("_ZN3c10", b"Warn")])


def of_c10(beginning: str, part: bytes) -> str:
    """A symbol that this torch's libc10.so really exports."""
    symbols = SymbolTable(Elf.open(C10))
    return min((n for n in symbols.exported_like(beginning.encode()) if part in n), key=len).decode()


def operators(folder: Path) -> Path:
    """No Python module: a library that registers operators when it is loaded by its path."""
    symbols = SymbolTable(Elf.open(TORCH_CPU))
    constructor = next(symbols.exported_like(b"_ZN5torch7LibraryC1")).decode()
    return build(folder / "probe.so", references([constructor]), *linked(TORCH_CPU))


def operators_of_another_python(folder: Path) -> Path:
    """Loaded by its path: for which Python its name was made does not matter."""
    return operators(folder).rename(folder / "probe.cpython-36m-x86_64-linux-gnu.so")


def preloaded(folder: Path) -> Mapping[str, str]:
    return {"LD_PRELOAD": str(library(folder / "libprobe_pre.so", "from_nowhere"))}


def strings_are_new() -> bool:
    return SymbolTable(Elf.open(C10)).exports(CHECK_NEW.encode())


PAIRS = {
    "nothing but Python": Pair(plain),
    "symbols of libc10": Pair(lambda f: plain(f, *linked(C10), asks=[of_c10("_ZN3c10", b"Warn")])),
    "symbols of libtorch_cpu": Pair(lambda f: plain(f, *linked(TORCH_CPU), asks=["aoti_torch_device_type_cpu"])),
    "a weak symbol that nobody has": Pair(lambda f: plain(f, weak=["nobody_has_this"])),
    "the stable ABI": Pair(lambda f: plain(f, file="probe.abi3.so")),
    "no suffix": Pair(lambda f: plain(f, file="probe.so")),
    "the same strings as torch": Pair(
        lambda f: plain(f, *linked(C10), asks=[CHECK_NEW if strings_are_new() else CHECK_OLD])
    ),
    "the other strings": Pair(
        lambda f: plain(f, *linked(C10), asks=[CHECK_OLD if strings_are_new() else CHECK_NEW]),
        "cxx11-abi",
        "torchCheckFail",
    ),
    "an old torch": Pair(
        lambda f: plain(f, *linked(C10), asks=["_ZN3c1019UndefinedTensorImpl10_singletonE", "_ZN3c105Error3oldEv"]),
        None if SymbolTable(Elf.open(C10)).exports(b"_ZN3c105Error3oldEv") else "torch-version",
        "_ZN3c105Error3oldEv",
    )
    if SPEC
    else Pair(plain),
    "SetDevice(int) of torch 2.2": Pair(
        lambda f: plain(f, *linked(TORCH_CPU, *cuda_half()), asks=["_ZN3c104cuda9SetDeviceEi"]),
        "torch-version" if (TORCH / "lib" / "libc10_cuda.so").exists() else "cuda-flavour",
        "_ZN3c104cuda9SetDeviceEi",
    ),
    "for the CUDA flavour": Pair(
        lambda f: plain(f, *linked(library(f / "build" / "libc10_cuda.so", "of_cuda"))),
        None if (TORCH / "lib" / "libc10_cuda.so").exists() else "cuda-flavour",
        "libc10_cuda.so",
    ),
    "not linked to the library that has it": Pair(
        lambda f: plain(f, asks=[of_c10("_ZN3c10", b"Warn")]), "not-linked", "Warn"
    ),
    "a CUDA runtime that nobody has": Pair(
        lambda f: plain(f, *linked(library(f / "build" / "libcudart.so.10.9", "cudaMalloc")), asks=["cudaMalloc"]),
        "library",
        "libcudart.so.10.9",
    ),
    "RUNPATH": Pair(with_libraries(runpath=True, inherited=False)),
    "RPATH": Pair(with_libraries(runpath=False, inherited=False)),
    "RPATH is inherited": Pair(with_libraries(runpath=False, inherited=True)),
    "RUNPATH is not inherited": Pair(with_libraries(runpath=True, inherited=True), "library", "libprobe_b.so"),
    "RPATH beats LD_LIBRARY_PATH": Pair(two_of_a_name(runpath=False), "symbol", "asked_for", environ=library_path),
    "LD_LIBRARY_PATH beats RUNPATH": Pair(two_of_a_name(runpath=True), environ=library_path),
    "without LD_LIBRARY_PATH": Pair(two_of_a_name(runpath=True), "symbol", "asked_for"),
    "LD_PRELOAD": Pair(lambda f: plain(f, asks=["from_nowhere"]), environ=preloaded),
    "without LD_PRELOAD": Pair(lambda f: plain(f, asks=["from_nowhere"]), "symbol", "from_nowhere"),
    "what torch has mapped wins": Pair(torchs_own_wins),
    "a newer C library": Pair(newer_than_here("libc.so.6", "GLIBC_2.99", "of_tomorrow"), "glibc", "GLIBC_2.99"),
    "a newer C++ library": Pair(
        newer_than_here("libstdc++.so.6", "GLIBCXX_3.4.99", "_ZSt11of_tomorrowv"), "glibcxx", "GLIBCXX_3.4.99"
    ),
    "a library that lost a symbol": Pair(library_grew_older(keeps_version=True), "library-version", "second"),
    "a library that lost its versions": Pair(library_grew_older(keeps_version=False)),
    "an old version of a name, kept for its users": Pair(hidden_default),
    "no wish, and only the oldest version": Pair(without_a_wish("ONE")),
    "no wish, and only a later version that is no default": Pair(without_a_wish("ONE", "TWO"), "symbol", "foo"),
    "RUNPATH forgets the RPATH of who asked": Pair(runpath_forgets_the_askers_rpath, "library", "libprobe_b.so"),
    "another machine": Pair(patched(18, "<H", 183), "machine"),
    "32 bits": Pair(patched(4, "<B", 1), "machine"),
    "another machine's library on the way": Pair(another_machine_passed_over, environ=library_path),
    "a damaged library": Pair(damaged_library, "library", "libprobe_bad.so"),
    "cut in half": Pair(cut(0.5), "damaged"),
    "cut to its header": Pair(cut(0.01), "damaged"),
    "cut where it does not matter": Pair(without_section_table),
    "empty": Pair(written(b""), "damaged"),
    "a web page": Pair(written(b"<html>404</html>" * 20), "damaged"),
    "another name inside": Pair(lambda f: build(f / ("probe" + SUFFIX), MODULE % {"name": "other"}), "no-entry"),
    "another name inside a library": Pair(lambda f: build(f / "libprobe.so", MODULE % {"name": "other"}), how="load"),
    "another name inside, no suffix": Pair(lambda f: build(f / "probe.so", MODULE % {"name": "other"}), "no-entry"),
    "no entry at all": Pair(lambda f: build(f / ("probe" + SUFFIX), exports("f")), "no-entry", "PyInit_probe"),
    "for another Python": Pair(
        lambda f: plain(f, file="probe.cpython-36m-x86_64-linux-gnu.so"), "python-abi", "No module named 'probe'"
    ),
    "asks Python for what it has not": Pair(
        lambda f: plain(f, asks=["_PyEval_OfAnotherDay"]), "python-abi", "_PyEval_OfAnotherDay"
    ),
    "libraries in a circle": Pair(cycle),
    "the old hash table": Pair(
        lambda f: plain(f, "-Wl,--hash-style=sysv", asks=["gone_from_here"]), "symbol", "gone_from_here"
    ),
    "operators that register themselves": Pair(operators, how="load"),
    "operators, named for another Python": Pair(operators_of_another_python, how="load"),
}


def cuda_half() -> list[Path]:
    half = TORCH / "lib" / "libc10_cuda.so"
    return [half] if half.exists() else []


def judged(pair: Pair, path: Path, environ: Mapping[str, str]) -> Binary:
    return read(INTERPRETER, str(TORCH), [str(TORCH.parent)], {pair.name: str(path)}, {**os.environ, **environ})[0]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, tuple[Binary, str]]:
    """Each pair by its name: what was predicted, and what loading it really ended in ("" for success).

    Two processes import torch: one as it is, one with what all those pairs want that change the environment.
    """
    made = {name: (pair, tmp_path_factory.mktemp("pair")) for name, pair in PAIRS.items()}
    paths = {name: pair.make(folder) for name, (pair, folder) in made.items()}
    changed: dict[str, str] = {}
    for pair, folder in made.values():
        for variable, value in (pair.environ(folder) if pair.environ else {}).items():
            changed[variable] = ":".join(filter(None, [changed.get(variable), value]))
    found = {}
    for environ in ({}, changed):
        names = [name for name, pair in PAIRS.items() if bool(pair.environ) == bool(environ)]
        started, answers = really([(PAIRS[n].how, PAIRS[n].name, paths[n]) for n in names], environ=environ)
        assert started == ""
        for name, said in zip(names, answers, strict=True):
            found[name] = judged(PAIRS[name], paths[name], environ), said
    return found


@pytest.mark.parametrize("name", PAIRS)
def test_the_prediction_agrees_with_the_real_import(name, outcomes):
    pair = PAIRS[name]
    binary, said = outcomes[name]
    assert (binary.verdict == "loads") == (said == ""), (binary, said)
    assert binary.cause == pair.cause, (binary, said)
    assert (pair.first in said) if pair.cause else (said == ""), said
    if pair.cause:
        assert binary.because, binary
    if isinstance(binary.undefined, tuple) and binary.undefined:
        assert binary.undefined[0] in said, "the symbol that the loader names is named first"


def test_nothing_was_left_out(outcomes):
    loads = [binary.verdict == "loads" for binary, _ in outcomes.values()]
    assert len(loads) >= 40
    assert 15 <= sum(loads) <= len(loads) - 15, "good and bad ones in good measure"


def test_where_each_library_comes_from_is_told(outcomes):
    binary, _ = outcomes["symbols of libc10"]
    places = {need.name: need.found for need in binary.needs}
    assert places["libc10.so"] == str(C10)
    assert places["libc.so.6"].endswith("/libc.so.6")
    missing = next(n for n in outcomes["a CUDA runtime that nobody has"][0].needs if n.name.startswith("libcudart"))
    assert missing.found is None


def test_what_the_file_says_of_itself_is_told(outcomes):
    binary, _ = outcomes["the other strings"]
    assert binary.cxx11_abi is not strings_are_new()
    newer, _ = outcomes["a newer C library"]
    assert newer.glibc == "2.99"
    assert (newer.sm, newer.ptx) == ((), ())
    assert isinstance(outcomes["cut where it does not matter"][0].sm, Unknown)


def test_undefined_symbols_are_not_listed_where_a_library_is_missing(outcomes):
    assert isinstance(outcomes["RUNPATH is not inherited"][0].undefined, Unknown)


def test_a_file_that_is_not_there_has_no_verdict(tmp_path):
    (binary,) = read(INTERPRETER, str(TORCH), [], {"probe": str(tmp_path / "gone.so")}, {})
    assert isinstance(binary.verdict, Unknown)
    assert "gone.so" in binary.verdict.why


def test_torch_itself_is_judged_and_imports(tmp_path):
    core = TORCH / f"_C{SUFFIX}"
    (binary,) = read(INTERPRETER, str(TORCH), [str(TORCH.parent)], {"torch._C": str(core)}, os.environ)
    assert binary.verdict == "loads"
    assert {n.name: n.found for n in binary.needs}["libtorch_python.so"] == str(TORCH / "lib" / "libtorch_python.so")


def test_a_torch_that_lost_a_library_fails_and_takes_its_extensions_with_it(tmp_path):
    site = tmp_path / "site"
    for path in sorted(TORCH.rglob("*")):
        here = site / "torch" / path.relative_to(TORCH)
        if path.parent == TORCH / "lib" or (path.parent == TORCH and path.suffix in (".py", ".so")):
            here.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and path.name != "libtorch_cpu.so":
                here.symlink_to(path)
    extension = plain(tmp_path, *linked(C10), asks=[of_c10("_ZN3c10", b"Warn")])
    core = site / "torch" / f"_C{SUFFIX}"
    environ = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    wanted = {"torch._C": str(core), "probe": str(extension)}
    torch, probe = read(INTERPRETER, str(site / "torch"), [str(site)], wanted, environ)
    started, (said,) = really([("load", "torch._C", core)], first=None)
    assert started == ""
    assert "libtorch_cpu.so" in said
    assert (torch.verdict, torch.cause) == ("fails", "torch-missing")
    assert "libtorch_cpu.so" in torch.because[0]
    assert (probe.verdict, probe.cause) == ("fails", "torch")


def test_without_torch_its_libraries_are_missing(tmp_path):
    path = plain(tmp_path, *linked(C10))
    (binary,) = read(INTERPRETER, None, [], {"probe": str(path)}, {})
    assert (binary.verdict, binary.cause) == ("fails", "torch-missing")
    assert "no torch" in binary.because[0]


def test_without_the_interpreter_pythons_own_symbols_are_taken_on_trust(tmp_path):
    path = plain(tmp_path)
    nowhere = Interpreter(python=str(tmp_path / "gone" / "python"), extension_suffix=SUFFIX)
    (binary,) = read(nowhere, None, [], {"probe": str(path)}, {})
    assert binary.verdict == "loads"


def test_a_script_that_starts_python_is_not_taken_for_it(tmp_path):
    """What pyenv puts on PATH: the program behind it is found by its prefix."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec true\n")
    told = Interpreter(
        python=str(script),
        version=".".join(map(str, sys.version_info[:3])),
        prefix=sys.prefix,
        base_prefix=sys.base_prefix,
        extension_suffix=SUFFIX,
    )
    path = plain(tmp_path, asks=["_PyEval_OfAnotherDay"])
    (binary,) = read(told, None, [], {"probe": str(path)}, {})
    assert binary.cause == "python-abi", "Python's own symbols were looked up"


@pytest.mark.parametrize("platform", ["macosx-14.0-arm64", "win-amd64"])
def test_other_systems_are_not_judged(platform, tmp_path):
    told = Interpreter(python=sys.executable, extension_suffix=SUFFIX, platform=platform)
    (binary,) = read(told, None, [], {"probe": str(plain(tmp_path))}, {})
    assert isinstance(binary.verdict, Unknown)
    assert (binary.cause, binary.because, binary.sm) == (Unknown("not recorded"), (), ())


def test_a_target_with_musl_is_not_judged(tmp_path):
    program = tmp_path / "python"
    source = "int main(void) { return 0; }"
    command = ["gcc", "-x", "c", "-", "-o", str(program), "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]
    subprocess.run(command, input=source, text=True, check=True)
    told = Interpreter(python=str(program), extension_suffix=SUFFIX)
    (binary,) = read(told, None, [], {"probe": str(plain(tmp_path))}, {})
    assert "musl" in binary.verdict.why


def test_files_of_other_systems_are_for_another_machine(tmp_path):
    path = written(b"MZ\x90\x00" + bytes(100))(tmp_path)
    (binary,) = read(INTERPRETER, None, [], {"probe": str(path)}, {})
    assert (binary.verdict, binary.cause) == ("fails", "machine")
    assert "a Windows file" in binary.because[0]


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / "probe.so"
    os.mkfifo(pipe)
    (binary,) = read(INTERPRETER, None, [], {"probe": str(pipe)}, {})
    assert (binary.verdict, binary.cause) == ("fails", "damaged")


def test_folders_that_may_not_be_entered_or_cannot_be_are_passed_over(tmp_path):
    path = plain(tmp_path, *linked(library(tmp_path / "b" / "libprobe_n.so", "f")))
    environ = {"LD_LIBRARY_PATH": f"/proc/1/root:{'x' * 5000}:{tmp_path}/b"}
    (binary,) = read(INTERPRETER, None, [], {"probe": str(path)}, environ)
    assert binary.verdict == "loads"


def test_a_failed_attempt_leaves_nothing_behind(tmp_path):
    """One extension maps a library under a name of its own and then fails; the next must not find that name."""
    lib = library(tmp_path / "own" / "libprobe_s.so", "f")
    first = plain(tmp_path / "1", *linked(lib), f"-Wl,-rpath,{tmp_path}/own", asks=["f", "of_nobody"])
    second = plain(tmp_path / "2", *linked(lib), asks=["f"])
    records = read(INTERPRETER, None, [], {"a.probe": str(first), "b.probe": str(second)}, {})
    assert [r.cause for r in records] == ["symbol", "library"]


def test_a_copied_tree_is_judged_by_its_own_files(tmp_path):
    """Everything under a folder that stands for a machine: nothing of this one is looked at."""
    from attn_doctor.probes.root import Root

    root = tmp_path / "machine"
    needed = library(root / "opt" / "lib" / "libprobe_r.so", "from_r")
    path = plain(root / "site", *linked(needed), "-Wl,-rpath,/opt/lib", asks=["from_r"])
    library_of_c = next(n.found for n in judged(Pair(plain), path, {}).needs if n.name == "libc.so.6")
    (root / "lib64").mkdir()
    shutil.copy(library_of_c, root / "lib64" / "libc.so.6")
    away = Interpreter(python="/usr/bin/python-of-elsewhere", extension_suffix=SUFFIX)
    (binary,) = read(away, None, [], {"probe": f"/site/{path.name}"}, {}, root=Root(root))
    places = {need.name: need.found for need in binary.needs}
    assert places["libprobe_r.so"] == "/opt/lib/libprobe_r.so"
    assert binary.verdict == "loads", binary
