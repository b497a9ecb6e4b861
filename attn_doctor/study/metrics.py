"""List the metrics that a study compares: how each is read from a finished training, and on which scale it is compared. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Literal, NamedTuple

from attn_doctor.model.study import Cell, Epoch

SAME_COST = 0.02  # a cost that differs by less than 2 % counts as the same


class Metric(NamedTuple):
    """Describe a metric. `of` returns its value for a training; None if the training does not have it."""

    name: str
    title: str  # for readers, "time an epoch"
    scale: Literal["difference", "ratio"]
    of: Callable[[Cell], float | None]
    better: Literal["higher", "lower"]


def _last(value: Callable[[Epoch], float | None]) -> Callable[[Cell], float | None]:
    """Return a function that reads a value from the last epoch.

    The best epoch is not used: it would be chosen by the same numbers that are compared.
    """
    return lambda cell: value(cell.epochs[-1]) if cell.epochs else None


def _typical(value: Callable[[Epoch], float | None]) -> Callable[[Cell], float | None]:
    """Return a function that reads the median of all epochs except the first.

    The first epoch also starts the loader and warms up. If there is only one epoch, its value is returned.
    """

    def read(cell: Cell) -> float | None:
        known = [found for epoch in cell.epochs[1:] or cell.epochs if (found := value(epoch)) is not None]
        return statistics.median(known) if known else None

    return read


def _peak(cell: Cell) -> float | None:
    known = [epoch.peak_memory for epoch in cell.epochs if epoch.peak_memory is not None]
    return float(max(known)) if known else None


def _energy(cell: Cell) -> float | None:
    """Return the energy of all epochs in joules; None if it is not known for some epoch."""
    known = [epoch.joules for epoch in cell.epochs if epoch.joules is not None]
    return sum(known) if known and len(known) == len(cell.epochs) else None


METRICS: tuple[Metric, ...] = (
    Metric("map50_95", "mAP50-95", "difference", _last(lambda epoch: epoch.map50_95), "higher"),
    Metric("map50", "mAP50", "difference", _last(lambda epoch: epoch.map50), "higher"),
    Metric("precision", "precision", "difference", _last(lambda epoch: epoch.precision), "higher"),
    Metric("recall", "recall", "difference", _last(lambda epoch: epoch.recall), "higher"),
    Metric("epoch_seconds", "time an epoch", "ratio", _typical(lambda epoch: epoch.seconds), "lower"),
    Metric("images_per_second", "images/s", "ratio", _typical(lambda epoch: epoch.images_per_second), "higher"),
    Metric("peak_memory", "peak memory", "ratio", _peak, "lower"),
    Metric("joules", "energy", "ratio", _energy, "lower"),
)
PRIMARY = METRICS[0]  # the one whose margin is stated beforehand
BY_NAME = {metric.name: metric for metric in METRICS}
