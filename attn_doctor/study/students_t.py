"""Compute Student's t distribution and the spread of a sample. Pure, standard library only.

The cumulative distribution is the regularised incomplete beta function, computed by its continued fraction (DLMF 8.17.22,
https://dlmf.nist.gov/8.17) with the method of Lentz in the form of Thompson and Barnett (J. Comput. Phys. 64, 1986).
`tests/test_study_students_t.py` compares it with the closed forms for whole degrees of freedom.
"""

from __future__ import annotations

import functools
import math

_TINY = 1e-300  # stands for 0 in a denominator of the continued fraction
_ENOUGH = 1e-15  # relative change after which the fraction and the series end


def cdf(t: float, degrees: float) -> float:
    """Return P(T ≤ t) for `degrees` > 0 of freedom. Raises ValueError for 0 or fewer."""
    tail = upper_tail(abs(t), degrees)
    return tail if t < 0 else 1 - tail


def upper_tail(t: float, degrees: float) -> float:
    """Return P(T > t), exact to 10 digits also where it is small. Raises ValueError for degrees ≤ 0."""
    if degrees <= 0:
        raise ValueError("degrees of freedom must be above 0")
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    if t < 0:
        return 1 - upper_tail(-t, degrees)
    square = t * t
    if square < 1:  # the tail is large, and the other argument of the beta function keeps more digits
        return 0.5 - incomplete_beta(0.5, degrees / 2, square / (degrees + square)) / 2
    return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + square)) / 2


@functools.lru_cache(maxsize=4096)
def quantile(p: float, degrees: float) -> float:
    """Return the t below which the probability is `p`. Raises ValueError unless 0 < p < 1 and degrees > 0."""
    if not 0 < p < 1:
        raise ValueError("a probability lies between 0 and 1")
    if p == 0.5:
        return 0.0
    if p < 0.5:
        return -quantile(1 - p, degrees) if p > 1e-9 else -_of_tail(p, degrees)
    return _of_tail(1 - p, degrees)


def _of_tail(tail: float, degrees: float) -> float:
    """Return the t above which the probability is `tail` < 0.5."""
    low, high = 0.0, 2.0
    while upper_tail(high, degrees) > tail:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if upper_tail(middle, degrees) > tail else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b > 0 and 0 ≤ x ≤ 1. Raises ValueError for other x."""
    if not 0 <= x <= 1:
        raise ValueError("x lies between 0 and 1")
    if x in (0.0, 1.0):
        return x
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast; else by symmetry
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    d = _away_from_0(1 - (a + b) * x / (a + 1))
    c, d = 1.0, 1 / d
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_0(1 + term * d)
            c = _away_from_0(1 + term / c)
            value *= d * c
        if abs(d * c - 1) < _ENOUGH:
            break
    return value


def _away_from_0(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def spread_interval(spread: float, degrees: int, coverage: float) -> tuple[float, float]:
    """Return both ends of the confidence interval of the true standard deviation. The values must be normally distributed.

    `spread`: the standard deviation of a sample of n values. `degrees`: n − 1. `coverage`: 0.8 for an 80 % interval.
    """
    outside = (1 - coverage) / 2
    return (
        spread * math.sqrt(degrees / _chi_square_quantile(1 - outside, degrees)),
        spread * math.sqrt(degrees / _chi_square_quantile(outside, degrees)),
    )


@functools.lru_cache(maxsize=256)
def _chi_square_quantile(p: float, degrees: int) -> float:
    low, high = 0.0, float(degrees)
    while _chi_square_cdf(high, degrees) < p:
        low, high = high, high * 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _chi_square_cdf(middle, degrees) < p else (low, middle)
    return (low + high) / 2


def _chi_square_cdf(x: float, degrees: int) -> float:
    """Return P(X ≤ x) by the series of the incomplete gamma function (DLMF 8.7.1)."""
    if x <= 0:
        return 0.0
    a, half = degrees / 2, x / 2
    term = total = 1.0
    k = 0
    while term > _ENOUGH * total:
        k += 1
        term *= half / (a + k)
        total += term
    return min(1.0, total * math.exp(a * math.log(half) - half - math.lgamma(a + 1)))
