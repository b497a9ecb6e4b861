"""A torch of a few libraries that loads NVIDIA's as the real releases do, and extensions that lean on it."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from extensions import SUFFIX, build, exports, library, linked, module, really, references

from attn_doctor.model.facts import Interpreter
from attn_doctor.probes.binaries import read

SPEC = importlib.util.find_spec("torch")
INTERPRETER = Interpreter(python=sys.executable, extension_suffix=SUFFIX, free_threaded=False)

# The three ways in which torch/__init__.py has loaded NVIDIA's libraries, as short as they can be.
UP_TO_2_5 = """
import ctypes, glob, os, sys
def _preload_cuda_deps(lib_folder, lib_name):
    for path in sys.path:
        found = sorted(glob.glob(os.path.join(path, 'nvidia', lib_folder, 'lib', lib_name)))
        if found:
            ctypes.CDLL(found[0])
            return
    raise ValueError(lib_name + ' not found')
def _load_global_deps():
    lib_path = os.path.join(os.path.dirname(__file__), 'lib', 'libtorch_global_deps.so')
    try:
        ctypes.CDLL(lib_path, mode=ctypes.RTLD_GLOBAL)
    except OSError as err:
        cuda_libs = {
            'cuda_runtime': 'libcudart.so.*[0-9]',
            'nvjitlink': 'libnvJitLink.so.*[0-9]',
            'cusparse': 'libcusparse.so.*[0-9]',
        }
        if not [lib for lib in cuda_libs.values() if lib.split('.')[0] in err.args[0]]:
            raise err
        for lib_folder, lib_name in cuda_libs.items():
            _preload_cuda_deps(lib_folder, lib_name)
        ctypes.CDLL(lib_path, mode=ctypes.RTLD_GLOBAL)

if (USE_RTLD_GLOBAL_WITH_LIBTORCH := False):
    pass
_load_global_deps()
from torch._C import *
"""
FROM_2_6 = UP_TO_2_5.replace(
    """mode=ctypes.RTLD_GLOBAL)
    except""",
    """mode=ctypes.RTLD_GLOBAL)
        try:
            with open("/proc/self/maps") as f:
                _maps = f.read()
            if "nvidia/cuda_runtime/lib/libcudart.so" not in _maps:
                raise LookupError
            _preload_cuda_deps("nvjitlink", "libnvJitLink.so.*[0-9]")
        except Exception:
            pass
    except""",
)
FROM_2_10 = """
import ctypes, glob, os, sys
def _preload_cuda_lib(lib_folder, lib_name, required=True):
    for path in sys.path:
        found = sorted(glob.glob(os.path.join(path, 'nvidia', 'cu12', 'lib', lib_name)))
        found += sorted(glob.glob(os.path.join(path, 'nvidia', lib_folder, 'lib', lib_name)))
        if found:
            ctypes.CDLL(found[0])
            return
    if required:
        raise ValueError(lib_name + ' not found')
def _preload_cuda_deps(err=None, required=True):
    cuda_libs = [
        ("cuda_runtime", "libcudart.so.*[0-9]"),
        ("nvjitlink", "libnvJitLink.so.*[0-9]"),
        ("cusparse", "libcusparse.so.*[0-9]"),
    ]
    if err is not None and not [lib for _, lib in cuda_libs if lib.split(".", 1)[0] in err.args[0]]:
        raise err
    for lib_folder, lib_name in cuda_libs:
        _preload_cuda_lib(lib_folder, lib_name, required=required)
def _load_global_deps():
    lib_path = os.path.join(os.path.dirname(__file__), 'lib', 'libtorch_global_deps.so')
    try:
        ctypes.CDLL(lib_path, mode=ctypes.RTLD_GLOBAL)
        try:
            with open("/proc/self/maps") as f:
                _maps = f.read()
            if "libcudart.so" not in _maps:
                raise LookupError
            _preload_cuda_deps(required=False)
        except Exception:
            pass
    except OSError as err:
        _preload_cuda_deps(err)
        ctypes.CDLL(lib_path, mode=ctypes.RTLD_GLOBAL)

if (USE_RTLD_GLOBAL_WITH_LIBTORCH := False):
    pass
