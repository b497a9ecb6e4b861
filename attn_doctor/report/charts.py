"""Make the charts of a trial: time, memory, error against float64, share of attention, growth with the image size. Values only. Pure.

A chart with fewer than two bars is left out, except the one of attention's share. The lengths are those of the records; only
texts are rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from attn_doctor.model.trials import Interval, MemorySplit, Trial
from attn_doctor.report.blocks import Tone
from attn_doctor.report.machine_summary import size
from attn_doctor.report.memory_outline import NAMES, label
from attn_doctor.report.pictures import Bar, Bars, Curve, Curves, Picture, Point, Stack, Stacks, power_of_ten
from attn_doctor.trials.scaling import growth

_TONES: dict[str, Tone] = {"ok": "", "other-kernel": "warn"}
_REMARKS = {"ok": "", "other-kernel": "another kernel ran", "wrong": "wrong numbers"}
_READ_INTERVAL = "The bar ends at the median; the thin line is the interval that contains the true median in {} of 100 repetitions. Shorter is faster."


def charts(rows: Sequence[Trial]) -> tuple[Picture, ...]:
    """Return the charts of the rows of a trial.

    For several image sizes there are charts of growth too; bars are of the last size. Rows of attention alone, without
    a model, have no chart.
    """
    model = [row for row in rows if row.shape is None]
    shown = [row for row in model if row.imgsz == model[-1].imgsz] if model else []
    sizes = {row.imgsz for row in model}
    at = f" at {shown[-1].imgsz} pixels" if len(sizes) > 1 else ""
    made = [
        _times("Time of a training step" + at, shown, lambda row: row.step_ms),
        _times("Time of a forward pass" + at, shown, lambda row: row.forward_ms),
        _memory("Peak memory of a training step" + at, shown),
        _errors("Error of attention's outputs" + at, shown, lambda row: row.output_error),
        _errors("Error of attention's gradients" + at, shown, lambda row: row.gradient_error),
        _shares("Attention's share of a training step" + at, shown),
        *_growth(model),
    ]
    return tuple(chart for chart in made if chart is not None)


def _grouped(rows: Iterable[Trial], bar: Callable[[Trial], Bar | None]) -> tuple[tuple[str, tuple[Bar, ...]], ...]:
    """Return the bars by dtype, in the order of the rows."""
    groups: dict[str, list[Bar]] = {}
    for row in rows:
        made = bar(row)
        if made is not None:
            groups.setdefault(row.dtype, []).append(made)
    return tuple((dtype, tuple(bars)) for dtype, bars in groups.items())


def _count(groups: Iterable[tuple[str, tuple[Bar, ...]]]) -> int:
    return sum(len(bars) for _, bars in groups)


def _bar(row: Trial, value: float, text: str, interval: Interval | None = None) -> Bar:
    """Return the bar of a row. If the result is not "ok", its text says so, because a colour alone is not enough."""
    tone, remark = _TONES.get(row.status, "bad"), _REMARKS.get(row.status, row.status)
    if interval is None:
        return Bar(row.backend, value, text, tone=tone, remark=remark)
    return Bar(row.backend, value, text, interval.low, interval.high, _between(interval), tone, remark)


def milliseconds(value: float) -> str:
    """Return a time with about three digits: "4.21 ms", "13.5 ms", "1520 ms"."""
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def _between(interval: Interval) -> str:
    low, high = milliseconds(interval.low)[:-3], milliseconds(interval.high)[:-3]
    return f"({low}–{high})"


def _times(caption: str, rows: Sequence[Trial], of: Callable[[Trial], Interval | None]) -> Bars | None:
    found = [interval for row in rows if (interval := of(row))]

    def bar(row: Trial) -> Bar | None:
        time = of(row)
        if time is None:
            return None
        return _bar(row, time.median, milliseconds(time.median), time)

    groups = _grouped(rows, bar)
    if _count(groups) < 2:
        return None
    coverages = sorted({round(interval.coverage * 100) for interval in found})
    said = f"{coverages[0]}" if len(coverages) == 1 else f"{coverages[0]} to {coverages[-1]}"
    most = max(max(interval.high, interval.median) for interval in found)
    return Bars(caption, _READ_INTERVAL.format(said), groups, most)


def _memory(caption: str, rows: Sequence[Trial]) -> Bars | None:
    groups = _grouped(
        rows,
        lambda row: None if row.peak_bytes is None else _bar(row, row.peak_bytes, size(row.peak_bytes)),
    )
    if _count(groups) < 2:
        return None
    most = max(bar.value for _, bars in groups for bar in bars)
    return Bars(caption, "Shorter leaves more room for a larger batch.", groups, most)


def memory_charts(splits: Sequence[MemorySplit]) -> tuple[Stacks, ...]:
    """Return a chart for each image size and batch: the peak memory of a training step. Each backend has a bar, made of the parts."""
    made = []
    for imgsz, batch in dict.fromkeys((split.imgsz, split.batch) for split in splits):
        mine = [split for split in splits if (split.imgsz, split.batch) == (imgsz, batch)]
        parts = (*NAMES.values(), _REST)
        rows = tuple(Stack(label(split), _pieces(split), size(_whole(split))) for split in mine)
        made.append(
            Stacks(
                f"Memory of a training step at its peak, {imgsz} pixels, batch {batch}",
                "Each bar is the whole memory of a step; its pieces are what the memory holds, in the order of the names below.",
                parts,
                rows,
                max(_whole(split) for split in mine),
            )
        )
    return tuple(made)


_REST = "no tensor (workspace, heap)"


def _pieces(split: MemorySplit) -> tuple[float, ...]:
    """Return the bytes of each part of the memory. The last value is the memory that belongs to no tensor."""
    return (*(getattr(split.parts, name) for name in NAMES), max(0, split.rest or 0))


def _whole(split: MemorySplit) -> float:
    return sum(_pieces(split))


def _relative(error: float) -> str:
    """Return an error as text: "3.1 × 10⁻⁷"."""
    if error == 0:
        return "exact"
    digits, _, power = f"{error:.1e}".partition("e")
    return f"{digits} × {power_of_ten(int(power))}" if int(power) < -2 else f"{error:.2g}"


def _errors(caption: str, rows: Sequence[Trial], of: Callable[[Trial], float | None]) -> Bars | None:
    def bar(row: Trial) -> Bar | None:
        error = of(row)
        if error is None or not math.isfinite(error):
            return None
        return _bar(row, error, _relative(error))

    groups = _grouped(rows, bar)
    values = [bar.value for _, bars in groups for bar in bars if bar.value > 0]
    if _count(groups) < 2 or not values:
        return None
    least = 10.0 ** (math.floor(math.log10(min(values))) - (1 if math.log10(min(values)).is_integer() else 0))
    most = 10.0 ** math.ceil(math.log10(max(values)))
    if most <= least:
        most = least * 10
    about = (
        "Relative error against float64, on a scale of powers of ten: a dot further left is nearer to the exact result."
    )
    return Bars(caption, about, groups, most, least, "log")


def _shares(caption: str, rows: Sequence[Trial]) -> Bars | None:
    groups = _grouped(
        rows,
        lambda row: (
            None if row.attention_share is None else _bar(row, row.attention_share, f"{row.attention_share:.0%}")
        ),
    )
    about = "The whole width is the whole step: a faster attention can save no more than its bar."
    return Bars(caption, about, groups, 1.0) if groups else None


class _Cost(NamedTuple):
    caption: str
    text: Callable[[float], str]
    of: Callable[[Trial], Interval | int | None]
    base: int = 10
    factors: tuple[int, ...] = (1, 2, 5)  # the marks are these times powers of the base


_COSTS: dict[str, _Cost] = {
    "step": _Cost("Time of a training step and the image size", milliseconds, lambda row: row.step_ms),
    "forward": _Cost("Time of a forward pass and the image size", milliseconds, lambda row: row.forward_ms),
    "memory": _Cost("Memory of a training step and the image size", size, lambda row: row.peak_bytes, 2, (1,)),
}


def _growth(rows: Sequence[Trial]) -> list[Curves]:
    """Return a chart for each cost, with a curve for each backend and dtype that was measured at two image sizes or more."""
    found, made = growth(rows), []
    for name, cost in _COSTS.items():
        curves = tuple(
            Curve(f"{g.backend}, {g.dtype}: power {g.exponent:.2f}", _points(rows, g.backend, g.dtype, cost))
            for g in found
            if g.cost == name
        )
        if curves:
            made.append(Curves(cost.caption, _READ_POWER, curves, _ticks(curves, cost)))
    return made


_READ_POWER = "Both scales are logarithmic, so a straight line is a power of the image's side: 2 grows as the pixels, 4 as attention over all pixels."


def _points(rows: Sequence[Trial], backend: str, dtype: str, cost: _Cost) -> tuple[Point, ...]:
    points = {}
    for row in rows:
        value = cost.of(row)
        if (row.backend, row.dtype, row.status) != (backend, dtype, "ok") or not row.imgsz or not value:
            continue
        if isinstance(value, Interval):
            points[row.imgsz] = Point(row.imgsz, value.median, cost.text(value.median), value.low, value.high)
        else:
            points[row.imgsz] = Point(row.imgsz, value, cost.text(value))
    return tuple(points[x] for x in sorted(points))


def _ticks(curves: Iterable[Curve], cost: _Cost) -> tuple[tuple[float, str], ...]:
    """Return at most about five marks on the axis of the cost, as (value, text). They surround all values."""
    values = [v for curve in curves for p in curve.points for v in (p.value, p.low, p.high) if v]
    low, high = min(values), max(values)
    powers = range(math.floor(math.log(low, cost.base)) - 1, math.ceil(math.log(high, cost.base)) + 2)
    marks = [factor * float(cost.base) ** power for power in powers for factor in cost.factors]
    first = max(i for i, mark in enumerate(marks) if mark <= low)
    last = next(i for i, mark in enumerate(marks) if mark >= high and i > first)
    chosen = marks[first : last + 1]
    step = math.ceil((len(chosen) - 1) / 4)
    kept = [*chosen[:-1:step], chosen[-1]]
    if len(kept) > 2 and last - first - (len(kept) - 2) * step < step / 2:
        del kept[-2]  # too near to the last one for its text
    return tuple((mark, cost.text(mark)) for mark in kept)
