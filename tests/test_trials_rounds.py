"""How many rounds a trial measures, on machines made of random numbers: seconds, drops, and the rate of false differences."""

from __future__ import annotations

import random

from attn_doctor.model.trials import Gain
from attn_doctor.trials.gains import Measured, _decided, dropped
from attn_doctor.trials.paired_rounds import LEAST, LEAST_BESIDE_WRONG, LEVEL, Race


def race(
    seconds: dict[str, float],
    *,
    seed: int = 0,
    noise: float = 0.02,
    rounds: int = 9,
    budget: float = 20.0,
    fixed: bool = False,
    wrong: tuple[str, ...] = (),
    lost: tuple[str, ...] = (),
) -> tuple[Race, float]:
    """Run a race on a machine whose load drifts; `seconds`: of a step of each backend. Returns it and the seconds spent."""
    chance = random.Random(seed)
    run = Race(list(seconds), "eager", rounds, budget, fixed=fixed, wrong=wrong, lost=lost)
    spent, drift, another = 0.0, 1.0, True
    while another:
        drift *= chance.lognormvariate(0, 0.05)
        for name in list(run.left):
            spike = 1.5 if chance.random() < 0.05 else 1.0
            taken = seconds[name] * drift * spike * chance.lognormvariate(0, noise)
            run.add(name, 1e3 * taken)
            spent += taken
        another = run.end_round(spent)
    return run, spent


def verdicts(run: Race) -> dict[str, str | None]:
    others = [name for name in run.times if name != "eager"]
    found: dict[int, Gain] = _decided(
        tuple(run.times["eager"]), {place: tuple(run.times[name]) for place, name in enumerate(others)}, run.level
    )
    return {others[place]: gain.verdict for place, gain in found.items()}


def test_a_quick_subject_gets_the_planned_rounds():
    run, spent = race({"eager": 0.2, "sdpa": 0.1, "sdpa-math": 0.2})
    assert {len(times) for times in run.times.values()} == {9}
    assert spent < 20
    assert run.dropped == {}


def test_a_slow_subject_is_decided_and_its_loser_dropped():
    """1280 pixels on two cores: a round of all three takes longer than a quarter of the budget."""
    for seed in range(20):
        run, spent = race({"eager": 2.0, "sdpa": 1.1, "sdpa-math": 2.0}, seed=seed)
        assert verdicts(run) == {"sdpa": "faster", "sdpa-math": "dropped"}, seed
        assert run.dropped == {"sdpa-math": "sdpa"}
        assert len(run.times["sdpa-math"]) == LEAST
        assert spent < 60


def test_a_subject_that_is_too_slow_for_a_decision_ends_after_the_least_rounds():
    run, _ = race({"eager": 30.0, "sdpa": 20.0}, noise=0.01)
    assert len(run.times["eager"]) == LEAST
    assert verdicts(run) == {"sdpa": "undecided"}


def test_nothing_has_to_be_proven_against_an_eager_that_is_wrong():
    """The fastest right backend is advised, however slow: two rounds name it."""
    run, _ = race({"eager": 2.0, "sdpa": 1.1, "sdpa-math": 2.0}, wrong=("eager",))
    assert run.settled
    assert {len(times) for times in run.times.values()} == {LEAST_BESIDE_WRONG}
    for other in (("sdpa-math",), ("eager", "sdpa", "sdpa-math")):
        run, _ = race({"eager": 2.0, "sdpa": 1.1, "sdpa-math": 2.0}, wrong=other)
        assert not run.settled
        assert len(run.times["eager"]) > LEAST
    run, _ = race({"eager": 2.0, "sdpa": 1.1}, wrong=("eager",), rounds=5, fixed=True)
    assert (run.settled, len(run.times["eager"])) == (False, 5)
    run, _ = race({"eager": 0.2, "sdpa": 0.1}, wrong=("eager",))
    assert (run.settled, len(run.times["eager"])) == (False, 9), "a quick model has its planned rounds"


