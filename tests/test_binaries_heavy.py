"""Real wheels against real torches from the registry: every prediction is followed by the real thing. Gigabytes.

    pytest -m heavy tests/test_binaries_heavy.py

ATTN_DOCTOR_ENVIRONMENTS may name a folder in which the environments are kept for the next run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from extensions import really

from attn_doctor.model.facts import Binary, Unknown
from attn_doctor.probes.binaries import read, torch_static
from attn_doctor.probes.binaries.elf import Elf
from attn_doctor.probes.binaries.files import Files
from attn_doctor.probes.binaries.inspection import Place, inspect, place_of
from attn_doctor.probes.binaries.symbol_table import SymbolTable
from attn_doctor.probes.binaries.target import Target

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3600)]

TORCHES = ("2.2.2", "2.8.0", "2.12.1", "2.15.0")
# Compiled for torch 2.0 to 2.15, old and new C++ ABI, with and without CUDA, stable ABI and not.
WHEELS = (
    "torchvision==0.15.2 torchvision==0.17.2 torchvision==0.21.0 torchvision==0.23.0 torchvision==0.27.1 "
    "torchvision==0.28.0 torchvision==0.29.1 torchaudio==2.2.2 torchaudio==2.8.0 torchaudio==2.11.0 "
    "xformers==0.0.25.post1 xformers==0.0.28.post3 xformers==0.0.32.post2 xformers==0.0.35 "
    "vllm-flash-attn==2.5.7 vllm-flash-attn==2.6.2 torchao==0.9.0 torchao==0.14.1 torchao==0.18.0 torchcodec==0.17.0"
).split()

# torchaudio loads these libraries by their paths before it imports the modules (_extension, models/decoder); here a module is loaded alone.
LOADED_FIRST = {
    "torchaudio.lib.pybind11_prefixctc": "libctc_prefix_decoder.so",
    "torchaudio.lib._torchaudio": "libtorchaudio.so",
}


@pytest.fixture(scope="session")
def kept(tmp_path_factory) -> Path:
    folder = os.environ.get("ATTN_DOCTOR_ENVIRONMENTS")
    return Path(folder) if folder else tmp_path_factory.mktemp("environments")


def pip(python: Path, *arguments: str) -> None:
    done = subprocess.run(
        [str(python), "-m", "pip", *arguments], capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module", params=TORCHES)
def environment(request, kept) -> Place:
    """A fresh environment with nothing in it but this torch; removed again, for it has 3 to 5 GB."""
    folder = kept / f"torch-{request.param}"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip(python, "install", "--quiet", f"torch=={request.param}", "numpy<2" if request.param < "2.3" else "numpy")
    yield place_of(str(python), os.environ)
    if "ATTN_DOCTOR_ENVIRONMENTS" not in os.environ:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def wheels(kept) -> list[Path]:
    folder, downloader = kept / "wheels", kept / "pip"
    folder.mkdir(parents=True, exist_ok=True)
    if not downloader.exists():  # the Python of the tests need not have a pip
        subprocess.run([sys.executable, "-m", "venv", str(downloader)], check=True)
    for requirement in WHEELS:
        stem = requirement.replace("==", "-").replace("-", "_").lower()
        if not any(p.name.replace("-", "_").lower().startswith(stem + "_") for p in folder.iterdir()):
            pip(downloader / "bin" / "python", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement)
    return sorted(folder.glob("*.whl"))


def test_every_extension_of_every_wheel_is_predicted_rightly(environment, wheels, capsys):
    """The wheel is judged as it lies there; then its files are put where an installer would put them, and loaded."""
    site = Path(environment.interpreter.site_packages)
    right, wrong, doubtful = [], [], []
    for wheel in wheels:
        predicted = list(inspect([str(wheel)], environment, os.environ))
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.endswith(".so") or ".so." in n]
            tops = {n.partition("/")[0] for n in names}
            assert not any((site / top).exists() for top in tops), tops
            archive.extractall(site, names)
        try:
            jobs = [job(site, wheel, record) for record in predicted if record.needs]
            started, answers = really(jobs, python=str(environment.interpreter.python))
        finally:
            for top in tops:
                path = site / top
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert started == ""
        for record, said in zip((r for r in predicted if r.needs), answers, strict=True):
            entry = (wheel.name, record.module, record.verdict, record.because[:1], said)
            agrees = (record.verdict == "loads") == (said == "") and names_the_same(record, said)
            alone = LOADED_FIRST.get(record.module)
            agrees |= alone is not None and record.verdict == "loads" and said.startswith(f"ImportError: {alone}:")
            (doubtful if isinstance(record.verdict, Unknown) else right if agrees else wrong).append(entry)
    with capsys.disabled():
        loaded = sum(1 for entry in right if entry[2] == "loads")
        print(f"\n{environment.interpreter.python}: {len(right)} right ({loaded} load), {len(wrong)} wrong")
        for entry in (*doubtful, *wrong):
            print(*entry, sep=" | ")
    assert not wrong


def job(site: Path, wheel: Path, record: Binary) -> tuple[str, str, Path]:
    path = site / record.path.removeprefix(f"{wheel}/")
    name = path.name.partition(".")[0]
    is_module = SymbolTable(Elf.open(path)).exports(f"PyInit_{name}".encode())
    return ("import" if is_module else "load"), name, path


def names_the_same(record: Binary, said: str) -> bool:
    """The loader's message names what was named first: the library, the version or the symbol."""
    if record.verdict == "loads" or record.cause in ("damaged", "wheel-tag"):
        return True
    if record.cause == "python-abi":
        return said.startswith("ModuleNotFoundError")
    missing = [need.name for need in record.needs if need.found is None]
    if isinstance(record.undefined, tuple) and record.undefined and not missing:
        return record.undefined[0] in said or any(name in said for name in record.undefined)
    return any(word.strip("`',;:") in said for word in " ".join(record.because).split() if ".so" in word or "_" in word)


