"""The statistics of a trial, against numbers worked out by hand and against simulated machines."""

from __future__ import annotations

import random

import pytest

from attn_doctor.trials.statistics import compare, decide, holm, interval, median


def test_median_of_odd_and_even_numbers_of_values():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_an_interval_holds_its_median_and_stays_within_the_samples():
    found = interval([10.0, 11.0, 12.0, 13.0, 50.0])
    assert found.median == 12.0
    assert found.n == 5
    assert 10.0 <= found.low <= 12.0 <= found.high <= 50.0


def test_an_interval_of_one_value_is_that_value():
    found = interval([7.0])
    assert (found.low, found.median, found.high, found.n) == (7.0, 7.0, 7.0, 1)


def test_the_same_samples_always_give_the_same_interval():
    values = [float(i % 7) for i in range(20)]
    assert interval(values) == interval(values)


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
