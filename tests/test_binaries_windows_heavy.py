"""Real wheels for Windows against real folders of torch: the verdict agrees with a short resolver on what LIEF reads."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

import pytest
from foreign_wheels import download, kept_wheels

from attn_doctor.knowledge import windows_dlls
from attn_doctor.model.facts import Unknown
from attn_doctor.probes.binaries import windows

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3600)]  # hundreds of megabytes, and every file is read twice
lief = pytest.importorskip("lief", reason="the extra `heavy` has it, which the default tests do not need")

# Two draws: versions of torch, and packages.
DRAWS = {
    "first": (("2.14.1", "2.6.0"), (
        "torchvision==0.29.1", "torchvision==0.21.0", "torchaudio==2.6.0", "numpy", "scipy", "pillow", "onnxruntime", "xformers==0.0.35",
        "bitsandbytes", "triton-windows", "opencv-python-headless", "matplotlib", "lxml",
    )),
    "second": (("2.9.1", "2.3.1"), (
        "torchvision==0.24.1", "torchvision==0.18.1", "torchaudio==2.9.1", "torchaudio==2.3.1", "xformers==0.0.26.post1", "shapely", "h5py",
        "scikit-learn", "pandas", "av", "sentencepiece", "tokenizers", "faiss-cpu", "onnx", "lightgbm", "pyzmq",
    )),
}  # fmt: skip


@pytest.fixture(scope="module", params=DRAWS)
def drawn(request, tmp_path_factory):
    """The folder of the wheels of a draw, and its versions of torch."""
    torches, packages = DRAWS[request.param]
    place = kept_wheels(tmp_path_factory, f"windows-{request.param}")
    for requirement in (*(f"torch=={version}" for version in torches), *packages):
        download(place, requirement, ["win_amd64"])
    for version in torches:
        with zipfile.ZipFile(next(place.glob(f"torch-{version}-*.whl"))) as archive:
            for member in archive.namelist():
                if member.startswith("torch/lib/") and member.endswith(".dll"):
                    archive.extract(member, place / version)
    return place, torches


@cache
def tables(path: str) -> tuple[dict[str, list[str]], dict[str, str | None], bool]:
    """What LIEF reads: library -> names, exported name -> where it is forwarded to, and whether it is for x86-64."""
    pe = lief.PE.parse(path)
    imports: dict[str, list[str]] = {}
    for entry in pe.imports:
        names = [f"#{one.ordinal}" if one.is_ordinal else one.name for one in entry.entries]
        imports.setdefault(entry.name.lower(), []).extend(names)
    exports: dict[str, str | None] = {}
    for one in pe.get_export().entries if pe.has_exports else ():
        target = f"{one.forward_information.library}.{one.forward_information.function}" if one.is_forwarded else None
        exports[f"#{one.ordinal}"] = exports[one.name] = target
    return imports, exports, pe.header.machine == lief.PE.Header.MACHINE_TYPES.AMD64


def resolved(member: str, shelves: list[dict[str, str]]) -> str:
    """Follow imports through shelves of files, the first that has a name wins: loads, fails or unknown."""
    seen: set[str] = set()
    doubts = False
    todo = [shelves[0][member]]
    while todo:
        imports, _, right = tables(todo.pop())
        if not right:
            return "fails"
        for name, functions in imports.items():
            there = next((shelf[name] for shelf in shelves if name in shelf), None)
            if there is None:
                whose = windows_dlls.owner(name)
                if whose is None:
                    return "fails"
                doubts |= whose not in ("windows", "python")
                continue
            if set(functions) - set(tables(there)[1]):
                return "fails"
            if name not in seen:
                seen.add(name)
                todo.append(there)
    return "unknown" if doubts else "loads"


def shelf(paths) -> dict[str, str]:
    return {Path(path).name.lower(): str(path) for path in paths}


def test_verdicts_agree_with_an_independent_resolver(drawn, tmp_path, capsys):
    folder, torches = drawn
    pairs = 0
    counted: dict[str, int] = {}
    for path in sorted(folder.glob("*.whl")):
        if path.name.startswith("torch-"):
            continue
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / path.stem)
        root = tmp_path / path.stem
        dlls = [p for p in root.rglob("*") if p.suffix.lower() in (".dll", ".pyd")]
        for version in (*torches, None):
            pairs += 1
            beside = [str(folder / version / "torch" / "lib")] if version else [str(tmp_path / "nothing")]
            torch = shelf(Path(beside[0]).glob("*.dll"))
            for record in windows.members(str(path), beside):
                member = record.path.removeprefix(f"{path}/")
                top = member.partition("/")[0]
                near = [p for p in dlls if p.relative_to(root).parts[0] in (top, f"{top}.libs")]
                shelves = [shelf(p for p in (root / member).parent.glob("*") if p.is_file()), shelf(near), torch]
                expected = resolved(Path(member).name.lower(), shelves)
                got = "unknown" if isinstance(record.verdict, Unknown) else record.verdict
                assert got == expected, (path.name, version, record.module, record.because[:3])
                counted[got] = counted.get(got, 0) + 1
    with capsys.disabled():
        print(f"\n{pairs} pairs of a wheel and a folder of libraries, {sum(counted.values())} extensions: {counted}")
    assert pairs >= 36
    assert sum(counted.values()) >= 40
    assert {"loads", "fails", "unknown"} <= set(counted)
