"""Read the requirement files of the current folder, whether it holds the source of flash-attn, and whose environment the target is."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from attn_doctor.model.facts import Pin, Project, Unknown, all_unknown
from attn_doctor.probes import environments

# Requirements that a failure mode uses. All others are left out of the report.
RELEVANT = frozenset(
    "torch torchvision torchaudio triton pytorch-triton triton-windows numpy scipy flash-attn flash-attn-3 flash-attn-4 "
    "vllm-flash-attn xformers transformers timm ultralytics setuptools wheel packaging psutil ninja einops opencv-python "
    "opencv-python-headless opencv-contrib-python transformer-engine apex kernels sageattention pip uv deepspeed "
    "nvidia-ml-py pynvml py-cpuinfo cuda-toolkit pytorch-cuda bitsandbytes".split()
)
_LARGEST = 1 << 20  # bytes; a requirement file is never larger


def here(prefix: str, environ: Mapping[str, str]) -> tuple[Project, dict[str, str]]:
    """Return the section for the current folder, which may have been deleted. `prefix`: of the target."""
    try:
        folder = Path.cwd()
    except OSError as error:
        return all_unknown(Project, f"the current folder cannot be read: {error.strerror}"), {}
    return project(folder, prefix, environ)


def project(folder: Path, prefix: str, environ: Mapping[str, str]) -> tuple[Project, dict[str, str]]:
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
    text = path.read_text("utf-8", "replace")
    if path.suffix == ".toml":
        yield from _toml(path, text)
        return
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"(^|\s)#.*", "", line).strip()
        if path.suffix in (".yml", ".yaml"):
            bare = _conda(bare)
        requirement = _relevant(bare)
        if requirement:
            yield Pin(file=path.name, line=number, requirement=requirement)


if sys.version_info >= (3, 11):
    import tomllib

    def _toml(path: Path, text: str) -> Iterator[Pin]:
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return
        lines = text.splitlines()
        tables = data.get("project", {})
        asked = [tables.get("dependencies"), tables.get("optional-dependencies"), data.get("dependency-groups")]
        for value in _strings(asked):
            requirement = _relevant(value)
            if requirement:
                line = next((n for n, content in enumerate(lines, 1) if value in content), 1)
                yield Pin(file=path.name, line=line, requirement=requirement)
        for name, value in data.get("tool", {}).get("poetry", {}).get("dependencies", {}).items():
            if canonicalize_name(name) in RELEVANT and isinstance(value, str):
                line = next((n for n, content in enumerate(lines, 1) if content.strip().startswith(name)), 1)
                yield Pin(file=path.name, line=line, requirement=f"{name} {value}")

else:

    def _toml(path: Path, text: str) -> Iterator[Pin]:  # noqa: ARG001
        """Return nothing."""
        return iter(())


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


def _conda(line: str) -> str:
    """Return a list item of an environment.yml as a requirement: torch==2.5.* for "- pytorch=2.5=py3.11_cuda"."""
    item = line.removeprefix("-").strip().strip("'\"")
    match = re.fullmatch(r"([\w.-]+)\s*={1,2}\s*([\w.*]+)(?:=[\w.*]+)?", item)
    if not match:
        return item
    name = "torch" if match[1].lower() == "pytorch" else match[1]
    return f"{name}=={match[2].removesuffix('.*').removesuffix('*')}.*" if "==" not in item else f"{name}=={match[2]}"


def _relevant(text: str) -> str | None:
    """Return the requirement, where it names a distribution in the list above.

    The name or URL of a wheel counts too.
    """
    wheel = re.search(r"(?:^|/)(flash_attn[\w.]*-[\w.+]+-cp\d+-\w+-\w+\.whl)", text)
    if wheel:
        return text
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    return text if canonicalize_name(requirement.name) in RELEVANT else None
