"""Wheels made on the fly, for real installers: a few lines of Python each, in a folder that stands for an index."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# Of this Python on Linux
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
PLATFORM = f"linux_{os.uname().machine}" if hasattr(os, "uname") else ""


def pack(path: Path, files: dict[str, Path | bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A wheel with these members, good enough to be installed."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, content in files.items():
            archive.writestr(member, content if isinstance(content, bytes) else content.read_bytes())
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def add_wheel(
    house: Path,
    name: str,
    version: str,
    files: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """A wheel in `house`: files by their path in site-packages; by default a package that knows its version."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    content = (
        dict(files) if files is not None else {f"{name.replace('-', '_')}/__init__.py": f"__version__ = {version!r}\n"}
    )
    for script, text in (scripts or {}).items():
        content[f"{stem}.data/scripts/{script}"] = text
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *[f"Requires-Dist: {r}" for r in requires]]
    content[f"{info}/METADATA"] = "\n".join(head) + "\n"
    content[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: wheelhouse\nRoot-Is-Purelib: true\nTag: {tag}\n"
    record = [f"{path},{_hash(text)},{len(text.encode())}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    house.mkdir(parents=True, exist_ok=True)
    made = house / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return made


def add_source(house: Path, name: str, version: str, setup: str, files: Mapping[str, str]) -> Path:
    """A source distribution whose build runs `setup`, and then yields a wheel with these files."""
    stem = f"{name.replace('-', '_')}-{version}"
    built = add_wheel(house / "built", name, version, files)
    project = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    content = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        "pyproject.toml": project.encode(),
        "setup.py": setup.encode(),
        built.name: built.read_bytes(),
    }
    made = house / f"{stem}.tar.gz"
    with tarfile.open(made, "w:gz") as archive:
        for path, data in content.items():
            entry = tarfile.TarInfo(f"{stem}/{path}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made


def setuptools_files() -> dict[str, str]:
    """A setuptools that runs setup.py and hands out the wheel that lies beside it, see `add_source`."""
    backend = """import glob, os, runpy, shutil, zipfile
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    runpy.run_path("setup.py")
    with zipfile.ZipFile(glob.glob("*.whl")[0]) as archive:
        names = [n for n in archive.namelist() if ".dist-info/" in n]
        archive.extractall(folder, names)
    return names[0].split("/")[0]
def build_wheel(folder, config_settings=None, metadata_directory=None):
    runpy.run_path("setup.py")
    wheel = glob.glob("*.whl")[0]
    shutil.copy(wheel, os.path.join(folder, wheel))
    return wheel
"""
    return {"setuptools/__init__.py": "", "setuptools/build_meta.py": backend}


def _hash(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def torch_files(
    version: str, cuda: str | None = None, *, numpy_below: int | None = None, broken: str = "", card: bool = False
) -> dict[str, str]:
    """A torch of a few lines. `numpy_below`: numpy of this major or newer cannot take its arrays, as with the real 2.2.

    `broken`: code that runs first; `card`: CUDA works, and shows one RTX 4090.
    """
    bridge = "import numpy\n        return numpy.zeros(1)"
    if numpy_below is not None:
        bridge = (
            f"import numpy\n        if int(numpy.__version__.split('.')[0]) >= {numpy_below}:\n"
            f"            raise RuntimeError('Numpy is not available')\n        return numpy.zeros(1)"
        )
    local = f"+cu{cuda.replace('.', '')}" if cuda else "+cpu"
    code = f"""{broken}
from torch.version import __version__
from torch import _C, cuda
class Tensor:
    def numpy(self):
        {bridge}
def ones(*size):
    return Tensor()
"""
    cards = f"""def is_available():
    return {card!r}
def device_count():
    return {int(card)}
def get_device_capability(index):
    return 8, 9
def get_device_name(index):
    return 'NVIDIA GeForce RTX 4090'
def init():
    raise RuntimeError('No CUDA GPUs are available')
"""
    return {
        "torch/__init__.py": code,
        "torch/version.py": f"__version__ = {version + local!r}\ndebug = False\ncuda = {cuda!r}\nhip = None\n",
        "torch/_C.py": "_GLIBCXX_USE_CXX11_ABI = True\ndef _cuda_getArchFlags():\n    return 'sm_80 sm_90'\n",
        "torch/cuda.py": cards,
    }


def numpy_files(version: str) -> dict[str, str]:
    return {"numpy/__init__.py": f"__version__ = {version!r}\ndef zeros(n):\n    return [0.0] * n\n"}
