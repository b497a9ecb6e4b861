"""Compute the statistics of a trial: medians with intervals, paired comparisons, Holm's correction.

Pure, standard library only.

Times on a shared machine are skewed and drift together, so nothing here assumes a normal distribution: the interval of
a median is bootstrapped, and backends are compared by the ratios of times of the same round, by rank. docs/method.md
gives the reason of each choice.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from attn_doctor.model.trials import Gain, GainVerdict, Interval

LEVEL = 0.05  # the probability of a false difference, over all comparisons of one dtype together
WORTH_NAMING = 0.02  # a smaller difference counts as none, however certain it is
RESAMPLES = 2000
_EXACT_UP_TO = 60  # rounds: above, signs are drawn at random instead of enumerated


def median(values: Sequence[float]) -> float:
    """Return the median. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Return the median with its 95 % percentile bootstrap interval. Raises ValueError for no values."""
    low, high = _bootstrap(values, seed)
    return Interval(median=median(values), low=low, high=high, n=len(values))


def compare(base: Sequence[float], other: Sequence[float], seed: int = 0) -> Gain:
    """Return how many times as fast as `base` the other is, by pairs: `base[i]` and `other[i]` are of one round.

    `p` is not yet corrected for the number of comparisons, and there is no verdict yet: see `decide`. Raises ValueError
    for lists of different lengths, or empty ones.
    """
    if len(base) != len(other):
        raise ValueError("pairs need lists of one length")
    ratios = [b / o for b, o in zip(base, other, strict=True)]
    low, high = _bootstrap(ratios, seed)
    return Gain(
        ratio=median(ratios), low=low, high=high, n=len(ratios), p=_signed_rank([math.log(r) for r in ratios], seed)
    )


def decide(gains: Sequence[Gain], level: float = LEVEL) -> list[Gain]:
    """Return the comparisons with p-values corrected by Holm, and a verdict each.

    "undecided": too few rounds for a decision. "no difference": enough rounds, and no difference worth naming.
    """
    smallest = [2.0 ** (1 - gain.n) * len(gains) for gain in gains]
    decided = []
    verdict: GainVerdict
    for gain, corrected, least in zip(gains, holm([gain.p for gain in gains]), smallest, strict=True):
        if least > level:
            verdict = "undecided"
        elif corrected > level or abs(gain.ratio - 1) < WORTH_NAMING:
            verdict = "no difference"
        else:
            verdict = "faster" if gain.ratio > 1 else "slower"
        decided.append(Gain(ratio=gain.ratio, low=gain.low, high=gain.high, n=gain.n, p=corrected, verdict=verdict))
    return decided


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's step-down correction: they can be compared with one level all together."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def _bootstrap(values: Sequence[float], seed: int) -> tuple[float, float]:
    chance = random.Random(seed)  # noqa: S311 - resampling, no secret
    medians = sorted(median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[round(0.025 * (RESAMPLES - 1))], medians[round(0.975 * (RESAMPLES - 1))]


def _signed_rank(values: Sequence[float], seed: int) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test: how often random signs give ranks as unbalanced as these.

    Exact, ties included; zeros support neither side and are left out.
    """
    sizes = sorted(abs(value) for value in values if value)
    if not sizes:
        return 1.0
    # Twice the mean rank of equal sizes, so that it is a whole number.
    rank = {size: 2 * sizes.index(size) + sizes.count(size) + 1 for size in set(sizes)}
    ranks = [rank[size] for size in sizes]
    total = sum(ranks)
    positive = sum(rank[abs(value)] for value in values if value > 0)
    lopsided = abs(2 * positive - total)
    if len(ranks) > _EXACT_UP_TO:
        chance = random.Random(seed)  # noqa: S311
        draws = (sum(chance.choice((rank, -rank)) for rank in ranks) for _ in range(RESAMPLES))
        return (sum(abs(draw) >= lopsided for draw in draws) + 1) / (RESAMPLES + 1)
    ways = [1] + [0] * total  # ways[s]: choices of signs whose positive ranks sum to s
    for rank_ in ranks:
        ways = [count + (ways[place - rank_] if place >= rank_ else 0) for place, count in enumerate(ways)]
    extreme = sum(count for place, count in enumerate(ways) if abs(2 * place - total) >= lopsided)
    return extreme / 2.0 ** len(ranks)
