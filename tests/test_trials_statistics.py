"""The statistics of a trial, against numbers worked out by hand and against simulated machines."""

from __future__ import annotations

import random

import pytest

from attn_doctor.trials.paired_rounds import bounds, holm, median, more_rounds
from attn_doctor.trials.statistics import compare, decide, interval, settled_by


def test_median_of_odd_and_even_numbers_of_values():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_an_interval_of_few_values_is_their_range_and_says_how_sure_it_is():
    # The median of the machine lies outside the range of n values in 2 of 2**n cases: all above it, or all below it.
    for n, coverage in ((1, 0.0), (2, 0.5), (3, 0.75), (4, 0.875), (5, 0.9375)):
        found = interval([10.0 + i for i in range(n)])
        assert (found.low, found.high, found.coverage, found.n) == (10.0, 9.0 + n, coverage, n)


def test_from_six_values_on_an_interval_is_of_95_percent():
    # Six values: the range has 96.9 %, the second to the fifth 78.1 %. Interpolated weight: part = (0.96875 - 0.95) /
    # 0.1875 = 0.1; weight = 5 x 0.1 / (1 + 4 x 0.1) = 0.357.
    found = interval([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.coverage == 0.95
    assert (found.low, found.high) == (pytest.approx(0.357, abs=1e-3), pytest.approx(4.643, abs=1e-3))
    assert interval([10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 50.0]).high < 50.0


def test_intervals_hold_the_median_as_often_as_they_say():
    chance = random.Random(3)
    for n in (3, 5, 6, 7, 8, 9, 15, 30):
        held = 0
        for _ in range(2000):
            low, high, coverage = bounds([chance.lognormvariate(0, 0.5) for _ in range(n)])
            held += low <= 1.0 <= high
        assert held / 2000 == pytest.approx(coverage, abs=0.017), n


def test_a_ratio_above_one_is_faster():
    gain = compare([20.0, 22.0, 24.0], [10.0, 11.0, 12.0])
    assert gain.ratio == 2.0
    assert (gain.low, gain.high) == (2.0, 2.0)


def test_pairs_need_lists_of_one_length():
    with pytest.raises(ValueError, match="one length"):
        compare([1.0, 2.0], [1.0])


def test_the_smallest_p_of_nine_rounds_is_two_sign_patterns_of_512():
    gain = compare([2.0] * 9, [1.0] * 9)
    assert gain.p == 2 / 512


def test_p_of_values_that_cancel_is_one():
    assert compare([2.0, 1.0], [1.0, 2.0]).p == 1.0


def test_ranks_by_hand():
    # Differences of sizes 1, 2, 3 with the smallest negative: sums of positive ranks 5 of 6. As lopsided or more are
    # {1,2,3}, {2,3}, {1} and {}: 4 of 8.
    assert compare([1 / 1.1, 1.2, 1.3], [1.0, 1.0, 1.0]).p == 0.5
    # Equal sizes share their mean rank: all three 2. As lopsided as two against one are all 8.
    assert compare([2.0, 2.0, 0.5], [1.0, 1.0, 1.0]).p == 1.0


def test_more_rounds_than_can_be_counted_out():
    assert compare([1.1 + i / 1000 for i in range(61)], [1.0] * 61).p < 0.001
    assert compare([(1.1 + i / 1000) ** (1 if i % 2 else -1) for i in range(61)], [1.0] * 61).p > 0.1


def test_holm_by_hand():
    # 0.01 x 3, 0.02 x 2, 0.5 x 1; each at least the one before it.
    assert holm([0.5, 0.01, 0.02]) == pytest.approx([0.5, 0.03, 0.04])
    assert holm([0.04, 0.03]) == pytest.approx([0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_verdicts():
    faster, slower = compare([1.2] * 9, [1.0] * 9), compare([1.0] * 9, [1.3] * 9)
    hardly = compare([1.01] * 9, [1.0] * 9)
    assert [gain.verdict for gain in decide([faster, slower, hardly])] == ["faster", "slower", "no difference"]


def test_too_few_rounds_decide_nothing():
    assert decide([compare([2.0] * 4, [1.0] * 4)])[0].verdict == "undecided"
    # Nine rounds suffice for one comparison, and not for thirty at once.
    assert decide([compare([2.0] * 9, [1.0] * 9)] * 12)[0].verdict == "faster"
    assert decide([compare([2.0] * 9, [1.0] * 9)] * 13)[0].verdict == "undecided"


def _machine(chance: random.Random, rounds: int, factor: float) -> tuple[list[float], list[float]]:
    """Times of eager and of a backend `factor` times as slow: they drift together, and each is disturbed now and then."""
    base, other = [], []
    drift = 1.0
    for _ in range(rounds):
        drift *= chance.lognormvariate(0, 0.05)
        for times, size in ((base, 1.0), (other, factor)):
            spike = 1.5 if chance.random() < 0.05 else 1.0
            times.append(100 * size * drift * spike * chance.lognormvariate(0, 0.015))
    return base, other


def test_identical_backends_come_out_as_no_difference_in_95_of_100():
    chance = random.Random(1)
    verdicts = [decide([compare(*_machine(chance, 9, 1.0))])[0].verdict for _ in range(200)]
    assert verdicts.count("no difference") >= 190


def test_a_planted_slowdown_of_five_percent_is_found_in_thirty_rounds():
    chance = random.Random(2)
    verdicts = [decide([compare(*_machine(chance, 30, 1.05))])[0].verdict for _ in range(100)]
    assert verdicts.count("slower") >= 90
    assert "faster" not in verdicts


def test_how_many_more_rounds_would_settle_it():
    # One winner in n rounds has p = 2 / 2**n: two comparisons need 2 x 2 / 2**n <= 0.05, so n = 7.
    assert settled_by([2.0] * 3, [1.0] * 3, comparisons=2) == 4
    assert settled_by([2.0] * 3, [1.0] * 3, comparisons=1) == 3
    assert settled_by([2.0] * 3, [2.0] * 3, comparisons=1) is None
    assert more_rounds([], 1, 0.05) is None
    # Ranks 1, 2 against 3 of the same size: as often above as below.
    assert settled_by([1.0, 1.0, 1.0], [0.99, 0.98, 1.5], comparisons=1) is None


def test_a_large_ratio_that_load_hides_is_undecided_and_not_no_difference():
    """Three of twelve rounds were disturbed so much that the ranks prove nothing: 14 % cannot be called none."""
    base = [114.0] * 9 + [100.0] * 3
    other = [100.0] * 9 + [260.0, 270.0, 280.0]
    (gain,) = decide([compare(base, other)])
    assert gain.p > 0.05
    assert (round(gain.ratio, 2), gain.verdict) == (1.14, "undecided")
    (near,) = decide([compare([103.0] * 9 + [100.0] * 3, other)])
    assert (round(near.ratio, 2), near.verdict) == (1.03, "no difference")
