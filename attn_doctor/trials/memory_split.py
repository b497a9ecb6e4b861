"""Split the peak memory of a training step into parts, for each backend and dtype of a trial.

Runs in a process of its own after the trial. docs/method.md explains each part and how it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from attn_doctor import child
from attn_doctor.exchange.traits import TRAITS
from attn_doctor.model.trials import MemoryParts, MemorySplit, Trial, TrialOptions
from attn_doctor.trials.process import config_of, failures, run_separately

Say = Callable[[str], None]

# Up to 10,000 steps of the optimiser, ultralytics' optimizer=auto takes AdamW, above that another one.
# https://docs.ultralytics.com/reference/engine/trainer/
SHORT, LONG = 1_000, 100_000
_RAN = ("ok", "wrong", "other-kernel")


class Splits(NamedTuple):
    """Hold the parts of the peak memory of training steps, one record for each backend, dtype and optimiser."""

    splits: tuple[MemorySplit, ...] = ()
    notes: tuple[str, ...] = ()  # sentences about the rows whose memory was not split


def measure(
    python: Sequence[str],
    rows: Sequence[Trial],
    options: TrialOptions,
    *,
    timeout: float,
    say: Say,
    environ: Mapping[str, str] | None = None,
) -> Splits:
    """Split the peak memory of a training step, for every row of the model: with the optimiser of a short and of a long training.

    Rows of compiled code are left out, and no row is split on an Apple GPU. `say` gets the name of each step. `timeout`: the seconds
    without a record after which the process is ended. Raises OSError if the interpreter cannot be started.
    """
    ran = [row for row in rows if row.status in _RAN and row.scope == "model" and row.shape is None]
    if not ran:
        return Splits((), ("the memory was not split: no backend ran a training step of the model",))
    watched = [row for row in ran if TRAITS[row.backend].family != "compiled"]
    notes = [
        f"{row.backend} ({row.dtype}): its memory is not split, because compiled code hides its tensors"
        for row in ran
        if row not in watched
    ]
    if ran[0].device == "mps":
        return Splits((), ("on an Apple GPU, the memory of a step cannot be measured",))
    if not watched:
        return Splits((), tuple(notes))
    config = {**config_of(watched, options), "iterations": [SHORT, LONG]}

    def tell(message: child.Message) -> None:
        if message.at == "begin" and message.section in {name for name, *_ in config["cells"]}:
            say(f"splitting the memory of a training step: {message.section}")

    outcome = run_separately(
        python, "target/memory_split.py", config, timeout=timeout, on_message=tell, environ=environ
    )
    notes += failures(outcome, "memory", "splitting the memory")
    splits = tuple(MemorySplit(**{**found, "parts": MemoryParts(**found["parts"])}) for found in outcome.facts("split"))
    return Splits(splits, tuple(notes))
