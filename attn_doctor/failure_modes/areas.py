"""List the areas of failure modes: a folder, the first letters of its codes, and its names. Imports little, because the command line imports it."""

from __future__ import annotations

from typing import NamedTuple


class Area(NamedTuple):
    """Describe one area. Example: the folder `gpu` holds the codes AD4xx; `list --area run` shows them."""

    folder: str
    prefix: str
    name: str
    title: str


BUILD = Area("build", "AD1", "build", "Building flash-attn")
INSTALL = Area("install", "AD2", "install", "Finding, fetching and installing packages")
IMPORTING = Area("importing", "AD3", "import", "Importing: libraries and binary interfaces")
GPU = Area("gpu", "AD4", "run", "GPU, driver, and what runs")
PLATFORM = Area("platform", "AD5", "platform", "Operating systems")
MODEL_CODE = Area("model_code", "AD6", "model", "Models, their code and their weights")
AREAS = (BUILD, INSTALL, IMPORTING, GPU, PLATFORM, MODEL_CODE)


def area_of(code: str) -> Area | None:
    """Return the area of a code; None for a code that only another version of attn-doctor has."""
    return next((area for area in AREAS if code.startswith(area.prefix)), None)
