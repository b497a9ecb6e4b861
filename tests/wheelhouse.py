"""Wheels made on the fly, for real installers: a few lines of Python each, in a folder that stands for an index."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


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


def _hash(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"


def torch_files(
    version: str, cuda: str | None = None, *, numpy_below: int | None = None, broken: str = ""
) -> dict[str, str]:
    """A torch of a few lines. `numpy_below`: numpy of this major or newer cannot take its arrays, as with the real 2.2."""
    bridge = "import numpy\n        return numpy.zeros(1)"
    if numpy_below is not None:
        bridge = (
            f"import numpy\n        if int(numpy.__version__.split('.')[0]) >= {numpy_below}:\n"
            f"            raise RuntimeError('Numpy is not available')\n        return numpy.zeros(1)"
        )
    local = f"+cu{cuda.replace('.', '')}" if cuda else "+cpu"
    code = f"""{broken}
from torch.version import __version__
import torch.cuda as cuda
class Tensor:
    def numpy(self):
        {bridge}
def ones(*size):
    return Tensor()
"""
    return {
        "torch/__init__.py": code,
        "torch/version.py": f"__version__ = {version + local!r}\ndebug = False\ncuda = {cuda!r}\nhip = None\n",
        "torch/cuda.py": f"def is_available():\n    return {bool(cuda)!r}\ndef device_count():\n    return 0\n",
    }


def numpy_files(version: str) -> dict[str, str]:
    return {"numpy/__init__.py": f"__version__ = {version!r}\ndef zeros(n):\n    return [0.0] * n\n"}