_load_global_deps()
from torch._C import *
"""
STYLES = {"up to 2.5": UP_TO_2_5, "from 2.6": FROM_2_6, "from 2.10": FROM_2_10}

BUILDS = tempfile.TemporaryDirectory()
JIT = "libnvJitLink.so.12 { global: __nvJitLink*; };"
CUDART = "libcudart.so.12 { global: cuda*; };"


def little_torch(
    site: Path, init: str, *, rpath: str | None = "--disable-new-dtags", folder: str | None = None
) -> Path:
    """A CUDA torch of a few functions. `rpath`: the linker's flag for the kind of path in its libraries; None: none.

    `folder`: the folder of nvidia/ in which all of NVIDIA's libraries lie; None: one for each, as up to CUDA 12.
    """
    shutil.copytree(_libraries(rpath, folder), site)
    (site / "torch" / "__init__.py").write_text(init)
    (site / "torch" / "version.py").write_text("__version__ = '2.2.2+cu121'\ncuda: str = '12.1'\n")
    return site


@functools.cache
def _libraries(rpath: str | None, folder: str | None) -> Path:
    """Compiled once: they say by $ORIGIN where the others are."""
    site = Path(tempfile.mkdtemp(dir=BUILDS.name))
    lib, nvidia = site / "torch" / "lib", site / "nvidia"
    places = {n: nvidia / (folder or n) / "lib" for n in ("cuda_runtime", "nvjitlink", "cusparse")}
    joined = ":".join(f"$ORIGIN/../../{p.relative_to(site)}" for p in dict.fromkeys(places.values()))
    path = (f"-Wl,{rpath},-rpath,$ORIGIN:{joined}",) if rpath else ("-Wl,--disable-new-dtags,-rpath,$ORIGIN",)
    cudart = library(places["cuda_runtime"] / "libcudart.so.12", "cudaMalloc", versions=CUDART)
    jit = library(
        places["nvjitlink"] / "libnvJitLink.so.12", "__nvJitLinkComplete_12_4", "__nvJitLinkVersion", versions=JIT
    )
    sparse = build(
        places["cusparse"] / "libcusparse.so.12",
        exports("cusparseCreate") + references(["__nvJitLinkComplete_12_4"]),
        "-Wl,-soname,libcusparse.so.12",
        *linked(jit),
    )
    deps = library(lib / "libtorch_global_deps.so", flags=[*linked(cudart), *path])
    c10 = library(lib / "libc10.so", "_ZN3c106detail14torchCheckFailEPKcS2_jRKSs", "_ZN3c104WarnEv")
    half = library(lib / "libc10_cuda.so", "_ZN3c104cuda9SetDeviceEi", flags=[*linked(c10, cudart), *path])
    cuda = library(lib / "libtorch_cuda.so", "_ZN2at4cuda3useEv", flags=[*linked(half, sparse), *path])
    tags = rpath or "--disable-new-dtags"
    core = f"-Wl,{tags},-rpath,$ORIGIN/lib" + (":" + joined.replace("../../", "../") if rpath else "")
    build(site / "torch" / f"_C{SUFFIX}", module("_C"), *linked(cuda, half, c10), core)
    assert deps.exists()
    return site


def predicted(site: Path, extensions: dict[str, Path], environ: dict[str, str] | None = None):
    given = {**os.environ, "PYTHONPATH": str(site), **(environ or {})}
    asked = {"torch._C": site / "torch" / f"_C{SUFFIX}", **extensions}
    names = {module: str(path) for module, path in asked.items()}
    return read(INTERPRETER, str(site / "torch"), [str(site)], names, given)


def observed(site: Path, extensions: dict[str, Path], environ: dict[str, str] | None = None):
    jobs = [("import", module, path) for module, path in extensions.items()]
    return really(jobs, environ={"PYTHONPATH": str(site), **(environ or {})})


def agree(site: Path, extensions: dict[str, Path], environ: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """Judge and import, torch first; returns cause and real message of each, torch's at the front."""
    torch, *others = predicted(site, extensions, environ)
    started, answers = observed(site, extensions, environ)
    assert (torch.verdict == "loads") == (started == ""), (torch, started)
    for binary, said in zip(others, answers, strict=True):
        assert (binary.verdict == "loads") == (said == ""), (binary, said)
        if isinstance(binary.undefined, tuple) and binary.undefined and not started:
            assert binary.undefined[0] in said
    return [(torch.cause, started), *((b.cause, said) for b, said in zip(others, answers, strict=True))]


def extension(
    folder: Path, name: str, site: Path, asks: list[str], *libraries: str, flags: tuple[str, ...] = ()
) -> Path:
    paths = [next(site.rglob(lib)) for lib in libraries]
    return build(folder / (name + SUFFIX), module(name, asks), *(linked(*paths) if paths else ()), *flags)


# One folder for all of NVIDIA's libraries is known since 2.10; before it was one a library.
