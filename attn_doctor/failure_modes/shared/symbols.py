"""Explain a message of the dynamic loader: the library that lacks a symbol, and the torch for which the extension was compiled. Pure.

This module has the rules for C++ names. The table of torch's symbols contains which torch exports which name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from packaging.utils import canonicalize_name

from attn_doctor.knowledge import built_packages
from attn_doctor.knowledge.cxx_names import torch_symbols
from attn_doctor.knowledge.cxx_names.parser import demangle

# Modules that are compiled for torch and CUDA, or that load such a module.
EXTENSIONS = ("flash_attn_2_cuda", "flash_attn", "flash_attn_interface", "flash_attn_3", "xformers")
_UNDEFINED = re.compile(r"undefined symbol: ([^\s,;)'\"]+)")
# "symbol X, version V not defined in file F with link time reference": the same failure, if the symbols of the library have versions.
_NOT_DEFINED = re.compile(r"symbol (\w+), version \S+ not defined in file \S+ with link time reference")

# The library that exports a name; the first pattern that matches counts. Namespaces are written as the Itanium ABI mangles them.
_OWNERS = (
    (re.compile(r"_Z\w*?(?:THP|5torch8autograd\d+THP|8pybind11)"), "libtorch_python.so"),
    (re.compile(r"_ZN?[A-Z]*K?3c104cuda"), "libc10_cuda.so"),
    (re.compile(r"_Z\w*?2at4cuda|_ZN4c10d\w*?(?:NCCL|Nccl)"), "libtorch_cuda.so"),
    (re.compile(r"_Z(?:T[VIS])?N?[rVK]*3c10"), "libc10.so"),
    (re.compile(r"_Z(?:T[VIS])?N?[rVK]*(?:2at|5torch|6caffe2|4c10d)"), "libtorch_cpu.so"),
    (re.compile(r"_?Py[A-Z_]"), "the Python interpreter"),
    (re.compile(r"__nvJitLink|nvJitLink"), "libnvJitLink"),
    (re.compile(r"cublasLt"), "libcublasLt"),
    (re.compile(r"(cublas|cudnn|cusparse|cusolver|cufft|curand|nccl|nvrtc|cupti)[A-Z]"), ""),
    (re.compile(r"cuda[A-Z]|__cuda"), "libcudart"),
    (re.compile(r"cu[A-Z]"), "libcuda.so.1, the driver"),
)

# The words of Windows for a missing function (PROCEDURE) and a missing file (MODULE), in the languages of the logs that people send.
PROCEDURE = (
    r"specified procedure|找不到指定的程序|angegebene Prozedur|procédure spécifiée|prozedur|proceso especificado|"
    r"procedimiento especificado|procedimento especificado|procedura specificata|指定されたプロシージャ|지정된 프로시저|"
    r"указанная процедура|określonej procedury|[Bb]elirtilen yordam|WinError 127\b"
)
MODULE = (
    r"specified module|找不到指定的模块|找不到指定的模組|angegebene Modul|module spécifié|módulo especificado|modulo specificato|"
    r"指定されたモジュール|지정된 모듈|указанный модуль|określonego modułu|[Bb]elirtilen modül|WinError 126\b"
)
# Names of files in a Python environment or of packages that are built for one. Other programs print the same errors.
IN_PYTHON = re.compile(r"python|site-packages|dist-packages|flash|torch|cuda|nvidia|triton|xformers|\.venv|conda")
_LONGEST = 100  # a longer name is cut to this many characters in a sentence


class Explanation(NamedTuple):
    """Describe one symbol that the loader did not find."""

    name: str  # as a person would write it: "c10::cuda::SetDevice(int)"
    library: str | None  # the library that should have it: "libc10_cuda.so"; None: not known
    new_strings: bool | None  # it was compiled with the new C++ ABI; None: the name contains no std::string
    torch: tuple[str, ...] | None  # minor releases of torch that have it, oldest first; None: the name does not show it


_LIBRARY = re.compile(
    r"(?:[\\/](?:site|dist)-packages[\\/]\[?(?P<folder>\w+)|(?P<file>\w+_(?:cuda|C|ext)))\S{0,200}?\.so(?:\]\(\S{1,200}\))?: "
)


def package_of(text: str) -> str | None:
    """Return the package of the extension in an error of the loader: "flash-attn" for .../flash_attn_2_cuda.so; None if there is no extension."""
    found = _LIBRARY.search(text)
    if found is None:
        return None
    name = canonicalize_name(found["folder"] or found["file"])
    row = built_packages.row_of(name) or built_packages.row_of(re.sub(r"(?:-\d)?-(?:cuda|c|ext)$", "", name))
    return row.name if row else built_packages.of_module(name) or name


def undefined(text: str) -> str | None:
    """Return the mangled name ("_ZN3c104cuda9SetDeviceEi") that the loader could not find, from its message; None if it names none."""
    match = _UNDEFINED.search(text) or _NOT_DEFINED.search(text)
    return match[1] if match else None


def explain(symbol: str) -> Explanation:
    """Explain a mangled name: its readable form, its library, its C++ ABI, and the torch releases that have it."""
    symbol = _unglued(symbol)
    return Explanation(
        name=_readable(symbol),
        library=_library(symbol),
        new_strings=torch_symbols.flavour(symbol),
        torch=torch_symbols.fitting([symbol]) if torch_symbols.is_torch(symbol) else None,
    )


# A name that is cut within its second argument: no word is appended to it.
_CUT = re.compile(r"14SourceLocationENSt7\w*$")
_JOINED = 40  # most letters of the next line that may be appended to a name


def _unglued(symbol: str) -> str:
    """Return a mangled name without the word of the next line that was appended when broken lines were joined.

    Only a complete name can be demangled. Example: "..._ESsbcausal" cannot be demangled, "..._ESsb" can: "causal" is a word of
    the next line.
    """
    if not symbol.startswith("_Z") or demangle(symbol) != symbol or _CUT.search(symbol):
        return symbol
    shorter = [symbol[:end] for end in range(len(symbol) - 1, max(len(symbol) - _JOINED, 2), -1)]
    known = (name for name in shorter if torch_symbols.exporting(name))
    readable = (name for name in shorter if demangle(name) != name)
    return next(known, None) or next(readable, symbol)


def sentence(symbol: str) -> str:
    """Return the missing function and its library, for the end of a sentence: "c10::cuda::SetDevice(int) in libc10_cuda.so"."""
    told = explain(symbol)
    return f"{told.name} in {told.library}" if told.library else told.name


def built_for(symbol: str) -> str | None:
    """Return the torch releases that have a symbol, in words: "torch 2.3 to 2.7". None if the symbol does not show it."""
    minors = explain(symbol).torch
    if not minors:
        return None
    order = torch_symbols.minors()
    if len(minors) == 1:
        return f"torch {minors[0]}"
    if minors[0] == order[0]:
        return f"torch {minors[-1]} or older"
    if minors[-1] == order[-1]:
        return f"torch {minors[0]} or newer"
    return f"torch {minors[0]} to {minors[-1]}"


def of_abi(symbol: str, torch_new_strings: bool | None = None) -> bool | None:
    """Return whether a symbol is missing because of the C++ ABI of std::string.

    False: for another reason, such as another torch release. None: not known. `torch_new_strings`: whether torch has the new ABI; None: not known.
    https://gcc.gnu.org/onlinedocs/libstdc++/manual/using_dual_abi.html
    """
    symbol = _unglued(symbol)
    told = explain(symbol)
    if told.new_strings is None and _CUT.search(symbol):
        return True  # the name is cut, as in the title of an issue: in torch a SourceLocation is followed by a string
    if told.new_strings is None or not torch_symbols.is_torch(symbol):
        return False
    if torch_new_strings is not None:
        return told.new_strings is not torch_new_strings
    # If every torch has the name in one of the two ABIs, the ABI is the cause. If only some releases have it, either may be.
    return True if told.torch is None else None


def _library(symbol: str) -> str | None:
    for pattern, library in _OWNERS:
        match = pattern.match(symbol)
        if match:
            return library or f"lib{match[1]}"
    return None


def _readable(symbol: str) -> str:
    """Return the demangled name; "..." replaces a long list of parameters."""
    name = torch_symbols.signature(symbol) if symbol.startswith("_Z") else symbol
    head, opened, _ = name.partition("(")
    return name if len(name) <= _LONGEST or not opened else f"{head}(...)"
