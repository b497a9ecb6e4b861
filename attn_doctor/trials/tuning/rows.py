"""Define the records of `trial --tune`: measured rows, the choice, and changes that were not tried.

Times in milliseconds. Errors are relative: 0.01 is 1 %.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from attn_doctor.model.facts import Record
from attn_doctor.model.trials import Gain, Interval

Status = Literal["ok", "wrong", "failed"]


class Checked(Record, frozen=True, kw_only=True):
    """Hold whether the numbers of a combination of changes are right, compared with float64.

    For predicting, one forward pass is compared; for training, one forward and backward pass.
    """

    status: Status = "ok"
    reason: str | None = None
    output_error: float | None = None
    gradient_error: float | None = None  # only for training
    # Only for predicting: 95 of the 100 boxes with the highest scores have at least this IoU with the same box in float64
    box_overlap: float | None = None
    score_error: float | None = None  # the largest difference of the scores of these boxes
    first_ms: float | None = None  # time of the first pass, with the compiling if something is compiled


class Row(Record, frozen=True, kw_only=True):
    """Hold one combination of changes, measured in the same rounds as the program without changes."""

    changes: tuple[str, ...]  # empty: the program without changes
    checked: Checked = Checked()
    ms: Interval | None = None
    gain: Gain | None = None  # compared with the program without changes
    samples: tuple[float, ...] = ()
    applied: bool = False  # it is the combination that is prescribed


class Step(Record, frozen=True, kw_only=True):
    """Hold one comparison of the search, in `n` rounds: the combination `on`, with and without one more change."""

    change: str  # the change that is tried
    on: tuple[str, ...]
    ratio: float  # above 1: the change makes it faster
    n: int
    taken: bool  # the search goes on with the change


class NotTried(Record, frozen=True, kw_only=True):
    """Hold a change that was not measured, and the reason."""

    change: str
    why: str


class Pass(Record, frozen=True, kw_only=True):
    """Hold the search for one kind of pass: training or predicting."""

    what: str  # "training" | "predicting"
    model: str
    device: str
    imgsz: int
    batch: int
    rows: tuple[Row, ...] = ()
    steps: tuple[Step, ...] = ()
    values: dict[str, Any] = msgspec.field(default_factory=dict)  # change -> its value on this machine, of all that fit
    not_tried: tuple[NotTried, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def chosen(self) -> Row | None:
        """Return the row of the combination that is prescribed; None if no row is."""
        return next((row for row in self.rows if row.applied), None)


class RuntimeRow(Record, frozen=True, kw_only=True):
    """Hold one exported form of a model, and the times of predicting with it, measured in the same rounds as torch."""

    name: str  # "torch as shipped", "ONNX Runtime"
    format: str | None = None  # ultralytics' name for the format; None: torch
    precision: str | None = None  # the type of the numbers with which the runtime computes, if the runtime says it
    by_argument: bool = True  # `yolo predict` can use it
    checked: Checked = Checked()
    ms: Interval | None = None
    gain: Gain | None = None  # compared with torch, not exported
    samples: tuple[float, ...] = ()
    export_seconds: float | None = None
    missing: tuple[str, ...] = ()  # missing packages, if it was not tried
    advised: bool = False
