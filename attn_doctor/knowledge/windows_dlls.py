"""Name the source (Windows, Python, a package) of a DLL that an extension for Windows needs. Pure."""

from __future__ import annotations

import functools
import re
from typing import ClassVar

from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load

WINDOWS, PYTHON = "windows", "python"
TORCH = ("c10.dll", "torch_cpu.dll", "torch.dll", "torch_python.dll", "shm.dll", "torch_global_deps.dll")
CUDA_TORCH = ("c10_cuda.dll", "torch_cuda.dll", "caffe2_nvrtc.dll", "torch_cuda_linalg.dll")
_SETS = re.compile(r"(api|ext)-ms-(win|onecore)-[\w-]+\.dll")  # API sets: names that Windows maps to DLLs of its own
_CUDA = re.compile(
    r"(cudart|cublas|cublaslt|cufft|curand|cusolver|cusparse|nvrtc|nvjitlink|cupti|nvrtc-builtins)\d*_?(\d+)"
)


class WindowsLibraries(Row, frozen=True, kw_only=True):
    """Hold the names of DLLs that have one source. `whose`: "windows", "python", or the source in words."""

    TABLE: ClassVar[str] = "windows_dlls"

    whose: str
    names: tuple[str, ...]


def is_api_set(name: str) -> bool:
    """Return whether a name is that of an API set.

    Windows maps it to a library of its own, so no folder has a file of this name.
    https://learn.microsoft.com/windows/win32/apiindex/windows-apisets
    """
    return _SETS.fullmatch(name.lower()) is not None


def owner(name: str) -> str | None:
    """Return the source of a DLL: "windows", "python", or words; None if the table lacks the DLL."""
    plain = name.lower()
    if is_api_set(plain):
        return WINDOWS
    if re.fullmatch(r"python3\d*t?\.dll", plain):
        return PYTHON
    return _by_name().get(plain)


def package_of(name: str) -> str | None:
    """Return in words the package or program that installs a missing DLL; None if it is not known."""
    plain = name.lower()
    whose = owner(plain)
    if whose not in (None, WINDOWS, PYTHON):
        return whose
    if plain in CUDA_TORCH:
        return "a CUDA build of torch"
    if plain.startswith("cudnn"):
        return "a CUDA build of torch, or NVIDIA's cuDNN"
    cuda = _CUDA.match(plain)
    if cuda:
        return f"a torch for CUDA {cuda[2][:2]}, or its CUDA toolkit"
    return None


@functools.cache
def _by_name() -> dict[str, str]:
    return {name: row.whose for row in load(WindowsLibraries) for name in row.names}
