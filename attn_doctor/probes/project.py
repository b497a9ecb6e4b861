"""Read the current folder: its requirement files, whether it is the source of flash-attn, and the project to which the target belongs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from attn_doctor.errors import NotExamined
from attn_doctor.model.facts import Pin, Project, Unknown, all_unknown
from attn_doctor.probes import environments
from attn_doctor.project_files.read import read
from attn_doctor.system import files

# Requirements that a failure mode uses. All others are left out of the report.
RELEVANT = frozenset(
    "torch torchvision torchaudio triton pytorch-triton triton-windows numpy scipy flash-attn flash-attn-3 flash-attn-4 "
    "vllm-flash-attn xformers transformers timm ultralytics setuptools wheel packaging psutil ninja einops opencv-python "
    "opencv-python-headless opencv-contrib-python transformer-engine apex kernels sageattention pip uv deepspeed "
    "nvidia-ml-py pynvml py-cpuinfo cuda-toolkit pytorch-cuda bitsandbytes".split()
)
_LARGEST = 1 << 20  # bytes; a requirement file is never larger


def here(prefix: str, environ: Mapping[str, str]) -> tuple[Project, dict[str, str]]:
    """Return the facts of the current folder, and the source of each field (see `probes`).

    `prefix`: the folder of the target environment. All facts are unknown if the current folder was deleted.
    """
    try:
        folder = Path.cwd()
    except OSError as error:
        return all_unknown(Project, f"the current folder cannot be read: {error.strerror}"), {}
    return project(folder, prefix, environ)


def project(folder: Path, prefix: str, environ: Mapping[str, str]) -> tuple[Project, dict[str, str]]:
    """Return the facts of a folder, and the source of each field (see `probes`). `prefix`: the folder of the target environment."""
    owner, locks = environments.owner(folder, prefix, environ)
    pins: list[Pin] | Unknown = []
    try:
        pins = _pins_in(folder)
        if owner is not None and owner != folder:
            pins += [msgspec.structs.replace(pin, file=str(owner / pin.file)) for pin in _pins_in(owner)]
    except OSError as error:
        pins = Unknown(f"the current folder cannot be read: {error.strerror}")
    sources = all(os.path.isdir(folder / name) for name in ("flash_attn", "csrc"))
    checkout = sources and os.path.isfile(folder / "setup.py")
    record = Project(
        folder=str(folder),
        environment_of=None if owner is None else str(owner),
        locks=locks,
        pins=pins if isinstance(pins, Unknown) else tuple(pins),
        source_checkout="flash-attention" if checkout else None,
        cutlass_missing=not os.path.isdir(folder / "csrc" / "cutlass" / "include") if checkout else None,
    )
    return record, {"": "files of the current folder"}


def _pins_in(folder: Path) -> list[Pin]:
    files = sorted(p for p in folder.iterdir() if _is_requirement_file(p.name) and p.is_file())
    return [pin for path in files if path.stat().st_size < _LARGEST for pin in _pins(path)]


def _is_requirement_file(name: str) -> bool:
    return bool(
        re.fullmatch(
            r"(?i)requirements[\w.-]*\.(txt|in)|constraints[\w.-]*\.txt|pyproject\.toml|environment[\w.-]*\.ya?ml", name
        )
    )


def _pins(path: Path) -> Iterator[Pin]:
    try:
        file = read(files.text(path, _LARGEST), path.name)
    except NotExamined:
        return  # wrong syntax: `diagnose FILE` names the line
    for wish in file.wishes if file else ():
        if wish.name in RELEVANT:
            yield Pin(file=path.name, line=wish.line, requirement=wish.requirement)
