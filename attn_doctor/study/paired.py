"""Compare pairs: the mean difference and its interval, the tests for a difference and for equivalence, and the number of pairs needed.

Pure, standard library only. Differences are assumed to be normal. Three pairs are too few to check that, so a verdict from few
pairs is rough. Equivalence is shown by two one-sided tests (Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987), never by a test
that found no difference.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from attn_doctor.study import students_t

POWER = 0.8  # the probability of an answer that a number of pairs is proposed for
MOST = 10_000  # no larger number of pairs is proposed
_POINTS = 100  # of Simpson's rule, over the distribution of the spread; a power has an error below 0.001
_SAME = 1e-12  # differences that vary by less than this part of their size are equal: that is rounding


class Paired(NamedTuple):
    """Hold the mean of n differences and their spread (standard deviation). n ≥ 2."""

    mean: float
    spread: float
    n: int

    @property
    def error(self) -> float:
        """Return the standard error of the mean."""
        return self.spread / math.sqrt(self.n)

    def interval(self, coverage: float) -> tuple[float, float]:
        """Return both ends of the confidence interval of the mean. `coverage`: 0.95 for a 95 % interval."""
        half = students_t.quantile((1 + coverage) / 2, self.n - 1) * self.error
        return self.mean - half, self.mean + half

    def p_difference(self) -> float:
        """Return the two-sided p value of the paired t-test. Needs a spread above 0."""
        return 2 * students_t.upper_tail(abs(self.mean) / self.error, self.n - 1)

    def p_equivalence(self, low: float, high: float) -> float:
        """Return the larger p value of the two one-sided tests: the mean is above `low`, and it is below `high`. Needs a spread above 0."""
        above = students_t.upper_tail((self.mean - low) / self.error, self.n - 1)
        below = students_t.upper_tail((high - self.mean) / self.error, self.n - 1)
        return max(above, below)

    def effect(self) -> float:
        """Return the mean divided by the spread, with Hedges' exact correction for small samples. Needs a spread above 0.

        Without the correction, the effect of few pairs is too large on average: J = Γ(m/2) / (√(m/2) Γ((m−1)/2)) with m = n − 1
        (Hedges, J. Educ. Stat. 6, 1981). For n = 2, J is 0: two pairs do not show the size of an effect.
        """
        m = self.n - 1
        if m < 2:
            return 0.0
        correction = math.exp(math.lgamma(m / 2) - math.lgamma((m - 1) / 2)) / math.sqrt(m / 2)
        return correction * self.mean / self.spread


def paired(differences: Sequence[float]) -> Paired:
    """Return the mean and the spread of differences. Raises ValueError for fewer than two.

    The spread is exactly 0 if the differences vary only by rounding.
    """
    if len(differences) < 2:
        raise ValueError("a spread needs two pairs")
    mean = statistics.fmean(differences)
    if max(differences) - min(differences) <= _SAME * max(abs(value) for value in differences):
        return Paired(mean, 0.0, len(differences))
    return Paired(mean, statistics.stdev(differences), len(differences))


def power_of_equivalence(n: int, spread: float, margin: float, level: float, true: float = 0.0) -> float:
    """Return the probability that n pairs show equivalence within ±margin, if the true mean is `true` and the true spread `spread`.

    `level`: of each one-sided test, 0.05.
    """
    t = students_t.quantile(1 - level, n - 1)
    scale = math.sqrt(n) / spread

    def shown(u: float) -> float:
        room = margin - t * u / scale
        return 0.0 if room <= 0 else _normal((room - true) * scale) - _normal((-room - true) * scale)

    return _over_spreads(shown, n - 1)


def power_of_difference(n: int, spread: float, true: float, level: float) -> float:
    """Return the probability that the two-sided paired t-test of n pairs finds a difference, if the true mean is `true` and the true spread `spread`."""
    t = students_t.quantile(1 - level / 2, n - 1)
    shift = true * math.sqrt(n) / spread
    return _over_spreads(lambda u: _normal(shift - t * u) + _normal(-shift - t * u), n - 1)


def enough(power: Callable[[int], float], start: int = 2, wanted: float = POWER) -> int | None:
    """Return the smallest number of pairs n, at least two, for which `power(n)` is at least `wanted`; None if it is above 10,000.

    The search begins at `start`: a good guess makes it short.
    """
    low, high = 1, max(2, min(start, MOST))
    while high > 2 and power(high) >= wanted:
        high = max(2, high * 3 // 4)
    while power(high) < wanted:
        low, high = high, high * 4 // 3 + 1
        if low >= MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= wanted else (middle, high)
    return high if high <= MOST else None


def _normal(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def _over_spreads(probability: Callable[[float], float], degrees: int) -> float:
    """Return the mean of a probability over the distribution of (observed spread / true spread)."""
    wide = 8 / math.sqrt(2 * degrees)
    low, high = max(0.0, 1 - wide), 1 + wide
    step = (high - low) / _POINTS
    half = degrees / 2
    constant = math.log(2) + half * math.log(half) - math.lgamma(half)
    total = 0.0
    for i in range(_POINTS + 1):
        u = low + i * step
        if u == 0:
            density = math.exp(constant) if degrees == 1 else 0.0
        else:
            density = math.exp(constant + (degrees - 1) * math.log(u) - half * u * u)
        total += (1 if i in (0, _POINTS) else 4 if i % 2 else 2) * density * probability(u)
    return min(1.0, total * step / 3)