def test_the_architectures_are_those_that_torch_names(environment):
    code = "import torch; print(*torch._C._cuda_getArchFlags().split())"
    done = subprocess.run([environment.interpreter.python, "-c", code], capture_output=True, text=True, check=True)
    assert list(torch_static(environment.torch)["archs"]) == done.stdout.split()


def test_torch_maps_exactly_what_is_predicted(environment):
    target = Target(Files(), environment.interpreter, environment.torch, environment.path, os.environ)
    ours = {library.real for library in target.process.libraries}
    assert target.torch_troubles == []
    code = "import torch; print(open('/proc/self/maps').read())"
    done = subprocess.run([environment.interpreter.python, "-c", code], capture_output=True, text=True, check=True)
    mapped = {line.split()[-1] for line in done.stdout.splitlines() if ".so" in line}
    site = str(environment.interpreter.site_packages)
    ofs = [p for p in mapped if p.startswith((f"{site}/torch/", f"{site}/nvidia/")) and "/_C/" not in p]
    assert {p for p in ours if p.startswith(site)} == set(ofs)


@pytest.mark.parametrize("name", ["libtorch_cpu.so", "libtorch_cuda.so", "libtorch_python.so", "libc10_cuda.so"])
def test_large_libraries_are_read_as_pyelftools_reads_them(environment, name):
    path = Path(environment.torch) / "lib" / name
    symbols = SymbolTable(Elf.open(path))
    with path.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".dynsym")
        undefined, exported = set(), set()
        for symbol in table.iter_symbols():
            if symbol["st_info"]["bind"] == "STB_LOCAL" or not symbol.name:
                continue
            (undefined if symbol["st_shndx"] == "SHN_UNDEF" else exported).add(symbol.name.encode())
    assert {u.name for u in symbols.undefined} == undefined
    assert set(symbols.exported()) == exported


def test_without_its_cuda_half_torch_is_no_place_for_cuda_extensions(environment, wheels, tmp_path):
    """The same wheels on the same torch, with the CUDA libraries hidden: what a CPU build would answer."""
    site = tmp_path / "site"
    for path in (Path(environment.torch)).rglob("*"):
        if path.is_file() and "cuda" not in path.name and (path.suffix in (".so", ".py") or ".so." in path.name):
            here = site / "torch" / path.relative_to(environment.torch)
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(path)
    place = environment._replace(torch=str(site / "torch"))
    records = [r for w in wheels if "torchvision" in w.name for r in inspect([str(w)], place, os.environ)]
    assert records
    assert {r.verdict for r in records if any(n.name == "libc10_cuda.so" for n in r.needs)} == {"fails"}
    assert read(place.interpreter, place.torch, place.path, {}, os.environ) == ()
