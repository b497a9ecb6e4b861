"""Compute the statistics of a trial: medians with intervals, paired comparisons and their verdicts.

Pure. Times on a shared machine are skewed and drift together, so nothing here assumes a normal
distribution: intervals are of order statistics, and backends are compared by the ratios of times of the same round, by rank.
docs/method.md gives the reason for each choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from attn_doctor.model.trials import Gain, GainVerdict, Interval
from attn_doctor.trials.paired_rounds import LEVEL, bounds, holm, logarithms, median, more_rounds, signed_rank

WORTH_NAMING = 0.02  # a smaller difference is not reported, even if it is certain
TOO_LARGE_FOR_NONE = 0.05  # a ratio that is further from 1 than this is never called "no difference": load can hide one
_NOT_LIKELY = 200  # more rounds than this are not proposed


def interval(values: Sequence[float]) -> Interval:
    """Return the median with its interval and the interval's coverage. Raises ValueError if there are no values."""
    low, high, coverage = bounds(values)
    return Interval(median=median(values), low=low, high=high, n=len(values), coverage=coverage)


def compare(base: Sequence[float], other: Sequence[float]) -> Gain:
    """Return the speed of `other` relative to `base`, from pairs: `base[i]` and `other[i]` are times of one round.

    `p` is not yet corrected for the number of comparisons, and there is no verdict yet: `decide` adds both. Raises ValueError if
    the lists are empty, or have different lengths.
    """
    if len(base) != len(other):
        raise ValueError("pairs need lists of one length")
    ratios = [b / o for b, o in zip(base, other, strict=True)]
    low, high, coverage = bounds(ratios)
    p = signed_rank(logarithms(base, other))
    return Gain(ratio=median(ratios), low=low, high=high, n=len(ratios), p=p, coverage=coverage)


def decide(gains: Sequence[Gain], level: float = LEVEL, dropped: int = 0) -> list[Gain]:
    """Return the comparisons with p-values corrected by Holm, and with a verdict for each.

    "faster", "slower": the difference is certain, and at least 2 %. "undecided": too few rounds for a decision, or a large ratio in
    rounds that contradict each other. "no difference": enough rounds, and the difference is not certain, or too small to matter.
    `dropped`: the number of comparisons that ended earlier; they count for the correction too.
    """
    smallest = [2.0 ** (1 - gain.n) * (len(gains) + dropped) for gain in gains]
    corrected = holm([*(gain.p for gain in gains), *[1.0] * dropped])[: len(gains)]
    decided = []
    verdict: GainVerdict
    for gain, p, least in zip(gains, corrected, smallest, strict=True):
        if least > level or (p > level and abs(gain.ratio - 1) >= TOO_LARGE_FOR_NONE):
            verdict = "undecided"
        elif p > level or abs(gain.ratio - 1) < WORTH_NAMING:
            verdict = "no difference"
        else:
            verdict = "faster" if gain.ratio > 1 else "slower"
        decided.append(msgspec.structs.replace(gain, p=p, verdict=verdict))
    return decided


def settled_by(base: Sequence[float], other: Sequence[float], comparisons: int) -> int | None:
    """Return about how many more rounds would decide this comparison; None if it is more than 200, or if no number would.

    `comparisons`: how many there are in all, for Holm's correction.
    """
    found = more_rounds(logarithms(base, other), comparisons, LEVEL)
    return found if found is not None and found <= _NOT_LIKELY else None
