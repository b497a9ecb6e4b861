"""Real wheels for macOS: the reader agrees with LIEF on every file, and the verdict with a short resolver on LIEF's own bindings and exports."""

from __future__ import annotations

import posixpath
import zipfile
from functools import cache
from pathlib import Path

import pytest
from foreign_wheels import download, kept_wheels

from attn_doctor.knowledge import macos_libraries
from attn_doctor.model.facts import Unknown
from attn_doctor.probes.binaries import macos
from attn_doctor.probes.binaries.macho import MAGICS, MachFile

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3600)]  # hundreds of megabytes, and every file is read twice
lief = pytest.importorskip("lief", reason="the extra `heavy` has it, which the default tests do not need")

# Two draws: versions of torch for arm64, packages for arm64 or both, and packages for x86_64, for which torch 2.2 was the last.
DRAWS = {
    "first": (("2.14.1", "2.6.0"), (
        "torchvision==0.29.1", "torchvision==0.21.0", "torchaudio==2.6.0", "numpy", "scipy", "pillow", "onnxruntime", "opencv-python-headless",
        "matplotlib", "lxml", "safetensors",
    ), ("numpy==1.26.4", "torch==2.2.2", "torchvision==0.17.2")),
    "second": (("2.10.0", "2.3.1"), (
        "torchvision==0.25.0", "torchvision==0.18.1", "torchaudio==2.10.0", "torchaudio==2.3.1", "shapely", "h5py", "scikit-learn", "pandas", "av",
        "sentencepiece", "tokenizers", "faiss-cpu", "onnx", "lightgbm", "pyzmq", "numba", "llvmlite", "cryptography", "pyproj", "ctranslate2",
        "mlx",
    ), ("scipy==1.11.4", "torch==2.1.2", "torchaudio==2.1.2")),
}  # fmt: skip
PLATFORMS = [f"macosx_{major}_0_{arch}" for major in (11, 12, 13, 14) for arch in ("arm64", "universal2")]


def unpacked(wheel: Path) -> Path:
    place = wheel.with_suffix("")
    if not place.is_dir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
    return place


def machos(place: Path) -> list[Path]:
    found = []
    for path in sorted(place.rglob("*")):
        if path.suffix in (".so", ".dylib") and path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) in MAGICS:
                    found.append(path)
    return found


@pytest.fixture(scope="module", params=DRAWS)
def folder(request, tmp_path_factory):
    torches, packages, intel = DRAWS[request.param]
    place = kept_wheels(tmp_path_factory, f"macos-{request.param}")
    for requirement in (*(f"torch=={version}" for version in torches), *packages):
        download(place, requirement, PLATFORMS)
    for requirement in intel:
        download(place, requirement, [f"macosx_{release}_x86_64" for release in ("10_9", "10_12", "10_13", "11_0")])
    return place


@cache
def parsed(path: str) -> lief.MachO.FatBinary:
    return lief.MachO.parse(path)  # kept: its binaries are parts of it


def slices(path: str) -> dict[str, lief.MachO.Binary]:
    names = {"ARM64": "arm64", "X86_64": "x86_64"}
    return {names[one.header.cpu_type.name]: one for one in parsed(path)}


KINDS = {"LOAD_DYLIB": "needed", "LOAD_WEAK_DYLIB": "weak", "REEXPORT_DYLIB": "reexported", "LAZY_LOAD_DYLIB": "lazy", "LOAD_UPWARD_DYLIB": "needed"}  # fmt: skip


def loads(binary) -> list[tuple[str, str]]:
    return [(one.name, KINDS[one.command.name]) for one in binary.libraries if one.command.name in KINDS]


@cache
def exports(path: str, machine: str) -> dict[str, tuple[str, str] | None]:
    """Exported name -> None, or (library, name there)."""
    found = {}
    for symbol in slices(path)[machine].symbols:
        if symbol.has_export_info:
            info = symbol.export_info
            alias = info.alias.name if info.alias else symbol.name
            found[symbol.name] = (info.alias_library.name, alias) if info.alias_library else None
    return found


def signature_of(binary) -> str:
    """By the sizes that LIEF gives: the bytes of the signature, read by hand."""
    if not binary.has_code_signature:
        return "none"
    blob = bytes(binary.code_signature.content)
    count = int.from_bytes(blob[8:12], "big")
    places = {int.from_bytes(blob[at : at + 4], "big"): int.from_bytes(blob[at + 4 : at + 8], "big") for at in range(12, 12 + 8 * count, 8)}  # fmt: skip
    certificates = places.get(0x10000)
    held = int.from_bytes(blob[certificates + 4 : certificates + 8], "big") if certificates else 0
    return "of a certificate" if held > 8 else "ad hoc"


