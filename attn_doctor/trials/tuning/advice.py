"""Make the answer of `trial --tune`: the commands to copy, and the prescription that they use. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from attn_doctor.model.facts import Record
from attn_doctor.prescription.changes.table import ARGUMENTS, CHANGES, PREDICTING, TRAINING
from attn_doctor.prescription.prescription_file import VERSION, here
from attn_doctor.trials.tuning.loader_settings import LoaderSettings, arguments
from attn_doctor.trials.tuning.rows import NotTried, Pass, Row, RuntimeRow
from attn_doctor.trials.tuning.runtimes import exported_name


class Tuning(Record, frozen=True, kw_only=True):
    """Hold the whole search of `trial --tune`, for training and for predicting."""

    training: Pass | None = None
    predicting: Pass | None = None
    failed: tuple[NotTried, ...] = ()  # kinds of pass that could not be measured
    runtimes: tuple[RuntimeRow, ...] = ()
    about: dict[str, Any] = msgspec.field(default_factory=dict)  # what the target told about itself
    allowed: str = "rounding"

    def of(self, what: str) -> Pass | None:
        """Return the search for one kind of pass ("training" or "predicting"); None if it was not measured."""
        return self.training if what == TRAINING else self.predicting


def changes(found: Pass | None) -> dict[str, Any]:
    """Return the changes that are prescribed for a kind of pass, with their values: {"threads": 8}; empty if there are none."""
    row = found.chosen if found else None
    return {name: found.values[name] for name in row.changes} if found and row else {}


def prescription(tuning: Tuning, created: str) -> dict[str, Any]:
    """Return the content of the prescription file (see `prescription_file`). `created`: the time, in ISO 8601.

    At least one of the two kinds of pass must have been measured.
    """
    some = tuning.training or tuning.predicting
    assert some
    return {
        "version": VERSION,
        "created": created,
        "machine": here(),
        "torch": tuning.about.get("torch"),
        "torch_file": tuning.about.get("torch_file"),
        "gpu": tuning.about.get("gpu"),
        "device": some.device,
        "model": {"name": some.model, "structure": tuning.about.get("structure")},
        "imgsz": some.imgsz,
        "allowed": tuning.allowed,
        TRAINING: changes(tuning.training),
        PREDICTING: changes(tuning.predicting),
    }


def needs_run(found: Pass | None) -> bool:
    """Return whether a prescribed change is no argument of ultralytics, so that only `attn-doctor run` can make it."""
    return any(CHANGES[name].how != "argument" for name in changes(found))


def line(
    found: Pass, loader: LoaderSettings | None = None, *, file: str | None = None, program: str = "yolo"
) -> list[str]:
    """Return the command, as an argv, that trains or predicts with the best settings of the search.

    `loader`: settings to add to a training. `file`: the prescription file; None: the file in its usual place. `program`: the word that
    starts ultralytics in the target.
    """
    device = found.device
    device = device.partition(":")[2] or "0" if device.startswith("cuda") else device
    chosen = changes(found)
    own = [ARGUMENTS[name] for name in chosen if CHANGES[name].how == "argument"]
    what = "train" if found.what == TRAINING else "predict"
    end = (
        [*(arguments(loader) if loader else []), *own, "data=YOUR.yaml"]
        if what == "train"
        else [*own, "source=YOUR.jpg"]
    )
    yolo = [program, what, f"model={found.model}", f"imgsz={found.imgsz}", f"device={device}", *end]
    if not needs_run(found):
        return yolo
    how = ["--prescription", file] if file else ["--prescribed"]
    return ["attn-doctor", "run", *how, "--", *yolo]


def runtime_lines(found: Pass, name: str, *, program: str = "yolo") -> list[list[str]]:
    """Return the commands (argv) that export the weights to a format and predict with the result. `name`: of the format, "onnx".

    For a model description (.yaml), they name YOUR.pt.
    """
    weights = found.model if found.model.endswith(".pt") else "YOUR.pt"
    device = "0" if found.device.startswith("cuda") else found.device
    size = f"imgsz={found.imgsz}"
    return [
        [program, "export", f"model={weights}", f"format={name}", size, f"device={device}"],
        [program, "predict", f"model={exported_name(weights, name)}", size, "source=YOUR.jpg"],
    ]


def beyond(found: Pass) -> list[Row]:
    """Return the measured rows that are not prescribed and compute with fewer bits than the prescribed combination."""
    chosen = found.chosen
    mine = set(chosen.changes if chosen else ())
    return [
        row
        for row in found.rows
        if row.ms and not row.applied and any(CHANGES[n].numbers == "precision" and n not in mine for n in row.changes)
    ]


def caveats(found: Pass, names: Sequence[str]) -> list[str]:
    """Return one text for each limit of these changes that a user must know before using them."""
    said = []
    if "bf16" in names and found.device == "cpu":
        said.append(
            "ultralytics has no argument for bf16 on a CPU (amp='bf16' raises \"bfloat16 autocast requires CUDA\" in 8.4.190): "
            "`attn-doctor run` puts autocast around the model's forward pass"
        )
    less = [name for name in names if CHANGES[name].numbers == "precision"]
    if less and found.what == TRAINING:
        said.append(
            f"{', '.join(less)}: not proven over a training. One step is within the stated limits; a whole training was not compared"
        )
    return said


def summary(found: Pass) -> Mapping[str, Any]:
    """Return the chosen changes as texts for readers: {"threads": "2", "heap": ""}."""
    shown = {}
    for name, value in changes(found).items():
        shown[name] = "" if value is True else str(value)
    return shown
