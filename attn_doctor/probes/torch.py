"""Describe the torch of the target: first from its files, then from importing it in a child."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from attn_doctor.child import Outcome
from attn_doctor.model.facts import Distribution, Fault, Torch, Unknown, all_unknown
from attn_doctor.probes.ask import Module, describe
from attn_doctor.probes.binaries import torch_static
from attn_doctor.system import files

_VERSION_FILE = 1 << 16  # bytes that are read of torch/version.py
# Whose copy of these is loaded decides what runs: CUDA, cuDNN, NCCL, ROCm, and the OpenMP libraries, of which a process should have one.
GPU_LIBRARY = (
    r"(?i)(?:lib)?(?:cu(?:da|dnn|blas|fft|rand|solver|sparse|pti|file|tensor)|nv(?:rtc|jitlink|idia-|shmem|toolsext)|nccl|"
    r"amdhip|hip|hsa-runtime|roc|rccl|miopen|gomp|iomp|omp)[\w.-]*\.(?:so|dll|dylib)\b"
)
_MOST_LIBRARIES = 200
NOT_INSTALLED: dict[str, Any] = {
    "version": None,
    "location": None,
    "shim": None,
    "cuda": None,
    "hip": None,
    "rocm": None,
    "cxx11_abi": None,
    "archs": (),
    "cudnn": None,
    "header_cxx": None,
    "flash_compiled": None,
    "importable": None,
    "available": None,
    "cuda_error": None,
    "devices": (),
    "mps": None,
    "numpy_bridge": None,
    "numpy_error": None,
    "threads": None,
    "debug": None,
    "xnnpack": None,
    "xpu": None,
    "hip_runtime": None,
    "miopen": None,
    "cpu_capability": None,
    "loaded": (),
    "bundled": (),
    "chatter": None,
}


def from_files(module: Module, distributions: Sequence[Distribution]) -> Torch:
    """Return the facts of torch, from torch/version.py, the headers, the libraries and the metadata.

    `module`: the place from which the target would import torch. The metadata alone does not show whether it is a CPU or a CUDA
    build: the wheels on PyPI have no local version.
    """
    recorded = next((d for d in distributions if d.name == "torch"), None)
    folder = Path(module.origin).parent if module.origin else None
    if folder is None or not os.path.isfile(folder / "version.py"):
        if recorded is None and not module.folders:
            return Torch(**NOT_INSTALLED)
        shim = module.origin or next(iter(module.folders), None)
        why = f"{shim} is found under the name torch, and is no torch: no torch/version.py lies beside it"
        if shim is None:
            why = "torch is recorded as installed, and nothing of that name is there"
        version = recorded.version if recorded else Unknown(why)
        return all_unknown(Torch, why, version=version, location=str(folder) if folder else None, shim=shim)
    values = version_py(folder / "version.py")
    return Torch(
        version=values.get("__version__", Unknown("torch/version.py names no version")),
        location=str(folder),
        shim=None,
        cuda=values.get("cuda", Unknown("torch/version.py names no CUDA version")),
        hip=values.get("hip"),
        rocm=values.get("rocm"),
        header_cxx=_header_standard(folder),
        bundled=_bundled(folder),
        **torch_static(str(folder)),
    )


def _bundled(folder: Path) -> tuple[str, ...]:
    """Return the paths of the libraries of CUDA, ROCm and OpenMP in torch's folder, and in NVIDIA's packages beside it."""
    packages = [place / name for place in _entries(folder.parent / "nvidia") for name in ("lib", "bin")]
    files = [path for place in (folder / "lib", *packages) for path in _entries(place)]
    return tuple(str(path) for path in files if re.match(GPU_LIBRARY, path.name))[:_MOST_LIBRARIES]


def _entries(folder: Path) -> list[Path]:
    """Return the paths in a folder, sorted; empty if the folder does not exist or cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def version_py(path: Path) -> dict[str, str | None]:
    """Return the literal assignments of torch/version.py: {"__version__": "2.8.0+cu128", "cuda": "12.8", "hip": None}.

    Assignments with a type ("cuda: Optional[str] = None") are read too. Empty if the file cannot be read.
    """
    try:
        tree = ast.parse(files.head(path, _VERSION_FILE))
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):  # the last two: nested too deeply
        return {}
    values: dict[str, str | None] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            name, value = node.target.id, node.value
        else:
            continue
        if isinstance(value, ast.Constant) and (value.value is None or isinstance(value.value, str)):
            values[name] = value.value
    return values