def test_the_reader_agrees_with_lief_on_every_file(folder, capsys):
    count = 0
    signatures: dict[tuple[str, str], int] = {}
    for wheel in sorted(folder.glob("*.whl")):
        for path in machos(unpacked(wheel)):
            ours = MachFile.open(path).slices
            theirs = slices(str(path))
            assert set(ours) == set(theirs), path
            for machine, code in ours.items():
                binary = theirs[machine]
                count += 1
                assert [(one.name, one.kind) for one in code.dylibs] == loads(binary), path
                assert list(code.rpaths) == [one.path for one in binary.rpaths], path
                own = next((c.name for c in binary.commands if c.command.name == "ID_DYLIB"), None)
                assert code.install_name == own, path
                assert code.signature == signature_of(binary), path
                kind = machine, code.signature
                signatures[kind] = signatures.get(kind, 0) + 1
                if binary.has_build_version:
                    oldest = list(binary.build_version.minos)
                    assert code.oldest_macos == ".".join(map(str, oldest if oldest[2] else oldest[:2])), path
                assert set(code.exports()) == set(exports(str(path), machine)), path
                names = list(code.exports())
                assert [name for name in names if code.exported(name) is None] == [], path
                # A binding without a library is of the whole process; LIEF lists shared names of C++ a second time without their library.
                bound = {(one.symbol.name, one.library.name) for one in binary.bindings if one.has_symbol and one.has_library}  # fmt: skip
                numbered = {(one.name, code.dylibs[one.library - 1].name) for one in code.undefined if one.library > 0}
                assert numbered == bound, (path, sorted(numbered ^ bound)[:5])
        parsed.cache_clear()
        exports.cache_clear()
    with capsys.disabled():
        print(f"\n{count} files; signatures: {signatures}")
    assert count >= 150
    assert ("arm64", "none") not in signatures  # they would not load


def bindings(path: str, machine: str) -> dict[tuple[str, str], bool]:
    """(name, library) -> whether it may be missing."""
    found = {}
    for one in slices(path)[machine].bindings:
        if one.has_symbol and one.has_library:
            found[one.symbol.name, one.library.name] = bool(one.weak_import)
    return found


def resolved(member: Path, torch: dict[str, str], own: dict[str, str], machine: str) -> str:
    """Follow the libraries of a file: loads, fails or unknown. `torch`, `own`: name -> path of torch's libraries and of those of its package."""
    seen, doubts, todo = set(), False, [(str(member), ())]
    while todo:
        path, above = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        if machine not in slices(path):
            return "fails"
        if path in torch.values() and path != str(member):
            continue
        binary = slices(path)[machine]
        here = posixpath.dirname(path)
        said = [one.path.replace("@loader_path", here) for one in binary.rpaths if one.path.startswith("@")]
        rpaths = (*said, *above)
        found = {}
        for name, kind in loads(binary):
            leaf = posixpath.basename(name)
            names = [posixpath.normpath(f"{rpath}/{name[7:]}") for rpath in rpaths] if name.startswith("@rpath/") else [posixpath.normpath(name.replace("@loader_path", here))]  # fmt: skip
            there = torch.get(name) or next((one for one in names if name[0] == "@" and Path(one).is_file()), None)
            there = there or (None if macos_libraries.is_apple(name) else torch.get(leaf) or own.get(name))
            found[name] = there
            if there:
                todo.append((there, rpaths))
            elif macos_libraries.is_apple(name):
                doubts |= macos_libraries.owner(name) is None
            elif name.startswith("/") and macos_libraries.owner(name) is None:
                doubts = True
            elif kind != "weak" and macos_libraries.owner(name) is None:
                return "fails"
        for (symbol, library), weak in bindings(path, machine).items():
            there = found.get(library)
            if there and not weak and machine in slices(there) and symbol not in exports(there, machine):
                everywhere = [
                    p for p in (*seen, *torch.values(), *filter(None, found.values())) if machine in slices(p)
                ]
                again = any(kind == "reexported" for _, kind in loads(slices(there)[machine]))
                if not again and not any(symbol in exports(p, machine) for p in everywhere):
                    return "fails"
    return "unknown" if doubts else "loads"


def test_verdicts_agree_with_an_independent_resolver(folder, tmp_path, capsys):
    pairs = 0
    counted: dict[str, int] = {}
    wheels = [w for w in sorted(folder.glob("*.whl")) if not w.name.startswith("torch-")]
    torches = {w.name: unpacked(w) / "torch" / "lib" for w in folder.glob("torch-*.whl")}
    for wheel in wheels:
        place = unpacked(wheel)
        for name, lib in {**torches, "none": tmp_path / "nothing"}.items():
            pairs += 1
            table: dict[str, str] = {}
            for path in machos(lib) if lib.is_dir() else ():
                for binary in slices(str(path)).values():
                    own = next((c.name for c in binary.commands if c.command.name == "ID_DYLIB"), path.name)
                    table.setdefault(own, str(path))
                table.setdefault(path.name, str(path))
            for record in macos.members(str(wheel), [str(lib)]):
                member = place / record.path.removeprefix(f"{wheel}/")
                has = sorted(slices(str(member)), key=lambda one: one != "arm64")
                shared = [one for one in has if table and one in slices(next(iter(table.values())))]
                package = place / member.relative_to(place).parts[0]
                machine = (shared or has)[0]
                named = [(slices(str(p))[machine], p) for p in machos(package) if machine in slices(str(p))]
                own = {c.name: str(p) for binary, p in named for c in binary.commands if c.command.name == "ID_DYLIB"}
                expected = resolved(member, table, own, machine)
                got = "unknown" if isinstance(record.verdict, Unknown) else record.verdict
                stray = isinstance(record.verdict, Unknown) and "from any library of the process" in record.verdict.why
                assert got == expected or (stray and expected == "loads"), (wheel.name, name, record.module, expected, record.verdict, record.because[:3])  # fmt: skip
                counted[got] = counted.get(got, 0) + 1
    with capsys.disabled():
        print(f"\n{pairs} pairs of a wheel and a folder of libraries, {sum(counted.values())} extensions: {counted}")
    assert pairs >= 40
    assert sum(counted.values()) >= 100
    assert {"loads", "fails"} <= set(counted)
