"""Compare each arm (attention) of a study with the first arm, for each metric, in pairs of trainings with the same seed. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

from attn_doctor.model.study import Cell, Comparison, Outcome, Study, Unpaired
from attn_doctor.study import students_t
from attn_doctor.study.metrics import METRICS, PRIMARY, SAME_COST, Metric
from attn_doctor.study.paired import Paired, enough, paired, power_of_difference, power_of_equivalence
from attn_doctor.trials.paired_rounds import holm

_SPREAD_COVERAGE = 0.8  # of the interval of the spread, behind the range of the number of seeds


class _Pairs(msgspec.Struct):
    """Hold the pairs of one arm and one metric, before any correction for the number of comparisons."""

    row: Comparison
    found: Paired | None = None  # of the differences, or of the logarithms of the ratios
    bounds: tuple[float, float] | None = None  # the margin on the scale of `found`
    p: float | None = None
    p_equivalence: float | None = None


def compared(study: Study) -> tuple[Comparison, ...]:
    """Return a comparison for each arm except the first, and for each metric that some pair has, in the order of `METRICS`.

    mAP50-95 is always among them, even if no pair has it.
    p-values are corrected by Holm within a family. The families are: differences of accuracy (arms × metrics), equivalence of
    mAP50-95 (arms), differences of costs and equivalence of costs (arms × costs). In each family the probability of any false
    claim is at most the level.
    """
    cells = {(cell.arm, cell.seed): cell for cell in study.cells}
    rows: list[_Pairs] = []
    for arm in dict.fromkeys(study.design.arms[1:]):
        for metric in METRICS:
            row = _pairs(study, arm, metric, cells)
            if row.row.seeds or metric is PRIMARY:
                rows.append(row)
    for scale in ("difference", "ratio"):
        family = [row for row in rows if row.row.scale == scale]
        _corrected(family)
    return tuple(_judged(row, rows, study.design.level) for row in rows)


def _pairs(study: Study, arm: str, metric: Metric, cells: dict[tuple[str, int], Cell]) -> _Pairs:
    base = study.design.arms[0]
    before, after, seeds = [], [], []
    unpaired = []
    for seed in study.design.seeds:
        pair = cells.get((base, seed)), cells.get((arm, seed))
        why = _not_comparable(pair, (base, arm), metric)
        first, second = (_known(metric, cell) for cell in pair)
        if why or first is None or second is None:
            unpaired.append(Unpaired(seed=seed, why=why or f"{metric.title} is not known"))
            continue
        seeds.append(seed)
        before.append(first)
        after.append(second)
    margin = study.design.margin if metric is PRIMARY else SAME_COST if metric.scale == "ratio" else None
    row = Comparison(
        arm=arm,
        base=base,
        metric=metric.name,
        scale=metric.scale,
        outcome="no pair",
        seeds=tuple(seeds),
        unpaired=tuple(unpaired),
        margin=margin,
        coverage=1 - study.design.level,
    )
    return _measured(row, before, after) if seeds else _Pairs(row)


def _not_comparable(pair: tuple[Cell | None, Cell | None], arms: tuple[str, str], metric: Metric) -> str:
    """Return why two trainings cannot be compared, as words for a table; an empty text if they can."""
    for cell, arm in zip(pair, arms, strict=True):
        if cell is None or cell.state == "waiting":
            return f"{arm} was not trained"
        if cell.state != "done":
            return f"{arm}: {'still training' if cell.state == 'running' else cell.state}"
        if cell.proven is False:
            return f"{arm}: another kernel ran"
    first, second = pair
    if metric.scale == "ratio" and first and second and first.where != second.where:
        return "trained on two machines"
    return ""


def _known(metric: Metric, cell: Cell | None) -> float | None:
    """Return the value of a metric; None if it cannot be compared: NaN, and a cost of 0, which has no ratio."""
    value = metric.of(cell) if cell else None
    if value is None or not math.isfinite(value) or (metric.scale == "ratio" and value <= 0):
        return None
    return value


def _measured(row: Comparison, before: Sequence[float], after: Sequence[float]) -> _Pairs:
    ratio = row.scale == "ratio"
    if ratio:
        differences = [math.log(b / a) for a, b in zip(before, after, strict=True)]
        bounds = None if row.margin is None else (-math.log1p(row.margin), math.log1p(row.margin))
    else:
        differences = [b - a for a, b in zip(before, after, strict=True)]
        bounds = None if row.margin is None else (-row.margin, row.margin)
    mean = statistics.fmean(differences)
    row = msgspec.structs.replace(
        row,
        base_mean=statistics.fmean(before),
        arm_mean=statistics.fmean(after),
        estimate=math.exp(mean) if ratio else mean,
    )
    settled = _without_test(before, after)
    if settled:
        return _Pairs(msgspec.structs.replace(row, outcome=settled))
    found = paired(differences)
    if found.spread == 0:
        return _Pairs(msgspec.structs.replace(row, outcome="constant", spread=0.0))
    low, high = found.interval(row.coverage)
    row = msgspec.structs.replace(
        row,
        outcome="cannot tell",
        low=math.exp(low) if ratio else low,
        high=math.exp(high) if ratio else high,
        spread=found.spread,
        effect=found.effect(),
    )
    equivalence = None if bounds is None else found.p_equivalence(*bounds)
    return _Pairs(row, found, bounds, found.p_difference(), equivalence)


def _without_test(before: Sequence[float], after: Sequence[float]) -> Outcome | None:
    """Return the outcome of pairs for which no test is possible; None if a test is possible."""
    if not any(before) and not any(after):
        return "nothing learned"
    if list(before) == list(after):
        return "identical"
    return "one seed" if len(before) == 1 else None


def _corrected(family: Sequence[_Pairs]) -> None:
    """Correct the p-values of a family. The pairs are changed."""
    tested = [row for row in family if row.p is not None]
    for row, p in zip(tested, holm([row.p for row in tested if row.p is not None]), strict=True):
        row.p = p
    tested = [row for row in family if row.p_equivalence is not None]
    values = holm([row.p_equivalence for row in tested if row.p_equivalence is not None])
    for row, p in zip(tested, values, strict=True):
        row.p_equivalence = p


def _judged(pairs: _Pairs, all_rows: Sequence[_Pairs], level: float) -> Comparison:
    """Return the comparison with its outcome; if it is undecided, with the number of seeds that would decide it.

    Equivalence is checked first: a difference may be certain and still smaller than the margin.
    """
    row, found = pairs.row, pairs.found
    if found is None or pairs.p is None:
        return row
    row = msgspec.structs.replace(row, p=pairs.p, p_equivalence=pairs.p_equivalence)
    if pairs.p_equivalence is not None and pairs.p_equivalence <= level:
        return msgspec.structs.replace(row, outcome="equivalent")
    if pairs.p <= level:
        return msgspec.structs.replace(row, outcome="higher" if found.mean > 0 else "lower")
    if pairs.bounds is None:
        return row
    family = sum(other.row.scale == row.scale and other.bounds is not None for other in all_rows)
    needed, between = seeds_needed(found, pairs.bounds[1], level / max(1, family))
    return msgspec.structs.replace(row, seeds_needed=needed, seeds_between=between)


def seeds_needed(found: Paired, margin: float, level: float) -> tuple[int | None, tuple[int, int | None] | None]:
    """Return (about how many seeds would decide, range of that number), for a probability of 80 %.

    A number above 10,000 is None. `margin`: on the scale of `found`. `level`: of each test. If the mean is within the
    margin, so many seeds would show equivalence, provided that there is no difference. Otherwise so many would find a
    difference as large as the margin. The number is computed from the observed spread; the range from the ends of the
    80 % interval of the spread. That interval is wide for few seeds: with three seeds, from two thirds of the observed
    spread to three times as much.
    """
    within = abs(found.mean) < margin

    def number(spread: float) -> int | None:
        about = math.ceil(min(1e6, 8.6 * (spread / margin) ** 2))  # by the normal distribution; the search begins there
        if within:
            return enough(lambda n: power_of_equivalence(n, spread, margin, level), about)
        return enough(lambda n: power_of_difference(n, spread, margin, level), about)

    low, high = students_t.spread_interval(found.spread, found.n - 1, _SPREAD_COVERAGE)
    fewest = number(low)
    return number(found.spread), None if fewest is None else (fewest, number(high))
