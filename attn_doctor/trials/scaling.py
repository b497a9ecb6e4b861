"""Compute the growth of costs with the image size, and the gain that a faster attention could bring, from rows of a trial. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from attn_doctor.model.facts import Record
from attn_doctor.model.trials import Dtype, Trial

Cost = Literal["forward", "step", "memory"]  # "memory" in bytes, the others in milliseconds


class CostGrowth(Record, frozen=True, kw_only=True):
    """Describe how one backend's cost grows with the side of the image: cost = c * side ** `exponent`, fitted to the measurements.

    Convolutions grow with the second power of the side, an attention over all pixels with the fourth.
    """

    backend: str
    dtype: Dtype
    cost: Cost
    sizes: tuple[int, ...]
    values: tuple[float, ...]
    exponent: float


class Ceiling(Record, frozen=True, kw_only=True):
    """Estimate how much faster eager's step would be if attention took no time (Amdahl's law).

    It is no strict limit: the share is measured separately from the step, and an exchanged attention also changes the memory
    layout around it.
    """

    dtype: Dtype
    imgsz: int | None
    share: float  # share of eager's step, 0..1
    most: float  # times as fast


def growth(rows: Sequence[Trial]) -> tuple[CostGrowth, ...]:
    """Return the growth of each backend and dtype that was measured at two image sizes or more."""
    found = []
    for backend, dtype in dict.fromkeys((row.backend, row.dtype) for row in rows):
        mine = [r for r in rows if (r.backend, r.dtype) == (backend, dtype) and r.imgsz and r.status == "ok"]
        costs: dict[Cost, list[tuple[int, float]]] = {"forward": [], "step": [], "memory": []}
        for row in mine:
            assert row.imgsz
            measured: tuple[tuple[Cost, float | None], ...] = (
                ("forward", row.forward_ms.median if row.forward_ms else None),
                ("step", row.step_ms.median if row.step_ms else None),
                ("memory", row.peak_bytes),
            )
            for cost, value in measured:
                if value:
                    costs[cost].append((row.imgsz, float(value)))
        for cost, points in costs.items():
            if len({size for size, _ in points}) >= 2:
                found.append(
                    CostGrowth(
                        backend=backend,
                        dtype=dtype,
                        cost=cost,
                        sizes=tuple(size for size, _ in points),
                        values=tuple(value for _, value in points),
                        exponent=exponent(points),
                    )
                )
    return tuple(found)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the power p of y = c x^p, by least squares of the logarithms.

    Raises ValueError for fewer than two different x.
    """
    logs = [(math.log(x), math.log(y)) for x, y in points]
    slope, _ = line(logs)
    return slope


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return (slope, value at 0) by least squares. Raises ValueError for fewer than two different x."""
    mean_x = sum(x for x, _ in points) / max(len(points), 1)
    mean_y = sum(y for _, y in points) / max(len(points), 1)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        raise ValueError("a line needs two different points")
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return slope, mean_y - slope * mean_x


def ceilings(rows: Sequence[Trial]) -> tuple[Ceiling, ...]:
    """Return the estimate for each dtype and image size in which eager was measured on the model."""
    return tuple(
        Ceiling(
            dtype=row.dtype, imgsz=row.imgsz, share=row.attention_share, most=1 / max(1 - row.attention_share, 1e-3)
        )
        for row in rows
        if row.backend == "eager" and row.scope == "model" and row.attention_share is not None
    )
