"""Simulated studies whose truth is known: the statistics say it as often as they claim. docs/measurements/study_statistics.md has more of them."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from study_statistics import LEVEL, LOSS, MARGIN, Truth, accuracy, shares, simulated

from attn_doctor.study.paired import power_of_difference, power_of_equivalence

REPEATS = 300
NOISE = 3 * (0.25 / REPEATS) ** 0.5  # three standard errors of a share, at most
AT_MOST = LEVEL + 3 * (LEVEL * (1 - LEVEL) / REPEATS) ** 0.5


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.005), (10, 0.01), (12, 0.02)])
def test_identical_arms_come_out_equivalent_at_the_stated_power(seeds, spread):
    found = shares(Truth(seeds, spread, metrics=1), REPEATS, random.Random(seeds))
    assert found.get("equivalent", 0.0) == pytest.approx(power_of_equivalence(seeds, spread, MARGIN, LEVEL), abs=NOISE)
    assert found.get("higher", 0.0) + found.get("lower", 0.0) <= AT_MOST


@pytest.mark.parametrize(("seeds", "spread"), [(5, 0.01), (10, 0.01)])
def test_a_planted_loss_of_two_percent_is_found_at_the_stated_power(seeds, spread):
    found = shares(Truth(seeds, spread, (-LOSS,), metrics=1), REPEATS, random.Random(seeds))
    # A loss of 0.012 is above the margin of 0.01: what is called equivalent takes a little from what is found.
    missed = found.get("equivalent", 0.0)
    assert found["lower"] + missed == pytest.approx(power_of_difference(seeds, spread, LOSS, LEVEL), abs=NOISE)
    assert missed <= AT_MOST
    assert found.get("higher", 0.0) <= 0.01


def test_nothing_false_is_said_more_often_than_the_level_over_all_arms_and_metrics():
    chance = random.Random(2)
    different = equivalent = 0
    for rows in simulated(Truth(5, 0.01, (0.0, 0.0, 0.0)), REPEATS, chance):
        different += any(row.p is not None and row.p <= LEVEL for row in accuracy(rows))
    for rows in simulated(Truth(5, 0.004, (MARGIN, MARGIN, MARGIN)), REPEATS, chance):
        equivalent += any(row.outcome == "equivalent" for row in accuracy(rows))
    assert different / REPEATS <= AT_MOST
    assert equivalent / REPEATS <= AT_MOST


def test_the_intervals_hold_the_truth():
    held = {"difference": 0, "ratio": 0}
    for rows in simulated(Truth(4, 0.01, (-LOSS,), cost=0.9, metrics=1), REPEATS, random.Random(3)):
        held["difference"] += rows[0].low <= -LOSS <= rows[0].high
        held["ratio"] += rows[-1].low <= 0.9 <= rows[-1].high
    for share in held.values():
        assert share / REPEATS == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / REPEATS) ** 0.5)
