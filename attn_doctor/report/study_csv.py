"""Write the epochs of a study as CSV files in ultralytics' own columns, for programs that read ultralytics' results.csv. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from attn_doctor.model.study import Cell, Epoch, Study

_METRICS = ("metrics/precision(B)", "metrics/recall(B)", "metrics/mAP50(B)", "metrics/mAP50-95(B)")
_OURS = ("images/s", "peak memory, bytes", "energy, J")
_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")

Value = int | float | str | None


def folder_of_csv(study: Study) -> dict[str, str]:
    """Return the files as name -> text: `results-ARM-seedN.csv` for each training with an epoch, and `all.csv` for all of them.

    `all.csv` has two more columns at the left, arm and seed, and at the right the values for which ultralytics has no column.
    `time` is the sum of the seconds of training and validation up to that epoch. Numbers have all digits; ultralytics writes six.
    """
    files = {}
    for cell in study.cells:
        if cell.epochs:
            columns = _columns([cell])
            files[f"results-{_plain(cell.arm)}-seed{cell.seed}.csv"] = _text(columns, _rows(cell, columns))
    columns = _columns(study.cells)
    rows = (
        [cell.arm, cell.seed, *row, epoch.images_per_second, epoch.peak_memory, epoch.joules]
        for cell in study.cells
        for epoch, row in zip(cell.epochs, _rows(cell, columns), strict=True)
    )
    files["all.csv"] = _text(["arm", "seed", *columns, *_OURS], rows)
    return files


def _columns(cells: Iterable[Cell]) -> list[str]:
    """Return the columns in ultralytics' order: the losses of training, the metrics, the losses of validation, the learning rates."""
    epochs = [epoch for cell in cells for epoch in cell.epochs]
    losses = list(dict.fromkeys(name for epoch in epochs for name in epoch.losses))
    rates = list(dict.fromkeys(name for epoch in epochs for name in epoch.learning_rates))
    training = [name for name in losses if not name.startswith("val/")]
    validation = [name for name in losses if name.startswith("val/")]
    return ["epoch", "time", *training, *_METRICS, *validation, *rates]


def _rows(cell: Cell, columns: Sequence[str]) -> list[list[Value]]:
    rows, passed = [], 0.0
    for epoch in cell.epochs:
        passed += epoch.seconds + (epoch.validation_seconds or 0.0)
        known = _values(epoch, passed)
        rows.append([known.get(column) for column in columns])
    return rows


def _values(epoch: Epoch, passed: float) -> dict[str, Value]:
    measured = (epoch.precision, epoch.recall, epoch.map50, epoch.map50_95)
    return {
        "epoch": epoch.number,
        "time": round(passed, 3),
        **dict(zip(_METRICS, measured, strict=True)),
        **epoch.losses,
        **epoch.learning_rates,
    }


def _plain(name: str) -> str:
    """Return a name with only those characters that a file name may have."""
    return _NOT_IN_A_NAME.sub("-", name).strip("-.") or "arm"


def _text(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return written.getvalue()
