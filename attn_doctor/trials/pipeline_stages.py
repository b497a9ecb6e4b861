"""What a program does around the model, measured for the backends that a trial has proven: the stages of inference,
and a training step with its optimiser.

In a process of its own after the trial, so that whatever ultralytics' predictor does cannot harm the trial itself.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attn_doctor import child
from attn_doctor.model.facts import Fault
from attn_doctor.model.trials import OptimisedStep, Stages, Trial
from attn_doctor.trials.plan import TrialOptions, model_file
from attn_doctor.trials.process import aside, in_words
from attn_doctor.trials.statistics import interval

Say = Callable[[str], None]

OPTIMISER = "AdamW"  # of target/around.py
ROUNDS = 9
SECONDS = 20.0  # for the rounds of one dtype, with the predictor and again with the optimiser, of which there are three at least


class Around:
    """What was found, and in words what was not."""

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
) -> Around:
    """Measure the rows that are "ok" on the model in the target. Raises OSError where the interpreter cannot be started."""
    proven = [row for row in rows if row.status == "ok" and row.scope == "model" and row.shape is None]
    if not proven:
        return Around((), ())
    config = {
        "model": model_file(options.model),
        "imgsz": options.imgsz,
        "batch": options.batch,
        "device": proven[0].device,
        "seed": options.seed,
        "rounds": min(ROUNDS, options.rounds or ROUNDS),
        "seconds": SECONDS,
        "cells": [[f"{row.backend} {row.dtype}", row.backend, row.dtype] for row in proven],
    }

    def tell(message: child.Message) -> None:
        if message.at == "begin" and message.section.startswith("stages "):
            say("measuring inference by its stages")
        if message.at == "begin" and message.section.startswith("optimiser "):
            say("measuring training steps with an optimiser")

    outcome = aside(python, "target/around.py", config, timeout=timeout, on_message=tell, environ=environ)
    notes = [f"{m.section}: {in_words(Fault(**m.data))}" for m in outcome.messages if m.at == "raised"]
    notes += [f"around the model, {fault['cell']}: {fault['text']}" for fault in outcome.facts("fault")]
    if outcome.fault:
        where = f" with {outcome.open_section}" if outcome.open_section else ""
        notes.append(f"what is around the model was not measured to the end{where}: {in_words(outcome.fault)}")
    return Around(outcome.facts("around"), notes)


def _by_cell(samples: Sequence[dict[str, Any]], what: str) -> list[list[dict[str, Any]]]:
    """The samples that have `what`, those of a cell together, in the order of the cells."""
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
