"""Measure the work around the model, for the backends with the status "ok".

That is the stages of inference, and a training step with its optimiser. It runs in a separate process after the trial, so that
ultralytics' predictor cannot disturb the trial itself.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attn_doctor import child
from attn_doctor.model.trials import OptimisedStep, Stages, Trial, TrialOptions
from attn_doctor.trials.process import config_of, failures, run_separately
from attn_doctor.trials.statistics import interval

Say = Callable[[str], None]

OPTIMISER = "AdamW"  # the same value as in target/pipeline_stages.py
ROUNDS = 9
# Names on the channel, sent along to the target: of a record, and of the sections (a dtype follows).
RECORD, STAGES, OPTIMISED = "pipeline", "stages ", "optimiser "
SECONDS = 20.0  # for the rounds of one dtype, with the predictor and again with the optimiser; three rounds at least


class PipelineTimes:
    """Hold the measured stages (`stages`) and training steps (`optimised`), and sentences about those that are missing (`notes`)."""

    def __init__(self, samples: Sequence[dict[str, Any]], notes: Sequence[str]) -> None:
        self.notes = tuple(notes)
        self.stages = tuple(_stages(mine) for mine in _by_cell(samples, "stages"))
        self.optimised = tuple(_optimised(mine) for mine in _by_cell(samples, "optimised_ms"))


def measure(
    python: Sequence[str],
    rows: Sequence[Trial],
    options: TrialOptions,
    *,
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None = None,
) -> PipelineTimes:
    """Measure the stages of inference, and training steps with an optimiser, for each row of the model that is "ok".

    The result is empty if there is no such row. `timeout`: the seconds without a record after which the process is ended. Raises
    OSError if the interpreter cannot be started.
    """
    proven = [row for row in rows if row.status == "ok" and row.scope == "model" and row.shape is None]
    if not proven:
        return PipelineTimes((), ())
    config = {
        **config_of(proven, options),
        "rounds": min(ROUNDS, options.rounds or ROUNDS),
        "seconds": SECONDS,
        "record": RECORD,
        "stages": STAGES,
        "optimiser": OPTIMISED,
    }

    def tell(message: child.Message) -> None:
        if message.at == "begin" and message.section.startswith(STAGES):
            say("measuring inference by its stages")
        if message.at == "begin" and message.section.startswith(OPTIMISED):
            say("measuring training steps with an optimiser")

    outcome = run_separately(
        python, "target/pipeline_stages.py", config, timeout=timeout, on_message=tell, environ=environ
    )
    notes = failures(outcome, "stages and optimiser", "measuring the stages and the optimiser")
    return PipelineTimes(outcome.facts(RECORD), notes)


def _by_cell(samples: Sequence[dict[str, Any]], what: str) -> list[list[dict[str, Any]]]:
    """Return the samples that have `what`, grouped by cell, in the order of the cells."""
    mine = [sample for sample in samples if what in sample]
    names = dict.fromkeys(sample["cell"] for sample in mine)
    return [[sample for sample in mine if sample["cell"] == name] for name in names]


def _stages(samples: Sequence[dict[str, Any]]) -> Stages:
    before, model, after = (statistics.median(stage) for stage in zip(*(s["stages"] for s in samples), strict=True))
    return Stages(
        backend=samples[0]["backend"],
        dtype=samples[0]["dtype"],
        preprocess_ms=before,
        model_ms=model,
        postprocess_ms=after,
        n=len(samples),
    )


def _optimised(samples: Sequence[dict[str, Any]]) -> OptimisedStep:
    return OptimisedStep(
        backend=samples[0]["backend"],
        dtype=samples[0]["dtype"],
        optimiser=OPTIMISER,
        step_ms=interval([s["step_ms"] for s in samples]),
        optimised_ms=interval([s["optimised_ms"] for s in samples]),
    )