def _header_standard(folder: Path) -> int | Unknown | None:
    """Return the C++ standard that the headers require, 17 or 20: an #error line names it. None if torch has no headers here."""
    for name in ("ATen/ATen.h", "c10/util/C++17.h", "torch/csrc/api/include/torch/all.h"):
        try:
            text = files.text(folder / "include" / name)
        except OSError:
            continue
        match = re.search(r"#error C\+\+(\d\d) or later compatible compiler is required", text)
        if match:
            return int(match[1])
    return Unknown("its headers name no C++ standard") if os.path.isdir(folder / "include") else None


def from_import(static: Torch, outcome: Outcome) -> Torch:
    """Return the facts of torch, with the values that the import showed in place of those from files (`static`).

    If the import failed, `importable` is False, `fault` is the error, and only values from files are known. If torch did not report
    its version, only version, folder and CUDA version are known, from files.
    """
    observed: dict[str, Any] = {}
    for record in outcome.facts("torch"):
        observed.update(record if isinstance(record, dict) else {})
    warnings = [*_texts(observed.pop("warnings", ())), *_texts(observed.pop("cuda_warnings", ()))]
    fault = _import_fault(outcome)
    if fault is not None:
        why = f"torch does not import: {describe(fault)}"
        blank = all_unknown(Torch, why)
        kept = {
            n: getattr(static, n)
            for n in (
                "version",
                "location",
                "shim",
                "cuda",
                "hip",
                "rocm",
                "header_cxx",
                "archs",
                "cxx11_abi",
                "bundled",
            )
        }
        return msgspec.structs.replace(blank, **kept, importable=False, fault=fault, chatter=_tail(outcome.chatter))
    if "version" not in observed:
        trouble = outcome.raised("torch facts") or outcome.fault
        reason = f"torch imports, but does not report its version: {describe(trouble)}" if trouble else "not imported"
        return all_unknown(
            Torch, reason, version=static.version, location=static.location, shim=static.shim, cuda=static.cuda
        )
    if "loaded" not in observed:
        observed["loaded"] = {"unknown": "asking CUDA did not end, so nobody saw which libraries were loaded"}
    merged = {**msgspec.to_builtins(static), **observed, "importable": True, "chatter": _tail(outcome.chatter)}
    cuda_fault = outcome.raised("cuda") or (outcome.fault if outcome.open_section == "cuda" else None)
    if cuda_fault is not None:
        why = msgspec.to_builtins(Unknown(f"asking CUDA ended with: {describe(cuda_fault)}"))
        merged.update({"cuda_fault": msgspec.to_builtins(cuda_fault), "available": False, "devices": why})
        merged["cuda_error"] = describe(cuda_fault)
    elif warnings and not merged.get("chatter"):
        merged["chatter"] = _tail("\n".join(warnings))
    return _record(merged)


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _record(merged: dict[str, Any]) -> Torch:
    """Return the record with these fields. A field with an impossible value (`torch.version.cuda = 12`) is unknown.

    All fields are unknown if the error does not show which field is wrong.
    """
    why = "the target says something about its torch that cannot be understood"
    for _ in range(len(merged)):
        try:
            return msgspec.convert(merged, Torch)
        except msgspec.ValidationError as error:
            field = re.search(r"at `\$\.(\w+)", str(error))
            if field is None:
                break
            merged[field[1]] = {"unknown": f"{why} ({error})"}
    return all_unknown(Torch, why)


def _import_fault(outcome: Outcome) -> Fault | None:
    raised = outcome.raised("torch")
    if raised is not None:
        return raised
    return outcome.fault if outcome.open_section == "torch" else None


def _tail(text: str) -> str | None:
    return text.strip()[-4000:] or None
