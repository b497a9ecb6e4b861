"""Start the processes of a trial: their common scripts and environment, and a description of their end."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attn_doctor import child
from attn_doctor.model.facts import Fault
from attn_doctor.model.trials import Trial, TrialOptions
from attn_doctor.system import leftovers, machine
from attn_doctor.trials.plan import model_file

COMMON = (
    "target/channel.py",
    "exchange/accuracy.py",
    "exchange/traits.py",
    "exchange/kernels.py",
    "exchange/checkpoints.py",
    "exchange/derivatives.py",
    "exchange/layouts.py",
    "exchange/layers.py",
    "target/trial_subject.py",
    "target/trial_proof.py",
    "target/trial_cell.py",
)
_DAY = 24 * 3600.0


def run_separately(
    python: Sequence[str],
    script: str,
    config: Mapping[str, Any],
    *,
    timeout: float,
    on_message: Callable[[child.Message], None],
    environ: Mapping[str, str] | None = None,
) -> child.Outcome:
    """Run one more script in the target, after the common ones, in a process of its own, so that it cannot disturb a trial.

    `timeout`: the seconds without a record after which the process is ended.

    Raises OSError if the interpreter cannot be started.
    """
    with tempfile.TemporaryDirectory(dir=leftovers.folder()) as folder:
        return child.run(
            python,
            (*COMMON, script),
            config=dict(config),
            deadline=_DAY,
            quiet=timeout,
            environ=environ,
            changes={
                **child.harmless(folder),
                **waiting_policy(os.environ if environ is None else environ, load(), os.cpu_count())[0],
            },
            on_message=on_message,
        )


def config_of(rows: Sequence[Trial], options: TrialOptions) -> dict[str, Any]:
    """Return the config of a script that runs the model with the cells of these rows; at least one row."""
    return {
        "model": model_file(options.model),
        "imgsz": options.imgsz,
        "batch": options.batch,
        "device": rows[0].device,
        "seed": options.seed,
        "cells": [[f"{row.backend} {row.dtype}", row.backend, row.dtype] for row in rows],
    }


def failures(outcome: child.Outcome, what: str, doing: str) -> list[str]:
    """Return a note for each error that a script reported, and for its early end.

    `what` and `doing`: the result and the work of the script in words, "memory" and "splitting the memory".
    """
    notes = [f"{m.section}: {in_words(Fault(**m.data))}" for m in outcome.messages if m.at == "raised"]
    notes += [f"{what}, {fault['cell']}: {fault['text']}" for fault in outcome.facts("fault")]
    if outcome.fault:
        where = f" with {outcome.open_section}" if outcome.open_section else ""
        notes.append(f"{doing} ended early{where}: {in_words(outcome.fault)}")
    return notes


def load(seconds: float = 0.4) -> float | None:
    """Return the number of cores that are busy now; None if the system does not count them.

    They are counted for `seconds`, while this process sleeps. Where that is impossible the load average is used: it also contains
    programs that ended a minute ago, such as an earlier trial.
    """
    before = machine.processor_time()
    if before is None:
        return machine.load_average()
    time.sleep(seconds)
    after = machine.processor_time()
    if after is None or after[1] == before[1]:
        return None
    return (os.cpu_count() or 1) * (after[0] - before[0]) / (after[1] - before[1])


def waiting_policy(
    environ: Mapping[str, str], busy: float | None, cores: int | None
) -> tuple[dict[str, str], list[str]]:
    """Return variables that make waiting threads sleep, and notes about them.

    Both are empty unless other programs use more than half of the cores. If the user has set such a variable, only a note is
    returned. `busy`: cores that are busy now; None: not known. PyTorch's threads (GNU OpenMP) wait at full load ("spin"). With
    one core too few, a step of YOLO12n took 4 to 15 times as long as with threads that sleep. On a quiet machine spinning is
    slightly faster, so nothing is changed there.
    """
    if busy is None or not cores or busy <= cores / 2:
        return {}, []
    if any(name in environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):  # the user's own setting stays
        return {}, ["other programs are busy on this machine: times vary"]
    note = "other programs are busy on this machine: threads sleep while they wait for each other, and times vary"
    return {"OMP_WAIT_POLICY": "passive"}, [note]


def in_words(fault: Fault | None) -> str:
    """Return in a few words how a process ended, for a note."""
    if fault is None:
        return "no reason given"
    if fault.signal:
        return fault.signal + (f" in {fault.where}" if fault.where else "")
    if fault.kind in ("timeout", "vanished"):
        return f"no answer for {fault.seconds or 0:.0f} s" + (f" in {fault.where}" if fault.where else "")
    if fault.kind == "flooded":
        return "it printed without end, and was ended"
    if fault.type:
        last = (fault.message or "").strip().splitlines()
        return f"{fault.type}: {last[0]}" if last else fault.type
    last = (fault.message or "").strip().splitlines()
    return f"exit code {fault.exit_code}" + (f": {last[-1]}" if last else "")
