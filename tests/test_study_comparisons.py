"""The comparison of a study's arms: each outcome, worked out by hand, and what cannot be compared."""

from __future__ import annotations

import math

import msgspec
import pytest
from little_studies import epoch, pairs, study, training

from attn_doctor.model.study import Study
from attn_doctor.study.comparisons import compared
from attn_doctor.study.paired import enough, paired, power_of_difference, power_of_equivalence


def primary(made: Study, arm: str = "sdpa-flash"):
    return next(row for row in compared(made) if row.metric == "map50_95" and row.arm == arm)


def test_the_difference_has_the_interval_and_the_p_of_the_paired_t_test():
    # Differences 0.01, 0.02, 0.03, 0.04: mean 0.025, standard deviation 0.012910, standard error 0.0064550, t = 3.872983 with 3 degrees
    # of freedom: p = 0.030466. The quantile for 95 % is 3.182446.
    found = primary(pairs([0.5, 0.6, 0.4, 0.5], [0.51, 0.62, 0.43, 0.54], margin=0.05))
    assert (found.estimate, found.spread) == (pytest.approx(0.025), pytest.approx(0.0129099, rel=1e-5))
    half = 3.182446 * 0.00645497
    assert (found.low, found.high) == (pytest.approx(0.025 - half, abs=1e-7), pytest.approx(0.025 + half, abs=1e-7))
    assert found.p == pytest.approx(4 * 0.030466, rel=1e-4)  # Holm: the smallest of four equal ones
    # Against +0.05: t = 0.025 / 0.006455 = 3.873, one-sided p = 0.015233; against −0.05 it is smaller.
    assert found.p_equivalence == pytest.approx(0.015233, rel=1e-4)
    assert found.outcome == "equivalent"
    # Hedges' correction with 3 degrees of freedom: Γ(1.5) / (√1.5 Γ(1)) = 0.886227 / 1.224745 = 0.723601.
    assert found.effect == pytest.approx(0.723601 * 0.025 / 0.0129099, rel=1e-5)
    assert found.seeds == (0, 1, 2, 3)
    assert (found.base_mean, found.arm_mean) == (pytest.approx(0.5), pytest.approx(0.525))


def test_a_failed_test_for_a_difference_is_not_equality():
    found = primary(pairs([0.50, 0.52, 0.48], [0.53, 0.50, 0.49]))
    assert found.p > 0.05
    assert found.outcome == "cannot tell"
    assert found.seeds_needed > 3


def test_a_loss_is_found_and_has_its_direction():
    base = [0.50, 0.52, 0.48, 0.51, 0.49]
    lost = primary(pairs(base, [b - 0.03 + 0.001 * i for i, b in enumerate(base)]))
    won = primary(pairs(base, [b + 0.03 + 0.001 * i for i, b in enumerate(base)]))
    assert (lost.outcome, won.outcome) == ("lower", "higher")


def test_a_certain_difference_below_the_margin_is_equivalent():
    base = [0.50, 0.52, 0.48, 0.51, 0.49]
    found = primary(pairs(base, [b - 0.003 + 0.0001 * i for i, b in enumerate(base)]))
    assert found.p < 0.05
    assert found.outcome == "equivalent"


def test_the_same_numbers_are_identical_and_have_no_p():
    found = primary(pairs([0.5, 0.6], [0.5, 0.6]))
    assert (found.outcome, found.p, found.p_equivalence, found.estimate) == ("identical", None, None, 0.0)
    assert primary(pairs([0.5], [0.5])).outcome == "identical"


def test_the_same_difference_with_every_seed_has_no_spread_to_test_against():
    found = primary(pairs([0.5, 0.6, 0.7], [0.6, 0.7, 0.8]))
    assert (found.outcome, found.p, found.low) == ("constant", None, None)
    assert found.estimate == pytest.approx(0.1)


def test_trainings_that_learned_nothing_are_not_called_identical():
    assert primary(pairs([0.0, 0.0, 0.0], [0.0, 0.0, 0.0])).outcome == "nothing learned"


def test_one_seed_cannot_tell():
    found = primary(pairs([0.5], [0.51]))
    assert (found.outcome, found.p, found.low, found.estimate) == ("one seed", None, None, pytest.approx(0.01))


