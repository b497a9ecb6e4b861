"""Student's t distribution, against closed forms, printed tables and the write-up that this tool began with."""

from __future__ import annotations

import math

import pytest

from attn_doctor.study.students_t import cdf, incomplete_beta, quantile, spread_interval, upper_tail


def closed_form(t: float, degrees: int) -> float:
    """Return P(-t < T < t) by the finite sums for whole degrees of freedom: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    cos, sin = math.cos(angle), math.sin(angle)
    term, total = 1.0, 1.0
    if degrees % 2:
        term = total = cos
        for k in range(3, degrees - 1, 2):
            term *= cos**2 * (k - 1) / k
            total += term
        return 2 / math.pi * (angle + (sin * total if degrees > 1 else 0.0))
    for k in range(2, degrees - 1, 2):
        term *= cos**2 * (k - 1) / k
        total += term
    return sin * total


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 10, 29, 30, 99, 100])
def test_the_distribution_is_that_of_the_closed_form(degrees):
    for t in (0.0, 1e-3, 0.1, 0.5, 1.0, 2.0, 2.14, 3.0, 5.0):
        assert cdf(t, degrees) - cdf(-t, degrees) == pytest.approx(closed_form(t, degrees), abs=1e-13)


# Percentage points of the t distribution, three decimals: table A.2 of the NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2
# (https://www.itl.nist.gov/div898/handbook/eda/section3/eda3672.htm).
TABLE = {
    1: (3.078, 6.314, 12.706, 31.821, 63.657),
    2: (1.886, 2.920, 4.303, 6.965, 9.925),
    3: (1.638, 2.353, 3.182, 4.541, 5.841),
    5: (1.476, 2.015, 2.571, 3.365, 4.032),
    9: (1.383, 1.833, 2.262, 2.821, 3.250),
    20: (1.325, 1.725, 2.086, 2.528, 2.845),
    100: (1.290, 1.660, 1.984, 2.364, 2.626),
}


@pytest.mark.parametrize("degrees", TABLE)
def test_the_quantiles_are_those_of_the_printed_table(degrees):
    for p, printed in zip((0.90, 0.95, 0.975, 0.99, 0.995), TABLE[degrees], strict=True):
        assert quantile(p, degrees) == pytest.approx(printed, abs=5.1e-4)
        assert quantile(1 - p, degrees) == pytest.approx(-printed, abs=5.1e-4)


def test_small_tails_keep_their_digits():
    # One degree of freedom is Cauchy's distribution, whose tail is atan(1 / t) / pi.
    for t in (10.0, 1e3, 1e6, 1e12):
        assert upper_tail(t, 1) == pytest.approx(math.atan(1 / t) / math.pi, rel=1e-12)
    # With two, P(T > t) = (1 - t / sqrt(2 + t²)) / 2, which is 1 / (2 (2 + t² + t sqrt(2 + t²))).
    for t in (10.0, 1e3, 1e6):
        assert upper_tail(t, 2) == pytest.approx(1 / (2 + t * t + t * math.sqrt(2 + t * t)), rel=1e-12)
    # With many degrees it is nearly the normal distribution: P(T > t) = Q(t) + φ(t) t (t² + 1) / (4 n) + … (Abramowitz and Stegun 26.7.8).
    for t in (1.5, 3.0, 8.0, 12.0):
        n = 10.0**7
        normal = math.erfc(t / math.sqrt(2)) / 2
        density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
        assert upper_tail(t, n) == pytest.approx(normal + density * t * (t * t + 1) / (4 * n), rel=1e-6)
    assert upper_tail(math.inf, 3) == 0.0
    assert upper_tail(-math.inf, 3) == 1.0


def test_a_quantile_is_the_inverse_of_the_distribution():
    for degrees in (1, 2, 2.5, 7, 250):
        for p in (1e-8, 0.001, 0.2, 0.5, 0.7, 0.999):
            assert cdf(quantile(p, degrees), degrees) == pytest.approx(p, rel=1e-9)


def test_the_incomplete_beta_function_of_whole_numbers_is_a_sum_of_coin_tosses():
    # I_x(a, b) is the probability of at least a heads in a + b - 1 tosses: DLMF 8.17.5.
    for a, b, x in ((1, 1, 0.3), (2, 3, 0.4), (5, 2, 0.9), (10, 10, 0.5), (3, 40, 0.01)):
        n = a + b - 1
        tosses = sum(math.comb(n, k) * x**k * (1 - x) ** (n - k) for k in range(a, n + 1))
        assert incomplete_beta(a, b, x) == pytest.approx(tosses, rel=1e-12)
    assert (incomplete_beta(2, 3, 0.0), incomplete_beta(2, 3, 1.0)) == (0.0, 1.0)


def test_values_without_an_answer_are_refused():
    for call in (
        lambda: quantile(0.0, 3),
        lambda: quantile(1.0, 3),
        lambda: cdf(1.0, 0),
        lambda: incomplete_beta(1, 1, 1.5),
    ):
        with pytest.raises(ValueError, match=r"between 0 and 1|above 0"):
            call()


def test_the_interval_of_a_spread_is_that_of_the_chi_square_table():
    # Table A.4 of the same handbook: 3 degrees of freedom, 2.5 % and 97.5 %: 0.216 and 9.348; 9 degrees: 2.700 and 19.023.
    for degrees, low, high in ((3, 0.216, 9.348), (9, 2.700, 19.023)):
        found = spread_interval(1.0, degrees, 0.95)
        assert found == (
            pytest.approx(math.sqrt(degrees / high), rel=1e-3),
            pytest.approx(math.sqrt(degrees / low), rel=2e-3),
        )
    # With two degrees the distribution is 1 - exp(-x / 2).
    found = spread_interval(0.5, 2, 0.8)
    assert found == (
        pytest.approx(0.5 * math.sqrt(2 / (-2 * math.log(0.1)))),
        pytest.approx(0.5 * math.sqrt(2 / (-2 * math.log(0.9)))),
    )


def test_the_write_up_had_a_p_that_does_not_belong_to_its_t():
    """The statistics of the write-up: ten seeds, t = −2.14 with 9 degrees of freedom, and p = 0.0012."""
    p = 2 * upper_tail(2.14, 9)
    assert p == pytest.approx(0.061, abs=5e-4)
    assert p > 0.05  # so their own test found no difference
    assert quantile(1 - 0.0012 / 2, 9) == pytest.approx(4.65, abs=0.01)  # the t that their p would need
