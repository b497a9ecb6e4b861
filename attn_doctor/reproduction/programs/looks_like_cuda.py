# ruff: noqa: INP001, SLF001, ARG002 - a program
"""Make torch look like a CUDA build to a setup.py. A program, not a module: put on PYTHONPATH as sitecustomize.py.

Only the values that a build reads are changed: no kernel could run. The CUDA version is in ATTN_DOCTOR_TORCH_CUDA.
"""

from __future__ import annotations

import os
import sys

_CUDA = os.environ.get("ATTN_DOCTOR_TORCH_CUDA", "")


class _Finder:
    """Change torch just before torch.utils.cpp_extension is imported: at its import, that module searches for a toolkit."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name != "torch.utils.cpp_extension":
            return
        sys.meta_path.remove(self)
        import torch

        flavour = "+cu" + _CUDA.replace(".", "")
        torch.__version__ = type(torch.__version__)(str(torch.__version__).partition("+")[0] + flavour)
        torch.version.cuda = _CUDA
        torch.cuda._is_compiled = lambda: True
        torch._C._cuda_getDeviceCount = lambda: 0


if _CUDA:
    sys.meta_path.insert(0, _Finder())