def test_what_lost_every_round_of_inference_has_one_step_if_it_loses_that_too():
    slow = {"eager": 2.0, "sdpa": 1.1, "sdpa-math": 2.0, "flex": 1.0}
    for wrong in ((), ("eager",)):
        run, _ = race(slow, wrong=wrong, lost=("sdpa-math", "flex"))
        assert len(run.times["sdpa-math"]) == 1
        assert run.dropped == {"sdpa-math": "flex"}, "flex lost in inference only"
        assert len(run.times["flex"]) == len(run.times["eager"]) > 1
    run, _ = race({name: seconds / 10 for name, seconds in slow.items()}, lost=("sdpa-math",))
    assert {len(times) for times in run.times.values()} == {9}, "a quick model has its planned rounds"
    run, _ = race({"eager": 2.0, "sdpa": 1.1}, lost=("eager",))
    assert run.dropped == {}


def test_a_note_says_why_a_backend_has_fewer_rounds():
    samples = {("sdpa-math", "forward"): [3.0, 3.1, 3.2], ("sdpa-math", "step"): [9.0], ("sdpa", "step"): [5.0, 5.1]}
    ended = {cell: Measured(lost_to="sdpa" if cell[0] == "sdpa-math" else None) for cell in samples}
    assert dropped(samples, ended) == [
        "sdpa-math: only 3 rounds of inference were measured, because sdpa was faster in each; the other backends got the time",
        (
            "sdpa-math: only 1 round of training steps was measured, because sdpa was faster in it, and in every round of"
            " inference; the other backends got the time"
        ),
    ]


def test_what_is_wrong_does_not_win_a_race():
    """A wrong backend is the fastest: it drops no right one, and is dropped by none but a right one."""
    run, _ = race({"eager": 1.6, "sdpa": 1.5, "sdpa-math": 0.9}, wrong=("sdpa-math",))
    assert run.dropped == {}


def test_eager_is_never_dropped_however_slow_it_is():
    run, _ = race({"eager": 5.0, "sdpa": 1.0})
    assert len(run.times["eager"]) == len(run.times["sdpa"]) == 7


def test_a_number_of_rounds_that_was_asked_for_is_measured():
    run, spent = race({"eager": 5.0, "sdpa": 1.0, "sdpa-math": 5.0}, rounds=12, budget=24 * 3600.0, fixed=True)
    assert {len(times) for times in run.times.values()} == {12}
    assert run.level == LEVEL
    assert spent > 100


def test_looks_do_not_add_false_differences():
    for sizes in ({"eager": 0.2, "sdpa": 0.2, "sdpa-math": 0.2}, {"eager": 1.5, "sdpa": 1.5}):
        false = sum(
            any(v in ("faster", "slower") for v in verdicts(race(sizes, seed=seed)[0]).values()) for seed in range(200)
        )
        assert false <= 0.05 * 200 + 6, sizes  # 6: two standard deviations


def test_a_small_difference_on_a_quick_machine_gets_more_rounds():
    longer = [len(race({"eager": 0.3, "sdpa": 0.28}, seed=seed)[0].times["eager"]) for seed in range(40)]
    assert max(longer) > 9
    assert min(longer) == 9


def test_a_backend_that_raises_leaves_the_others_to_finish():
    run = Race(["eager", "sdpa", "flex"], "eager", 9, 20.0, fixed=False)
    for number in range(9):
        run.add("eager", 100.0 + number)
        run.add("sdpa", 50.0 + number)
        if number == 2:
            run.failed("flex")
        elif number < 2:
            run.add("flex", 70.0)
        assert run.end_round(0.3 * (number + 1)) is (number < 8)
    run = Race(["eager", "sdpa"], "eager", 9, 20.0, fixed=False)
    run.failed("eager")
    run.failed("sdpa")
    assert run.end_round(1.0) is False
