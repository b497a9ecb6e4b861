"""Read the model and the data of a study before its first training, in a child of the target's Python."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_doctor import child
from attn_doctor.errors import NotExamined
from attn_doctor.model.facts import Fault
from attn_doctor.study.training import SETUP, datasets_folder, variables
from attn_doctor.system import leftovers
from attn_doctor.trials.process import COMMON, in_words

_SCRIPTS = (*COMMON, SETUP, "target/study_data.py", "target/study_look.py")
# The data set of --demo. 64 images to validate on have about 160 shapes: one more or less right is a small part of mAP.
SHAPES = {"train": 200, "val": 64, "size": 160, "seed": 20251129}


class Looked(NamedTuple):
    """Hold what the target reported about the model and the data of a study."""

    model: str  # as this ultralytics spells it
    data: str  # the path of the YAML file
    device: str  # that was asked for, or found: "cuda:0", "cpu"
    hashes: dict[str, str]  # SHA-256, by what: "data", "model", "train/images"
    counts: dict[str, int]  # images, by part: "train", "val"
    layers: int  # of attention in the model
    versions: dict[str, str]  # "torch": "2.15.0+cu132"


def look(
    python: Sequence[str],
    model: str,
    data: str | None,
    *,
    imgsz: int,
    device: str,
    shapes: Path | None,
    environ: Mapping[str, str],
    silence: float,
) -> Looked:
    """Build the model, read the data set once, and return what a repetition needs.

    `model`, `data`: paths, or names that ultralytics knows. `device`: "auto", "cpu", "cuda:0". `shapes`: the folder for the data set of
    --demo; None: `data` is used. `silence`: seconds without a sign of life after which the child is ended. Raises NotExamined with
    the reason why no training can begin, and OSError if the interpreter cannot be started.
    """
    config: dict[str, Any] = {
        "model": _whole(model),
        "data": None if data is None else _whole(data),
        "imgsz": imgsz,
        "device": device,
        "threads": None,
        "datasets": datasets_folder(environ),
        "shapes": None if shapes is None else str(shapes),
        "shapes_of": SHAPES,
    }
    with tempfile.TemporaryDirectory(dir=leftovers.folder()) as folder:
        outcome = child.run(
            python,
            _SCRIPTS,
            config=config,
            deadline=24 * 3600.0,
            quiet=silence,
            environ=environ,
            changes=variables(folder, environ, None),
        )
    fault = outcome.raised("look") or outcome.fault
    versions, found = outcome.facts("versions"), outcome.facts("look")
    if fault or not versions or not found:
        raise NotExamined(f"the study cannot begin: {_why(fault)}")
    return Looked(versions=versions[0], **found[0])


def _whole(name: str) -> str:
    """Return the absolute path of a file that exists; any other name is returned unchanged, because ultralytics may know it."""
    return str(Path(name).resolve()) if Path(name).is_file() else name


def _why(fault: Fault | None) -> str:
    said = in_words(fault)
    if fault and fault.type == "FileNotFoundError" and "ataset" in (fault.message or ""):
        return f"{said}. A study downloads nothing: get the data set first"
    return said
