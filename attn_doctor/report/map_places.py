"""Find the link of the machine's map to which a finding belongs. Pure.

The first fact that the finding quotes decides; without one, the area of the finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attn_doctor.failure_modes.areas import BUILD, GPU, IMPORTING, MODEL_CODE, area_of
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import Finding
from attn_doctor.model.record import index_in

Place = Literal["system", "gpu", "cuda", "torch", "extensions", "ultralytics", "model"]

_SECTIONS: dict[str, Place] = {
    "graphics": "gpu",
    "torch": "torch",
    "toolchain": "extensions",  # only a build of an extension needs a compiler and a toolkit
    "flash_attention": "extensions",
    "yolo": "ultralytics",
    "models": "model",
    "trials": "model",
    "trial_run": "model",
}
_CUDA_OF_TORCH = ("cuda", "hip", "archs", "available", "cuda_error", "cuda_fault", "devices", "cudnn")
_PACKAGES: dict[str, Place] = {
    "torch": "torch",
    "numpy": "torch",
    "triton": "torch",
    "ultralytics": "ultralytics",
    "requirements": "ultralytics",
    "loggers": "ultralytics",
    "thop": "ultralytics",
    "cv2": "ultralytics",
    "opencv-python": "ultralytics",
    "opencv-python-headless": "ultralytics",
}
_AREAS: dict[str, Place] = {
    BUILD.name: "extensions",
    IMPORTING.name: "extensions",
    GPU.name: "cuda",
    MODEL_CODE.name: "model",
}


def place_of(finding: Finding, facts: Facts) -> Place:
    """Return the link of a finding. Example: a finding that quotes `graphics.driver` first belongs to the link "gpu"."""
    area = area_of(finding.code)
    by_area = _AREAS.get(area.name, "system") if area else "system"
    path = next((evidence.path for evidence in finding.evidence if evidence.path), None)
    if path is None:
        return by_area
    found = _place(path.split("."), facts)
    return by_area if found == "system" and area is BUILD else found  # what a build lacks is missing to the extension


def package_place(name: str) -> Place:
    """Return the link of a package or a module, "ultralytics" for "cv2"; "extensions" for every name that is not in the table."""
    return _PACKAGES.get(name.partition(".")[0], "extensions")


def _place(path: Sequence[str], facts: Facts) -> Place:
    section, *rest = path
    if section == "torch" and rest and rest[0] in _CUDA_OF_TORCH:
        return "cuda"
    if section in ("imports", "binaries", "packages"):
        name = _name(section, rest, facts)
        if name is not None:
            return package_place(name)
    return _SECTIONS.get(section, "system")


def _name(section: str, rest: Sequence[str], facts: Facts) -> str | None:
    """Return the name of the module or package at a path such as imports.2.ok or packages.distributions.4."""
    kind, *rest = rest if section == "packages" and rest else ("", *rest)
    items = getattr(facts.packages, kind, ()) if kind else facts.imports if section == "imports" else facts.binaries
    if isinstance(items, Unknown | str) or not rest or (index := index_in(items, rest[0])) is None:
        return None
    item = items[index]
    return next((str(getattr(item, field)) for field in ("module", "name", "package") if hasattr(item, field)), None)