def test_pairs_that_are_not_whole_are_left_out_with_their_reason():
    first = [training("eager", seed, 0.5 + 0.01 * seed) for seed in range(7)]
    second = [training("sdpa-flash", seed, 0.5 + 0.012 * seed) for seed in range(7)]
    second[1] = msgspec.structs.replace(second[1], state="failed", said="it ended with signal 9")
    second[2] = msgspec.structs.replace(second[2], state="stopped")
    second[3] = msgspec.structs.replace(second[3], proven=False)
    second[4] = msgspec.structs.replace(second[4], epochs=(epoch(1, None),))
    first[5] = msgspec.structs.replace(first[5], state="waiting", epochs=())
    found = primary(study([*first, *second]))
    assert found.seeds == (0, 6)
    assert [(pair.seed, pair.why) for pair in found.unpaired] == [
        (1, "sdpa-flash: failed"),
        (2, "sdpa-flash: stopped"),
        (3, "sdpa-flash: another kernel ran"),
        (4, "mAP50-95 is not known"),
        (5, "eager was not trained"),
    ]


def test_an_arm_without_any_pair_still_has_its_row():
    cells = [training("eager", 0), training("sdpa-flash", 0, state="failed"), training("sdpa-math", 0)]
    made = study(cells, ("eager", "sdpa-flash", "sdpa-math"))
    assert primary(made).outcome == "no pair"
    assert primary(made, "sdpa-math").outcome == "identical"
    assert [row.metric for row in compared(made) if row.arm == "sdpa-flash"] == ["map50_95"]


def test_a_study_of_one_arm_compares_nothing():
    assert compared(study([training("eager", 0)], ("eager",))) == ()


def test_times_are_compared_by_their_ratio_and_by_the_median_after_the_first_epoch():
    cells = []
    for seed, (slow, fast) in enumerate(((10.0, 9.0), (20.0, 17.0), (12.0, 11.0))):
        for arm, seconds in (("eager", slow), ("sdpa-flash", fast)):
            cells.append(training(arm, seed, epochs=2, seconds=seconds))
            cells[-1] = msgspec.structs.replace(cells[-1], epochs=(epoch(1, seconds=500.0), *cells[-1].epochs[1:]))
    found = next(row for row in compared(study(cells)) if row.metric == "epoch_seconds")
    logs = [math.log(0.9), math.log(0.85), math.log(11 / 12)]
    mean = sum(logs) / 3
    assert found.estimate == pytest.approx(math.exp(mean))
    spread = math.sqrt(sum((x - mean) ** 2 for x in logs) / 2)
    assert found.low == pytest.approx(math.exp(mean - 4.302653 * spread / math.sqrt(3)), rel=1e-6)
    assert (found.scale, found.margin, found.outcome) == ("ratio", 0.02, "lower")


def test_memory_is_the_highest_and_energy_the_sum_of_the_epochs():
    cells = [
        training("eager", 0, epochs=3, peak_memory=100, joules=10.0),
        training("sdpa-flash", 0, epochs=3, peak_memory=50, joules=5.0),
    ]
    cells[0] = msgspec.structs.replace(cells[0], epochs=(*cells[0].epochs[:2], epoch(3, peak_memory=200, joules=10.0)))
    rows = {row.metric: row for row in compared(study(cells))}
    assert (rows["peak_memory"].estimate, rows["joules"].estimate) == (pytest.approx(0.25), pytest.approx(0.5))
    some = msgspec.structs.replace(cells[0], epochs=(*cells[0].epochs[:2], epoch(3, peak_memory=200)))
    assert "joules" not in {
        row.metric for row in compared(study([some, cells[1]]))
    }  # a part of the energy is not the energy


def test_a_value_that_is_no_number_is_no_pair():
    cells = [training("eager", 0), training("sdpa-flash", 0, seconds=0.0)]
    cells[1] = msgspec.structs.replace(cells[1], epochs=(epoch(1, math.nan, seconds=0.0),))
    rows = {row.metric: row for row in compared(study(cells))}
    assert [pair.why for pair in rows["map50_95"].unpaired] == ["mAP50-95 is not known"]
    assert "epoch_seconds" not in rows


def test_times_of_two_machines_are_no_pair_and_accuracies_are():
    cells = [training("eager", 0, where="node-1"), training("sdpa-flash", 0, 0.6, where="node-2")]
    rows = {row.metric: row for row in compared(study(cells))}
    assert "epoch_seconds" not in rows
    assert rows["map50_95"].outcome == "one seed"


