"""Extensions, and what the loader makes of each: whole ones, ill ones, and ones whose libraries lie in odd places."""

from __future__ import annotations

import importlib.util
import os
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from extensions import MODULE, SUFFIX, build, exports, library, linked, module, references

from attn_doctor.model.facts import Binary, Interpreter
from attn_doctor.probes.binaries import read
from attn_doctor.probes.binaries.elf import Elf
from attn_doctor.probes.binaries.symbol_table import SymbolTable

SPEC = importlib.util.find_spec("torch")

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
