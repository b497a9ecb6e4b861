"""Make the pictures of a study: the differences with the margin, the learning curves over the seeds, and the costs. Values only. Pure."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from attn_doctor.model.study import Comparison, Epoch, Study
from attn_doctor.report import study_texts as texts
from attn_doctor.report.pictures import Bar, Bars, Curve, Differences, Learning, Picture, Point
from attn_doctor.study.metrics import METRICS, PRIMARY, Metric
from attn_doctor.study.paired import paired

_READ_DIFFERENCES = "The dot is the mean difference, the line its interval. The shaded zone is the margin: a line inside of it is no difference that counts."
_READ_LEARNING = "The line is the mean over the seeds, the band the {:.0%} interval of that mean; one seed has no band."
_READ_COSTS = "The mean over the seeds; the thin line is its {:.0%} interval. {} is better."


def charts(study: Study, comparisons: Sequence[Comparison]) -> tuple[Picture, ...]:
    """Return the pictures of a study: differences, learning curves, costs. One without enough numbers is left out."""
    made: list[Picture | None] = [_differences(study, comparisons)]
    learned = (_learning(study, title, of, most) for title, of, most in _curves(study))
    shown = [picture for picture in learned if picture]
    made += [picture._replace(about="") if place else picture for place, picture in enumerate(shown)]
    made += [_costs(study, metric) for metric in METRICS if metric.scale == "ratio"]
    return tuple(picture for picture in made if picture is not None)


def _differences(study: Study, comparisons: Sequence[Comparison]) -> Differences | None:
    shown = [row for row in comparisons if row.metric == PRIMARY.name and row.estimate is not None]
    if not shown:
        return None
    margin = study.design.margin
    ends = [value for row in shown for value in (row.estimate, row.low, row.high) if value is not None]
    edge = max(1.5 * margin, *(1.1 * abs(value) for value in ends))
    rows = tuple(
        Bar(
            row.arm,
            row.estimate or 0.0,
            texts.change(row),
            row.low,
            row.high,
            _only_interval(row),
            texts.tone(row),
            texts.outcome(row),
        )
        for row in shown
    )
    power = _power_below(edge)
    mark = next(factor * power for factor in (5, 2, 1) if factor * power <= edge)
    ticks = ((-mark, f"−{mark:g}"), (0.0, "0"), (mark, f"+{mark:g}"))
    caption = f"{PRIMARY.title}: difference from {study.design.arms[0]}, over seeds"
    return Differences(caption, _READ_DIFFERENCES, rows, -edge, edge, (-margin, margin), ticks)


def _only_interval(row: Comparison) -> str:
    return "" if row.low is None or row.high is None else f"({texts.signed(row.low)} to {texts.signed(row.high)})"


Of = Callable[[Epoch], float | None]


def _curves(study: Study) -> Iterable[tuple[str, Of, float]]:
    """Yield (title, function that reads the value of an epoch, largest possible value) for each curve. mAP comes first, then the losses."""
    yield "mAP50-95 by epoch", lambda epoch: epoch.map50_95, 1.0
    yield "mAP50 by epoch", lambda epoch: epoch.map50, 1.0
    for column in dict.fromkeys(name for cell in study.cells for epoch in cell.epochs for name in epoch.losses):
        yield f"{column} by epoch", functools.partial(_loss, column), math.inf


def _loss(column: str, epoch: Epoch) -> float | None:
    return epoch.losses.get(column)


def _learning(study: Study, title: str, of: Of, most: float) -> Learning | None:
    curves = []
    for arm in study.design.arms:
        by_epoch: dict[int, list[float]] = {}
        for cell in study.cells:
            for epoch in cell.epochs if cell.arm == arm else ():
                value = of(epoch)
                if value is not None and math.isfinite(value):
                    by_epoch.setdefault(epoch.number, []).append(value)
        level = study.design.level
        points = tuple(_point(number, values, level, most) for number, values in sorted(by_epoch.items()))
        if points:
            curves.append(Curve(arm, points))
    epochs = {point.x for curve in curves for point in curve.points}
    if len(epochs) < 2:
        return None
    values = [end for curve in curves for p in curve.points for end in (p.value, p.low, p.high) if end is not None]
    low, high = min(values), max(values)
    ticks = tuple((mark, f"{mark:g}") for mark in _marks(low, high))
    return Learning(title, _READ_LEARNING.format(1 - study.design.level), tuple(curves), ticks)


def _point(number: int, values: Sequence[float], level: float, most: float) -> Point:
    """Return the mean over seeds with its interval.

    The interval is cut at impossible values: below 0 if no value is negative, and above `most` (1 for mAP).
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Point(number, mean, f"{mean:.4g}")
    low, high = paired(values).interval(1 - level)
    if min(values) >= 0:
        low = max(0.0, low)
    high = min(high, most)
    return Point(number, mean, f"{mean:.4g} ({low:.4g} to {high:.4g})", low, high)


def _costs(study: Study, metric: Metric) -> Bars | None:
    bars = []
    for arm in study.design.arms:
        cells = [cell for cell in study.cells if cell.arm == arm and cell.state == "done"]
        values = [found for cell in cells if (found := metric.of(cell)) is not None]
        if not values:
            continue
        mean = statistics.fmean(values)
        shown = texts.value(metric.name, mean)
        if len(values) < 2:
            bars.append(Bar(arm, mean, shown))
            continue
        low, high = paired(values).interval(1 - study.design.level)
        low = max(0.0, low)
        ends = (texts.value(metric.name, low), texts.value(metric.name, high))
        between = "" if ends == (shown, shown) else _range(*ends)
        bars.append(Bar(arm, mean, shown, low, high, between))
    if len(bars) < 2:
        return None
    most = max(max(bar.value, bar.high or 0.0) for bar in bars)
    about = _READ_COSTS.format(1 - study.design.level, "Longer" if metric.better == "higher" else "Shorter")
    return Bars(f"{metric.title[0].upper()}{metric.title[1:]}", about, (("mean over the seeds", tuple(bars)),), most)


def _range(low: str, high: str) -> str:
    """Return an interval as text. The unit is left out if it is the same at both ends, because it is shown beside the interval."""
    (first, _, unit), (last, _, other) = low.partition(" "), high.partition(" ")
    return f"({first}–{last})" if unit == other else f"({low}–{high})"


def nice_step(length: float, parts: int) -> float:
    """Return a round step that divides a length (above 0) into at most `parts` parts: 1, 2 or 5 times a power of ten.

    Example: 5.0 for the length 10 and 4 parts, because 2.5 is not round.
    """
    raw = length / parts
    power = _power_below(raw)
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)


def _power_below(value: float) -> float:
    return 10.0 ** math.floor(math.log10(value))


def _marks(low: float, high: float) -> list[float]:
    """Return round numbers that enclose two values: three to six of them."""
    if high - low <= 1e-6 * abs(high):  # one value, but for rounding
        high = low + (abs(low) or 1.0)
    step = nice_step(high - low, 4)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 12) for k in range(first, last + 1)]