def test_holm_counts_arms_times_metrics():
    base = [0.50, 0.52, 0.48, 0.51]
    one = [b + d for b, d in zip(base, (0.02, 0.021, 0.025, 0.018), strict=True)]
    alone = pairs(base, one)
    cells = list(alone.cells) + [training("sdpa-math", seed, b + 0.001 * seed) for seed, b in enumerate(base)]
    more = study(cells, ("eager", "sdpa-flash", "sdpa-math"))
    raw = paired([0.02, 0.021, 0.025, 0.018]).p_difference()
    assert primary(alone).p == pytest.approx(4 * raw)
    assert primary(more).p == pytest.approx(8 * raw)
    near = paired([0.0, 0.001, 0.002, 0.003]).p_equivalence(-0.01, 0.01)
    assert primary(more, "sdpa-math").p_equivalence == pytest.approx(2 * near)  # two arms have the margin


def test_the_power_is_that_of_published_tables():
    # The paired t-test with effect 0.5: 34 pairs have power 0.80 at 0.05 (Cohen, Statistical Power Analysis, 1988, and G*Power: 0.8077775).
    assert power_of_difference(34, 1.0, 0.5, 0.05) == pytest.approx(0.80778, abs=5e-4)
    assert enough(lambda n: power_of_difference(n, 1.0, 0.5, 0.05)) == 34
    # Without any difference, the test finds one as often as its level says, and equivalence at the margin too.
    for n in (2, 3, 10, 50):
        assert power_of_difference(n, 1.0, 0.0, 0.05) == pytest.approx(0.05, abs=1e-3)
    assert power_of_equivalence(50, 0.01, 0.01, 0.05, true=0.01) == pytest.approx(0.05, abs=1e-3)


def test_the_number_of_seeds_is_the_smallest_with_the_power_and_has_a_range():
    found = primary(pairs([0.50, 0.52, 0.48], [0.51, 0.51, 0.48]))
    assert found.spread == pytest.approx(0.01)
    # One arm has a margin for mAP50-95, so the level is not divided.
    assert found.seeds_needed == 11
    assert power_of_equivalence(11, 0.01, 0.01, 0.05) > 0.8 > power_of_equivalence(10, 0.01, 0.01, 0.05)
    low, high = found.seeds_between
    assert low < 11 < high
    wide = primary(pairs([0.1, 0.9, 0.5], [0.9, 0.1, 0.5], margin=0.001))
    assert (wide.seeds_needed, wide.seeds_between) == (None, None)


def test_more_than_the_margin_without_certainty_asks_for_seeds_that_find_the_margin():
    found = primary(pairs([0.50, 0.52, 0.48], [0.52, 0.54, 0.47]))
    assert (found.outcome, found.estimate) == ("cannot tell", pytest.approx(0.01))
    assert found.seeds_needed == enough(lambda n: power_of_difference(n, found.spread, 0.01, 0.05))


def test_the_number_of_seeds_counts_the_arms_that_have_the_margin():
    base = [0.50, 0.52, 0.48]
    cells = []
    for seed, value in enumerate(base):
        wide = value + (0.01, -0.01, 0.0)[seed]
        cells += [training(arm, seed, v) for arm, v in (("eager", value), ("sdpa-flash", wide), ("sdpa-math", wide))]
    found = primary(study(cells, ("eager", "sdpa-flash", "sdpa-math")))
    assert found.seeds_needed == enough(lambda n: power_of_equivalence(n, found.spread, 0.01, 0.025)) > 11


def test_costs_are_a_family_of_their_own():
    base, raw = [0.50, 0.52, 0.48, 0.51], (0.02, 0.021, 0.025, 0.018)
    cells = []
    for seed, value in enumerate(base):
        cells += [training("eager", seed, value, seconds=10.0 + seed)]
        cells += [training("sdpa-flash", seed, value + raw[seed], seconds=10.0 + 1.1 * seed)]
    rows = {row.metric: row for row in compared(study(cells))}
    assert rows["map50_95"].p == pytest.approx(4 * paired(raw).p_difference())
    logs = [math.log((10 + 1.1 * seed) / (10 + seed)) for seed in range(4)]
    assert rows["epoch_seconds"].p == pytest.approx(paired(logs).p_difference())  # the only cost that is known
    near = paired(logs).p_equivalence(-math.log(1.02), math.log(1.02))
    assert rows["epoch_seconds"].p_equivalence == pytest.approx(near)


def test_an_effect_of_two_pairs_is_not_told():
    assert paired([0.1, 0.3]).effect() == 0.0
    with pytest.raises(ValueError, match="two pairs"):
        paired([0.1])
