"""How far a trial is: the share that is over never goes back, and the bar on a terminal says what comes and about how long."""

from __future__ import annotations

import io

from rich.console import Console

from attn_doctor.cli.bar import Bar
from attn_doctor.trials.stages import Doing, Stages

CELLS = ("eager float32", "sdpa float32", "eager bfloat16", "sdpa bfloat16")


def a_trial(stages: Stages, rounds: int) -> list[Doing]:
    seen = [stages.model(again=False), stages.reference(), *map(stages.proof, CELLS), stages.model(again=True)]
    for what in ("forward", "step"):
        seen += [stages.round(f"{what} {n}", what) for _ in range(2) for n in range(rounds)]
    return seen


def test_the_share_grows_from_the_first_stage_to_the_last():
    done = [doing.done for doing in a_trial(Stages(CELLS, 9), 9)]
    assert done == sorted(done)
    assert len(set(done)) == len(done)
    assert 0 < done[0] < 0.3
    assert 0.9 < done[-1] < 1


def test_a_trial_that_begins_again_or_runs_longer_does_not_go_back():
    stages = Stages(CELLS, 3)
    seen = a_trial(stages, 3)
    again = [stages.model(again=False), stages.proof(CELLS[1]), *(stages.round("more", "step") for _ in range(5))]
    assert all(doing.done >= seen[-1].done for doing in again)
    assert again[-1].done <= 1


def test_what_comes_next():
    stages = Stages(CELLS[:2], 9)
    assert stages.model(again=False)[:2] == ("building the model", "the float64 reference")
    assert stages.proof("eager float32").then == "sdpa"
    assert stages.proof("sdpa float32").then == "measuring"
    assert stages.round("r", "forward").then == "training"
    assert stages.round("r", "step").then == ""


def test_nothing_to_try():
    assert Stages((), 9).model(again=False).done <= 1


def test_the_bar_says_what_is_done_what_comes_and_about_how_long():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    bar = Bar(console)
    bar._began -= 10.0
    bar.step(Doing("proving sdpa-math float32", "sdpa-flash", 0.25))
    bar._progress.refresh()
    bar.note("still waiting (torch)")
    bar.stop()
    said = console.file.getvalue()
    assert "proving sdpa-math float32, then sdpa-flash" in said
    assert "about 30 s left" in said or "about 29 s left" in said
    assert "attn-doctor: still waiting (torch)\n" in said


def test_rounds_more_than_planned_do_not_push_the_end_away():
    bar = Bar(Console(file=io.StringIO(), force_terminal=True, width=80))
    bar.step(Doing("round 9 of 9", "", 0.5))
    end = bar._end
    bar.step(Doing("round 10", "", 0.5))
    assert bar._end == end
    bar.stop()
